//! A line for each probe and for each thing that happens, in ping's form.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use tcpecho::Attempt;
use tcpecho_os::errno::words;
use tcpecho_probe::{Answer, Connected, Event, Kernel, Loss, Mode};

use crate::{
    units::{counted, ms},
    width::{fitted, folded},
};

/// Writes the lines of one target.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    pub(super) mode: Mode,
    pub(super) size: usize,
    pub(super) timeout: Duration,
    /// The time of day in front of each line (RFC 3339).
    pub(super) date: bool,
    /// Which target it is has to be said.
    pub(super) many: bool,
    /// That of the terminal, to which lines are fitted.
    pub(super) width: Option<usize>,
}

/// Columns of a usual line behind its date and the peer's address.
const STAY: usize = 74;
const RECONNECT: usize = STAY + 17;
const CONNECT: usize = 60;
const DATE: usize = 30;

impl Lines {
    /// The line for it, if there is one.
    pub(super) fn of(&self, target: &str, event: &Event) -> Option<String> {
        let whose = if self.many { format!("{target}: ") } else { String::new() };
        let line = match event {
            Event::Connected(connected) => {
                let lines = self.connected(target, connected);
                return Some(fitted(&lines, self.width).into_owned());
            }
            Event::Answer(answer) => return Some(self.answer(answer)),
            Event::Doubled { seq } => format!("{whose}seq={seq} doubled: it came back once more"),
            Event::Corrupted { seq, at } => {
                format!("{whose}seq={seq} corrupted: byte {at} is changed or missing")
            }
            Event::Foreign { bytes } => {
                let bytes = counted(*bytes as u64, "byte", "bytes");
                format!("{whose}foreign: {bytes} that belong to no probe")
            }
            Event::Refused { seq, time } => {
                format!("{whose}seq={seq} refused: RST came in {} ms", ms(*time))
            }
            Event::Lost { seq, why } => format!("{whose}seq={seq} lost: {}", self.loss(*why)),
            Event::Broken(broken) => {
                // What was seen stands in its explanation.
                format!("{whose}connection lost: {}", broken.ending())
            }
            Event::Unconnected { again: true, .. } => return None,
            Event::Unconnected { failures, .. } => {
                // What was seen stands in the explanation of each.
                let all: Vec<String> = failures.iter().map(short_words).collect();
                format!("{whose}no connection: {}", all.join("; "))
            }
            Event::Unresolved(diagnosis) => {
                format!(
                    "{whose}cannot resolve the name again, its old addresses stay in use: {}",
                    diagnosis.seen
                )
            }
            // It is explained, and its probes have their lines.
            Event::Unanswered(_) => return None,
            Event::Outage { first, lost, span, end } => {
                let lost = counted(*lost, "probe", "probes");
                let until = if end.is_some() { "" } else { ", until the end of the run" };
                format!("{whose}outage of {} ms, {lost} lost from seq={first} on{until}", ms(*span))
            }
        };
        Some(self.dated(&line))
    }

    /// A line with the date in front, where it is wanted.
    pub(super) fn dated(&self, line: &str) -> String {
        fitted(&format!("{}{line}", self.date()), self.width).into_owned()
    }

    fn date(&self) -> String {
        if self.date {
            format!("[{}] ", humantime::format_rfc3339_micros(SystemTime::now()))
        } else {
            String::new()
        }
    }

    fn connected(&self, target: &str, connected: &Connected) -> String {
        let Connected { peer, local, took, again, failures, no_stamps, stamps, .. } = connected;
        let lost = again_words(connected.retransmits);
        let took = ms(*took);
        if *again {
            let whose = if self.many { format!("{target}: ") } else { String::new() };
            return format!("{}{whose}connected to {peer} again in {took} ms{lost}", self.date());
        }
        let what = match self.mode {
            Mode::Connect => "by handshake only".into(),
            Mode::Stay | Mode::Reconnect => counted(self.size as u64, "byte", "bytes"),
        };
        let clock = match (stamps, no_stamps) {
            _ if self.mode == Mode::Connect => String::new(),
            (true, _) => ", kernel timestamps".into(),
            (false, None) => ", user timestamps".into(),
            (false, Some(errno)) => {
                format!(", user timestamps (SO_TIMESTAMPING: {})", words(*errno))
            }
        };
        let mut lines = String::new();
        for failure in failures {
            let _ = writeln!(lines, "no connection: {}", failure_words(failure));
        }
        let named = peer.to_string() == target;
        let name = if named { String::new() } else { format!(" ({peer})") };
        format!(
            "{lines}PING {target}{name} {what}\nconnected to {peer} from {local} in {took} ms{lost}{clock}"
        )
    }

