//! Every verb when system calls fail at random: the server with every engine, and the clients. It neither hangs nor spins,
//! loses no byte in silence, says what failed, does not exit 0 then, and leaves no process behind.
//!
//! Two failures of each call are tried; with `TCPECHO_TEST_INJECT=all` in the environment many more, which takes minutes.

#[path = "common/inject.rs"]
mod inject;

#[path = "common/mod.rs"]
mod common;

use std::{
    fmt,
    fs::File,
    io::{ErrorKind, Read, Seek, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Stdio,
    thread,
    time::Duration,
};

use common::{
    peers::{echo, pattern, signals_as_usual},
    trace::can_trace,
    *,
};
use inject::{Injected, Injection, census, injections, try_all};
use rustix::process::Signal;

/// An answer that takes longer does not come.
const NEVER: Duration = Duration::from_secs(30);
const BULK: usize = 700_000;

/// What became of a session.
#[derive(Debug, PartialEq, Eq)]
enum Session {
    /// Every byte and the server's FIN.
    Whole,
    /// RST, or no connection.
    Cut,
    /// FIN before every byte was back.
    Short,
    /// A wrong byte, or one too many.
    Wrong,
    /// Neither.
    Hangs,
}

/// Sends so many bytes and our FIN, and reads what comes back.
fn session(addr: SocketAddr, bytes: usize) -> Session {
    let Ok(stream) = TcpStream::connect(addr) else { return Session::Cut };
    stream.set_read_timeout(Some(NEVER)).unwrap();
    stream.set_write_timeout(Some(NEVER)).unwrap();
    let message = pattern(0, bytes);
    let mut back = Vec::new();
    let read = thread::scope(|scope| {
        scope.spawn(|| {
            // What cannot be written is not answered, and that is seen by the reader.
            let _ = (&stream).write_all(&message);
            let _ = stream.shutdown(Shutdown::Write);
        });
        (&stream).read_to_end(&mut back)
    });
    match read {
        Ok(_) if back == message => Session::Whole,
        Ok(_) if message.starts_with(&back) => Session::Short,
        Ok(_) => Session::Wrong,
        Err(error) if error.kind() == ErrorKind::WouldBlock => Session::Hangs,
        Err(_) => Session::Cut,
    }
}

struct ServeTrial {
    engine: &'static str,
    injection: Injection,
}

impl fmt::Display for ServeTrial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "serve -e {}: {}", self.engine, self.injection)
    }
}

fn serving(engine: &str, injection: Option<&Injection>) -> Injected {
    let listen = ["serve", "-l", "127.0.0.1:0", "--drain-timeout", "1s", "--engine", engine];
    Injected::start(program(), &listen, injection)
}

/// The address in the ready line, on stdout or where stdout does not take it.
fn address(server: &mut Injected) -> Option<SocketAddr> {
    let line = server.says("listening on ")?;
    line.split("listening on ").nth(1)?.split(' ').next()?.parse().ok()
}

/// A few sessions, one of them long, and one that is idle when the server is asked to end.
fn play(server: &Injected, addr: SocketAddr) -> (Vec<Session>, Result<(), String>) {
    let mut sessions: Vec<Session> = [5, 5, BULK, 5].map(|bytes| session(addr, bytes)).into();
    let idle = TcpStream::connect(addr);
    let rests = if server.rests() { Ok(()) } else { Err("it spins".to_owned()) };
    server.gets(Signal::TERM);
    if let Ok(mut idle) = idle {
        idle.set_read_timeout(Some(NEVER)).unwrap();
        sessions.push(match idle.read(&mut [0]) {
            Ok(0) => Session::Whole,
            Ok(_) => Session::Wrong,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Session::Hangs,
            Err(_) => Session::Cut,
        });
    }
    (sessions, rests)
}

