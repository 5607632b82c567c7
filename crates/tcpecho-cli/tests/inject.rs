//! Every verb when system calls fail at random: the server with every engine, and the clients. It neither hangs nor spins,
//! loses no byte in silence, says what failed, does not exit 0 then, and leaves no process behind.
//!
//! Two failures of each call are tried; with `TCPECHO_TEST_INJECT=all` in the environment many more, which takes minutes.

#[path = "common/inject.rs"]
mod inject;

#[path = "common/mod.rs"]
mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io::{self, ErrorKind, Read, Seek, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use common::{
    peers::{echo, pattern, signals_as_usual},
    trace::can_trace,
    *,
};
use inject::{Injected, Injection, census, injections, try_all};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{self, AddressFamily, SendFlags, SocketType, sockopt},
    process::Signal,
};
use tcpecho_os::{sock_diag::tcp_sockets, socket::unsent};

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

/// Connects with small buffers on this side, so that much of what is on its way is in the server.
fn connects(addr: SocketAddr) -> Option<TcpStream> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket(family, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
    net::connect(&socket, &addr).ok()?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(NEVER)).unwrap();
    stream.set_write_timeout(Some(NEVER)).unwrap();
    Some(stream)
}

/// Sends so many bytes and our FIN, and reads what comes back; but nothing before the server takes no more, which has
/// then bytes that it cannot send.
fn session(addr: SocketAddr, bytes: usize) -> Session {
    let Some(stream) = connects(addr) else { return Session::Cut };
    let message = pattern(0, bytes);
    let (mut written, mut wrote) = (0, Ok(()));
    let moment = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    while written < bytes
        && wrote.is_ok()
        && poll(&mut [PollFd::new(&stream, PollFlags::OUT)], Some(&moment)) == Ok(1)
    {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match net::send(&stream, &message[written..], flags) {
            Ok(n) => written += n,
            Err(errno) => wrote = Err(errno.into()),
        }
    }
    let mut back = Vec::new();
    let (read, wrote) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let wrote = wrote.and_then(|()| (&stream).write_all(&message[written..]));
            let _ = stream.shutdown(Shutdown::Write);
            wrote
        });
        ((&stream).read_to_end(&mut back), writer.join().unwrap())
    });
    // A write that takes the error leaves the reader with an end of file. Behind the server's FIN it would be EPIPE.
    let reset = |result: &io::Result<()>| {
        result.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
    };
    match read {
        Ok(_) if back == message => Session::Whole,
        Ok(_) if message.starts_with(&back) && reset(&wrote) => Session::Cut,
        Ok(_) if message.starts_with(&back) => Session::Short,
        Ok(_) => Session::Wrong,
        Err(error) if error.kind() == ErrorKind::WouldBlock => Session::Hangs,
        Err(_) => Session::Cut,
    }
}

struct ServeTrial {
    engine: &'static str,
    local: &'static str,
    injection: Injection,
}

impl fmt::Display for ServeTrial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "serve -e {} -l {}: {}", self.engine, self.local, self.injection)
    }
}

