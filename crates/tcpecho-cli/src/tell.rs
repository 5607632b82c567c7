//! What the user is told, on standard error: what was seen, what it means, what to try. Data has
//! standard output to itself.

use std::{
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use rustix::io::Errno;
use serde::{Serialize, Serializer};
use tcpecho::{Attempt, Ending};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// Errors only.
    Quiet,
    /// Errors and how an interrupted run went.
    Plain,
    /// Also how the connection was made and the closing summary.
    Verbose,
    /// One JSON object, and nothing else.
    Json,
}

/// All there is to say of a run of a client; with `--json` exactly this is written.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// None where the connection did not end, but something on this side failed.
    #[serde(serialize_with = "word")]
    pub(crate) ending: Option<Ending>,
    /// The call that showed it.
    pub(crate) op: &'static str,
    /// The address that call was about.
    pub(crate) addr: Option<SocketAddr>,
    /// What the call said; none for an end of file, a deadline or a signal.
    #[serde(serialize_with = "name")]
    pub(crate) errno: Option<Errno>,
    /// What was seen, in words.
    pub(crate) message: String,
    /// Bytes handed to the socket.
    pub(crate) sent: u64,
    /// Bytes read from the socket.
    pub(crate) received: u64,
    /// Where the answer first differs from what was sent.
    pub(crate) first_difference_offset: Option<u64>,
    /// The whole run.
    #[serde(rename = "duration_us", serialize_with = "micros")]
    pub(crate) duration: Duration,
    /// Until the connection was established.
    #[serde(rename = "connect_us", serialize_with = "optional_micros")]
    pub(crate) connect_time: Option<Duration>,
    /// Our address, once connected.
    pub(crate) local: Option<SocketAddr>,
    /// The addresses that were tried in vain.
    #[serde(serialize_with = "attempts")]
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) exit_status: u8,
}

impl Report {
    /// Says what is to be said at the end of a run.
    pub(crate) fn tell(&self, voice: Voice) {
        if voice == Voice::Json {
            if let Ok(object) = serde_json::to_string(self) {
                say_raw(&format!("{object}\n"));
            }
            return;
        }
        let interrupted = self.ending == Some(Ending::Interrupted);
        match self.ending {
            None => say(&self.message),
            Some(ending) if self.exit_status != 0 && !interrupted => self.tell_failure(ending),
            Some(_) => {}
        }
        let told = match voice {
            Voice::Verbose => interrupted || self.connect_time.is_some(),
            // A user who interrupts wants to know how far it came; a reader of our output that has
            // had enough does not.
            Voice::Plain => interrupted && self.exit_status != 0,
            Voice::Quiet | Voice::Json => false,
        };
        if told {
            self.tell_summary();
        }
    }

    /// Each address that failed has its own reason.
    fn tell_failure(&self, ending: Ending) {
        if self.connect_time.is_some() || self.attempts.is_empty() {
            explain(ending, &self.message);
            return;
        }
        for attempt in &self.attempts {
            explain(attempt.ending, &seen(attempt));
        }
    }

    fn tell_summary(&self) {
        let Report { ending, message, sent, received, duration, .. } = self;
        let how = match ending {
            Some(Ending::Interrupted) => format!("interrupted ({message})"),
            Some(ending) => ending.word().into(),
            None => "ended here".into(),
        };
        say(&format!("{how}: {sent} bytes sent, {received} received in {duration:.1?}"));
    }
}

/// What was seen of an attempt that failed.
pub(crate) fn seen(attempt: &Attempt) -> String {
    format!("{} after {:.1?}", attempt.error, attempt.elapsed)
}

/// One line on standard error.
pub(crate) fn say(line: &str) {
    say_raw(&format!("tcpecho: {line}\n"));
}

/// An ending with its three fields.
pub(crate) fn explain(ending: Ending, seen: &str) {
    let row = ending.row();
    let advice = match row.advice {
        "" => String::new(),
        advice => format!("\n  try:   {advice}"),
    };
    say(&format!("{ending}\n  seen:  {seen}\n  means: {}{advice}", row.sentence));
}

/// In one write, so that other programs' lines do not come between; a standard error that is closed
/// is no reason to fail.
fn say_raw(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

#[derive(Serialize)]
struct AttemptRow<'a> {
    addr: SocketAddr,
    ending: &'a str,
    op: &'a str,
    errno: Option<&'a str>,
    message: String,
    elapsed_us: u64,
}

fn attempts<S: Serializer>(attempts: &[Attempt], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(attempts.iter().map(|attempt| AttemptRow {
        addr: attempt.addr,
        ending: attempt.ending.word(),
        op: attempt.error.op,
        errno: tcpecho_os::errno::name(attempt.error.source),
        message: seen(attempt),
        elapsed_us: whole_micros(attempt.elapsed),
    }))
}

fn whole_micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

// serde passes fields by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn micros<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(whole_micros(*span))
}

#[allow(clippy::trivially_copy_pass_by_ref, clippy::ref_option)]
fn optional_micros<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    span.map(whole_micros).serialize(to)
}

#[allow(clippy::trivially_copy_pass_by_ref, clippy::ref_option)]
fn word<S: Serializer>(ending: &Option<Ending>, to: S) -> Result<S::Ok, S::Error> {
    ending.map(Ending::word).serialize(to)
}

#[allow(clippy::trivially_copy_pass_by_ref, clippy::ref_option)]
fn name<S: Serializer>(errno: &Option<Errno>, to: S) -> Result<S::Ok, S::Error> {
    errno.and_then(tcpecho_os::errno::name).serialize(to)
}
