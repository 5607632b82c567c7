//! System calls that fail: accept(2) for a moment and for long, descriptors that run out, fork and threads that are
//! refused, and calls on a connection. strace(1) makes them fail where that is hard to come by.

#[path = "common/mod.rs"]
mod common;

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    process::Stdio,
    sync::Mutex,
    time::{Duration, Instant},
};

use common::{
    peers::until,
    process::children,
    server::after,
    trace::{Call, Log, call_for_a_thread, can_trace, traced},
    *,
};

/// About a connection, or about nothing: the next try may well succeed.
const TRANSIENT: [&str; 6] =
    ["ECONNABORTED", "EPROTO", "ENETDOWN", "EHOSTUNREACH", "EPERM", "EINTR"];
/// Whatever may last: scarcity, and a firewall or a flood of aborted connections.
const LASTING: [&str; 6] = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPERM", "ECONNABORTED"];

/// Every engine times each of these.
fn each<'a>(errors: &'a [&'a str]) -> impl Iterator<Item = (&'static str, &'a str)> {
    engines().flat_map(move |engine| errors.iter().map(move |error| (engine, *error)))
}

/// A server whose accept4 calls number `when` fail with `error`.
fn failing(engine: &str, error: &str, when: &str, more: &[&str]) -> (Serving, Log) {
    let inject = format!("inject=accept4:error={error}:when={when}");
    traced(&["-e", "trace=accept4", "-e", &inject], engine, more)
}

/// The most of these that began within one second.
fn busiest_second(calls: &[Call]) -> usize {
    let until = |at: f64| calls.partition_point(|call| call.at < at);
    calls.iter().enumerate().map(|(index, call)| until(call.at + 1.0) - index).max().unwrap_or(0)
}

/// Waits until the trace shows two seconds of failing calls, at least ten.
fn log_of_two_seconds(log: &Log) -> Vec<Call> {
    let mut calls = Vec::new();
    until(|| {
        calls = log.calls();
        let span = calls.last().map_or(0.0, |last| last.at - calls[0].at);
        span >= 2.0 && failures(&calls) >= 10
    });
    calls
}

fn failures(calls: &[Call]) -> usize {
    calls.iter().filter(|call| call.injected()).count()
}

/// Seconds from the last injected failure to the first call that was let through.
fn recovery(calls: &[Call]) -> f64 {
    let last = calls.iter().rposition(Call::injected).unwrap();
    calls[last + 1].at - calls[last].at
}

#[test]
fn a_transient_error_costs_the_next_client_nothing() {
    if !can_trace() {
        return;
    }
    for (engine, error) in each(&TRANSIENT) {
        // One wait alone would take a tenth of a second.
        let at_once = Duration::from_millis(50);
        let took = least(at_once, || {
            let (server, log) = failing(engine, error, "1..3", &[]);
            visits(server.addr());
            server.stops().with(0).says("accepted=1");
            let calls = log.calls();
            assert_eq!(failures(&calls), 3, "{error} {calls:#?}");
            Duration::from_secs_f64(calls[3].at - calls[0].at)
        });
        assert!(took < at_once, "{error} {took:?}");
    }
}

#[test]
fn a_lasting_error_is_tried_seldom_said_once_and_survived() {
    if !can_trace() {
        return;
    }
    together(each(&LASTING), |(engine, error)| {
        let (server, log) = failing(engine, error, "1+", &["--drain-timeout", "300ms"]);
        let _waiting = server.connects();
        server.says("accept fails: ");
        let calls = log_of_two_seconds(&log);
        assert!(busiest_second(&calls) <= 20, "{} a second: {calls:#?}", busiest_second(&calls));
        assert_eq!(server.said("accept fails: ").len(), 1, "{:#?}", server.log());
        assert!(server.says("accept fails: ").contains(&format!("({error})")));
        // Those who wait cannot be let in, so it takes the deadline to end.
        server.stops().with(0).says("accepted=0");
    });
}

