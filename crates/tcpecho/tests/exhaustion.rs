//! What every engine promises when something has run out: it waits without spinning, says so once, loses at most the
//! connection at hand, and goes on as soon as there is some again.

#[macro_use]
mod common;

use std::time::{Duration, Instant};

use common::{
    PATIENCE, Place,
    client::{Client, Unconnected},
    eventually, least, process,
    served::{Served, Told},
};
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use tcpecho::Ending;

promises_alone! {
    a_server_that_starts_can_serve,
    without_descriptors_clients_wait_and_nothing_spins,
    without_descriptors_several_workers_try_no_more_often_than_one,
    a_drain_without_descriptors_serves_the_queue_when_there_are_some,
    a_descriptor_freed_by_the_end_of_a_session_is_used_at_once,
    a_descriptor_freed_by_anybody_is_used_soon,
    without_processes_one_connection_ends_and_the_server_lives,
}

/// With few descriptors left, `start` fails or the server works; it never says yes and stays deaf.
fn a_server_that_starts_can_serve(at: &Place) {
    let mut refused = 0;
    for left in 0..24 {
        let mut taken = process::take_all_descriptors();
        taken.truncate(taken.len() - left);
        let started = at.builder().start();
        drop(taken);
        match started {
            Ok(server) => {
                let mut client = Client::connects(server.addr());
                client.says(b"hello");
                client.sees(b"hello");
            }
            Err(error) => {
                assert_eq!(error.source, Errno::MFILE, "{error}");
                refused += 1;
            }
        }
    }
    assert!((1..24).contains(&refused), "{refused} of 24 refused");
}

/// A server at which clients wait because this process has no descriptor left.
struct Exhausted {
    server: Served,
    guests: Vec<Client>,
    taken: Vec<std::os::fd::OwnedFd>,
    /// The first that waits.
    waiting: Client,
    /// Sockets made in time.
    spare: Vec<Unconnected>,
}

impl Exhausted {
    fn at(place: &Place, guests: usize) -> Exhausted {
        Exhausted::server(place.serve(), guests)
    }

    fn server(server: Served, guests: usize) -> Exhausted {
        // It has all that it needs, and then nobody opens or closes anything.
        server.serves();
        let guests = server.guests(guests);
        let mut before = 0;
        eventually("the descriptors are counted", || {
            std::thread::sleep(Duration::from_millis(20));
            let now = process::descriptors();
            std::mem::replace(&mut before, now) == now
        });
        let mut spare: Vec<_> = (0..5).map(|_| Client::unconnected(server.addr())).collect();
        let taken = process::take_all_descriptors();
        let mut waiting = spare.pop().unwrap().connected_to(server.addr());
        waiting.says(b"anybody there?");
        let told = server.told.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(told, Told::Failing(tcpecho::Errno::EMFILE)), "{told:?}");
        Exhausted { server, guests, taken, waiting, spare }
    }

    /// The one that waits is served.
    fn serves_the_waiting(&mut self) {
        self.waiting.sees(b"anybody there?");
        let told = self.server.told.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(told, Told::Resumed(failures) if failures > 0), "{told:?}");
    }
}

fn without_descriptors_clients_wait_and_nothing_spins(at: &Place) {
    let mut at_the_limit = Exhausted::at(at, 0);
    let Exhausted { server, waiting, spare, taken, .. } = &mut at_the_limit;
    let mut others: Vec<_> =
        spare.drain(..).map(|socket| socket.connected_to(server.addr())).collect();
    let (failures, start) = (server.stats().accept_failures, Instant::now());
    let little = Duration::from_millis(20);
    let spent = least(little, || {
        let before = process::cpu();
        std::thread::sleep(Duration::from_secs(1));
        process::cpu().saturating_sub(before)
    });
    assert!(spent < little, "{spent:?} in a second");
    let tries = server.stats().accept_failures - failures;
    let most = 20 * (start.elapsed().as_secs() + 1);
    assert!(tries <= most, "{tries} tries in {:?}", start.elapsed());
    eventually("it is tried again", || server.stats().accept_failures > failures);
    waiting.has_seen_nothing();
    assert!(server.told.try_recv().is_err(), "it is said once");
    taken.clear();
    waiting.sees(b"anybody there?");
    waiting.finishes();
    waiting.sees_the_end();
    for client in &mut others {
        client.exchanges(b"me too");
        client.finishes();
        client.sees_the_end();
    }
    server.is_empty_and_adds_up();
    // It listens as before, and waits for the next client without a processor.
    for _ in 0..3 {
        server.serves();
    }
    let spent = least(little, || {
        let before = process::cpu();
        std::thread::sleep(Duration::from_millis(300));
        process::cpu().saturating_sub(before)
    });
    assert!(spent < little, "{spent:?} in 300 ms without anything to do");
}