fn serving(engine: &str, local: &str, injection: Option<&Injection>) -> Injected {
    let listen = ["serve", "-l", local, "--drain-timeout", "1s", "--engine", engine];
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

fn serve_and_fail(ServeTrial { engine, local, injection }: &ServeTrial) -> Result<(), String> {
    let mut server = serving(engine, local, Some(injection));
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
    if sessions.iter().any(|session| !matches!(session, Session::Whole | Session::Cut)) {
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
    let (of_sessions, counted) = (of_lines("session ", &ended.lines), counted(&ended.lines));
    if !mute && counted.is_some_and(|counted| counted != of_sessions) {
        return complain("the counters have other bytes than the sessions");
    }
    Ok(())
}

/// The sum of `bytes=` in the lines of this kind.
fn of_lines(kind: &str, lines: &[String]) -> u64 {
    let lines = lines.iter().filter(|line| line.contains(kind));
    lines.filter_map(|line| bytes_of(line)).sum()
}

/// The bytes in the last line of counters.
fn counted(lines: &[String]) -> Option<u64> {
    lines.iter().rev().find(|line| line.contains("counters ")).and_then(|line| bytes_of(line))
}

fn bytes_of(line: &str) -> Option<u64> {
    line.split(" bytes=").nth(1)?.split(' ').next()?.parse().ok()
}

/// The listener fails for good, in the same turn of the loop in which bytes are echoed.
#[test]
fn a_server_whose_listener_fails_resets_and_counts_every_session() {
    if !can_trace() {
        return;
    }
    // There the client that is served keeps the server from accept(2).
    for engine in engines().filter(|engine| *engine != "iterative") {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            if TcpListener::bind(local).is_err() {
                println!("SKIP {local}: this host has no such address");
                continue;
            }
            // The first call accepts, and the second finds the queue empty. A ring sends in the turn after the one in which it
            // receives, and accepts 64 connections in that one.
            let (when, more) = if engine == "uring" { (67, 70) } else { (3, 1) };
            let fatal = Injection::error("accept4", "EBADF", when);
            let mut server = serving(engine, local, Some(&fatal));
            let addr = address(&mut server).unwrap();
            let mut client = TcpStream::connect(addr).unwrap();
            client.set_read_timeout(Some(NEVER)).unwrap();
            client.write_all(b"hi").unwrap();
            client.read_exact(&mut [0; 2]).unwrap();
            server.gets(Signal::STOP);
            server.is_stopped();
            client.write_all(b"ho").unwrap();
            let others: Vec<_> = (0..more).map(|_| TcpStream::connect(addr).unwrap()).collect();
            server.gets(Signal::CONT);
            let mut back = Vec::new();
            let end = client.read_to_end(&mut back).map_err(|error| error.kind());
            drop(others);
            let ended = server.ends().unwrap();
            let about = format!("{engine} {local}: {end:?} after {back:?} {:#?}", ended.lines);
            assert_eq!(end, Err(ErrorKind::ConnectionReset), "{about}");
            assert_ne!(ended.status.code(), Some(0), "{about}");
            let sessions = ended.lines.iter().filter(|line| line.contains("session "));
            for session in sessions {
                let told = "ending=local-error";
                assert!(session.contains(told) && session.contains("error=\"accept: "), "{about}");
            }
            // It does not work again.
            assert!(!ended.lines.iter().any(|line| line.contains("accept fails")), "{about}");
            assert_eq!(counted(&ended.lines), Some(of_lines("session ", &ended.lines)), "{about}");
        }
    }
}

#[test]
fn a_server_whose_calls_fail() {
    if !can_trace() {
        return;
    }
    try_all(&trials("127.0.0.1:0", injections), serve_and_fail);
}

/// The calls without which the server cannot go on with a session, or not with any, and how they fail.
const NEEDED: [(&str, &str); 9] = [
    ("clone", "EAGAIN"),
    ("clone3", "EAGAIN"),
    ("epoll_ctl", "ENOMEM"),
    ("epoll_wait", "EINVAL"),
    ("io_uring_enter", "EPERM"),
    ("pidfd_open", "EMFILE"),
    ("recvfrom", "ENOBUFS"),
    ("sendto", "ENOMEM"),
    ("splice", "ENOMEM"),
];

/// Its peers see every byte or RST: a FIN behind a part of the bytes looks like a complete echo.
#[test]
fn a_server_that_cannot_go_on_with_a_session_resets_it() {
    if !can_trace() {
        return;
    }
    let needed = |census: &BTreeMap<String, u32>| {
        let mut injections = Vec::new();
        for (call, error) in NEEDED {
            let count = census.get(call).copied().unwrap_or(0);
            // Later ones are like these.
            let some = (1..=count.min(14)).chain([count / 2, count]).filter(|when| *when > 0);
            let some: BTreeSet<u32> = some.collect();
            injections.extend(some.into_iter().map(|when| Injection::error(call, error, when)));
        }
        injections
    };
    for local in ["127.0.0.1:0", "[::1]:0"] {
        if TcpListener::bind(local).is_err() {
            println!("SKIP {local}: this host has no such address");
            continue;
        }
        try_all(&trials(local, needed), serve_and_fail);
    }
}

/// The session's thread or process holds bytes, on its way into send(2), when the server closes all connections.
#[test]
fn bytes_between_receive_and_send_are_lost_with_a_reset() {
    if !can_trace() {
        return;
    }
    for engine in engines() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            if TcpListener::bind(local).is_err() {
                println!("SKIP {local}: this host has no such address");
                continue;
            }
            let effect = "delay_enter=500000".to_owned();
            let late = Injection { call: "sendto".into(), effect, when: 1 };
            let args = ["serve", "-l", local, "--drain-timeout", "0s", "--engine", engine];
            let mut server = Injected::start(program(), &args, Some(&late));
            let addr = address(&mut server).unwrap();
            let mut client = TcpStream::connect(addr).unwrap();
            client.set_read_timeout(Some(NEVER)).unwrap();
            client.write_all(b"hello").unwrap();
            until_read(&client);
            server.gets(Signal::TERM);
            let mut back = Vec::new();
            let end = client.read_to_end(&mut back).map_err(|error| error.kind());
            let told = server.ends().unwrap().lines;
            let right = match end {
                Ok(_) => back == b"hello",
                Err(kind) => kind == ErrorKind::ConnectionReset,
            };
            assert!(right, "{engine} {local}: {end:?} after {back:?} {told:#?}");
        }
    }
}

