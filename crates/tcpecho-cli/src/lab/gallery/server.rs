//! The gallery as a process: its rows, and what its log says of each connection.

use std::{
    collections::BTreeMap,
    fmt::Write,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::Value;
use tcpecho_lab::Family;
use tcpecho_os::{errno::io_words, process::end_with_parent, text::spaced};

use super::children::Children;

/// The longest line that is read of the server.
const LONGEST_LINE: u64 = 1 << 20;
/// The rows whose server accepts nothing, so that it does not count connections.
pub(super) const UNCOUNTED: &[&str] = &["never-accept", "backlog-full", "refuse"];
/// The most sessions that are kept: a client may connect again and again.
const MOST_SESSIONS: usize = 100_000;

/// What the gallery says when it is ready.
#[derive(Deserialize)]
struct Ready {
    addresses: Vec<String>,
    faults: Vec<ReadyRow>,
}

#[derive(Deserialize)]
struct ReadyRow {
    port: u16,
    name: String,
    ending: String,
    expect: String,
}

/// What a correct client sees in a row.
pub(super) struct Promise {
    /// How its connection ends.
    pub(super) ending: String,
    /// A sentence without its full stop.
    pub(super) expect: String,
}

/// A running gallery. Dropping it ends it.
pub(super) struct GalleryServer<'a> {
    child: Child,
    children: &'a Children,
    ready: Ready,
    log: Option<JoinHandle<Sessions>>,
}

/// The sessions of all rows, in the order of their ends.
#[derive(Default)]
pub(super) struct Sessions {
    all: Vec<Session>,
    /// Whether there were more of them than are here.
    is_cut: bool,
}

/// A connection, as the server saw it.
pub(super) struct Session {
    row: String,
    is_ipv6: bool,
    pub(super) bytes: u64,
    words: String,
    /// Whether this test ended it together with the server.
    is_of_the_end: bool,
}

impl Sessions {
    /// The connections of a row over one family.
    pub(super) fn of(&self, row: &str, family: Family) -> Vec<&Session> {
        let is_ipv6 = family == Family::V6;
        self.all.iter().filter(|one| one.row == row && one.is_ipv6 == is_ipv6).collect()
    }

    /// Whether the row had a connection, over any family. None if its connections cannot be counted.
    pub(super) fn has_any(&self, row: &str) -> Option<bool> {
        let is_counted = !UNCOUNTED.contains(&row) && !self.is_cut;
        is_counted.then(|| self.all.iter().any(|one| one.row == row))
    }

    /// Reads a log to its end.
    fn read(log: impl Read) -> Self {
        let mut sessions = Sessions::default();
        let mut lines = BufReader::new(log);
        loop {
            let mut line = Vec::new();
            match (&mut lines).take(LONGEST_LINE).read_until(b'\n', &mut line) {
                Ok(1..) => {}
                _ => return sessions,
            }
            let Ok(line) = serde_json::from_slice::<Value>(&line) else { continue };
            // The server drops lines that are not read in time, and says so.
            sessions.is_cut |= line["event"] == "lines-lost";
            if sessions.all.len() < MOST_SESSIONS {
                sessions.all.extend(Session::of(&line));
            } else {
                sessions.is_cut = true;
            }
        }
    }
}

impl Session {
    fn of(line: &Value) -> Option<Self> {
        if line["event"] != "session" {
            return None;
        }
        let peer: SocketAddr = line["peer"].as_str()?.parse().ok()?;
        let (ending, bytes) = (line["ending"].as_str()?, line["bytes"].as_u64()?);
        // The client was killed, or the server: the ending is not the reason.
        let is_of_the_end = ["draining", "interrupted"].contains(&ending);
        let mut words = if is_of_the_end { String::new() } else { format!("ending={ending} ") };
        let _ = write!(words, "bytes={bytes}");
        if let Some(fault) = line.get("fault") {
            let _ = write!(words, " steps={}/{}", fault["completed"], fault["steps"]);
        }
        let row = line["row"].as_str()?.to_owned();
        let words = spaced(&words);
        Some(Session { row, is_ipv6: peer.is_ipv6(), bytes, words, is_of_the_end })
    }

