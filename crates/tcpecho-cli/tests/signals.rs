//! What each signal does to `tcpecho serve`, and what none of them may do.

#[path = "common/mod.rs"]
mod common;

use std::{
    io::Write,
    net::TcpStream,
    os::unix::process::CommandExt,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use common::{
    peers::{Client, until},
    process::{children, lives, state},
    server::{after, bare},
    *,
};
use rustix::process::{Pid, Signal, kill_process};

/// Those that do nothing at all.
const HARMLESS: [Signal; 5] =
    [Signal::USR2, Signal::ALARM, Signal::PIPE, Signal::WINCH, Signal::CHILD];

fn send(pid: Pid, signal: Signal) {
    // A child may have ended meanwhile.
    let _ = kill_process(pid, signal);
}

/// The server and, if it forks, its children.
fn family(server: &Serving) -> Vec<Pid> {
    children(server.pid()).into_iter().chain([server.pid()]).collect()
}

#[test]
fn the_first_signal_drains() {
    together(everywhere(), |(engine, at)| {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            let server = Serving::start(engine, at, &["--workers", "2", "--drain-timeout", "1h"]);
            let addr = server.addr();
            let mut idle = server.connects();
            echoes(&mut idle, b"hello");
            server.gets(signal);
            sees_the_end(&mut idle);
            drop(idle);
            let ended = server.ends();
            ended.with(0).within(AT_ONCE).says("ending=draining bytes=5").says("active=0");
            assert!(TcpStream::connect(addr).is_err());
            Serving::start(engine, addr, &[]).stops().with(0);
        }
    });
}

#[test]
fn a_server_without_clients_ends_at_once() {
    for engine in engines() {
        let server =
            Serving::start(engine, somewhere(), &["--workers", "3", "--drain-timeout", "1h"]);
        server.stops().with(0).within(AT_ONCE).says("draining because of SIGTERM");
    }
}

#[test]
fn what_is_in_flight_is_answered() {
    together(everywhere(), |(engine, at)| {
        let server = Serving::start(engine, at, &[]);
        let mut stream = server.connects();
        echoes(&mut stream, b"hello");
        // All of it is in the server's receive queue when the signal comes: more would be held up by a busy machine.
        let sent = pattern(0, 60_000);
        stream.write_all(&sent).unwrap();
        server.gets(Signal::TERM);
        sees(&mut stream, &sent);
        sees_the_end(&mut stream);
        drop(stream);
        server.ends().with(0).says("bytes=60005");
    });
}

#[test]
fn connections_in_the_accept_queue_are_served() {
    together(everywhere(), |(engine, at)| {
        let server = Serving::start(engine, at, &[]);
        // Stopped, it can accept nobody; the kernel can.
        server.gets(Signal::STOP);
        until(|| state(server.pid()) == Some('T'));
        let mut waiting: Vec<_> = (0..10).map(|_| server.connects()).collect();
        for stream in &mut waiting {
            stream.write_all(b"let me in").unwrap();
        }
        server.gets(Signal::TERM);
        server.gets(Signal::CONT);
        for mut stream in waiting {
            sees(&mut stream, b"let me in");
            sees_the_end(&mut stream);
        }
        server.ends().with(0).says("accepted=10 active=0");
    });
}

fn with_a_stuck_client(engine: &str, more: &[&str]) -> (Serving, [TcpStream; 1]) {
    let server = Serving::start(engine, somewhere(), more);
    let stuck = [server.connects()];
    blast(&stuck);
    (server, stuck)
}

#[test]
fn a_stuck_client_ends_at_the_deadline() {
    together(engines(), |engine| {
        let (server, _stuck) = with_a_stuck_client(engine, &["--drain-timeout", "700ms"]);
        let ended = server.stops();
        ended.with(0).within(AT_ONCE).says("closing 1 connection because of the drain timeout");
        assert!(ended.took > Duration::from_millis(600), "{:?}", ended.took);
        ended.says("ending=draining");
    });
}

