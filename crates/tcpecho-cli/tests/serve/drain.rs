//! The first signal closes the listeners, whatever the engine is waiting for, and serves who was queued, nobody else.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::common::{process::children, server::after, trace::*, *};

/// The promise is a tenth of a second; a busy machine does not keep the server from its processor every time.
const PROMISED: Duration = Duration::from_millis(100);

/// From the signal until connections are refused.
fn time_to_close(server: &Serving) -> Duration {
    let (start, addr) = (Instant::now(), server.addr());
    server.gets(Signal::TERM);
    loop {
        // Connections that are made meanwhile may be served or reset.
        match TcpStream::connect(addr) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return start.elapsed(),
            _ => assert!(start.elapsed() < AT_ONCE, "it still listens: {:#?}", server.log()),
        }
    }
}

#[test]
fn the_listener_closes_although_a_peer_has_stopped_reading() {
    for (engine, at) in everywhere() {
        let took = least(PROMISED, || {
            let server = Serving::start(engine, at, &["--drain-timeout", "1h"]);
            let stalled = server.connects();
            blast(std::slice::from_ref(&stalled));
            let took = time_to_close(&server);
            // It is the peer that keeps the server.
            assert_eq!(server.said("counters").len(), 0);
            server.gets(Signal::TERM);
            server.ends().with(0);
            took
        });
        assert!(took < PROMISED, "{engine} {at}: {took:?}");
    }
}

/// Sessions that are begun whether or not those before have ended, so that some always wait in the accept queue, until
/// connections are refused.
fn storm(addr: SocketAddr) {
    let mut under_way = VecDeque::new();
    loop {
        let mut stream = match TcpStream::connect(addr) {
            Ok(stream) => stream,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
            // Reset when the listener closed, before connect(2) returned.
            Err(_) => continue,
        };
        let _ = stream.write_all(b"storm");
        let _ = stream.shutdown(Shutdown::Write);
        under_way.push_back(stream);
        if under_way.len() > 64 {
            let oldest = under_way.pop_front();
            let _ = oldest.map(|mut stream| stream.read_to_end(&mut Vec::new()));
        }
    }
}

#[test]
fn a_drain_ends_although_clients_keep_coming() {
    for (engine, at) in everywhere() {
        let server = Serving::start(engine, at, &["--drain-timeout", "1h", "--log", "json"]);
        let addr = server.addr();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(move || storm(addr));
            }
            server.says_times("\"finished\"", 100);
            server.stops().with(0).within(AT_ONCE);
        });
    }
}

/// A word from a client that waits in the accept queue.
fn queued(server: &Serving) -> TcpStream {
    let mut stream = server.connects();
    stream.write_all(b"?").unwrap();
    stream
}

/// Whether its word comes back; if not, the server has said why.
fn is_served(stream: &mut TcpStream, server: &Serving) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let start = Instant::now();
    loop {
        match stream.read(&mut [0]) {
            Ok(1) => return true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !server.said("accept fails: ").is_empty() {
                    stream.set_read_timeout(Some(AT_ONCE)).unwrap();
                    return false;
                }
                assert!(start.elapsed() < AT_ONCE, "{:#?}", server.log());
            }
            other => panic!("neither served nor left to wait: {other:?} {:#?}", server.log()),
        }
    }
}

#[test]
fn those_in_the_queue_are_served_when_descriptors_are_free_again() {
    for engine in engines().filter(|engine| *engine != "iterative") {
        let more = ["-m", "1000", "--drain-timeout", "1h"];
        let server = Serving::run(&mut after("ulimit -n 40", engine, &more));
        let (mut inside, mut waiting) = (Vec::new(), Vec::new());
        while waiting.is_empty() {
            let mut stream = queued(&server);
            assert!(inside.len() < 100, "descriptors do not run out");
            // accept(2) may fail before there is a client to wait.
            if is_served(&mut stream, &server) {
                inside.push(stream);
            } else {
                waiting.push(stream);
            }
        }
        waiting.extend((0..5).map(|_| queued(&server)));
        server.gets(Signal::TERM);
        server.says("draining because of");
        drop(inside);
        for stream in &mut waiting {
            sees(stream, b"?");
            sees_the_end(stream);
        }
        drop(waiting);
        server.ends().with(0);
    }
}

#[test]
fn a_loop_that_fails_ends_those_that_are_blocked() {
    if !can_trace() {
        return;
    }
    // Each thread counts for itself: the loop that comes to its second call has a broken listener. The other is kept by a
    // client that says nothing.
    for engine in ["iterative", "thread", "fork"] {
        let inject = "inject=accept4:error=EBADF:when=2";
        let (server, _log) =
            traced(&["-e", "trace=accept4", "-e", inject], engine, &["--workers", "2"]);
        let clients: Vec<_> = (0..24).map(|_| queued(&server)).collect();
        for stream in &clients[1..] {
            match stream.shutdown(Shutdown::Write) {
                // The listener broke already, and the server has reset this client.
                Err(error) if error.kind() == ErrorKind::NotConnected => {}
                result => result.unwrap(),
            }
        }
        let pid = server.pid();
        server.ends().with(2).says("accept").says("(EBADF)");
        assert!(children(pid).is_empty());
    }
}

/// `--until-eof`: the program that started the server has the other end of its stdin, a pipe.
#[test]
fn the_end_of_stdin_drains_if_asked_to() {
    for (engine, at) in everywhere() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let at = at.to_string();
        let server = Serving::reading(reader, &["-l", &at, "--engine", engine, "--until-eof"]);
        let mut client = server.connects();
        client.write_all(b"before").unwrap();
        // More than a pipe holds, so the server has read some of it.
        writer.write_all(&vec![b'x'; 100_000]).unwrap();
        client.read_exact(&mut [0; 6]).unwrap();
        client.write_all(b"late").unwrap();
        drop(writer);
        let mut back = Vec::new();
        client.read_to_end(&mut back).unwrap();
        assert_eq!(back, b"late", "{engine}");
        server.ends().with(0).says("draining because of end of stdin").says("ending=draining");
    }
    // Without it, nobody reads stdin.
    let server = Serving::start("epoll", somewhere(), &[]);
    visits(server.addr());
    assert!(server.said("draining").is_empty());
    let null = std::fs::File::open("/dev/null").unwrap();
    let ended = Serving::reading(null, &["-l", "127.0.0.1:0", "--until-eof"]).ends();
    ended.with(0).says("end of stdin");
}
