//! A run as one self-contained HTML page: a ladder between two lanes that show each host's states.

use std::{fmt::Write as _, io, net::SocketAddr, sync::Arc};

use tcpecho_lab::{
    Moment, Place, Side, TcpState, What,
    packet::layers,
    program::words as how,
    run::{Run, Verdict},
    scenario::Scenario,
    source::{Source, short},
    text::Text,
    timeline::{PacketMoment, Verdict as Fate},
};

use super::{
    calls, explain,
    ladder::{Pen, change},
    pace,
    report::{begun, words},
};
use crate::{
    markup::escaped,
    page::{Origin, head},
};

pub(super) fn html(out: &mut impl io::Write, runs: &[Run], seed: u64) -> io::Result<()> {
    let title = match runs {
        [run] => run.text.name,
        _ => "tcpecho lab",
    };
    write!(out, "{}", head(title))?;
    if runs.len() > 1 {
        contents(out, runs)?;
    }
    writeln!(out, "{}", legend())?;
    for run in begun(runs) {
        section(out, run, seed)?;
    }
    write!(out, "{}", Origin::now().foot())
}

pub(super) fn anchor(run: &Run) -> String {
    format!("{}-{}", run.text.name, run.family)
}

pub(super) fn class(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Held(_) => "held",
        Verdict::Failed(_) | Verdict::Broken(_) => "failed",
        Verdict::Skipped(_) | Verdict::Interrupted(_) => "skipped",
    }
}

fn contents(out: &mut impl io::Write, runs: &[Run]) -> io::Result<()> {
    writeln!(out, "<nav aria-label=\"Runs\"><ol>")?;
    for run in begun(runs) {
        let (link, kind, verdict) = (anchor(run), class(&run.verdict), words(&run.verdict));
        let title = escaped(run.text.title);
        let verdict = escaped(&verdict);
        writeln!(
            out,
            "<li><a href=\"#{link}\">{link}</a>: {title}: <span class=\"{kind}\">{verdict}</span></li>"
        )?;
    }
    writeln!(out, "</ol></nav>")
}

/// Groups of states: the class of the pattern, what they have in common, and the states.
const GROUPS: &[(&str, &str, &[TcpState])] = &[
    ("g-listen", "waits for connections", &[TcpState::Listen]),
    ("g-opening", "handshake", &[TcpState::SynSent, TcpState::SynRecv, TcpState::NewSynRecv]),
    ("g-established", "connected", &[TcpState::Established]),
    ("g-first", "closed first", &[TcpState::FinWait1, TcpState::FinWait2, TcpState::Closing]),
    ("g-second", "the peer closed first", &[TcpState::CloseWait, TcpState::LastAck]),
    ("g-wait", "over, kept for late segments", &[TcpState::TimeWait]),
    ("g-closed", "closed", &[TcpState::Close]),
];

fn group(state: TcpState) -> Option<&'static str> {
    GROUPS.iter().find(|(_, _, states)| states.contains(&state)).map(|(class, _, _)| *class)
}

/// The groups of states, and the signs of packets.
pub(super) fn legend() -> String {
    let mut legend = String::from(
        "<section class=\"card\" aria-labelledby=\"legend\"><h2 id=\"legend\">Legend</h2>\
         <p>The bars on both sides show the state of each host's sockets, the first next to the \
         packets:</p><ul class=\"states\">",
    );
    for (class, meaning, states) in GROUPS {
        let states: Vec<&str> = states.iter().map(|state| state.word()).collect();
        let states = states.join(", ");
        let _ = write!(
            legend,
            "<li><span class=\"chip {class}\"></span>{meaning} <code>{states}</code></li>"
        );
    }
    legend.push_str(
        "</ul><p>▸ a packet; select it to see every header field. A dashed arrow with ✗ is a packet \
         that did not arrive then. <code>&gt;</code> is a system call that the lab asks a program to \
         make, ✓ a claim that holds, ✗ one that does not, → a change of TCP state. RFC 9293 writes \
         SYN-RECEIVED for SYN_RECV, and FIN-WAIT-1 for FIN_WAIT_1. A window (win=) is in bytes, \
         after scaling, except in a SYN, which is not scaled.</p></section>",
    );
    legend
}

