//! `tcpecho serve` as it is run by a user, a service manager or a tracer, and clients for it.
#![allow(dead_code, reason = "every test program uses its own part of it")]

pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod trace;

use std::{
    fmt::Debug,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Pid;

#[path = "../connect/support.rs"]
pub(crate) mod peers;

pub(crate) use self::{
    peers::{families, pattern},
    server::{Serving, program},
};

pub(crate) const MIB: usize = 1 << 20;
/// No answer on loopback takes so long, on whatever machine; a read that waits for it longer fails.
const FAR_TOO_LONG: Duration = Duration::from_secs(60);
/// What is done at once: in far less than any deadline that stands in a test, and not in less than a busy machine may take.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(30);

/// Every engine that this host offers, and SKIP for the others. Says which one it is at, for the output of a test that
/// fails.
pub(crate) fn engines() -> impl Iterator<Item = &'static str> {
    tcpecho::ENGINES.iter().filter_map(|engine| match engine.probe() {
        Ok(()) => {
            eprintln!("engine {}", engine.name);
            Some(engine.name)
        }
        Err(why) => {
            eprintln!("SKIP: engine {}: {why}", engine.name);
            None
        }
    })
}

/// Every engine times both address families, on a free port.
pub(crate) fn everywhere() -> impl Iterator<Item = (&'static str, SocketAddr)> {
    engines().flat_map(|engine| families().map(move |at| (engine, at)))
}

/// The same trial of several, at the same time: for those that mostly wait.
pub(crate) fn together<T: Copy + Debug + Send>(
    all: impl Iterator<Item = T>,
    trial: impl Fn(T) + Sync,
) {
    let trial = &trial;
    thread::scope(|scope| {
        for one in all {
            let thread = thread::Builder::new().name(format!("{one:?}"));
            thread.spawn_scoped(scope, move || trial(one)).unwrap();
        }
    });
}

/// A free port of the IPv4 loopback.
pub(crate) fn somewhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// A connection on which nobody hangs.
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    try_connect(addr).unwrap()
}

/// The same, which fails if the server resets it before connect(2) returns.
pub(crate) fn try_connect(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(FAR_TOO_LONG))?;
    stream.set_write_timeout(Some(FAR_TOO_LONG))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends this and reads it back.
pub(crate) fn echoes(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).unwrap();
    sees(stream, text);
}

pub(crate) fn sees(stream: &mut TcpStream, text: &[u8]) {
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).unwrap();
    assert!(back == text, "{} instead of {}", back.escape_ascii(), text.escape_ascii());
}

pub(crate) fn sees_the_end(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{} instead of the end", rest.escape_ascii());
}

/// No byte, and no end either.
pub(crate) fn sees_nothing_for(stream: &mut TcpStream, span: Duration) {
    stream.set_read_timeout(Some(span)).unwrap();
    let seen = stream.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(seen, Err(ErrorKind::WouldBlock));
    stream.set_read_timeout(Some(FAR_TOO_LONG)).unwrap();
}

/// A whole session: a word, our FIN, the server's.
pub(crate) fn visits(addr: SocketAddr) {
    let mut stream = connect(addr);
    echoes(&mut stream, b"hello");
    stream.shutdown(Shutdown::Write).unwrap();
    sees_the_end(&mut stream);
}

/// Whether the connection still answers: not if it has ended in whatever way.
pub(crate) fn answers(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    stream.write_all(b"?").is_ok() && matches!(stream.read(&mut byte), Ok(1))
}

/// Sends a pattern of `bytes` bytes and our FIN while it reads it back, compares all of it, and sees the server's FIN.
pub(crate) fn exchange(stream: &TcpStream, bytes: usize) {
    let mut reader = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = stream;
            for from in (0..bytes).step_by(MIB) {
                writer.write_all(&pattern(from, MIB.min(bytes - from))).unwrap();
            }
            writer.shutdown(Shutdown::Write).unwrap();
        });
        for from in (0..bytes).step_by(MIB) {
            let expected = pattern(from, MIB.min(bytes - from));
            let mut back = vec![0; expected.len()];
            reader.read_exact(&mut back).unwrap();
            assert!(back == expected, "a wrong byte in the megabyte from {from}");
        }
        sees_the_end(&mut reader);
    });
}

/// The time that this takes. One that is too long counts when nothing else held the machine up meanwhile, by the kernel's
/// own account (proc(5), `/proc/pressure`). On a machine that is never free of that, ten are tried, and the least counts:
/// what is done too late every time is found there, too.
pub(crate) fn least(limit: Duration, mut trial: impl FnMut() -> Duration) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..10 {
        let before = held_up();
        let took = trial();
        let was_held_up = held_up().saturating_sub(before) > limit / 4;
        if took < limit || !was_held_up {
            return took;
        }
        least = least.min(took);
    }
    least
}

/// For how long somebody who could have run has had to wait for a processor, since the machine started; nothing where the
/// kernel does not count it.
pub(crate) fn held_up() -> Duration {
    let pressure = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let total = pressure.lines().next().and_then(|line| line.rsplit_once("total="));
    Duration::from_micros(total.and_then(|(_, total)| total.parse().ok()).unwrap_or(0))
}

/// Waits for half a second in which these processes take hardly any processor time. Whoever spins never has one.
pub(crate) fn rest(family: &[Pid]) {
    let start = Instant::now();
    loop {
        let used = || family.iter().map(|pid| process::ticks(*pid)).sum::<u64>();
        let before = used();
        thread::sleep(Duration::from_millis(500));
        let used = used() - before;
        if used < 5 {
            return;
        }
        assert!(start.elapsed() < FAR_TOO_LONG, "{used} ticks in half a second of waiting");
    }
}

/// Sends to all of them and reads nothing, until no connection has taken a byte for a while.
pub(crate) fn blast(streams: &[TcpStream]) {
    let chunk = vec![7; MIB];
    for stream in streams {
        stream.set_nonblocking(true).unwrap();
    }
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_millis(200) {
        for mut stream in streams {
            match stream.write(&chunk) {
                Ok(_) => last = Instant::now(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
        thread::yield_now();
    }
    for stream in streams {
        stream.set_nonblocking(false).unwrap();
    }
}

/// Sends and reads nothing, until the server cuts the connection with RST.
pub(crate) fn blast_until_reset(mut stream: &TcpStream) {
    let chunk = vec![7; MIB];
    let error = loop {
        if let Err(error) = stream.write(&chunk) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

/// A port that was free a moment ago, for programs that cannot tell which one they took.
pub(crate) fn free_port(at: SocketAddr) -> SocketAddr {
    std::net::TcpListener::bind(at).unwrap().local_addr().unwrap()
}

/// Whether a program is there to be run; SKIP if not.
pub(crate) fn has(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(tool).is_file());
    if !found {
        eprintln!("SKIP: no {tool} here");
    }
    found
}