#[test]
fn a_stuck_client_ends_at_the_second_signal() {
    together(engines(), |engine| {
        let (server, _stuck) = with_a_stuck_client(engine, &["--drain-timeout", "1h"]);
        server.gets(Signal::TERM);
        server.says("draining because of SIGTERM");
        server.gets(Signal::INT);
        server.ends().with(0).within(AT_ONCE).says("closing 1 connection because of SIGINT");
    });
}

#[test]
fn usr1_prints_the_counters() {
    for (engine, at) in everywhere() {
        let server = Serving::start(engine, at, &[]);
        visits(server.addr());
        server.says("ending=finished");
        let mut second = server.connects();
        echoes(&mut second, b"twelve bytes");
        // The bytes are counted after they have been sent.
        let expected = "accepted=2 active=1 refused=0 bytes=17 accept-failures=0 finished=1";
        until(|| {
            let asked = server.said("counters ").len();
            server.gets(Signal::USR1);
            server.says_times("counters ", asked + 1).ends_with(expected)
        });
        echoes(&mut second, b"still here");
    }
}

#[test]
fn harmless_signals_do_nothing() {
    for (engine, at) in everywhere() {
        let server = Serving::start(engine, at, &[]);
        let mut stream = server.connects();
        for signal in HARMLESS {
            echoes(&mut stream, b"before");
            for pid in family(&server) {
                send(pid, signal);
            }
            echoes(&mut stream, b"after");
        }
        drop(stream);
        let ended = server.says("session ");
        assert!(ended.contains("ending=finished bytes=55"), "{ended}");
        // Draining, counters and the session: nothing else was ever said.
        assert_eq!(server.stops().with(0).log.len(), 3);
    }
}

/// Sends these to the whole family, in turn, until the transfer is over; so many at the least.
fn storm(server: &Serving, signals: &[Signal], least: usize, bytes: usize) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let stream = server.connects();
        let over = &over;
        scope.spawn(move || {
            exchange(&stream, bytes);
            over.store(true, Relaxed);
        });
        for count in 0.. {
            if count >= least && over.load(Relaxed) {
                break;
            }
            for pid in family(server) {
                send(pid, signals[count % signals.len()]);
            }
            // A process that is stopped more often than it runs would never come to an end.
            thread::sleep(Duration::from_micros(200));
        }
    });
}

#[test]
fn a_storm_of_signals_changes_no_byte() {
    for (engine, at) in everywhere() {
        let server = Serving::start(engine, at, &[]);
        storm(&server, &[Signal::USR2, Signal::CONT, Signal::ALARM, Signal::PIPE], 1000, 8 * MIB);
        server.says(&format!("ending=finished bytes={}", 8 * MIB));
        server.stops().with(0);
    }
}

#[test]
fn job_control_changes_no_byte() {
    for (engine, at) in everywhere() {
        let server = Serving::start(engine, at, &[]);
        storm(&server, &[Signal::STOP, Signal::CONT, Signal::CONT], 300, 8 * MIB);
        for pid in family(&server) {
            send(pid, Signal::CONT);
        }
        server.says(&format!("ending=finished bytes={}", 8 * MIB));
        visits(server.addr());
        server.stops().with(0);
    }
}

/// From a terminal (Ctrl-C) and from a service manager the signal goes to the children of the fork engine too.
#[test]
fn a_signal_to_the_whole_group_drains_as_well() {
    together(engines(), |engine| {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            let server =
                Serving::run(bare(engine).process_group(0).stdout(std::process::Stdio::piped()));
            let mut stream = server.connects();
            let sent = pattern(0, 60_000);
            echoes(&mut stream, b"hello");
            stream.write_all(&sent).unwrap();
            server.group_gets(signal);
            sees(&mut stream, &sent);
            sees_the_end(&mut stream);
            drop(stream);
            server.ends().with(0).within(AT_ONCE).says("ending=draining bytes=60005");
        }
    });
}