pub(super) fn section(out: &mut impl io::Write, run: &Run, seed: u64) -> io::Result<()> {
    let (text, family, id) = (run.text, run.family, anchor(run));
    writeln!(
        out,
        "<section class=\"run\" id=\"{id}\" aria-labelledby=\"{id}-title\">\
         <h2 id=\"{id}-title\">{} <small>{family}</small></h2>",
        text.name
    )?;
    writeln!(out, "{}", introduction(text))?;
    verdict(out, run, seed)?;
    ladder(out, run)?;
    writeln!(out, "</section>")
}

/// The verdict of a run, its seed and its times.
pub(super) fn verdict(out: &mut impl io::Write, run: &Run, seed: u64) -> io::Result<()> {
    let (class, words) = (class(&run.verdict), escaped(&words(&run.verdict)));
    writeln!(out, "<p class=\"verdict {class}\">{words}</p>")?;
    writeln!(out, "<p><b class=\"label\">Seed</b> {seed}</p>")?;
    for sentence in pace::sentences(run) {
        writeln!(out, "<p><b class=\"label\">Settings</b> {}</p>", escaped(&sentence))?;
    }
    Ok(())
}

/// What a scenario is about, and where it is written, from the root of the repository.
pub(super) fn introduction(text: &Text) -> String {
    let (title, source) = (escaped(text.title), escaped(text.source));
    let mut html = format!("<p class=\"title\">{title} <cite>({source})</cite></p>");
    let question = escaped(text.question);
    let _ = write!(html, "<p><b class=\"label\">Question</b> {question}</p>");
    let texts = [(explain::BOOK, text.book), (explain::KERNEL, text.kernel)];
    for (word, passages) in texts.into_iter().filter(|(_, passages)| !passages.is_empty()) {
        let _ = write!(html, "<p><b class=\"label\">{word}</b>");
        for (text, sources) in passages {
            let _ = write!(html, " {} <cite>", escaped(text));
            for source in short(sources) {
                html.push_str(&cite(source));
            }
            html.push_str("</cite>");
        }
        html.push_str("</p>");
    }
    let (name, file) = (text.name, escaped(&text.file()).replace('/', "/<wbr>"));
    // The page has the scenarios, not the trials that need a program.
    let docs =
        if Scenario::named(name).is_some() { ", <code>docs/scenarios.md</code>" } else { "" };
    let _ = write!(
        html,
        "<p><b class=\"label\">Text</b> <code>tcpecho lab explain {name}</code>{docs}</p>\
         <p><b class=\"label\">Source</b> <code>{file}</code></p>"
    );
    html
}

/// The source of a sentence in brackets: a link where it has an address, and the claim's words where
/// the scenario measures it.
fn cite(source: &Source) -> String {
    let words = escaped(&source.to_string());
    match (source.url(), source.claim()) {
        (Some(url), _) => format!("[<a href=\"{}\">{words}</a>]", escaped(&url)),
        (None, Some(claim)) => format!("[<span title=\"{}\">{words}</span>]", escaped(claim)),
        (None, None) => format!("[{words}]"),
    }
}

/// The ladder of a run. It has no table: on a narrow screen the columns become one.
pub(super) fn ladder(out: &mut impl io::Write, run: &Run) -> io::Result<()> {
    let moments = calls::shown(run);
    let names = Names::of(&moments);
    let [left, right] = Lanes::most(&moments);
    writeln!(
        out,
        "<div class=\"ladder-head\" style=\"--left:{left};--right:{right}\" aria-hidden=\"true\">\
         <span class=\"time\">ms</span>\
         <span style=\"grid-column:3\">client</span><span style=\"grid-column:4\">wire</span>\
         <span style=\"grid-column:5\">server</span></div>\
         <ol class=\"ladder\" style=\"--left:{left};--right:{right}\">"
    )?;
    let mut lanes = Lanes::default();
    for moment in &moments {
        lanes.take(moment);
        row(out, moment, &lanes, &names)?;
    }
    writeln!(out, "</ol>")
}

fn row(out: &mut impl io::Write, moment: &Moment, lanes: &Lanes, names: &Names) -> io::Result<()> {
    let Some((class, what)) = what(moment, names) else { return Ok(()) };
    let time = moment.at.as_secs_f64() * 1000.0;
    let (left, right) = (lanes.cell(Side::Client), lanes.cell(Side::Server));
    writeln!(
        out,
        "<li class=\"{class}\"><span class=\"time\">{time:.1}<span class=\"for-reader\"> ms</span>\
         </span>{left}{what}{right}</li>"
    )
}

