//! A run as a ladder: time, the client's side, the packets between, the server's side.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tcpecho_lab::{
    Exit, Moment, Place, Side, TcpState, Timeline, What,
    run::{Run, Verdict},
    timeline::{PacketMoment, Verdict as Fate},
};

use super::calls;
use crate::output::OutputBuffer;

/// The column of the text, after the time.
const MARGIN: usize = 14;
/// The columns of a side and of the middle, where there is room.
const SIDE: usize = 30;
const MIDDLE: usize = 52;
/// In a narrower terminal, the middle keeps this width and is wrapped.
const NARROWEST: usize = 44;

/// The style of the lines.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    /// Whether to use the colours of a terminal.
    pub(super) colour: bool,
    /// The maximum width of a line in columns; `None` for no limit.
    pub(super) width: Option<usize>,
    /// Whether to show the programs' names before what they write: `client 1| hello`.
    pub(super) names: bool,
}

impl Look {
    /// The style that suits stdout now.
    pub(super) fn of_stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        let size = rustix::termios::tcgetwinsize(io::stdout());
        let width = size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        Look { colour, width: width.filter(|_| terminal), names: false }
    }

    /// The widths of sides and middle.
    fn columns(self) -> (usize, usize) {
        let Some(width) = self.width else { return (SIDE, MIDDLE) };
        let room = width.saturating_sub(MARGIN);
        let middle = MIDDLE.min(room.saturating_sub(18)).max(NARROWEST.min(room));
        (SIDE.min(room.saturating_sub(middle) / 2), middle)
    }

    /// Places text at this column, further left or wrapped where it does not fit.
    fn place(self, time: &str, column: usize, text: &str) -> String {
        let length = columns_of(text);
        let Some(width) = self.width else {
            return format!("{time}{:1$}{text}", "", column.saturating_sub(columns_of(time)));
        };
        let start = column.min(width.saturating_sub(length)).max(MARGIN);
        if start + length <= width {
            return format!("{time}{:1$}{text}", "", start.saturating_sub(columns_of(time)));
        }
        let mut lines = wrap(text, width.saturating_sub(MARGIN + 2).max(20)).into_iter();
        let first = lines.next().unwrap_or_default();
        let indent = MARGIN.saturating_sub(columns_of(time));
        lines.fold(format!("{time}{:indent$}{first}", ""), |mut all, line| {
            let _ = write!(all, "\n{:1$}{line}", "", MARGIN + 2);
            all
        })
    }
}

/// The columns of a text; an East Asian character takes two.
fn columns_of(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// Wraps text at this width, between words where there are any.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        if used > 0 && used + columns_of(word.trim_end()) > width {
            lines.push(String::new());
            used = 0;
        }
        for letter in word.chars() {
            let columns = unicode_width::UnicodeWidthChar::width(letter).unwrap_or(0);
            if used + columns > width && letter != ' ' {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(letter);
            }
            used += columns;
        }
    }
    lines.iter().map(|line| line.trim_end().into()).collect()
}

/// The destination of the lines; each is written whole.
pub(super) type Sink = Box<dyn FnMut(&str) + Send>;

/// Draws a timeline while it grows; dropping it waits until everything is drawn.
pub(super) struct Ladder {
    timeline: Timeline,
    drawn: Arc<Drawn>,
    thread: Option<JoinHandle<()>>,
}

/// The number of moments that have been drawn.
#[derive(Default)]
struct Drawn {
    moments: Mutex<usize>,
    more: Condvar,
}

impl Drawn {
    fn count(&self) -> MutexGuard<'_, usize> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ladder {
    /// Draws to stdout, in the style that suits it.
    pub(super) fn follow(timeline: &Timeline) -> Self {
        let mut stdout = OutputBuffer::text();
        let print = move |line: &str| stdout.line_or_exit(line);
        Self::draw_to(timeline, Look::of_stdout, Box::new(print))
    }