/// nohup(1) ignores SIGHUP, a shell without job control SIGINT for what it runs in the background. Both come from the
/// terminal to the whole process group.
#[test]
fn what_is_ignored_from_the_start_stays_ignored() {
    for engine in engines() {
        let mut command = after("trap '' HUP INT", engine, &[]);
        let server = Serving::run(&mut command);
        let mut stream = server.connects();
        for signal in [Signal::HUP, Signal::INT] {
            echoes(&mut stream, b"before");
            for pid in family(&server) {
                send(pid, signal);
            }
            // Long enough for a connection that drains to be taken for idle.
            sees_nothing_for(&mut stream, Duration::from_millis(200));
            echoes(&mut stream, b"after");
        }
        visits_beside(engine, &server);
        drop(stream);
        server.says("ending=finished bytes=22");
        let ended = server.stops();
        ended.with(0).says("draining because of SIGTERM");
        assert!(!ended.log.iter().any(|line| line.contains("ending=draining")), "{:#?}", ended.log);
    }
}

#[test]
fn a_forking_server_whose_children_nobody_may_wait_for() {
    let server = Serving::run(&mut after("trap '' CHLD", "fork", &[]));
    for _ in 0..5 {
        visits(server.addr());
    }
    server.says_times("ending=finished bytes=5", 5);
    assert!(children(server.pid()).is_empty());
    server.stops().with(0).says("accepted=5 active=0");
}

/// The iterative engine has no time for a second client.
fn visits_beside(engine: &str, server: &Serving) {
    if engine != "iterative" {
        visits(server.addr());
    }
}

/// With so many clients that have been served once.
fn forked(clients: usize) -> (Serving, Vec<TcpStream>) {
    let server = Serving::start("fork", somewhere(), &[]);
    let mut streams: Vec<_> = (0..clients).map(|_| server.connects()).collect();
    for stream in &mut streams {
        echoes(stream, b"hello");
    }
    (server, streams)
}

#[test]
fn a_child_that_is_told_to_end_drains_its_own_connection() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let (server, mut streams) = forked(2);
        send(children(server.pid())[0], signal);
        let line = server.says("session ");
        assert!(line.contains("ending=draining bytes=5"), "{line}");
        let alive = streams.iter_mut().map(answers).filter(|alive| *alive).count();
        assert_eq!(alive, 1);
        visits(server.addr());
    }
}

#[test]
fn killing_a_child_ends_only_its_connection() {
    for signal in [Signal::KILL, Signal::SEGV, Signal::ABORT] {
        let (server, mut streams) = forked(3);
        let victim = children(server.pid())[1];
        send(victim, signal);
        assert!(server.says("session ").contains("ending=interrupted"));
        until(|| state(victim).is_none());
        let alive = streams.iter_mut().map(answers).filter(|alive| *alive).count();
        assert_eq!(alive, 2);
        visits(server.addr());
    }
}

#[test]
fn children_that_ended_are_reaped_however_many_at_once() {
    let (server, streams) = forked(50);
    let family = children(server.pid());
    assert_eq!(family.len(), 50);
    drop(streams);
    server.says_times("ending=finished bytes=5", 50);
    assert!(children(server.pid()).is_empty());
    assert!(family.iter().all(|child| !lives(*child)));
    for _ in 0..50 {
        visits(server.addr());
    }
    server.says_times("ending=finished bytes=5", 100);
    assert!(children(server.pid()).is_empty());
}

#[test]
fn the_line_client_and_a_server_that_is_stopped_for_a_moment() {
    for (engine, at) in everywhere() {
        let server = Serving::start(engine, at, &[]);
        let mut client = Client::to(server.addr(), &[]);
        client.types(b"before\n");
        client.sees(b"before\n");
        for pid in family(&server) {
            send(pid, Signal::STOP);
            until(|| state(pid) == Some('T'));
        }
        client.types(b"while\n");
        for pid in family(&server) {
            send(pid, Signal::CONT);
        }
        client.sees(b"while\n");
        server.gets(Signal::TERM);
        // The client has been told that the server is going, and says so.
        client.ends().says("closed-early");
        server.ends().with(0).says("ending=draining");
    }
}
