//! What the user is told, on standard error: what was seen, what it means, what to try. Data has
//! standard output to itself.

mod colour;
mod evidence;
mod failure;
mod object;

use std::{io, net::SocketAddr, time::Duration};

use rustix::io::Errno;
use tcpecho::{Attempt, Diagnosis, Ending, Evidence};
use tcpecho_os::stdio::stderr_was_closed;

pub(crate) use self::{
    colour::{Colour, has_colour, has_cursor_control},
    failure::{Failure, write_objects_as_in},
    object::{ErrorObject, Meaning},
};
use crate::stderr::say_json;
pub(crate) use crate::stderr::{say, say_raw};
use crate::{
    exit,
    threshold::Judgement,
    units,
    width::{hang, stderr_columns},
};

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
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// None where the connection did not end, but something on this side failed.
    pub(crate) ending: Option<Ending>,
    /// The call that showed it.
    pub(crate) op: &'static str,
    /// The address that call was about.
    pub(crate) addr: Option<SocketAddr>,
    /// What the call said; none for an end of file, a deadline or a signal.
    pub(crate) errno: Option<Errno>,
    /// What was seen, in words.
    pub(crate) message: String,
    /// What that means; none where nothing is wrong with the connection.
    pub(crate) diagnosis: Option<Diagnosis>,
    /// What it was concluded from, unless each attempt has its own.
    pub(crate) evidence: Option<Evidence>,
    /// Bytes handed to the socket.
    pub(crate) sent: u64,
    /// Bytes read from the socket.
    pub(crate) received: u64,
    /// Bytes read from standard input and not handed to the socket.
    pub(crate) unsent: u64,
    /// Bytes read from the socket and not written to standard output.
    pub(crate) unwritten: u64,
    /// Where the answer first differs from what was sent.
    pub(crate) first_difference_offset: Option<u64>,
    /// The whole run.
    pub(crate) duration: Duration,
    /// Until the connection was established.
    pub(crate) connect_time: Option<Duration>,
    /// Our address, once connected.
    pub(crate) local: Option<SocketAddr>,
    /// The addresses that were tried in vain.
    pub(crate) attempts: Vec<Attempt>,
    /// The addresses that another one was faster than.
    pub(crate) outrun: Vec<(SocketAddr, Duration)>,
    pub(crate) exit_status: u8,
}

impl Report {
    /// Gives the ending its own exit status, where it has one.
    pub(crate) fn detail_exit_status(&mut self) {
        // Neither success, nor a failure of this side, nor a signal.
        if let (1 | 3 | 4, Some(ending)) = (self.exit_status, self.ending) {
            self.exit_status = exit::detail_status(ending);
        }
    }

    /// Writes what there is to say at the end of a run to stderr.
    ///
    /// # Errors
    /// Where the object of `--json`, which is a result and not a diagnostic, could not be written.
    pub(crate) fn tell(&self, voice: Voice) -> io::Result<()> {
        if voice == Voice::Json {
            if stderr_was_closed() {
                return Err(Errno::BADF.into());
            }
            let object = serde_json::to_string(&object::Object::of(self))?;
            return say_json(&format!("{object}\n"));
        }
        self.tell_in_words(voice);
        Ok(())
    }

    fn tell_in_words(&self, voice: Voice) {
        let interrupted = self.ending == Some(Ending::Interrupted);
        match self.ending {
            None => say(&self.message),
            Some(_) if self.exit_status != 0 && !interrupted => self.tell_failure(),
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
    fn tell_failure(&self) {
        if self.connect_time.is_none() {
            for attempt in &self.attempts {
                explain(&attempt.diagnosis);
            }
        }
        if let Some(diagnosis) = &self.diagnosis
            && (self.connect_time.is_some() || self.attempts.is_empty())
        {
            explain(diagnosis);
        }
    }

    fn tell_summary(&self) {
        let Report { ending, message, sent, received, duration, .. } = self;
        let how = match ending {
            Some(Ending::Interrupted) => format!("interrupted ({message})"),
            Some(ending) => ending.word().into(),
            None => "ended here".into(),
        };
        let lost = self.lost();
        say(&format!(
            "{how}: {sent} bytes sent, {received} received in {}{}{lost}",
            units::span(*duration),
            self.throughput()
        ));
    }

    /// The bytes received per second of the connection's life; empty if none came.
    fn throughput(&self) -> String {
        let open = self.duration.saturating_sub(self.connect_time.unwrap_or_default());
        if self.received == 0 || open.is_zero() {
            return String::new();
        }
        format!(", {}/s", units::bytes(self.received as f64 / open.as_secs_f64()))
    }

    /// What was read on one side and has not reached the other; empty where that is nothing.
    pub(crate) fn lost(&self) -> String {
        let mut text = String::new();
        if self.unsent > 0 {
            text = format!("; {} bytes of standard input were not sent", self.unsent);
        }
        if self.unwritten > 0 {
            text = format!("{text}; {} bytes received were not written", self.unwritten);
        }
        text
    }
}

/// Prints an ending with its three fields. Where objects are written, they have them.
pub(crate) fn explain(diagnosis: &Diagnosis) {
    if !Failure::is_told_in_words() {
        return;
    }
    let Diagnosis { ending, seen, cause, advice, .. } = diagnosis;
    say(&in_fields(ending.word(), [&[seen], &[cause.as_ref()], &[advice.as_ref()]]));
}

/// Prints a line for each condition of `--fail-if`.
pub(crate) fn tell_judgements(judgements: &[Judgement]) {
    let colour = Colour::of_standard_error();
    for Judgement { failed, line } in judgements {
        let word = if *failed { colour.bad("FAIL") } else { colour.good("ok") };
        let width = stderr_columns().unwrap_or(usize::MAX);
        let mut text = String::new();
        hang(&mut text, "", "  ", &format!("tcpecho: {word} {line}"), width);
        say_raw(&text);
    }
}

/// A heading, and below it what was seen, what that means and what to try: a paragraph for each sentence.
fn in_fields(heading: &str, fields: [&[&str]; 3]) -> String {
    let colour = Colour::of_standard_error();
    let width = stderr_columns().unwrap_or(usize::MAX);
    let mut text = colour.ending(heading) + "\n";
    let indent = " ".repeat("  means: ".len());
    for (label, sentences) in ["seen:", "means:", "try:"].into_iter().zip(fields) {
        let padding = " ".repeat("means: ".len() - label.len());
        let mut first = format!("  {}{padding}", colour.label(label));
        for sentence in sentences.iter().filter(|sentence| !sentence.is_empty()) {
            hang(&mut text, &first, &indent, sentence, width);
            first.clone_from(&indent);
        }
    }
    text.trim_end().to_owned()
}