    /// The line of an answer. Where a terminal has no room for all of it, what the first line has said is left out: the size
    /// and, of a single target, the address. Then the kernel's values have a line of their own.
    fn answer(&self, answer: &Answer) -> String {
        let Answer { seq, bytes, peer, time, rtt, .. } = answer;
        let (time, late) = (ms(*time), if answer.late { " late" } else { "" });
        // The port stands in the first line, unless there are several of those.
        let from = if self.many { peer.to_string() } else { peer.ip().to_string() };
        let (from, rtt) = match self.mode {
            Mode::Connect => (format!("connected to {from}: "), String::new()),
            Mode::Stay | Mode::Reconnect => (
                format!("{} from {from}: ", counted(*bytes as u64, "byte", "bytes")),
                format!(" rtt={} ms", ms(*rtt)),
            ),
        };
        let from = match (self.has_room_for(&from), self.many) {
            (true, _) => from,
            (false, true) => format!("{peer}: "),
            (false, false) => String::new(),
        };
        let mut parts = vec![format!("{from}seq={seq} time={time} ms{late}{rtt}")];
        if self.date {
            parts.insert(0, self.date().trim_end().into());
        }
        parts.extend(answer.connect.map(|took| format!("connect={} ms", ms(took))));
        parts.extend(answer.kernel.as_ref().map(|kernel| {
            let Kernel { srtt, min_rtt, retransmits } = kernel;
            let min = min_rtt.map(|min| format!(" minrtt {} ms", ms(min))).unwrap_or_default();
            format!("kernel: srtt {} ms{min}{}", ms(*srtt), again_words(*retransmits))
        }));
        if !answer.paused.is_zero() {
            parts.push("not timed".into());
        }
        folded(parts.iter().map(String::as_str), self.width)
    }

    /// Whether a usual line has room for this, too: one that is longer does not change how the others look.
    fn has_room_for(&self, from: &str) -> bool {
        let usual = match self.mode {
            Mode::Connect => CONNECT,
            Mode::Stay => STAY,
            Mode::Reconnect => RECONNECT,
        };
        let date = if self.date { DATE } else { 0 };
        self.width.is_none_or(|width| date + from.len() + usual <= width)
    }

    fn loss(&self, why: Loss) -> String {
        // At the end of a run less than the time allowed may have passed.
        let within = |waited: Duration| match self.timeout {
            limit if waited >= limit => tcpecho::internal::show_duration(limit),
            _ => format!("{}, when the run ended", tcpecho::internal::show_duration(waited)),
        };
        match why {
            Loss::Ended(ending) => ending.to_string(),
            Loss::NoConnection => "no-connection: due before the next attempt to connect".into(),
            Loss::Unsent { waited } => format!("could not be sent within {}", within(waited)),
            Loss::Silence { waited, returned, retransmits, .. } if returned > 0 => {
                let (within, size) = (within(waited), self.size);
                let again = again_words(retransmits);
                format!("only {returned} of {size} bytes came back within {within}{again}")
            }
            Loss::Silence { waited, acknowledged, retransmits, .. } => {
                let heard = match acknowledged {
                    Some(true) => {
                        ", but acknowledged: probably the server did not answer, or the answer was slow or lost"
                    }
                    Some(false) => {
                        ", not acknowledged: the probe or the answer is lost, or the host is down"
                    }
                    None => "",
                };
                format!("no answer within {}{heard}{}", within(waited), again_words(retransmits))
            }
        }
    }
}

/// The address that could not be connected to, and how that ended.
fn short_words(failure: &Attempt) -> String {
    match failure.error.addr {
        Some(addr) => format!("{} ({addr})", failure.ending),
        None => failure.ending.to_string(),
    }
}

/// What was seen of an address that could not be connected to, in few words.
fn failure_words(failure: &Attempt) -> String {
    let Attempt { ending, error, elapsed, .. } = failure;
    // A note tells the time already.
    match error.notes.as_slice() {
        [] => format!("{ending}: {error} after {} ms", ms(*elapsed)),
        _ => format!("{ending}: {error}"),
    }
}

/// Most probes need none, and their line has to fit on a screen.
fn again_words(retransmits: u32) -> String {
    if retransmits == 0 { String::new() } else { format!(" retrans={retransmits}") }
}
