//! What a running server lets its owner do: list the connections, reset one of them, and replace the faults.

#[macro_use]
mod common;

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read},
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use common::{Place, client::Client, eventually, served::Served};
use tcpecho::{Ending, FaultPlan, LiveSession, Server};

promises_without_loss! {
    a_reset_ends_one_connection_with_rst,
    a_reset_ends_a_connection_whose_peer_does_not_read,
    a_reset_ends_a_script,
    the_list_has_every_connection_and_its_fault,
    a_tracked_connection_ends_with_fin,
    what_is_not_tracked_is_not_listed,
    faults_are_replaced_while_it_runs,
}

promises! {
    a_reset_meets_no_other_connection,
    a_reset_during_a_drain,
    the_same_faults_again_give_the_same_run,
}

promises_alone! {
    tracking_leaves_nothing_open,
}

fn tracked(at: &Place) -> Served {
    at.serve_with(|server| server.track_sessions(true))
}

fn plan(text: &str) -> FaultPlan {
    text.parse().unwrap()
}

/// The connection of this client, once it is accepted.
fn session(server: &Served, client: SocketAddr) -> LiveSession {
    let mut found = None;
    eventually("it is accepted", || {
        found = server.live().into_iter().find(|live| live.peer == client);
        found.is_some()
    });
    found.unwrap()
}

/// The next read fails with ECONNRESET.
fn sees_rst(client: Client) {
    let error = client.into_stream().read(&mut [0; 64]).expect_err("RST");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

fn a_reset_ends_one_connection_with_rst(at: &Place) {
    let server = tracked(at);
    let mut clients = server.guests(at.at_a_time(3));
    let victim = clients.swap_remove(clients.len() / 2);
    let id = session(&server, victim.addr()).id;
    assert!(server.reset(id));
    // From then on it is not there, although the engine may not have closed it yet.
    assert!(!server.reset(id) && server.live().iter().all(|live| live.id != id));
    sees_rst(victim);
    let report = server.tells(Ending::Fault);
    assert_eq!((report.id, report.reset, report.bytes), (Some(id), true, 5), "{report:?}");
    assert_eq!((report.call, report.fault), (None, None));
    assert!(!server.reset(id) && !server.reset(0) && !server.reset(u64::MAX));
    for client in &mut clients {
        client.exchanges(b"still here");
    }
    server.serves();
}

fn a_reset_ends_a_connection_whose_peer_does_not_read(at: &Place) {
    let server = tracked(at);
    let mut client = server.client();
    client.writes_until_stuck(64 << 20);
    assert!(server.reset(session(&server, client.addr()).id));
    client.sees_a_reset();
    let report = server.tells(Ending::Fault);
    assert!(report.reset && report.call.is_none(), "{report:?}");
    server.serves();
}

fn a_reset_ends_a_script(at: &Place) {
    for script in ["echo 1; pause 1h", "echo 1; stop-reading", "echo 1; fin; pause 1h", "echo all"]
    {
        let server = tracked(at);
        server.set_faults(Some(&plan(script))).unwrap();
        let mut client = server.client();
        client.exchanges(b"x");
        let live = session(&server, client.addr());
        assert_eq!(live.fault.unwrap().to_string(), script);
        if script.contains("fin") {
            client.sees_the_end();
        }
        assert!(server.reset(live.id));
        if !script.contains("fin") {
            sees_rst(client);
        }
        let report = server.tells(Ending::Fault);
        let fired = report.fault.as_ref().unwrap();
        assert!(report.reset && fired.completed < fired.script.steps().len(), "{report:?}");
    }
}

fn the_list_has_every_connection_and_its_fault(at: &Place) {
    let server = tracked(at);
    assert!(server.live().is_empty());
    // A scripted connection leaves the engine, so the iterative one serves the next client.
    server.set_faults(Some(&plan("2:echo 5; pause 1h"))).unwrap();
    let wanted: Vec<_> =
        if at.one_at_a_time() { vec![server.guests(1).remove(0)] } else { server.guests(3) };
    let live = server.live();
    assert_eq!(live.len(), wanted.len(), "{live:?}");
    for (n, (live, client)) in live.iter().zip(&wanted).enumerate() {
        assert_eq!((live.id, live.peer), (n as u64 + 1, client.addr()));
        assert_eq!(live.local, server.addr());
        let fault = live.fault.as_ref().map(ToString::to_string);
        assert_eq!(fault.as_deref(), (n == 1).then_some("echo 5; pause 1h"));
        assert!(live.age <= server.live()[n].age);
    }
    drop(wanted);
    server.begin_drain();
    eventually("all have ended", || server.live().is_empty() || server.stats().active == 1);
}

/// The second descriptor is closed before the engine's, so the peer gets its FIN when the echo is complete.
fn a_tracked_connection_ends_with_fin(at: &Place) {
    let server = tracked(at);
    for n in 1..=3 {
        server.serves();
        let report = server.tells(Ending::Finished);
        assert_eq!((report.id, report.reset), (Some(n), false));
    }
    assert!(server.live().is_empty());
    server.is_empty_and_adds_up();
}

fn what_is_not_tracked_is_not_listed(at: &Place) {
    let server = at.serve();
    let mut client = server.guests(1).remove(0);
    assert!(server.live().is_empty() && !server.reset(1));
    client.exchanges(b"still here");
    client.finishes();
    client.sees_the_end();
    let report = server.tells(Ending::Finished);
    assert_eq!((report.id, report.reset), (None, false));
}

fn faults_are_replaced_while_it_runs(at: &Place) {
    let server = at.serve();
    assert_eq!(server.fault_plan(), None);
    server.serves();
    server.tells(Ending::Finished);
    let mut before = server.guests(1).remove(0);
    server.set_faults(Some(&plan("2:reset,3:echo 2; close"))).unwrap();
    assert_eq!(server.fault_plan(), Some(plan("2:reset,3:echo 2; close")));
    // The connection from before keeps what it had: no fault.
    before.exchanges(b"no fault");
    before.finishes();
    before.sees_the_end();
    server.tells(Ending::Finished);
    // Conditions count from here on.
    server.serves();
    server.tells(Ending::Finished);
    sees_rst(server.client());
    server.tells(Ending::Fault);
    let mut third = server.client();
    third.says(b"12");
    third.sees(b"12");
    third.sees_the_end();
    server.tells(Ending::Fault);
    server.set_faults(Some(&plan("reset"))).unwrap();
    sees_rst(server.client());
    server.tells(Ending::Fault);
    server.set_faults(None).unwrap();
    assert_eq!(server.fault_plan(), None);
    server.serves();
    server.tells(Ending::Finished);
    assert_eq!(server.stats().faults, 3);
    assert!(server.drain(common::PATIENCE));
}

/// Numbers of connections that have ended are reset again and again, while others begin and get their descriptors.
fn a_reset_meets_no_other_connection(at: &Place) {
    if at.one_at_a_time() {
        // Each connection ends before the next one begins.
        let server = tracked(at);
        server.serves();
        let mut next = server.guests(1).remove(0);
        assert!(!server.reset(1));
        return next.exchanges(b"still here");
    }
    let server = tracked(at);
    let mut witnesses = server.guests(5);
    let own: BTreeSet<u64> = server.live().iter().map(|live| live.id).collect();
    assert_eq!(own.len(), 5);
    let (done, running): (_, &Server) = (AtomicBool::new(false), &server);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                for live in running.live().iter().filter(|live| !own.contains(&live.id)) {
                    running.reset(live.id);
                }
                let all = running.stats().accepted;
                for id in (1..=all).filter(|id| !own.contains(id)) {
                    running.reset(id);
                }
            }
        });
        for _ in 0..at.scaled(200) {
            // It may be reset, or not.
            let mut client = server.client();
            client.tries_to_exchange(b"hello");
        }
        done.store(true, Relaxed);
    });
    for client in &mut witnesses {
        client.exchanges(b"still here");
    }
}

