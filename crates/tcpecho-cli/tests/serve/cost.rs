//! What a session costs: system calls, as strace(1) sees them, and memory.

use std::{net::Shutdown, time::Duration};

use rustix::process::Signal;

use crate::common::{
    process::{children, resident},
    trace::{MESSAGES, calls_of_a_client, can_trace, count, traced},
    *,
};

#[test]
fn an_idle_server_makes_no_system_calls() {
    if !can_trace() {
        return;
    }
    together(engines(), |engine| {
        let (server, log) = traced(&[], engine, &["--workers", "2"]);
        let mut idle: Vec<_> = (0..3).map(|_| server.connects()).collect();
        // Some of them have been served, and an iterative server has somebody waiting.
        for stream in idle.iter_mut().take(if engine == "iterative" { 1 } else { 2 }) {
            echoes(stream, b"hello");
        }
        let quiet = log.is_quiet_for(Duration::from_millis(1500));
        assert!(quiet && !log.calls().is_empty(), "{engine}: {:#?}", log.calls());
    });
}

#[test]
fn an_echo_costs_the_blocking_engines_one_recv_and_one_send() {
    if !can_trace() {
        return;
    }
    for engine in engines().filter(|engine| ["iterative", "fork", "thread"].contains(engine)) {
        let (counts, _log) = calls_of_a_client(engine, &[]);
        assert_eq!(count(&counts, "recvfrom"), MESSAGES + 1, "{engine} {counts:?}");
        assert_eq!(count(&counts, "sendto"), MESSAGES, "{engine} {counts:?}");
        // Everything else is the beginning and the end of the session and of the server.
        let all: usize = counts.values().sum();
        assert!(all < 2 * MESSAGES + 150, "{engine} {counts:?}");
    }
}

/// A fault that other connections get is drawn when this one is accepted, and never again.
#[test]
fn a_fault_for_others_costs_an_echo_nothing() {
    if !can_trace() {
        return;
    }
    for engine in engines() {
        let (plain, _log) = calls_of_a_client(engine, &[]);
        let (armed, _log) =
            calls_of_a_client(engine, &["--fault", "reset", "--fault-when", "every=1000"]);
        // The calls of an echo come a hundred times. The others are those of the beginning and the end, whose number
        // depends a little on who comes first.
        for name in plain.keys().chain(armed.keys()) {
            let (plain, armed) = (count(&plain, name), count(&armed, name));
            assert!(plain.abs_diff(armed) < MESSAGES / 10, "{engine} {name}: {plain} and {armed}");
        }
        println!("{engine}: {plain:?}\n{engine} with a fault: {armed:?}");
    }
}

#[test]
fn an_echo_costs_epoll_a_wait_more() {
    if !can_trace() {
        return;
    }
    let (counts, _log) = calls_of_a_client("epoll", &[]);
    let waits: usize =
        ["epoll_wait", "epoll_pwait", "epoll_pwait2"].map(|name| count(&counts, name)).iter().sum();
    assert!((MESSAGES..MESSAGES + 10).contains(&waits), "{counts:?}");
    // The first try is made when the connection comes, and may find nothing.
    assert!((MESSAGES + 1..=MESSAGES + 2).contains(&count(&counts, "recvfrom")), "{counts:?}");
    assert_eq!(count(&counts, "sendto"), MESSAGES, "{counts:?}");
}

#[test]
fn an_echo_costs_uring_nothing_but_trips_into_its_ring() {
    if !can_trace() || !engines().any(|engine| engine == "uring") {
        return;
    }
    let (counts, _log) = calls_of_a_client("uring", &[]);
    // A lone client pays for two: one hands the send over and returns when it is done, one waits for the next message.
    let enters = count(&counts, "io_uring_enter");
    assert!((MESSAGES..2 * MESSAGES + 10).contains(&enters), "{counts:?}");
    assert_eq!(count(&counts, "recvfrom") + count(&counts, "sendto"), 0, "{counts:?}");
}

/// A drain waits for silence, and then half a second for the peer's FIN, which does not come.
#[test]
fn a_drain_of_a_blocking_engine_waits_without_polling() {
    if !can_trace() {
        return;
    }
    let blocking = engines().filter(|engine| ["iterative", "fork", "thread"].contains(engine));
    together(blocking, |engine| {
        let (server, log) = traced(&[], engine, &["--log", "off"]);
        let mut stream = server.connects();
        echoes(&mut stream, b"hello");
        assert!(log.is_quiet_for(Duration::from_millis(200)), "{engine}");
        let before = log.calls().len();
        server.gets(Signal::TERM);
        sees_the_end(&mut stream);
        server.ends().with(0);
        let counted = ["recvfrom", "getsockopt", "ioctl", "poll", "ppoll"];
        let calls = log.calls().split_off(before);
        let looks = calls.iter().filter(|call| counted.iter().any(|name| call.is(name))).count();
        assert!(looks < 30, "{engine}: {calls:#?}");
    });
}

#[test]
fn the_server_sends_only_to_its_clients() {
    if !can_trace() {
        return;
    }
    for engine in engines() {
        let (server, log) = traced(&["-e", "trace=network"], engine, &[]);
        let ready = log.calls().len();
        for _ in 0..3 {
            visits(server.addr());
        }
        server.says_times("ending=finished", 3);
        server.stops().with(0);
        let calls = log.calls();
        let mut newest_is_datagram = false;
        for call in &calls {
            if call.is("socket") {
                newest_is_datagram = call.text.contains("SOCK_DGRAM");
            }
            // Before the server is ready; such a connect asks for a route and sends nothing (ip(7)).
            if call.is("connect") && newest_is_datagram {
                continue;
            }
            let outgoing = ["connect", "sendmsg", "sendmmsg"].iter().any(|name| call.is(name));
            // An address would stand where NULL stands.
            let addressed = call.is("sendto") && !call.text.contains(", NULL, 0");
            assert!(!outgoing && !addressed, "{engine}: {}", call.text);
        }
        let sockets = calls[ready..].iter().filter(|call| call.is("socket")).count();
        assert_eq!(sockets, 0, "{engine}: a socket that no client asked for");
    }
}

#[test]
fn readers_that_stall_cost_bounded_memory() {
    const MOST: usize = 40 * MIB;
    for (engine, at) in everywhere().filter(|(engine, _)| *engine != "iterative") {
        let server = Serving::start(engine, at, &[]);
        let stalled: Vec<_> = (0..30).map(|_| server.connects()).collect();
        blast(&stalled);
        for pid in children(server.pid()).into_iter().chain([server.pid()]) {
            let resident = resident(pid);
            assert!(resident < MOST, "{engine}: {resident} bytes");
        }
        visits(server.addr());
    }
}

#[test]
fn a_stalled_reader_whose_fin_has_come_costs_no_time() {
    together(engines(), |engine| {
        let server = Serving::start(engine, somewhere(), &[]);
        let stalled = [server.connects()];
        blast(&stalled);
        stalled[0].shutdown(Shutdown::Write).unwrap();
        let family: Vec<_> = children(server.pid()).into_iter().chain([server.pid()]).collect();
        rest(&family);
        // Once it reads, it gets everything and the end.
        let [mut stream] = stalled;
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
        server.says("ending=finished");
    });
}