    /// Draws to `sink`; `look` is called before each line, since terminals change.
    pub(super) fn draw_to(
        timeline: &Timeline,
        look: impl Fn() -> Look + Send + 'static,
        mut sink: Sink,
    ) -> Self {
        let moments = timeline.follow();
        let drawn = Arc::new(Drawn { moments: Mutex::new(moments.mark()), more: Condvar::new() });
        let counted = Arc::clone(&drawn);
        let draw = move || {
            let processed = |mark| {
                *counted.count() = mark;
                counted.more.notify_all();
            };
            calls::follow(moments, processed, |moment| {
                if matches!(&moment.what, What::Step(text) if text == THE_END) {
                    return false;
                }
                if let Some(line) = line(&moment, look()) {
                    sink(&line);
                }
                true
            });
        };
        let thread = thread::Builder::new().name("ladder".into()).spawn(draw).ok();
        Ladder { timeline: timeline.clone(), drawn, thread }
    }

    /// Waits until everything that has happened so far is drawn, for at most `patience`.
    pub(super) fn catch_up(&self, patience: Duration) {
        let wanted = self.timeline.mark();
        let behind = |drawn: &mut usize| *drawn < wanted;
        let _ = self.drawn.more.wait_timeout_while(self.drawn.count(), patience, behind);
    }
}

/// The step that ends the drawing.
const THE_END: &str = "the end";

