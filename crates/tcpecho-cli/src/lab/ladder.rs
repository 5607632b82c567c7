//! A run as a ladder: time, the client's side, the packet between, the server's side.

use std::{
    fmt::Write as _,
    io::{self, Write},
    sync::mpsc::Receiver,
    thread::{self, JoinHandle},
};

use tcpecho_lab::{
    Exit, Moment, Place, Side, Timeline, What,
    scenario::{Run, Verdict},
    timeline::{PacketMoment, Verdict as Fate},
};

use super::{calls, report::shown};

/// Columns of a side, and of what is between them.
const SIDE: usize = 30;
const MIDDLE: usize = 52;

/// Draws a timeline while it grows; dropping it waits until everything is drawn.
pub(super) struct Ladder {
    timeline: Option<Timeline>,
    thread: Option<JoinHandle<()>>,
}

impl Ladder {
    pub(super) fn follow(timeline: &Timeline, colour: bool) -> Self {
        let moments: Receiver<Moment> = timeline.subscribe();
        let draw = move || {
            calls::follow(&moments, |moment| {
                if matches!(&moment.what, What::Step(text) if text == THE_END) {
                    return false;
                }
                if let Some(line) = line(&moment, colour) {
                    let _ = writeln!(io::stdout().lock(), "{line}");
                }
                true
            });
        };
        let thread = thread::Builder::new().name("ladder".into()).spawn(draw).ok();
        Ladder { timeline: Some(timeline.clone()), thread }
    }
}

/// What ends the drawing.
const THE_END: &str = "the end";

impl Drop for Ladder {
    fn drop(&mut self) {
        if let Some(timeline) = self.timeline.take() {
            timeline.step(THE_END);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A run that is over, without colour.
pub(super) fn draw(out: &mut impl Write, run: &Run) -> io::Result<()> {
    writeln!(out, "{} over {}", run.scenario.name, run.family)?;
    for moment in shown(run) {
        if let Some(line) = line(&moment, false) {
            writeln!(out, "{line}")?;
        }
    }
    if let Verdict::Broken(why) = &run.verdict {
        writeln!(out, "broken: {why}")?;
    }
    Ok(())
}

/// A moment as a line; settings and starts are left out.
pub(super) fn line(moment: &Moment, colour: bool) -> Option<String> {
    let time = format!("{:>9.1} ms", moment.at.as_secs_f64() * 1000.0);
    let at_side = |text: String| match moment.place {
        Place::Host(Side::Server) => format!("{time}  {:SIDE$}{:MIDDLE$}{text}", "", ""),
        _ => format!("{time}  {text}"),
    };
    Some(match &moment.what {
        What::Packet(packet) => format!("{time}  {:SIDE$}{}", "", arrow(packet, colour)),
        What::State { before, now, .. } => {
            let word = |state: &Option<_>| {
                state.map_or_else(
                    || "-".to_string(),
                    |state: tcpecho_lab::TcpState| state.to_string(),
                )
            };
            at_side(paint(colour, BLUE, &format!("{} → {}", word(before), word(now))))
        }
        What::Call(call) if call.injected => at_side(paint(colour, YELLOW, &call.to_string())),
        What::Call(call) => at_side(call.to_string()),
        What::Signal { signal, .. } => at_side(paint(colour, YELLOW, &format!("-- {signal} --"))),
        What::Input { line, .. } => at_side(format!("> {line}")),
        What::Output { line, .. } => at_side(format!("  {line}")),
        What::Exit { exit, .. } => at_side(match exit {
            Exit::Exited(status) => format!("exited with {status}"),
            Exit::Killed(signal) => format!("killed by signal {signal}"),
            Exit::Unknown => "ended".into(),
        }),
        What::Step(text) => paint(colour, BOLD, &format!("{time}  == {text}")),
        What::Claim { sentence, holds: true, .. } => {
            paint(colour, GREEN, &format!("{time}     ✓ {sentence}"))
        }
        What::Claim { sentence, note, .. } => {
            paint(colour, RED, &format!("{time}     ✗ {sentence} ({note})"))
        }
        _ => return None,
    })
}

/// The packet on its way, or what became of it.
fn arrow(packet: &PacketMoment, colour: bool) -> String {
    let mut text = packet.line.clone();
    if !packet.note.is_empty() {
        let _ = write!(text, " ({})", packet.note);
    }
    let arrives = packet.verdict.has_arrived();
    let shaft = (MIDDLE - 8).saturating_sub(text.chars().count());
    let (left, right) = ("─".repeat(shaft / 2), "─".repeat(shaft - shaft / 2));
    let drawn = match (packet.from, arrives) {
        (Side::Client, true) => format!("──{left} {text} {right}─▶"),
        (Side::Server, true) => format!("◀─{left} {text} {right}──"),
        (Side::Client, false) => format!("──{left} {text} {right} ✗"),
        (Side::Server, false) => format!("✗ {left} {text} {right}──"),
    };
    if packet.verdict == Fate::Delivered {
        drawn
    } else {
        paint(colour, YELLOW, &format!("{drawn} {}", packet.verdict))
    }
}

const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const BLUE: &str = "34";

fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
}