/// Each has a listener of its own, and what one has found out holds for all.
fn without_descriptors_several_workers_try_no_more_often_than_one(at: &Place) {
    let server = at.serve_with(|server| server.workers(4));
    let mut at_the_limit = Exhausted::server(server, 0);
    let Exhausted { server, spare, .. } = &mut at_the_limit;
    let _others: Vec<_> =
        spare.drain(..).map(|socket| socket.connected_to(server.addr())).collect();
    let (failures, start) = (server.stats().accept_failures, Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    let tries = server.stats().accept_failures - failures;
    let most = 20 * (start.elapsed().as_secs() + 1);
    assert!(tries <= most, "{tries} tries in {:?}", start.elapsed());
}

/// Whoever was in the queue when the drain began has been promised to be served.
fn a_drain_without_descriptors_serves_the_queue_when_there_are_some(at: &Place) {
    let mut at_the_limit = Exhausted::at(at, 0);
    at_the_limit.server.begin_drain();
    at_the_limit.waiting.has_seen_nothing();
    at_the_limit.taken.clear();
    at_the_limit.serves_the_waiting();
    at_the_limit.waiting.sees_the_end();
    assert!(at_the_limit.server.wait(Some(PATIENCE)));
}

/// The client keeps its own end, in the same process, open.
fn a_descriptor_freed_by_the_end_of_a_session_is_used_at_once(at: &Place) {
    if at.one_at_a_time() {
        return at.skip("when a session ends nobody has been accepted, so nothing has failed");
    }
    let at_once = Duration::from_millis(200);
    let took = least(at_once, || {
        let mut at_the_limit = Exhausted::at(at, 2);
        let since = Instant::now();
        at_the_limit.guests[0].finishes();
        at_the_limit.serves_the_waiting();
        let took = since.elapsed();
        at_the_limit.guests[1].exchanges(b"not disturbed");
        took
    });
    assert!(took < at_once, "{took:?}");
}

fn a_descriptor_freed_by_anybody_is_used_soon(at: &Place) {
    let soon = Duration::from_millis(500);
    let took = least(soon, || {
        let mut at_the_limit = Exhausted::at(at, at.at_a_time(2) - 1);
        let since = Instant::now();
        at_the_limit.taken.pop();
        at_the_limit.serves_the_waiting();
        since.elapsed()
    });
    assert!(took < soon, "{took:?}");
}

/// The limit on a user's processes and threads does not bind root, so this thread, whose rights the server's inherit,
/// becomes somebody else.
fn without_processes_one_connection_ends_and_the_server_lives(at: &Place) {
    if !matches!(at.engine.name, "fork" | "thread") {
        return at.skip("a connection costs no process and no thread");
    }
    if rustix::process::geteuid().is_root() {
        let nobody = rustix::process::Uid::from_raw(65534);
        if let Err(errno) = rustix::thread::set_thread_res_uid(nobody, nobody, nobody) {
            return at.skip(&format!("root cannot become nobody here: {errno}"));
        }
    }
    let server = at.serve();
    let mut first = server.guests(1).remove(0);
    let limit = getrlimit(Resource::Nproc);
    setrlimit(Resource::Nproc, Rlimit { current: Some(0), ..limit }).unwrap();
    for _ in 0..3 {
        server.client().sees_the_end_or_a_reset();
        let report = server.tells(Ending::Limit);
        assert_eq!(report.call.map(|(_, errno)| errno), Some(tcpecho::Errno::EAGAIN), "{report:?}");
    }
    first.exchanges(b"not disturbed");
    setrlimit(Resource::Nproc, limit).unwrap();
    server.serves();
    eventually("only the first is left", || server.stats().active == 1);
}