impl Drop for Ladder {
    fn drop(&mut self) {
        self.timeline.step(THE_END);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Draws a run that has ended, without colours.
pub(super) fn draw(out: &mut impl Write, run: &Run) -> io::Result<()> {
    writeln!(out, "{} over {}", run.text.name, run.family)?;
    for moment in calls::shown(run) {
        if let Some(line) = line(&moment, Look::default()) {
            writeln!(out, "{line}")?;
        }
    }
    if let Verdict::Broken(why) = &run.verdict {
        writeln!(out, "broken: {why}")?;
    }
    Ok(())
}

/// A moment as one line, or several if it must be wrapped; settings and starts are omitted.
pub(super) fn line(moment: &Moment, look: Look) -> Option<String> {
    let time = format!("{:>9.1} ms", moment.at.as_secs_f64() * 1000.0);
    let (side, middle) = look.columns();
    let at_side = |colour: Option<&str>, text: String| {
        let column = match moment.place {
            Place::Host(Side::Server) => MARGIN + side + middle,
            _ => MARGIN,
        };
        let placed = look.place(&time, column, &printable(&text));
        match colour {
            Some(colour) if look.colour => paint_text(&placed, &time, colour),
            _ => placed,
        }
    };
    let across = |colour: &str, text: String| {
        let placed = look.place(&time, MARGIN, &printable(&text));
        if look.colour { paint_text(&placed, &time, colour) } else { placed }
    };
    let named = |program: &str, text: String| {
        if look.names { format!("{program}{text}") } else { text }
    };
    Some(match &moment.what {
        What::Packet(packet) => {
            let placed = look.place(&time, MARGIN + side, &printable(&arrow(packet, middle)));
            if look.colour && packet.verdict != Fate::Delivered {
                paint_text(&placed, &time, YELLOW)
            } else {
                placed
            }
        }
        What::State { before, now, sampled, .. } => {
            at_side(Some(BLUE), change(*before, *now, *sampled))
        }
        What::Call(call) => {
            let colour = call.injected.then_some(YELLOW);
            at_side(colour, named(&call.program, call.to_string()))
        }
        What::Signal { signal, program, .. } => {
            at_side(Some(YELLOW), named(program, format!("-- {signal} --")))
        }
        What::Input { line, program } => at_side(None, named(program, format!("> {line}"))),
        What::Output { line, program, .. } => at_side(
            None,
            if look.names { format!("{program}| {line}") } else { format!("  {line}") },
        ),
        What::Exit { exit, program } => {
            let how = match exit {
                Exit::Exited(status) => format!("exited with {status}"),
                Exit::Killed(signal) => format!("killed by signal {signal}"),
                Exit::Unknown => "ended".into(),
            };
            at_side(None, named(program, if look.names { format!(" {how}") } else { how }))
        }
        What::Step(text) => across(
            BOLD,
            match moment.place {
                Place::Host(side) => format!("== {side}: {text}"),
                _ => format!("== {text}"),
            },
        ),
        What::Claim { sentence, holds: true, .. } => across(GREEN, format!("   ✓ {sentence}")),
        What::Claim { sentence, note, .. } => across(RED, format!("   ✗ {sentence} ({note})")),
        What::Trouble(text) => across(RED, format!("trouble: {text}")),
        What::Omitted { moments } => across(YELLOW, format!("   … {moments} events were not kept")),
        _ => return None,
    })
}

/// A change of state in words, with an ellipsis where other states may have come between.
pub(super) fn change(before: Option<TcpState>, now: Option<TcpState>, sampled: bool) -> String {
    let word = |state: Option<TcpState>| state.map_or("-", TcpState::word);
    let arrow = if sampled { "→ … →" } else { "→" };
    format!("{} {arrow} {}", word(before), word(now))
}

/// Escapes what a program writes: it must not control our terminal.
fn printable(text: &str) -> String {
    tcpecho_os::text::printable(&text.replace('\t', "    ")).into_owned()
}

/// A packet as an arrow, with what happened to it.
fn arrow(packet: &PacketMoment, middle: usize) -> String {
    let mut text = packet.line.clone();
    if !packet.note.is_empty() {
        let _ = write!(text, " ({})", packet.note);
    }
    let arrives = packet.verdict.has_arrived();
    let shaft = middle.saturating_sub(8 + columns_of(&text));
    let (left, right) = ("─".repeat(shaft / 2), "─".repeat(shaft - shaft / 2));
    let drawn = match (packet.from, arrives) {
        (Side::Client, true) => format!("──{left} {text} {right}─▶"),
        (Side::Server, true) => format!("◀─{left} {text} {right}──"),
        (Side::Client, false) => format!("──{left} {text} {right} ✗"),
        (Side::Server, false) => format!("✗ {left} {text} {right}──"),
    };
    if packet.verdict == Fate::Delivered { drawn } else { format!("{drawn} {}", packet.verdict) }
}

const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const BLUE: &str = "34";

/// Colours everything but the time.
fn paint_text(line: &str, time: &str, code: &str) -> String {
    let text = line.strip_prefix(time).unwrap_or(line);
    let painted: Vec<_> =
        text.split('\n').map(|line| format!("\x1b[{code}m{line}\x1b[0m")).collect();
    format!("{time}{}", painted.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(place: Place, what: What) -> Moment {
        Moment { at: Duration::from_micros(123_456), place, what }
    }

    fn fits(width: usize, moment: &Moment) -> String {
        let look = Look { width: Some(width), names: true, ..Look::default() };
        let drawn = line(moment, look).unwrap();
        for line in drawn.lines() {
            assert!(columns_of(line) <= width, "{} of {width}: {line}", columns_of(line));
        }
        drawn
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let long = "a sentence that goes on and on about what the server's kernel has done, and why it did";
        let output = |line: &str| What::Output {
            program: "server 1".into(),
            stream: tcpecho_lab::timeline::Stream::Out,
            line: line.into(),
        };
        let state = What::State {
            local: "192.0.2.1:7".parse().unwrap(),
            remote: "192.0.2.2:40000".parse().unwrap(),
            before: Some(tcpecho_lab::TcpState::Established),
            now: Some(tcpecho_lab::TcpState::FinWait1),
            sampled: false,
        };
        for width in [40, 60, 80, 100, 132, 200] {
            for text in ["short", long, &"x".repeat(300), "日本語".repeat(30).as_str()] {
                fits(width, &moment(Place::Host(Side::Server), output(text)));
                fits(width, &moment(Place::Lab, What::Step(text.into())));
            }
            let drawn = fits(width, &moment(Place::Host(Side::Server), state.clone()));
            assert!(drawn.ends_with("ESTABLISHED → FIN_WAIT_1"), "{drawn}");
        }
    }

    #[test]
    fn output_of_programs_does_not_control_the_terminal() {
        let what = What::Output {
            program: "client 1".into(),
            stream: tcpecho_lab::timeline::Stream::Out,
            line: "\x1b[2Jgone\r".into(),
        };
        let drawn = fits(80, &moment(Place::Host(Side::Client), what));
        assert!(drawn.ends_with("client 1| \\u{1b}[2Jgone\\r"), "{drawn}");
    }

    #[test]
    fn words_are_kept_whole_where_they_fit() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("overlong", 3), ["ove", "rlo", "ng"]);
    }
}