#[test]
fn service_resumes_by_itself_when_the_error_goes() {
    if !can_trace() {
        return;
    }
    let recoveries = Mutex::new(Vec::new());
    together(each(&LASTING), |(engine, error)| {
        let begun = held_up();
        let (server, log) = failing(engine, error, "1..25", &[]);
        visits(server.addr());
        let line = server.says("accept works again after 25 failures in ");
        assert!(!line.is_empty());
        visits(server.addr());
        server.stops().with(0).says("accepted=2").says("accept-failures=25");
        let calls = log.calls();
        assert!(busiest_second(&calls) <= 20, "{} a second: {calls:#?}", busiest_second(&calls));
        let was_held_up = held_up().saturating_sub(begun) > Duration::from_millis(100);
        recoveries.lock().unwrap().push((engine, error, recovery(&calls), was_held_up));
    });
    // 200 ms is the promise; the rest is for strace. A busy machine may hold some of them up, but not all of an engine's.
    let recoveries = recoveries.into_inner().unwrap();
    let in_time =
        |engine: &str| recoveries.iter().any(|(other, _, took, _)| *other == engine && *took < 0.4);
    for (engine, error, took, was_held_up) in &recoveries {
        let excused = *was_held_up && in_time(engine);
        assert!(*took < 0.4 || excused, "{engine} {error}: {took} s, of {recoveries:?}");
    }
}

#[test]
fn several_workers_together_try_as_seldom() {
    if !can_trace() {
        return;
    }
    together(engines(), |engine| {
        let (server, log) =
            failing(engine, "ENFILE", "1+", &["--workers", "4", "--drain-timeout", "300ms"]);
        let _waiting: Vec<_> = (0..40).map(|_| server.connects()).collect();
        server.says("accept fails: ");
        let calls = log_of_two_seconds(&log);
        assert!(busiest_second(&calls) <= 20, "{} a second: {calls:#?}", busiest_second(&calls));
        assert_eq!(server.said("accept fails: ").len(), 1, "{:#?}", server.log());
        server.stops().with(0);
    });
}

#[test]
fn a_listener_that_is_broken_ends_the_server() {
    if !can_trace() {
        return;
    }
    for (engine, error) in each(&["EINVAL", "EBADF", "ENOTSOCK"]) {
        let (server, _log) = failing(engine, error, "1", &[]);
        let (addr, _client) = (server.addr(), server.connects());
        server.ends().with(2).says(&format!("accept {addr}: ")).says(&format!("({error})"));
    }
}

/// Clients that are served, and one more that is not, for want of a descriptor.
fn fill(server: &Serving) -> (Vec<TcpStream>, TcpStream) {
    let mut inside = Vec::new();
    for _ in 0..100 {
        match enters(server) {
            Ok(stream) => inside.push(stream),
            Err(stream) => return (inside, stream),
        }
    }
    panic!("descriptors do not run out");
}

/// The next client, or the one that is left to wait: no answer has come for long, and the server has said why. One alone may
/// be a busy machine.
fn enters(server: &Serving) -> Result<TcpStream, TcpStream> {
    let mut stream = server.connects();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.write_all(b"?").unwrap();
    let start = Instant::now();
    let entered = loop {
        match stream.read(&mut [0]) {
            Ok(1) => break true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !server.said("accept fails: ").is_empty() {
                    break false;
                }
                assert!(start.elapsed() < AT_ONCE, "{:#?}", server.log());
            }
            other => panic!("neither let in nor left to wait: {other:?} {:#?}", server.log()),
        }
    };
    stream.set_read_timeout(Some(AT_ONCE)).unwrap();
    if entered { Ok(stream) } else { Err(stream) }
}

#[test]
fn when_descriptors_run_out_the_next_client_waits_for_one() {
    // An iterative server needs one descriptor at a time.
    together(engines().filter(|engine| *engine != "iterative"), |engine| {
        let mut command = after("ulimit -n 40", engine, &["-m", "1000"]);
        let server = Serving::run(command.stdout(Stdio::piped()));
        let (mut inside, waiting) = fill(&server);
        assert!(inside.len() > 20, "{}", inside.len());
        assert!(server.says("accept fails: ").contains("(EMFILE)"));
        rest(&[server.pid()]);
        for stream in &mut inside {
            assert!(answers(stream));
        }
        let mut waiting = Some(waiting);
        // 200 ms is the promise.
        let soon = Duration::from_millis(400);
        let took = least(soon, || {
            let mut next = waiting.take().unwrap_or_else(|| enters(&server).unwrap_err());
            let start = Instant::now();
            inside.pop();
            sees(&mut next, b"?");
            let took = start.elapsed();
            inside.push(next);
            took
        });
        assert!(took < soon, "{took:?}");
        server.says("accept works again");
        drop(inside);
        server.stops().with(0);
    });
}

/// A connection that is served; none if the server resets it, which may come before connect(2) returns.
fn tries(server: &Serving) -> Option<TcpStream> {
    match try_connect(server.addr()) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        stream => {
            let mut stream = stream.unwrap();
            answers(&mut stream).then_some(stream)
        }
    }
}

