//! Why a verb has no result: in words on stderr or, where its output is JSON, as an object in its place, so that a program
//! that reads the output of any verb finds `error` and `diagnosis` in it. Its schema is `tcpecho schema failure`.

use std::{
    env,
    ffi::{OsStr, OsString},
    net::SocketAddr,
    sync::OnceLock,
};

use rustix::io::Errno;
use serde::Serialize;
use tcpecho::{Attempt, Diagnosis, Ending, internal::Reasons};
use tcpecho_os::errno;

use super::{
    explain, in_fields,
    object::{AttemptObject, ErrorObject, GETADDRINFO, Meaning},
};
use crate::{
    log::now,
    output,
    stderr::{say, say_json},
};

/// Where objects go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    Stdout,
    /// `connect` leaves stdout to the bytes of the conversation, and with --json writes nothing else here.
    Stderr,
    /// Stderr, as a line of the JSON log of `serve`.
    Log,
}

static PLACE: OnceLock<Place> = OnceLock::new();

/// Decides, once, where this command's objects go. The arguments are looked at as they were typed: the object is also
/// wanted if they cannot be parsed.
pub(crate) fn write_objects_as_in(arguments: &[OsString]) {
    let log = env::var("TCPECHO_LOG").unwrap_or_default();
    let _ = PLACE.set(place(arguments, &log));
}

/// `log` is the form of the log in the environment.
fn place(arguments: &[OsString], log: &str) -> Place {
    let mut words = arguments.iter().skip(1).map(OsString::as_os_str);
    let verb = words.next().and_then(OsStr::to_str).unwrap_or_default();
    let words: Vec<&str> =
        words.take_while(|word| *word != "--").map(|word| word.to_str().unwrap_or("")).collect();
    let has = |flag| words.contains(&flag);
    let values = |option: &'static str| {
        let next = words.windows(2).filter(move |pair| pair[0] == option).map(|pair| pair[1]);
        let joined =
            words.iter().filter_map(move |word| word.strip_prefix(option)?.strip_prefix('='));
        next.chain(joined)
    };
    match verb {
        "connect" if has("--json") => Place::Stderr,
        "ping" | "bench" if has("--json") || has("--json-stream") => Place::Stdout,
        "lab" if values("--format").any(|format| matches!(format, "json" | "ndjson")) => {
            Place::Stdout
        }
        "serve" if has("--json") => Place::Stdout,
        "serve" if values("--log").next().unwrap_or(log) == "json" => Place::Log,
        _ => Place::Nowhere,
    }
}

/// Why there is no result.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    op: &'static str,
    addr: Option<SocketAddr>,
    errno: Option<Errno>,
    ending: Option<Ending>,
    message: String,
    diagnosis: Option<Diagnosis>,
    /// Why this host cannot listen, where there is no diagnosis of a connection.
    reasons: Option<Reasons>,
    attempts: Vec<Attempt>,
}

impl Failure {
    /// The call or the step `op` failed; `message` is the whole sentence.
    pub(crate) fn new(op: &'static str, message: impl Into<String>) -> Self {
        Failure { op, message: message.into(), ..Failure::default() }
    }

