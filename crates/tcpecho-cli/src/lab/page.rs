//! A run as one self-contained HTML page: a ladder between two lanes that show each host's states.

use std::{collections::BTreeMap, io, net::SocketAddr};

use tcpecho_lab::{
    Exit, Moment, Place, Side, TcpState, What,
    run::{Run, Verdict},
    timeline::{PacketMoment, Verdict as Fate},
};

use super::{
    calls,
    ladder::change,
    pace,
    report::{begun, words},
};
use crate::markup::escaped;

const STYLE: &str = include_str!("page.css");

pub(super) fn html(out: &mut impl io::Write, runs: &[Run], seed: u64) -> io::Result<()> {
    let title = match runs {
        [run] => run.text.name,
        _ => "tcpecho lab",
    };
    writeln!(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
    writeln!(out, "<title>{title}</title><style>{STYLE}</style></head><body>")?;
    if runs.len() > 1 {
        contents(out, runs)?;
    }
    for run in begun(runs) {
        section(out, run, seed)?;
    }
    writeln!(out, "</body></html>")
}

fn anchor(run: &Run) -> String {
    format!("{}-{}", run.text.name, run.family)
}

fn class(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Held(_) => "held",
        Verdict::Failed(_) | Verdict::Broken(_) => "failed",
        Verdict::Skipped(_) | Verdict::Interrupted(_) => "skipped",
    }
}

fn contents(out: &mut impl io::Write, runs: &[Run]) -> io::Result<()> {
    writeln!(out, "<nav><h1>tcpecho lab</h1><ol>")?;
    for run in begun(runs) {
        let (link, kind, verdict) = (anchor(run), class(&run.verdict), words(&run.verdict));
        let title = escaped(run.text.title);
        let verdict = escaped(&verdict);
        writeln!(
            out,
            "<li class=\"{kind}\"><a href=\"#{link}\">{link}</a> {title} <i>{verdict}</i></li>"
        )?;
    }
    writeln!(out, "</ol></nav>")
}

fn section(out: &mut impl io::Write, run: &Run, seed: u64) -> io::Result<()> {
    let text = run.text;
    writeln!(
        out,
        "<section id=\"{}\"><h2>{} <small>{}</small></h2>",
        anchor(run),
        text.name,
        run.family
    )?;
    writeln!(
        out,
        "<p class=\"title\">{} <cite>{}</cite></p>",
        escaped(text.title),
        escaped(text.source)
    )?;
    for (word, text) in
        [("Question", text.question), ("The book", text.book), ("This Linux", text.kernel)]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
    {
        writeln!(out, "<p><b>{word}</b> {}</p>", escaped(text))?;
    }
    writeln!(
        out,
        "<p class=\"verdict {}\">{}</p>",
        class(&run.verdict),
        escaped(&words(&run.verdict))
    )?;
    writeln!(out, "<p><b>Seed</b> {seed}</p>")?;
    for sentence in pace::sentences(run) {
        writeln!(out, "<p><b>Time</b> {}</p>", escaped(&sentence))?;
    }
    writeln!(
        out,
        "<table><thead><tr><th>ms</th><th class=\"lane\"></th><th>client</th><th>wire</th><th>server</th><th class=\"lane\"></th></tr></thead><tbody>"
    )?;
    let mut lanes = Lanes::default();
    for moment in calls::shown(run) {
        lanes.take(&moment);
        row(out, &moment, &lanes)?;
    }
    writeln!(out, "</tbody></table></section>")
}

fn row(out: &mut impl io::Write, moment: &Moment, lanes: &Lanes) -> io::Result<()> {
    let Some(cells) = cells(moment) else { return Ok(()) };
    let time = moment.at.as_secs_f64() * 1000.0;
    let (left, right) = (lanes.cell(Side::Client), lanes.cell(Side::Server));
    writeln!(out, "<tr><td class=\"time\">{time:.1}</td>{left}{cells}{right}</tr>")
}

/// The three cells between the lanes, or one that spans them.
fn cells(moment: &Moment) -> Option<String> {
    let side = |class: &str, text: String| {
        let text = format!("<span class=\"{class}\">{}</span>", escaped(&text));
        match moment.place {
            Place::Host(Side::Server) => format!("<td></td><td></td><td>{text}</td>"),
            _ => format!("<td>{text}</td><td></td><td></td>"),
        }
    };
    let across = |class: &str, text: &str| {
        format!("<td colspan=\"3\" class=\"{class}\">{}</td>", escaped(text))
    };
    Some(match &moment.what {
        What::Packet(packet) => format!("<td></td><td>{}</td><td></td>", arrow(packet)),
        What::State { before, now, sampled, .. } => side("state", change(*before, *now, *sampled)),
        What::Call(call) if call.injected => side("system injected", call.to_string()),
        What::Call(call) => side("system", call.to_string()),
        What::Signal { signal, .. } => side("signal", signal.clone()),
        What::Input { line, .. } => side("call", line.clone()),
        What::Output { line, .. } => side("answer", line.clone()),
        What::Exit { exit, .. } => side(
            "exit",
            match exit {
                Exit::Exited(status) => format!("exited with {status}"),
                Exit::Killed(signal) => format!("killed by signal {signal}"),
                Exit::Unknown => "ended".into(),
            },
        ),
        What::Step(text) => across("step", text),
        What::Claim { sentence, holds: true, .. } => across("claim held", &format!("✓ {sentence}")),
        What::Claim { sentence, note, .. } => {
            across("claim failed", &format!("✗ {sentence} ({note})"))
        }
        What::Trouble(text) => across("claim failed", &format!("trouble: {text}")),
        What::Omitted { moments } => across("step", &format!("… {moments} events were not kept")),
        _ => return None,
    })
}

fn arrow(packet: &PacketMoment) -> String {
    let direction = if packet.from == Side::Client { "right" } else { "left" };
    let lost = if packet.verdict.has_arrived() { "" } else { " lost" };
    let mut fate = String::new();
    if packet.verdict != Fate::Delivered {
        fate = format!("<em>{}</em>", escaped(&format!("{} {}", packet.verdict, packet.note)));
    }
    format!(
        "<div class=\"packet {direction}{lost}\"><span>{}</span>{fate}</div>",
        escaped(&packet.line)
    )
}

/// The current states of each host's sockets.
#[derive(Default)]
struct Lanes {
    sockets: [BTreeMap<(SocketAddr, SocketAddr), TcpState>; 2],
}

impl Lanes {
    fn take(&mut self, moment: &Moment) {
        if let (Place::Host(side), What::State { local, remote, now, .. }) =
            (moment.place, &moment.what)
        {
            let sockets = &mut self.sockets[side.index()];
            match now {
                Some(state) => sockets.insert((*local, *remote), *state),
                None => sockets.remove(&(*local, *remote)),
            };
        }
    }

    /// A connection is shown rather than a listening socket.
    fn cell(&self, side: Side) -> String {
        let states = || self.sockets[side.index()].values().copied();
        let shown = states().find(|state| *state != TcpState::Listen).or_else(|| states().next());
        let word = shown.map_or("none", TcpState::word);
        format!("<td class=\"lane {}\" title=\"{word}\"></td>", word.to_ascii_lowercase())
    }
}