/// The column of a moment, and what happened.
fn what(moment: &Moment, names: &Names) -> Option<(&'static str, String)> {
    let column = match moment.place {
        Place::Host(Side::Client) => "client",
        Place::Host(Side::Server) => "server",
        Place::Wire => "wire",
        Place::Lab => "across",
    };
    let side = |program: Option<&Arc<str>>, class: &str, text: String| {
        let name = program.and_then(|program| names.label(moment.place, program)).map_or_else(
            || format!("<span class=\"where\">{column}: </span>"),
            |name| format!("<span class=\"soft\">{}: </span>", escaped(&name)),
        );
        let text = escaped(&text);
        let text = format!("<div class=\"what\">{name}<span class=\"{class}\">{text}</span></div>");
        (column, text)
    };
    let across = |class: &str, text: &str| {
        ("across", format!("<div class=\"what {class}\">{}</div>", escaped(text)))
    };
    Some(match &moment.what {
        What::Packet(packet) => {
            let label = names.connections.label(moment);
            ("wire", format!("<div class=\"what\">{}</div>", arrow(packet, &label)))
        }
        What::State { before, now, sampled, .. } => {
            let label = names.connections.label(moment);
            side(None, "state", label + &change(*before, *now, *sampled))
        }
        What::Call(call) if call.injected => {
            side(Some(&call.program), "system injected", call.to_string())
        }
        What::Call(call) => side(Some(&call.program), "system", call.to_string()),
        What::Signal { signal, program, .. } => side(Some(program), "signal", signal.clone()),
        What::Input { line, program } => side(Some(program), "call", line.clone()),
        What::Output { line, program, .. } => side(Some(program), "answer", line.clone()),
        What::Exit { exit, program } => side(Some(program), "exit", how(*exit)),
        What::ChildExit { program, child, exit } => {
            side(Some(program), "exit", format!("child {child} {}", how(*exit)))
        }
        What::Step(text) => ("across", format!("<h3 class=\"what step\">{}</h3>", escaped(text))),
        What::Claim { sentence, holds: true, .. } => across("claim held", &format!("✓ {sentence}")),
        What::Claim { sentence, note, .. } => {
            across("claim failed", &format!("✗ {sentence} ({note})"))
        }
        What::Trouble(text) => across("claim failed", &format!("trouble: {text}")),
        What::Omitted { moments } => across("soft", &format!("… {moments} events were not kept")),
        _ => return None,
    })
}

/// A packet with its header fields, after the name of its connection.
fn arrow(packet: &PacketMoment, label: &str) -> String {
    let (direction, to) = match packet.from {
        Side::Client => ("to-server", Side::Server),
        Side::Server => ("to-client", Side::Client),
    };
    let lost = if packet.verdict.has_arrived() { "" } else { " lost" };
    let mut fate = String::new();
    if packet.verdict != Fate::Delivered {
        fate =
            format!(" <em>{}</em>", escaped(format!("{} {}", packet.verdict, packet.note).trim()));
    }
    let (from, line) = (packet.from, escaped(&format!("{label}{}", packet.line)));
    let mut fields = String::new();
    for layer in layers(&packet.packet) {
        let _ = write!(fields, "<p>{}</p><dl>", layer.name);
        for (name, value) in layer.fields {
            let _ = write!(fields, "<dt>{name}</dt><dd>{}</dd>", escaped(&value));
        }
        fields.push_str("</dl>");
    }
    format!(
        "<details class=\"packet {direction}{lost}\"><summary>\
         <span class=\"where\">{from} → {to}: </span>{line}{fate}</summary>\
         <div class=\"fields\">{fields}</div></details>"
    )
}

/// What names programs and connections where there are several.
struct Names {
    /// The programs of each host in the order in which they began.
    programs: Vec<(Side, Arc<str>)>,
    /// Names connections as the text does.
    connections: Pen,
}

impl Names {
    fn of(moments: &[Moment]) -> Self {
        let mut known: Vec<(Side, Arc<str>)> = Vec::new();
        for moment in moments {
            let Place::Host(side) = moment.place else { continue };
            let program = match &moment.what {
                What::Started { program, .. }
                | What::Input { program, .. }
                | What::Output { program, .. } => program,
                What::Call(call) => &call.program,
                _ => continue,
            };
            // Two programs may have the same name.
            if !known.iter().any(|(_, other)| Arc::ptr_eq(other, program)) {
                known.push((side, Arc::clone(program)));
            }
        }
        Names { programs: known, connections: Pen::knowing(moments) }
    }