#[test]
fn when_address_space_runs_out_threads_are_refused_and_the_server_lives() {
    let server = Serving::run(&mut after("ulimit -v 100000", "thread", &["-m", "1000"]));
    let (mut inside, mut refused) = (Vec::new(), 0);
    while refused < 20 {
        match tries(&server) {
            Some(stream) => inside.push(stream),
            None => refused += 1,
        }
        assert!(inside.len() < 900, "address space does not run out");
    }
    assert!(!inside.is_empty());
    assert!(server.says("ending=limit").contains("ENOMEM"));
    for stream in &mut inside {
        echoes(stream, b"still here");
    }
    drop(inside);
    // A thread tells its ending before its stack is unmapped, so room comes back a moment after the words.
    let patience = Instant::now() + Duration::from_secs(20);
    let mut next = loop {
        if let Some(next) = tries(&server) {
            break next;
        }
        assert!(Instant::now() < patience, "room never comes back: {:#?}", server.log());
    };
    echoes(&mut next, b"and there is room again");
    drop(next);
    server.stops().with(0);
}

#[test]
fn a_fork_or_a_thread_that_is_refused_ends_that_connection_only() {
    if !can_trace() {
        return;
    }
    // The main thread starts fewer threads; counting is by thread.
    for (engine, inject, number, call) in
        [("fork", "clone", 2, "fork: "), ("thread", call_for_a_thread(), 4, "pthread_create: ")]
    {
        for error in ["EAGAIN", "ENOMEM"] {
            let inject = format!("inject={inject}:error={error}:when={number}");
            let (server, _log) = traced(&["-e", "trace=clone,clone3", "-e", &inject], engine, &[]);
            let mut first = server.connects();
            echoes(&mut first, b"before");
            for _ in 2..number {
                visits(server.addr());
            }
            assert!(tries(&server).is_none());
            let line = server.says("ending=limit");
            assert!(line.contains("bytes=0") && line.contains(call), "{line}");
            echoes(&mut first, b"after");
            visits(server.addr());
            drop(first);
            server.stops().with(0).says("active=0");
        }
    }
}

/// The calls that an engine makes for its sessions.
fn calls_of(engine: &str) -> &'static str {
    match engine {
        "uring" => "io_uring_enter",
        "epoll" => "recvfrom,sendto,splice,epoll_wait,epoll_pwait,epoll_pwait2",
        _ => "recvfrom,sendto",
    }
}

#[test]
fn interrupted_calls_change_no_byte() {
    if !can_trace() {
        return;
    }
    for engine in engines() {
        let inject = format!("inject={}:error=EINTR:when=2+2", calls_of(engine));
        let trace = format!("trace={}", calls_of(engine));
        let (server, log) = traced(&["-e", &trace, "-e", &inject], engine, &[]);
        // The more comes at once, the fewer calls it takes.
        let mut exchanges = 0;
        while failures(&log.calls()) <= 10 {
            exchange(&server.connects(), 2 * MIB);
            exchanges += 1;
            server.says_times(&format!("ending=finished bytes={}", 2 * MIB), exchanges);
            assert!(exchanges < 100, "nothing is interrupted");
        }
        visits(server.addr());
        server.stops().with(0);
    }
}

#[test]
fn a_call_that_fails_ends_its_connection_only() {
    if !can_trace() {
        return;
    }
    for engine in engines().filter(|engine| *engine != "uring") {
        for (call, error) in ["recvfrom", "sendto"]
            .into_iter()
            .flat_map(|call| ["ENOBUFS", "ENOMEM", "ENOTCONN"].map(|error| (call, error)))
        {
            // In the first session; epoll's first recv may have found nothing. Each thread and child counts for itself.
            let inject = format!("inject={call}:error={error}:when=3");
            let trace = format!("trace={call}");
            let (server, log) = traced(&["-e", &trace, "-e", &inject], engine, &[]);
            let mut unlucky = server.connects();
            let answered = (0..4).take_while(|_| answers(&mut unlucky)).count();
            assert!((1..=2).contains(&answered), "{call} {error}");
            let line = server.says("session ");
            assert!(line.contains(&format!("({error})")), "{line}");
            assert_eq!(failures(&log.calls()), 1);
            echoes(&mut server.connects(), b"hello");
            until(|| children(server.pid()).is_empty());
            server.stops().with(0).says("accepted=2 active=0");
        }
    }
}
