//! A run as a ladder: time, the states of the client's sockets, what happens, the states of the server's sockets.

mod lanes;
mod row;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{self, Write},
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tcpecho_lab::{
    Family, Moment, Place, Side, TcpState, Timeline, What,
    program::words as how,
    run::{Run, Verdict},
    timeline::{PacketMoment, Verdict as Fate},
};

use self::{
    lanes::{Lanes, Style},
    row::{Align, Columns, TIME},
};
use super::calls;
use crate::{
    locale::{ascii, is_ascii},
    output::OutputBuffer,
    tell::has_colour,
    width::{columns_of, stdout_columns},
};

/// The style of the lines.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(super) struct Look {
    /// Whether to use the colours of a terminal.
    pub(super) colour: bool,
    /// The maximum width of a line in columns; `None` for no limit.
    pub(super) width: Option<usize>,
    /// Whether to show the programs' names before what they write: `client 1| hello`.
    pub(super) names: bool,
    /// Whether to show changes of states in words, and no lanes.
    pub(super) words: bool,
    /// Whether text is spelled in ASCII. That is done before the columns are measured: `…` becomes
    /// three letters.
    pub(super) ascii: bool,
}

impl Look {
    /// The style that suits stdout now.
    pub(super) fn of_stdout() -> Self {
        let colour = has_colour(&io::stdout());
        Look { colour, width: stdout_columns(), ..Look::plain() }
    }

    /// The style of a file or a pipe: neither colours nor a limit.
    fn plain() -> Self {
        Look { ascii: is_ascii(&io::stdout()), ..Look::default() }
    }