fn serve_and_fail(ServeTrial { engine, injection }: &ServeTrial) -> Result<(), String> {
    let mut server = serving(engine, Some(injection));
    let played = address(&mut server).map(|addr| play(&server, addr));
    server.gets(Signal::TERM);
    let ended = server.ends()?;
    // It may be stderr that fails.
    let mute =
        ended.trace.lines().any(|line| line.contains("write(2,") && line.contains("INJECTED"));
    let told = |text: &str| mute || ended.lines.iter().any(|line| line.contains(text));
    let complain = |what: &str| Err(format!("{what}; {} {:#?}", ended.status, ended.lines));
    if ended.crashed() {
        return complain("it crashed");
    }
    let Some((sessions, rests)) = played else {
        return match ended.status.code() {
            Some(2) if told("tcpecho: ") => Ok(()),
            // Stdout and stderr failed.
            Some(0) if mute => Ok(()),
            // The dynamic loader failed, and said so.
            Some(127) if told("loading shared libraries") => Ok(()),
            _ => complain("it did not serve, and does not say so"),
        };
    };
    rests?;
    if sessions.contains(&Session::Hangs) || sessions.contains(&Session::Wrong) {
        return complain(&format!("{sessions:?}"));
    }
    let failed = ended.status.code() != Some(0);
    let unwell = sessions.iter().any(|session| *session != Session::Whole);
    // An ending that is not the peer's FIN, with the call that failed, or the end of the server.
    if unwell && !failed && !told("error=\"") && !told("ending=limit") && !told("accept fails") {
        return complain(&format!("nothing is said of {sessions:?}"));
    }
    if failed && !told("tcpecho: ") {
        return complain("it failed without a word");
    }
    Ok(())
}

#[test]
fn a_server_whose_calls_fail() {
    if !can_trace() {
        return;
    }
    let mut trials = Vec::new();
    for engine in engines() {
        let mut server = serving(engine, None);
        let addr = address(&mut server).unwrap();
        let (sessions, rests) = play(&server, addr);
        assert!(sessions.iter().all(|session| *session == Session::Whole), "{sessions:?}");
        rests.unwrap();
        let ended = server.ends().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.lines);
        let injections = injections(&census(&ended.trace)).into_iter();
        trials.extend(injections.map(|injection| ServeTrial { engine, injection }));
    }
    try_all(&trials, serve_and_fail);
}

/// An echo server that nothing is injected into.
fn honest_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // It lives as long as the test.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || echo(stream));
        }
    });
    addr
}

/// An open file with this in it.
fn file_with(bytes: &[u8]) -> Stdio {
    let path = format!("{}/inject-input-{:?}", env!("CARGO_TARGET_TMPDIR"), thread::current().id());
    let mut file =
        File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file.into()
}

const INPUT: &[u8] = b"one line\nand another\n";

struct ClientTrial<'a> {
    args: &'a [&'a str],
    injection: Injection,
}

impl fmt::Display for ClientTrial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.args[0], self.injection)
    }
}

/// Tries the failures of a client's calls; `right` says whether what it printed is what success prints.
fn client_whose_calls_fail(args: &[&str], right: impl Fn(&[String]) -> bool + Sync) {
    if !can_trace() {
        return;
    }
    signals_as_usual();
    let run = |injection: Option<&Injection>| {
        Injected::spawn(program(), args, injection, file_with(INPUT)).ends()
    };
    let ended = run(None).unwrap();
    assert!(ended.status.success() && right(&ended.lines), "{} {:#?}", ended.status, ended.lines);
    let injections = injections(&census(&ended.trace)).into_iter();
    let trials: Vec<_> = injections.map(|injection| ClientTrial { args, injection }).collect();
    try_all(&trials, |trial| {
        let ended = run(Some(&trial.injection))?;
        let complain = |what: &str| Err(format!("{what}; {} {:#?}", ended.status, ended.lines));
        if ended.crashed() {
            return complain("it crashed");
        }
        if ended.status.success() && !right(&ended.lines) {
            return complain("success, and not all of it is there");
        }
        let mute = trial.injection.call == "write";
        if !ended.status.success() && ended.lines.is_empty() && !mute {
            return complain("it failed without a word");
        }
        Ok(())
    });
}

#[test]
fn a_line_client_whose_calls_fail() {
    let addr = honest_server().to_string();
    client_whose_calls_fail(&["connect", &addr], |lines| {
        ["one line", "and another"].iter().all(|line| lines.iter().any(|seen| seen == line))
    });
}

#[test]
fn a_prober_whose_calls_fail() {
    let addr = honest_server().to_string();
    let args = ["ping", "--json", "-c", "3", "-i", "20ms", "-w", "5", &addr];
    client_whose_calls_fail(&args, |lines| {
        let report =
            lines.iter().find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        report.is_some_and(|report| report["targets"].is_array())
    });
}

#[test]
fn a_load_generator_whose_calls_fail() {
    let addr = honest_server().to_string();
    let args = ["bench", "-q", "--json", "-c", "2", "-d", "200ms", "--warmup", "0", &addr];
    client_whose_calls_fail(&args, |lines| {
        lines.iter().any(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
            || serde_json::from_str::<serde_json::Value>(&lines.join("\n")).is_ok()
    });
}