    /// What was typed cannot be done.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::new("usage", message)
    }

    /// A name has no address.
    pub(crate) fn unresolved(diagnosis: Diagnosis) -> Self {
        Failure {
            ending: Some(diagnosis.ending),
            diagnosis: Some(diagnosis.clone()),
            ..Failure::new(GETADDRINFO, diagnosis.seen)
        }
    }

    /// No address could be connected to; the attempt that tells most stands for all.
    pub(crate) fn unconnected(attempts: Vec<Attempt>) -> Self {
        let Some(one) = Attempt::most_informative(&attempts).cloned() else {
            return Failure::new("connect", "there is no address to connect to");
        };
        Failure {
            addr: one.error.addr,
            errno: Some(one.error.source.into()),
            ending: Some(one.ending),
            diagnosis: Some(one.diagnosis.clone()),
            attempts,
            ..Failure::new(one.error.op, one.diagnosis.seen)
        }
    }

    /// A call of the server failed: usually it cannot listen.
    pub(crate) fn of_server(error: &tcpecho::Error) -> Self {
        let mut seen = tcpecho::Error::new(error.op, error.source);
        seen.addr = error.addr;
        let (causes, advice) = (error.notes.clone(), error.advice.clone());
        Failure {
            addr: error.addr,
            errno: Some(error.source.into()),
            reasons: (!causes.is_empty() || !advice.is_empty())
                .then_some(Reasons { causes, advice }),
            ..Failure::new(error.op, seen.to_string())
        }
    }

    /// The kernel would listen on the address, and no client could connect to it.
    pub(crate) fn useless_listener(addr: SocketAddr, reasons: Reasons) -> Self {
        let message = format!("listen on {addr}: not attempted");
        Failure { addr: Some(addr), reasons: Some(reasons), ..Failure::new("listen", message) }
    }

    /// A signal came before there was a result.
    pub(crate) fn interrupted(op: &'static str, signal: &str) -> Self {
        Failure {
            ending: Some(Ending::Interrupted),
            ..Failure::new(op, format!("interrupted ({signal})"))
        }
    }

    /// Tells it in words or, where objects are written, as one. Gives the exit status, which is `status` unless stdout
    /// failed as well.
    pub(crate) fn tell(&self, status: u8) -> u8 {
        if Failure::is_told_in_words() {
            self.tell_in_words();
        }
        self.tell_object(status)
    }

    /// Whether failures are told in words here.
    pub(crate) fn is_told_in_words() -> bool {
        matches!(PLACE.get(), None | Some(Place::Nowhere))
    }

    /// The text for a failure that is not of a connection.
    pub(crate) fn words(&self) -> String {
        let Some(Reasons { causes, advice }) = &self.reasons else { return self.message.clone() };
        let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
        let advice: Vec<&str> = advice.iter().map(String::as_str).collect();
        in_fields("cannot listen", [&[&self.message], &causes, &advice])
    }

    fn tell_in_words(&self) {
        let attempts = self.attempts.iter().map(|attempt| &attempt.diagnosis);
        let alone = self.diagnosis.iter().filter(|_| self.attempts.is_empty());
        match self.diagnosis {
            Some(_) => attempts.chain(alone).for_each(explain),
            None => say(&self.words()),
        }
    }

    /// Writes only the object, where objects are written.
    pub(crate) fn tell_object(&self, status: u8) -> u8 {
        match PLACE.get() {
            Some(Place::Stdout) => output::print(&self.object(status), None)
                .map_or_else(|why| why.status(status), |()| status),
            Some(Place::Stderr) => {
                let _ = say_json(&self.object(status));
                status
            }
            Some(Place::Log) => {
                let _ = say_json(&format!("{}\n", self.log_line(status)));
                status
            }
            _ => status,
        }
    }

    fn object(&self, exit_status: u8) -> String {
        serde_json::to_string(&self.fields(exit_status)).unwrap_or_default() + "\n"
    }

    /// The line of the JSON log of `serve` that says why the program ends, without its newline: the same object, with
    /// the time and the name of the event.
    pub(crate) fn log_line(&self, exit_status: u8) -> String {
        let line = LogLine {
            time: now().to_string(),
            event: "failed",
            message: &self.message,
            object: self.fields(exit_status),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }

    fn fields(&self, exit_status: u8) -> Object<'_> {
        let reasons = self.reasons.as_ref().map(Meaning::of_reasons);
        Object {
            error: self.error(),
            diagnosis: self.diagnosis.as_ref().map(Meaning::of).or(reasons),
            attempts: self.attempts.iter().map(AttemptObject::of).collect(),
            exit_status,
        }
    }

    fn error(&self) -> ErrorObject<'_> {
        ErrorObject {
            op: self.op,
            addr: self.addr,
            errno: self.errno.and_then(errno::name),
            ending: self.ending.map(Ending::word),
            message: &self.message,
        }
    }
}

#[derive(Serialize)]
struct LogLine<'a> {
    time: String,
    event: &'static str,
    message: &'a str,
    #[serde(flatten)]
    object: Object<'a>,
}

#[derive(Serialize)]
struct Object<'a> {
    error: ErrorObject<'a>,
    diagnosis: Option<Meaning<'a>>,
    attempts: Vec<AttemptObject<'a>>,
    exit_status: u8,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tcpecho::{Error, Evidence};

    use super::*;

    #[test]
    fn objects_go_where_the_verb_writes_json() {
        for (line, wanted) in [
            ("tcpecho ping --json nosuch.invalid", Place::Stdout),
            ("tcpecho bench --json-stream --nonsense", Place::Stdout),
            ("tcpecho bench report --json x", Place::Stdout),
            ("tcpecho bench report x -- --json", Place::Nowhere),
            ("tcpecho connect --json localhost", Place::Stderr),
            ("tcpecho lab run --format ndjson all", Place::Stdout),
            ("tcpecho lab test --format=json", Place::Stdout),
            ("tcpecho lab test --format text", Place::Nowhere),
            ("tcpecho ping localhost", Place::Nowhere),
            ("tcpecho", Place::Nowhere),
            ("", Place::Nowhere),
        ] {
            let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(place(&arguments, ""), wanted, "{line}");
        }
        for (line, log, wanted) in [
            ("tcpecho serve --log json --nonsense", "", Place::Log),
            ("tcpecho serve --nonsense --log=json", "text", Place::Log),
            ("tcpecho serve", "json", Place::Log),
            ("tcpecho serve --log text", "json", Place::Nowhere),
            ("tcpecho connect --json", "json", Place::Stderr),
            ("tcpecho ping", "json", Place::Nowhere),
        ] {
            let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(place(&arguments, log), wanted, "{line}");
        }
    }

    #[test]
    fn the_attempt_that_tells_most_stands_for_all() {
        let attempt = |addr: &str, errno| {
            let (addr, evidence) = (addr.parse().unwrap(), Evidence::default());
            Attempt::of(addr, Error::at("connect", addr, errno), Duration::ZERO, evidence)
        };
        let attempts = vec![
            attempt("192.0.2.1:7", Errno::TIMEDOUT),
            attempt("192.0.2.2:7", Errno::CONNREFUSED),
            attempt("[2001:db8::1]:7", Errno::NETUNREACH),
        ];
        let object = Failure::unconnected(attempts).object(3);
        let object: serde_json::Value = serde_json::from_str(&object).unwrap();
        assert_eq!(object["error"]["errno"], "ECONNREFUSED", "{object}");
        assert_eq!(object["error"]["addr"], "192.0.2.2:7", "{object}");
        assert_eq!(object["attempts"].as_array().unwrap().len(), 3);
    }
}
