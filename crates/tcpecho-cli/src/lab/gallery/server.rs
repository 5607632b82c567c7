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

/// The longest line that is read of the server.
const LONGEST_LINE: u64 = 1 << 20;
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
}

/// A running gallery. Dropping it ends it.
pub(super) struct GalleryServer {
    child: Child,
    ready: Ready,
    log: Option<JoinHandle<Sessions>>,
}

/// The sessions of all rows, in the order of their ends.
#[derive(Default)]
pub(super) struct Sessions(Vec<Session>);

struct Session {
    row: String,
    is_ipv6: bool,
    words: String,
}

impl Sessions {
    /// What the server did with the connections of a row.
    pub(super) fn of(&self, row: &str, family: Family) -> Vec<&str> {
        let is_ipv6 = family == Family::V6;
        let all = self.0.iter().filter(|one| one.row == row && one.is_ipv6 == is_ipv6);
        all.map(|one| one.words.as_str()).collect()
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
            if sessions.0.len() < MOST_SESSIONS {
                sessions.0.extend(Session::of(&line));
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
        let mut words = format!("ending={ending} bytes={bytes}");
        if let Some(fault) = line.get("fault") {
            let _ = write!(words, " steps={}/{}", fault["completed"], fault["steps"]);
        }
        let row = line["row"].as_str()?.to_owned();
        Some(Session { row, is_ipv6: peer.is_ipv6(), words: spaced(&words) })
    }
}

impl GalleryServer {
    /// Starts it on loopback, on free ports.
    pub(super) fn start() -> Result<Self, String> {
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
        let mut child = command.spawn().map_err(|error| failed(&io_words(&error)))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ready = Ready { addresses: Vec::new(), faults: Vec::new() };
        // From here on, its drop ends the process.
        let mut server = GalleryServer { child, ready, log: None };
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

    /// How a correct client's connection ends, by the name of the row.
    pub(super) fn endings(&self) -> BTreeMap<String, String> {
        self.ready.faults.iter().map(|one| (one.name.clone(), one.ending.clone())).collect()
    }

    /// Ends it. Returns what its log says.
    pub(super) fn end(mut self) -> Sessions {
        self.stop();
        self.log.take().and_then(|log| log.join().ok()).unwrap_or_default()
    }

    fn stop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

impl Drop for GalleryServer {
    fn drop(&mut self) {
        self.stop();
    }
}