/// One of two loops fails, and the sessions of both end as its own do.
#[test]
fn a_worker_that_fails_ends_the_sessions_of_all_with_a_reset() {
    if !can_trace() {
        return;
    }
    // There a client that is served keeps a loop from accept(2).
    for engine in engines().filter(|engine| *engine != "iterative") {
        let fatal = Injection::error("accept4", "EBADF", 20);
        let args = ["serve", "-l", "127.0.0.1:0", "--workers", "2", "--engine", engine];
        let mut server = Injected::start(program(), &args, Some(&fatal));
        let addr = address(&mut server).unwrap();
        let mut served = Vec::new();
        loop {
            let Ok(mut client) = TcpStream::connect(addr) else { break };
            client.set_read_timeout(Some(NEVER)).unwrap();
            let _ = client.write_all(b"hi");
            if client.read_exact(&mut [0; 2]).is_err() {
                break;
            }
            served.push(client);
        }
        assert!(!served.is_empty(), "{engine}");
        let ends = served
            .into_iter()
            .map(|mut client| client.read(&mut [0]).map_err(|error| error.kind()));
        let ends: Vec<_> = ends.collect();
        let lines = server.ends().unwrap().lines;
        let all_reset = ends.iter().all(|end| *end == Err(ErrorKind::ConnectionReset));
        assert!(all_reset, "{engine}: {ends:?} {lines:#?}");
        assert_eq!(counted(&lines), Some(of_lines("session ", &lines)), "{engine}: {lines:#?}");
    }
}

/// Waits until the server's program has read everything.
fn until_read(client: &TcpStream) {
    let ours = client.local_addr().unwrap();
    let start = Instant::now();
    let is_read = || {
        let sockets = tcp_sockets(client.peer_addr().unwrap().port()).unwrap();
        sockets.iter().any(|socket| socket.remote == ours && socket.rqueue == 0)
            && unsent(client) == Ok(0)
    };
    while !is_read() {
        assert!(start.elapsed() < NEVER, "the server does not read");
        thread::sleep(Duration::from_millis(1));
    }
}

/// For every engine, the failures that `choose` takes of the calls that it makes when none fails.
fn trials(
    local: &'static str,
    choose: impl Fn(&BTreeMap<String, u32>) -> Vec<Injection>,
) -> Vec<ServeTrial> {
    let mut trials = Vec::new();
    for engine in engines() {
        let mut server = serving(engine, local, None);
        let addr = address(&mut server).unwrap();
        let (sessions, rests) = play(&server, addr);
        assert!(sessions.iter().all(|session| *session == Session::Whole), "{sessions:?}");
        rests.unwrap();
        let ended = server.ends().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.lines);
        let injections = choose(&census(&ended.trace));
        assert!(!injections.is_empty(), "{engine}: no call to fail in {}", ended.trace);
        let injections = injections.into_iter();
        trials.extend(injections.map(|injection| ServeTrial { engine, local, injection }));
    }
    trials
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
