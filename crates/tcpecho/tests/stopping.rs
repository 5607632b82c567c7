//! What every engine promises about its end: a drain answers what has come, a drop ends everything at once, and the port is
//! free either way.

#[macro_use]
mod common;

use std::{
    ops::Range,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use common::{
    AT_ONCE, Place, client::Client, crowd, crowd::write_until_stuck, eventually, least,
    network::Network, process,
};
use tcpecho::{Ending, Server};

promises_everywhere! {
    drain_answers_what_is_in_flight,
    drain_gives_stalled_readers_all_that_is_theirs,
    drain_answers_bulk_to_its_end,
    drain_answers_what_waits_to_be_read,
    drain_serves_the_accept_queue,
    drain_says_goodbye_to_the_idle_at_once,
    drain_waits_no_longer_than_a_moment_for_their_goodbye,
    drain_lets_the_busy_finish,
    a_stuck_client_ends_at_the_deadline,
    drain_without_connections_ends_at_once,
    close_cuts_a_drain_short,
    drop_ends_everything_at_once,
    close_is_reported_as_draining,
}

promises! {
    an_observer_that_panics_ends_the_server,
}

promises_alone! {
    restart_at_once_after_a_drain,
    restart_at_once_after_a_drop,
    drain_does_not_spin,
    drain_without_a_free_descriptor_does_not_spin,
}

const MIB: usize = 1 << 20;
/// How long a drain waits for the next word.
const QUIET: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(120);

fn drain_answers_what_is_in_flight(at: &Place) {
    let server = at.serve();
    let mut client = server.client();
    client.exchanges(b"hello");
    // So little has reached the server's receive queue, and no busy machine can hold it up.
    let in_flight = at.fits(60_000);
    client.writes(0..in_flight);
    server.begin_drain();
    client.reads(0..in_flight);
    client.sees_the_end();
    drop(client);
    assert!(server.wait(Some(LONG)));
    assert_eq!(server.tells(Ending::Draining).bytes, in_flight as u64 + 5);
}

/// Who had stopped reading and begins again in the middle of a drain sees every byte, or a reset: never FIN after a part.
fn drain_gives_stalled_readers_all_that_is_theirs(at: &Place) {
    let Some(_crowd) = crowd() else { return };
    let server = at.serve();
    let many = at.at_a_time(if at.network == Network::Plain { 4 } else { 20 });
    let stalled = write_until_stuck(server.addr(), many);
    server.begin_drain();
    assert!(!server.wait(Some(2 * QUIET)), "the drain does not wait for stalled readers");
    for (mut client, written) in stalled {
        client.reads(0..written);
        client.finishes();
        client.sees_the_end();
    }
    assert!(server.wait(Some(LONG)));
    server.is_empty_and_adds_up();
}

/// More than all queues hold, so that it takes the client's threads to keep it coming.
fn drain_answers_bulk_to_its_end(at: &Place) {
    if !(0..20).any(|_| bulk_is_answered(at)) {
        at.skip(
            "this machine holds every client up for longer than a drain waits for the next word",
        );
    }
}

/// `false` if the client was held up for as long as a drain waits.
fn bulk_is_answered(at: &Place) -> bool {
    let all = at.scaled(4 * MIB);
    let server = at.serve();
    let mut client = server.client();
    let mut twin = client.twin();
    let writer = std::thread::spawn(move || longest_pause(all, |piece| twin.writes_up_to(piece)).1);
    let begun = all / 4;
    client.reads(0..begun);
    server.begin_drain();
    let (read, pause) = longest_pause(all - begun, |piece| {
        client.reads_up_to(begun + piece.start..begun + piece.end)
    });
    let pause = pause.max(writer.join().unwrap());
    assert!(
        read == all - begun || pause >= QUIET / 2,
        "FIN after {} bytes and {pause:?}",
        begun + read
    );
    read == all - begun
}

/// Moves so many bytes in pieces, until a piece is not whole. Gives how many went, and the longest time for one.
fn longest_pause(all: usize, mut moves: impl FnMut(Range<usize>) -> usize) -> (usize, Duration) {
    let (mut moved, mut pause) = (0, Duration::ZERO);
    while moved < all {
        let piece = moved..all.min(moved + (16 << 10));
        let begun = Instant::now();
        let came = moves(piece.clone());
        pause = pause.max(begun.elapsed());
        moved += came;
        if came < piece.len() {
            break;
        }
    }
    (moved, pause)
}

/// More sessions than one wait tells of, and what they said has long been there when the loop comes to it.
fn drain_answers_what_waits_to_be_read(at: &Place) {
    if matches!(at.engine.name, "iterative" | "fork" | "thread") {
        return at.skip("no session waits for another one's turn");
    }
    let Some(_crowd) = crowd() else { return };
    let server = at.serve();
    let mut guests = server.guests(600);
    let release = server.hold_up_at(Ending::Finished);
    drop(guests.pop());
    server.tells(Ending::Finished);
    server.begin_drain();
    for (n, guest) in guests.iter_mut().enumerate() {
        guest.says(&n.to_be_bytes());
    }
    std::thread::sleep(Duration::from_millis(100));
    drop(release);
    for (n, guest) in guests.iter_mut().enumerate() {
        guest.sees(&n.to_be_bytes());
        guest.sees_the_end();
    }
    drop(guests);
    assert!(server.wait(Some(LONG)));
}

/// As many as one turn lets in, and a few more and less.
fn drain_serves_the_accept_queue(at: &Place) {
    let crowds: &[u8] = if at.one_at_a_time() { &[5] } else { &[5, 64, 70] };
    for crowd in crowds {
        let (server, release) = at.held_up(100);
        let knock = |n| {
            let mut client = server.client();
            client.says(&[n]);
            client
        };
        let clients: Vec<Client> = (0..*crowd).map(knock).collect();
        server.has_in_its_queue(u32::from(*crowd));
        server.begin_drain();
        drop(release);
        for (n, mut client) in clients.into_iter().enumerate() {
            client.sees(&[n as u8]);
            client.sees_the_end();
        }
        assert!(server.wait(Some(LONG)), "{crowd} waited, and the drain does not end");
        server.is_empty_and_adds_up();
    }
}

fn drain_says_goodbye_to_the_idle_at_once(at: &Place) {
    let server = at.serve();
    let mut guests = server.guests(at.at_a_time(5));
    server.begin_drain();
    for guest in &mut guests {
        guest.sees_the_end();
    }
    let many = guests.len();
    drop(guests);
    assert!(server.wait(Some(LONG)));
    for _ in 0..many {
        server.tells(Ending::Draining);
    }
    server.is_empty_and_adds_up();
}

fn drain_waits_no_longer_than_a_moment_for_their_goodbye(at: &Place) {
    let server = at.serve();
    let mut guests = server.guests(at.at_a_time(3));
    let since = Instant::now();
    assert!(server.drain(LONG));
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    for guest in &mut guests {
        guest.sees_the_end();
    }
}

/// What is said in the middle of a drain is answered, as long as it keeps coming.
fn drain_lets_the_busy_finish(at: &Place) {
    if !(0..50).any(|_| is_let_finish(at)) {
        at.skip(
            "this machine holds every client up for longer than a drain waits for the next word",
        );
    }
}

/// `false` if the client was itself silent for as long as a drain waits.
fn is_let_finish(at: &Place) -> bool {
    let server = at.serve();
    let mut client = server.client();
    let mut last = Instant::now();
    client.exchanges(b"hello");
    server.begin_drain();
    let start = Instant::now();
    while start.elapsed() < 3 * QUIET {
        let begun = Instant::now();
        let answered = client.tries_to_exchange(&[7; 1000]);
        if last.elapsed() >= QUIET {
            return false;
        }
        assert!(answered, "FIN after {:?} of silence", last.elapsed());
        last = begun;
        std::thread::sleep(Duration::from_millis(1));
    }
    client.finishes();
    let silence = last.elapsed();
    client.sees_the_end();
    assert!(server.wait(Some(LONG)));
    let ending = server.next_report().ending;
    let is_finished = matches!(ending, Ending::Finished);
    assert!(is_finished || silence >= QUIET, "{ending:?} after {silence:?} of silence");
    is_finished
}

fn a_stuck_client_ends_at_the_deadline(at: &Place) {
    let server = at.serve();
    let mut stuck = server.client();
    let written = stuck.writes_until_stuck(64 * MIB);
    let since = Instant::now();
    assert!(!server.drain(Duration::from_millis(200)));
    let taken = since.elapsed();
    assert!(taken > Duration::from_millis(199) && taken < AT_ONCE, "{taken:?}");
    server.tells(Ending::Draining);
    assert!(stuck.sees_a_reset() < written);
    server.is_empty_and_adds_up();
}

fn drain_without_connections_ends_at_once(at: &Place) {
    let server = at.serve();
    assert!(!server.wait(Some(Duration::ZERO)), "it runs");
    let since = Instant::now();
    assert!(server.drain(LONG));
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    assert!(server.wait(None) && server.drain(Duration::ZERO), "it has ended, and stays so");
    assert!(server.failure().is_none());
}

fn close_cuts_a_drain_short(at: &Place) {
    let server = at.serve();
    let mut stuck = server.client();
    stuck.writes_until_stuck(64 * MIB);
    server.begin_drain();
    assert!(!server.wait(Some(Duration::from_millis(100))));
    let since = Instant::now();
    server.close();
    assert!(server.wait(Some(LONG)));
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    stuck.sees_a_reset();
}

fn drop_ends_everything_at_once(at: &Place) {
    let server = at.serve();
    let mut guests = server.guests(at.at_a_time(3));
    server.has_every_acknowledgement();
    let mut stuck = server.client();
    if at.one_at_a_time() {
        server.has_in_its_queue(1);
    } else {
        stuck.writes_until_stuck(64 * MIB);
    }
    let since = Instant::now();
    drop(server);
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    for guest in &mut guests {
        guest.sees_the_end();
    }
    if at.one_at_a_time() {
        stuck.sees_the_end_or_a_reset();
    } else {
        stuck.sees_a_reset();
    }
}

fn close_is_reported_as_draining(at: &Place) {
    let server = at.serve();
    let guests = server.guests(at.at_a_time(3));
    server.close();
    assert!(server.wait(Some(LONG)));
    for _ in guests {
        server.tells(Ending::Draining);
    }
}

/// It runs in the engine's loop, which cannot go on; whoever waits for the server must learn of it.
fn an_observer_that_panics_ends_the_server(at: &Place) {
    if at.engine.name == "thread" {
        return at.skip("it panics in the connection's own thread");
    }
    let server = at.builder().observe(|_| panic!("on purpose")).start().unwrap();
    let mut client = Client::connects(server.addr());
    client.exchanges(b"hello");
    client.finishes();
    assert!(server.wait(Some(LONG)));
    assert!(server.failure().unwrap().to_string().contains("panicked"));
}

fn again(server: &Server) -> Server {
    let again = Server::builder().engine(server.engine()).listen(server.addr());
    let again = again.start().unwrap_or_else(|error| panic!("no restart: {error}"));
    Client::connects(again.addr()).exchanges(b"hello again");
    again
}

/// The server closes first, so it is its port that sits in `TIME_WAIT`.
fn restart_at_once_after_a_drain(at: &Place) {
    let server = at.serve();
    let mut guests = server.guests(at.at_a_time(3));
    server.begin_drain();
    for guest in &mut guests {
        guest.sees_the_end();
    }
    drop(guests);
    assert!(server.wait(Some(LONG)));
    let port = server.addr().port();
    // The client's FIN may still be on its way.
    eventually("a connection is in TIME_WAIT", || {
        process::connections(port).iter().any(|state| state == "TIME_WAIT")
    });
    again(&server);
}

fn restart_at_once_after_a_drop(at: &Place) {
    let server = at.serve();
    let guests = server.guests(at.at_a_time(3));
    let addr = server.addr();
    server.has_every_acknowledgement();
    drop(server);
    assert!(!process::connections(addr.port()).is_empty());
    let server = at.serve_with(|_| Server::builder().engine(at.engine).listen(addr));
    server.serves();
    drop(guests);
}

fn drain_does_not_spin(at: &Place) {
    spends_little(|| drain_of_guests(at, Vec::new));
}

fn drain_without_a_free_descriptor_does_not_spin(at: &Place) {
    spends_little(|| drain_of_guests(at, process::take_all_descriptors));
}

/// A drain of guests lasts 50 ms at the least, which a spin would take all.
fn spends_little(drain: impl FnMut() -> Duration) {
    let little = Duration::from_millis(20);
    let spent = least(little, drain);
    assert!(spent < little, "{spent:?}");
}

/// The processor time of this process and its children while quiet guests see the server's FIN.
fn drain_of_guests(at: &Place, take: fn() -> Vec<OwnedFd>) -> Duration {
    let server = at.serve();
    let mut guests = server.guests(at.at_a_time(3));
    let taken = take();
    let before = process::cpu_of_all();
    server.begin_drain();
    for guest in &mut guests {
        guest.sees_the_end();
    }
    let spent = process::cpu_of_all().saturating_sub(before);
    drop((guests, taken));
    assert!(server.wait(Some(LONG)));
    spent
}