    /// Text in a colour, if there are colours.
    pub(super) fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }

    /// Paints a text between the spaces around it.
    fn paint_visible(self, code: &str, text: &str) -> String {
        let visible = text.trim();
        if !self.colour || visible.is_empty() {
            return text.into();
        }
        let (before, after) = text.split_once(visible).unwrap_or_default();
        format!("{before}{}{after}", self.paint(code, visible))
    }
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
    /// Draws to stdout, in the style that suits it, below the names of the columns.
    pub(super) fn follow(timeline: &Timeline, family: Family) -> Self {
        let mut stdout = OutputBuffer::text();
        stdout.line_or_exit(&header(family, Look::of_stdout()));
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
            let mut pen = Pen::default();
            let processed = |mark| {
                *counted.count() = mark;
                counted.more.notify_all();
            };
            calls::follow(moments, processed, |moment| {
                if matches!(&moment.what, What::Step(text) if text == THE_END) {
                    return false;
                }
                if matches!(moment.what, What::Over) {
                    return false;
                }
                if let Some(line) = pen.line(&moment, look()) {
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
    draw_moments(out, run)?;
    if let Verdict::Broken(why) = &run.verdict {
        writeln!(out, "broken: {why}")?;
    }
    Ok(())
}

/// Draws the names of the columns and the moments of a run that has ended, without colours.
pub(super) fn draw_moments(out: &mut impl Write, run: &Run) -> io::Result<()> {
    let look = Look::plain();
    writeln!(out, "{}", header(run.family, look))?;
    let moments = calls::shown(run);
    let mut pen = Pen::knowing(&moments);
    for moment in moments {
        if let Some(line) = pen.line(&moment, look) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// The names of the columns, with the hosts' addresses, and what the lanes mean.
pub(super) fn header(family: Family, look: Look) -> String {
    let mut lines = vec![column_names(family, look)];
    if !look.words {
        let columns = Columns::of(look);
        let width = look.width.map_or(columns.middle + 26, |width| width.saturating_sub(TIME));
        let legend = wrap(&columns.style.legend(), width);
        lines.extend(legend.iter().map(|line| format!("{:TIME$}{line}", "")));
    }
    lines.join("\n")
}

/// The names of the columns, with the hosts' addresses.
pub(super) fn column_names(family: Family, look: Look) -> String {
    let columns = Columns::of(look);
    let (left, right) = (columns.style.width(Side::Client), columns.style.width(Side::Server));
    let of = |side: Side| format!("{side} {}", side.address(family));
    let (client, server) = (of(Side::Client), of(Side::Server));
    let spaces = if left > 0 { 2 } else { 0 };
    let room = left + columns.middle + right + spaces;
    let between = room.saturating_sub(client.len() + server.len()).max(1);
    let names = if between > "  wire  ".len() {
        format!("{client}{:^between$}{server}", "wire")
    } else {
        format!("{client}{:between$}{server}", "")
    };
    let names = format!("{:>11} {names}", "time");
    let mut lines = wrap(&names, look.width.unwrap_or(usize::MAX));
    for line in &mut lines {
        *line = look.paint(BOLD, line);
    }
    lines.join("\n")
}

/// Writes moments as lines. Where there are several connections, or several programs in a host, it
/// says which.
#[derive(Default)]
pub(super) struct Pen {
    /// The connections so far, by the client's and the server's end.
    connections: BTreeSet<(SocketAddr, SocketAddr)>,
    /// The number of them for each of the client's ports.
    ports: BTreeMap<u16, usize>,
    /// The programs of each host.
    programs: [BTreeSet<Arc<str>>; 2],
    lanes: Lanes,
}

impl Pen {
    /// Makes one that knows the connections and programs of these moments.
    pub(super) fn knowing(moments: &[Moment]) -> Self {
        let mut pen = Pen::default();
        for moment in moments {
            pen.learn(moment);
        }
        pen
    }

    fn learn(&mut self, moment: &Moment) {
        if let (Place::Host(side), What::Started { program, .. }) = (moment.place, &moment.what) {
            self.programs[side.index()].insert(Arc::clone(program));
        }
        let Some(connection) = connection(moment) else { return };
        if self.connections.insert(connection) {
            *self.ports.entry(connection.0.port()).or_default() += 1;
        }
    }

    /// The connection that a moment belongs to, by the client's port: `:40000 `; nothing if it is
    /// the only one.
    pub(super) fn label(&self, moment: &Moment) -> String {
        match connection(moment) {
            Some((client, server)) if self.connections.len() > 1 => {
                let is_shared = self.ports.get(&client.port()).is_some_and(|count| *count > 1);
                let to = if is_shared { format!("-:{}", server.port()) } else { String::new() };
                format!(":{}{to} ", client.port())
            }
            _ => String::new(),
        }
    }

    /// A moment as one line, or several if it must be wrapped; settings and starts are omitted.
    pub(super) fn line(&mut self, moment: &Moment, look: Look) -> Option<String> {
        self.learn(moment);
        let columns = Columns::of(look);
        let change = self.lanes.take(moment);
        let (colour, text) = match &moment.what {
            What::State { before, now, sampled, .. } => {
                let has_name = change.as_ref().is_some_and(|change| {
                    !sampled
                        && columns.style != Style::Words
                        && self.lanes.has_room(change, columns.style)
                });
                let words = if has_name && self.connections.len() < 2 {
                    String::new()
                } else if has_name {
                    self.label(moment).trim_end().into()
                } else {
                    self.label(moment) + &self::change(*before, *now, *sampled)
                };
                (Some(BLUE), words)
            }
            _ => self.text(moment, look)?,
        };
        let text = if look.ascii { ascii(&printable(&text)) } else { printable(&text) };
        let lines = match (&moment.what, moment.place) {
            (What::Packet(packet), _) => columns.arrow(packet, &text),
            (_, Place::Host(Side::Server)) if !matches!(moment.what, What::Step(_)) => {
                columns.text(&text, Align::Right)
            }
            _ => columns.text(&text, Align::Left),
        };
        let time = format!("{:>8.1} ms ", moment.at.as_secs_f64() * 1000.0);
        Some(columns.rows(&time, &lines, (&self.lanes, change.as_ref()), colour, look))
    }

    /// What a moment says, and its colour; nothing for one that is not shown.
    fn text(&self, moment: &Moment, look: Look) -> Option<(Option<&'static str>, String)> {
        let is_named = look.names
            || matches!(moment.place, Place::Host(side) if self.programs[side.index()].len() > 1);
        let named = |program: &str, between: &str, text: String| {
            if is_named { format!("{program}{between}{text}") } else { text }
        };
        Some(match &moment.what {
            What::Packet(packet) => {
                let colour = (packet.verdict != Fate::Delivered).then_some(YELLOW);
                (colour, self.label(moment) + &told(packet))
            }
            What::Call(call) => {
                let colour = call.injected.then_some(YELLOW);
                (colour, named(&call.program, ": ", call.to_string()))
            }
            What::Signal { signal, program, .. } => {
                (Some(YELLOW), named(program, " ", format!("-- {signal} --")))
            }
            What::Input { line, program } => (None, named(program, "", format!("> {line}"))),
            What::Output { line, program, .. } => {
                (None, if is_named { format!("{program}| {line}") } else { format!("  {line}") })
            }
            What::Exit { exit, program } => (None, named(program, " ", how(*exit))),
            What::ChildExit { program, child, exit } => {
                (None, named(program, ": ", format!("child {child} {}", how(*exit))))
            }
            What::Step(text) => (
                Some(BOLD),
                match moment.place {
                    // The name of an agent begins with that of its host.
                    Place::Host(side) if !text.starts_with(side.word()) => {
                        format!("== {side}: {text}")
                    }
                    _ => format!("== {text}"),
                },
            ),
            What::Claim { sentence, holds: true, .. } => (Some(GREEN), format!("   ✓ {sentence}")),
            What::Claim { sentence, note, .. } => (Some(RED), format!("   ✗ {sentence} ({note})")),
            What::Trouble(text) => (Some(RED), format!("trouble: {text}")),
            What::Omitted { moments } => {
                (Some(YELLOW), format!("   … {moments} events were not kept"))
            }
            _ => return None,
        })
    }
}

/// The client's and the server's end of the connection that a moment belongs to.
fn connection(moment: &Moment) -> Option<(SocketAddr, SocketAddr)> {
    let (side, own, peer) = match (&moment.what, moment.place) {
        (What::Packet(packet), _) => {
            let (source, destination) = packet.packet.ends()?;
            (packet.from, source, destination)
        }
        // A listening socket has no peer.
        (What::State { local, remote, .. }, Place::Host(side)) if remote.port() != 0 => {
            (side, *local, *remote)
        }
        _ => return None,
    };
    let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    let (own, peer) = (canonical(own), canonical(peer));
    Some(if side == Side::Client { (own, peer) } else { (peer, own) })
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

/// A packet with what happened to it.
fn told(packet: &PacketMoment) -> String {
    let mut text = packet.line.clone();
    if packet.verdict != Fate::Delivered {
        let _ = write!(text, ", {}", packet.verdict);
    }
    if !packet.note.is_empty() {
        let _ = write!(text, " ({})", packet.note);
    }
    text
}

pub(super) const BOLD: &str = "1";
pub(super) const RED: &str = "31";
pub(super) const GREEN: &str = "32";
pub(super) const YELLOW: &str = "33";
const BLUE: &str = "34";

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(place: Place, what: What) -> Moment {
        Moment { at: Duration::from_micros(123_456), place, what }
    }

    fn fits(width: usize, moment: &Moment) -> String {
        let look = Look { width: Some(width), names: true, ..Look::default() };
        let drawn = Pen::default().line(moment, look).unwrap();
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
            let is_word = width >= 78 && drawn.ends_with(" FIN_WAIT_1");
            let is_short = (56..78).contains(&width) && drawn.ends_with(" FW1");
            let is_change = width < 56 && drawn.ends_with("ESTABLISHED → FIN_WAIT_1");
            assert!(is_word || is_short || is_change, "{width}: {drawn}");
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
        assert!(drawn.contains("client 1| \\u{1b}[2Jgone\\r"), "{drawn}");
    }

    #[test]
    fn words_are_kept_whole_where_they_fit() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("overlong", 3), ["ove", "rlo", "ng"]);
    }
}