fn a_reset_during_a_drain(at: &Place) {
    let server = tracked(at);
    server.set_faults(Some(&plan("echo 5; pause 1h"))).unwrap();
    let client = server.guests(1).remove(0);
    server.begin_drain();
    assert!(server.reset(session(&server, client.addr()).id));
    sees_rst(client);
    assert!(server.tells(Ending::Fault).reset);
    assert!(server.wait(Some(common::PATIENCE)));
}

fn the_same_faults_again_give_the_same_run(at: &Place) {
    let server = at.serve_with(|server| server.seed(7));
    let run = || {
        server.set_faults(Some(&plan("probability=0.5:reset"))).unwrap();
        let one = |_| {
            let mut client = server.client();
            client.tries_to_exchange(b"x");
            drop(client);
            server.next_report().fault.is_some()
        };
        (0..20).map(one).collect::<Vec<bool>>()
    };
    let first = run();
    assert!(first.contains(&true) && first.contains(&false), "{first:?}");
    assert_eq!(run(), first);
}

fn tracking_leaves_nothing_open(at: &Place) {
    let descriptors = common::process::descriptors();
    let server = tracked(at);
    let before = common::process::descriptors();
    for _ in 0..10 {
        let clients = server.guests(at.at_a_time(10));
        for live in server.live().iter().take(3) {
            server.reset(live.id);
        }
        drop(clients);
        eventually("all have ended", || server.stats().active == 0);
    }
    assert!(server.live().is_empty());
    eventually("descriptors are closed", || common::process::descriptors() == before);
    drop(server);
    assert_eq!(common::process::descriptors(), descriptors);
}