    /// What the server did, as its log has it.
    pub(super) fn words(&self) -> String {
        let end = if self.is_of_the_end { "; this test ended the connection" } else { "" };
        format!("{}{end}", self.words)
    }
}

impl<'a> GalleryServer<'a> {
    /// Starts it on loopback, on free ports.
    pub(super) fn start(children: &'a Children) -> Result<Self, String> {
        let program = std::env::current_exe()
            .map_err(|error| format!("/proc/self/exe: {}", io_words(&error)))?;
        let mut command = Command::new(program);
        command.args(["serve", "--gallery", "--json", "--log", "json", "--drain-timeout", "1s"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        // What is configured for a server of the user's is not meant for this one.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"TCPECHO_") {
                command.env_remove(name);
            }
        }
        end_with_parent(&mut command, Signal::TERM);
        let failed = |what: &str| format!("the gallery did not start: {what}");
        let (mut child, _) =
            children.spawn(&mut command).map_err(|error| failed(&io_words(&error)))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ready = Ready { addresses: Vec::new(), faults: Vec::new() };
        // From here on, its drop ends the process.
        let mut server = GalleryServer { child, children, ready, log: None };
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else { return Err(failed("no pipe")) };
        let log = std::thread::Builder::new().name("log".into());
        let log = log.spawn(move || Sessions::read(stderr));
        server.log = Some(log.map_err(|error| failed(&io_words(&error)))?);
        let mut line = String::new();
        BufReader::new(stdout)
            .take(LONGEST_LINE)
            .read_line(&mut line)
            .map_err(|error| failed(&io_words(&error)))?;
        server.ready = serde_json::from_str(&line).map_err(|_| {
            let object: Value = serde_json::from_str(&line).unwrap_or_default();
            failed(object["error"]["message"].as_str().unwrap_or("it ended at once"))
        })?;
        Ok(server)
    }

    /// Whether it has an address of this family.
    pub(super) fn has(&self, family: Family) -> bool {
        self.ready.addresses.iter().any(|addr| addr.contains(':') == (family == Family::V6))
    }

    pub(super) fn port(&self, row: &str) -> Option<u16> {
        self.ready.faults.iter().find(|one| one.name == row).map(|one| one.port)
    }

    /// What a correct client sees, by the name of the row.
    pub(super) fn promises(&self) -> BTreeMap<String, Promise> {
        let promise = |one: &ReadyRow| Promise {
            ending: one.ending.clone(),
            expect: format!("a correct client {}", one.expect),
        };
        self.ready.faults.iter().map(|one| (one.name.clone(), promise(one))).collect()
    }

    /// Ends it. Returns what its log says.
    pub(super) fn end(mut self) -> Sessions {
        self.stop();
        self.log.take().and_then(|log| log.join().ok()).unwrap_or_default()
    }

    fn stop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::TERM);
            self.children.wait(&mut self.child);
        }
    }
}

impl Drop for GalleryServer<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_session_had_no_connection_unless_lines_of_the_log_are_missing() {
        let session =
            r#"{"event":"session","row":"echo","peer":"[::1]:7","ending":"finished","bytes":3}"#;
        let lost = r#"{"event":"lines-lost","lines":2}"#;
        let whole = Sessions::read(session.as_bytes());
        let of = |row| whole.has_any(row);
        assert_eq!((of("echo"), of("drip"), of("refuse")), (Some(true), Some(false), None));
        assert_eq!(
            (whole.of("echo", Family::V6).len(), whole.of("echo", Family::V4).len()),
            (1, 0)
        );
        assert_eq!(Sessions::read(format!("{session}\n{lost}\n").as_bytes()).has_any("drip"), None);
    }
}