    /// `client 2`; nothing for the only program of a host.
    fn label(&self, place: Place, program: &Arc<str>) -> Option<String> {
        let here = || self.programs.iter().filter(|(side, _)| Place::Host(*side) == place);
        let number = here().position(|(_, other)| Arc::ptr_eq(other, program))? + 1;
        let (side, _) = here().nth(number - 1).filter(|_| here().count() > 1)?;
        Some(format!("{side} {number}"))
    }
}

/// The sockets of each host, each in a lane of its own from its first state to its last.
#[derive(Default)]
struct Lanes {
    hosts: [Vec<Option<Socket>>; 2],
}

#[derive(Clone, Copy)]
struct Socket {
    ends: (SocketAddr, SocketAddr),
    state: TcpState,
}

/// The number of lanes of a host; further sockets have none.
const MOST_LANES: usize = 8;

impl Lanes {
    /// The number of lanes that each host needs.
    fn most(moments: &[Moment]) -> [usize; 2] {
        let mut lanes = Lanes::default();
        for moment in moments {
            lanes.take(moment);
        }
        lanes.hosts.map(|host| host.len().clamp(1, MOST_LANES))
    }

    fn take(&mut self, moment: &Moment) {
        let Place::Host(side) = moment.place else { return };
        let host = &mut self.hosts[side.index()];
        if moment.what.is_power_off() {
            host.fill(None);
        }
        let What::State { local, remote, now, .. } = &moment.what else { return };
        let ends = (*local, *remote);
        let is_it = |lane: &Option<Socket>| lane.is_some_and(|socket| socket.ends == ends);
        let lane = host
            .iter()
            .position(is_it)
            .or_else(|| host.iter().position(Option::is_none))
            .unwrap_or(host.len());
        if lane == host.len() {
            host.push(None);
        }
        host[lane] = now.map(|state| Socket { ends, state });
    }

    fn cell(&self, side: Side) -> String {
        let column = if side == Side::Client { "left" } else { "right" };
        let mut cell = format!("<span class=\"lanes {column}\">");
        for socket in self.hosts[side.index()].iter().take(MOST_LANES) {
            let Some(Socket { ends: (local, remote), state }) = socket else {
                cell.push_str("<i class=\"lane\"></i>");
                continue;
            };
            let (group, word) = (group(*state).unwrap_or_default(), state.word());
            // A connection is named by the client's port, as beside its packets.
            let end = if side == Side::Client || remote.port() == 0 { local } else { remote };
            let port = end.port();
            let _ = write!(cell, "<i class=\"lane {group}\" title=\"{side}: :{port} {word}\"></i>");
        }
        cell + "</span>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_introduction_links_the_sources_of_each_sentence() {
        let introduction = introduction(&Scenario::named("refused").unwrap().text);
        let rfc = "https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.1";
        let link = format!("[<a href=\"{rfc}\">RFC 9293 3.10.7.1</a>]");
        for part in ["<cite>[UNP 4.3]", &link, "[<span title=\"connect fails with ECONNREFUSED"] {
            assert!(introduction.contains(part), "{part}: {introduction}");
        }
    }

    #[test]
    fn each_socket_has_a_lane_and_keeps_it() {
        let state = |port, now| {
            let (local, remote) = ([198, 51, 100, 20], [192, 0, 2, 10]);
            let (local, remote) = ((local, 7).into(), (remote, port).into());
            let what = What::State { local, remote, before: None, now, sampled: false };
            Moment { at: std::time::Duration::ZERO, place: Place::Host(Side::Server), what }
        };
        let moments = [
            state(0, Some(TcpState::Listen)),
            state(40_000, Some(TcpState::Established)),
            state(40_001, Some(TcpState::CloseWait)),
            state(40_000, None),
        ];
        assert_eq!(Lanes::most(&moments), [1, 3]);
        let mut lanes = Lanes::default();
        for moment in moments {
            lanes.take(&moment);
        }
        assert_eq!(
            lanes.cell(Side::Server),
            "<span class=\"lanes right\"><i class=\"lane g-listen\" title=\"server: :7 LISTEN\"></i>\
             <i class=\"lane\"></i>\
             <i class=\"lane g-second\" title=\"server: :40001 CLOSE_WAIT\"></i></span>"
        );
    }

    #[test]
    fn every_state_is_in_one_group() {
        for state in (1..=12).map(TcpState::from_number) {
            let groups = GROUPS.iter().filter(|(_, _, states)| states.contains(&state)).count();
            assert_eq!(groups, 1, "{state}");
        }
    }
}
