//! What every engine promises to the clients of a running server: every byte comes back, in order, once, and nobody is in
//! another's way.

#[macro_use]
mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use common::{
    AT_ONCE, Place,
    client::Client,
    crowd,
    crowd::{Part, converse, read_back, write_until_stuck},
    eventually,
    network::Network,
    pattern::Random,
    process,
    served::Served,
};
use tcpecho::Ending;
use tcpecho_os::{tcp_info::tcp_info, tcp_state::TcpState};

promises_everywhere! {
    a_message_is_echoed,
    half_close_keeps_what_is_in_flight,
    one_byte_at_a_time,
    a_thousand_sessions_of_random_sizes,
    storms_of_short_connections,
    a_firehose_into_peers_that_never_read,
    bulk_in_both_directions,
    bulk_then_small_then_bulk,
    a_stall_in_bulk_ends_when_the_peer_reads_again,
    bytes_of_a_dead_connection_go_to_nobody,
    urgent_bytes_come_back_in_their_place,
    urgent_bytes_in_the_middle_of_bulk,
    a_reset_is_reported_and_the_server_goes_on,
    a_reset_in_the_accept_queue_is_survived,
    a_storm_of_connections_that_do_not_stay,
    no_more_than_the_limit,
    an_idle_client_sees_fin,
    a_stalled_client_counts_as_idle,
    a_busy_client_is_not_idle,
    neither_bulk_nor_a_stalled_reader_delays_the_others,
}

promises_alone! {
    in tiny networks:
    peers_that_never_read_take_no_thread,
}

promises_alone! {
    everywhere:
    urgent_data_costs_no_processor_time,
    fin_while_we_are_blocked_costs_no_processor_time,
    an_idle_server_makes_no_system_calls,
}

const MIB: usize = 1 << 20;

fn a_message_is_echoed(at: &Place) {
    let server = at.serve();
    let mut client = server.client();
    client.says(b"hello");
    client.sees(b"hello");
    client.finishes();
    client.sees_the_end();
    let report = server.tells(Ending::Finished);
    assert_eq!((report.peer, report.bytes, report.call), (client.addr(), 5, None));
}

fn half_close_keeps_what_is_in_flight(at: &Place) {
    let server = at.serve();
    let mut client = server.client();
    let in_flight = at.fits(60_000);
    client.writes(0..in_flight);
    client.finishes();
    client.reads(0..in_flight);
    client.sees_the_end();

    let much = at.scaled(8 * MIB);
    let mut client = server.client();
    let mut twin = client.twin();
    let writer = std::thread::spawn(move || {
        twin.writes(0..much);
        twin.finishes();
    });
    client.reads(0..much);
    client.sees_the_end();
    writer.join().unwrap();
}

fn one_byte_at_a_time(at: &Place) {
    let server = at.serve();
    let mut client = server.client();
    for n in 0..at.scaled(10_000) {
        client.exchanges(&[n as u8]);
    }
}

fn a_thousand_sessions_of_random_sizes(at: &Place) {
    let Some(_crowd) = crowd() else { return };
    let server = at.serve();
    let many = at.scaled(if at.engine.name == "fork" { 400 } else { 1000 });
    converse(server.addr(), random_sizes().take(many), at.at_a_time(many));
    server.is_empty_and_adds_up();
    assert_eq!(server.stats().ended(Ending::Finished), many as u64);
}

/// From one byte to 256 KiB, as many small ones as large ones.
fn random_sizes() -> impl Iterator<Item = Part> {
    let mut random = Random::new(1000);
    std::iter::from_fn(move || {
        let scale = 1 << random.below(19);
        let size = 1 + random.below(scale);
        Some(Part { size, chunk: [1000, 16_384, 65_536][random.below(3)] })
    })
}

/// Connections that come, say a word, half-close, and are gone, 64 at a time.
fn storms_of_short_connections(at: &Place) {
    let server = at.serve();
    let mut random = Random::new(64);
    // Every fork copies the table of a process that runs other tests.
    let storm = at.scaled(if at.engine.name == "fork" { 400 } else { 2000 });
    let words = std::iter::from_fn(|| Some(Part { size: random.below(200), chunk: 100 }));
    converse(server.addr(), words.take(storm), at.at_a_time(64));
    server.is_empty_and_adds_up();
    assert_eq!(server.stats().ended(Ending::Finished), storm as u64);
}

/// What they wrote stays theirs: it comes back when they read at last.
fn a_firehose_into_peers_that_never_read(at: &Place) {
    let Some(_crowd) = crowd() else { return };
    let server = at.serve();
    // Where buffers grow to megabytes, a few clients take as long to read it all as many do elsewhere.
    let many = at.at_a_time(if at.network == Network::Plain { 8 } else { 100 });
    let stalled = write_until_stuck(server.addr(), many);
    if !at.one_at_a_time() {
        server.serves();
        eventually("all but that one stay", || server.stats().active == many as u64);
    }
    read_back(stalled);
    server.is_empty_and_adds_up();
    assert_eq!(server.stats().ended(Ending::Finished), server.stats().accepted);
}

/// Neither of ours nor of the kernel's, which has worker threads for what io_uring cannot do without blocking.
fn peers_that_never_read_take_no_thread(at: &Place) {
    if matches!(at.engine.name, "iterative" | "fork" | "thread") {
        return at.skip("a connection has a thread or a process of its own");
    }
    let Some(_crowd) = crowd() else { return };
    let server = at.serve();
    server.client().streams(0..2 * MIB);
    let before = process::all_tasks();
    let stalled = write_until_stuck(server.addr(), 1000);
    server.serves();
    let now = process::all_tasks();
    assert!(now.len() <= before.len(), "{now:?}, not {before:?}");
    // Many short sends for each of them: one that must be whole is given to a worker thread after some.
    read_back(stalled);
    let now = process::all_tasks();
    assert!(now.len() <= before.len(), "{now:?}, not {before:?}");
}

fn bulk_in_both_directions(at: &Place) {
    let server = at.serve();
    let mut client = server.client();
    let much = at.scaled(64 * MIB);
    client.streams(0..much);
    client.finishes();
    client.sees_the_end();
    assert_eq!(server.tells(Ending::Finished).bytes, much as u64);
}

fn bulk_then_small_then_bulk(at: &Place) {
    let server = at.serve();
    let mut client = server.client();
    for _ in 0..2 {
        client.streams(0..at.scaled(4 * MIB));
        for n in 0..100 {
            client.exchanges(&[n; 10]);
        }
    }
    client.streams(0..at.scaled(4 * MIB));
}

/// What the server holds when its peer stops reading it sends without another byte from the peer.
fn a_stall_in_bulk_ends_when_the_peer_reads_again(at: &Place) {
    let server = at.serve();
    let mut client = server.client();
    let much = at.scaled(4 * MIB);
    let mut written = 0;
    for _ in 0..2 {
        client.streams(written..written + much);
        written += much;
        let stalled = client.writes_until_stuck_from(written, written + 64 * MIB);
        client.reads(written..written + stalled);
        written += stalled;
        client.exchanges(b"and on");
    }
    client.finishes();
    client.sees_the_end();
}

/// Buffers and pipes that one connection after the other uses are empty whenever they change hands.
fn bytes_of_a_dead_connection_go_to_nobody(at: &Place) {
    let server = at.serve();
    let much = at.scaled(4 * MIB);
    for _ in 0..3 {
        let mut client = server.client();
        client.streams(0..much);
        client.writes_until_stuck_from(much, 64 * MIB);
        client.resets();
        eventually("the connection has ended", || server.stats().active == 0);
    }
    let mut client = server.client();
    client.streams(0..much);
    client.finishes();
    client.sees_the_end();
}

/// UNP 24.2; RFC 6093 section 6: urgent data is data, in line.
fn urgent_bytes_come_back_in_their_place(at: &Place) {
    let server = at.serve();
    let mut client = server.client();
    client.says(b"one ");
    client.says_urgently(b'!');
    client.says(b" two");
    client.sees(b"one ! two");
    client.says_urgently(b'?');
    client.finishes();
    client.sees(b"?");
    client.sees_the_end();
}

/// Read at once, and read only when everything, FIN included, lies before the server.
fn urgent_bytes_in_the_middle_of_bulk(at: &Place) {
    let server = at.serve();
    let much = at.scaled(4 * MIB);
    for read_late in [false, true] {
        let mut client = server.client();
        let mut twin = client.twin();
        let writer = std::thread::spawn(move || {
            twin.writes(0..much);
            twin.says_urgently(b'!');
            twin.writes(0..100_000);
            twin.says_urgently(b'?');
            twin.writes(0..100_000);
            twin.finishes();
        });
        if read_late {
            server_reads_no_more(&server);
        }
        client.reads(0..much);
        client.sees(b"!");
        client.reads(0..100_000);
        client.sees(b"?");
        client.reads(0..100_000);
        client.sees_the_end();
        writer.join().unwrap();
    }
}

/// Waits until nothing is echoed any more.
fn server_reads_no_more(server: &Served) {
    let mut before = 0;
    eventually("nothing moves", || {
        std::thread::sleep(Duration::from_millis(50));
        let now = server.stats().bytes;
        now > 0 && std::mem::replace(&mut before, now) == now
    });
}

fn urgent_data_costs_no_processor_time(at: &Place) {
    let server = at.serve();
    let mut client = server.client();
    client.says(b"now");
    client.says_urgently(b'!');
    client.sees(b"now!");
    takes_no_processor_time();
    client.exchanges(b"and on");
}

/// Less than a spin by two orders of magnitude. Waits for it, as there may be something left to do.
fn takes_no_processor_time() {
    eventually("300 ms pass in which the server takes less than 3 ms of a processor", || {
        let before = process::cpu();
        std::thread::sleep(Duration::from_millis(300));
        process::cpu().saturating_sub(before) < Duration::from_millis(3)
    });
}

/// The server cannot hand over what it owes, and the FIN that has come would make its socket readable for ever.
fn fin_while_we_are_blocked_costs_no_processor_time(at: &Place) {
    let server = at.serve();
    let mut client =
        Client::unconnected(server.addr()).with_small_buffers().connected_to(server.addr());
    let (mut written, piece) = (0, at.fits(32_000));
    while soon_echoed(&server, written) {
        client.writes(written..written + piece);
        written += piece;
    }
    client.finishes();
    eventually("the server's end has the FIN", || {
        tcp_info(&client).unwrap().state == TcpState::FinWait2
    });
    takes_no_processor_time();
    client.reads(0..written);
    client.sees_the_end();
    server.tells(Ending::Finished);
}

fn soon_echoed(server: &Served, bytes: usize) -> bool {
    let since = Instant::now();
    while server.stats().bytes < bytes as u64 {
        if since.elapsed() > Duration::from_millis(100) {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

fn an_idle_server_makes_no_system_calls(at: &Place) {
    let server = at.serve();
    let _guests = server.guests(at.at_a_time(5));
    let still = Duration::from_millis(400);
    eventually("no thread of the server wakes up", || {
        let before = process::switches();
        assert!(!before.is_empty());
        std::thread::sleep(still);
        process::switches() == before
    });
    takes_no_processor_time();
}

fn a_reset_is_reported_and_the_server_goes_on(at: &Place) {
    let server = at.serve();
    for _ in 0..5 {
        let mut client = server.client();
        client.exchanges(b"hello");
        client.writes(0..at.fits(100_000));
        client.resets();
        let report = server.next_report();
        assert!(matches!(report.ending, Ending::Reset | Ending::BrokenPipe), "{report:?}");
        assert!(report.call.is_some(), "{report:?}");
    }
    server.serves();
}

fn a_reset_in_the_accept_queue_is_survived(at: &Place) {
    let (server, release) = at.held_up(20);
    for n in 0..5 {
        let mut client = server.client();
        client.says(b"hello");
        server.has_in_its_queue(2 * n + 1);
        client.resets();
        let silent = server.client();
        server.has_in_its_queue(2 * n + 2);
        silent.resets();
    }
    let mut patient = server.client();
    drop(release);
    patient.exchanges(b"my turn");
    for _ in 0..10 {
        let report = server.next_report();
        assert!(matches!(report.ending, Ending::Reset | Ending::BrokenPipe), "{report:?}");
    }
    drop(patient);
    server.tells(Ending::Finished);
    server.is_empty_and_adds_up();
}

fn a_storm_of_connections_that_do_not_stay(at: &Place) {
    let server = at.serve();
    // Every fork copies the table of a process that runs other tests.
    let storm = at.scaled(if at.engine.name == "fork" { 400 } else { 2000 });
    for n in 0..storm {
        let mut client = server.client();
        match n % 4 {
            0 => drop(client),
            1 => client.resets(),
            2 => client.says(b"bye"),
            // FIN, then RST.
            _ => {
                client.says(b"bye");
                client.finishes();
                client.resets();
            }
        }
    }
    server.serves();
    server.is_empty_and_adds_up();
    // Where the last segment of a handshake is lost, the server never learns of a connection that is reset at once.
    if at.network != Network::Lossy {
        assert_eq!(server.stats().accepted, storm as u64 + 1);
    }
    for _ in 0..server.stats().accepted {
        let ending = server.next_report().ending;
        assert!(
            matches!(ending, Ending::Finished | Ending::Reset | Ending::BrokenPipe),
            "{ending}"
        );
    }
}

fn no_more_than_the_limit(at: &Place) {
    if at.one_at_a_time() {
        return at.skip("it serves one at a time, so no limit is ever passed");
    }
    let server = at.serve_with(|server| server.max_connections(2));
    let mut guests = server.guests(2);
    let mut third = server.client();
    third.sees_the_end_or_a_reset();
    assert_eq!(server.tells(Ending::Limit).peer, third.addr());
    assert_eq!((server.stats().refused, server.stats().active), (1, 2));
    guests[0].exchanges(b"not disturbed");
    drop(guests.pop());
    server.tells(Ending::Finished);
    server.serves();
}

const LIMIT: Duration = Duration::from_millis(200);

fn an_idle_client_sees_fin(at: &Place) {
    let server = at.serve_with(|server| server.idle_timeout(LIMIT));
    let mut client = server.client();
    let since = Instant::now();
    client.exchanges(b"hello");
    client.sees_the_end();
    let waited = since.elapsed();
    assert!(waited > LIMIT * 9 / 10 && waited < AT_ONCE, "{waited:?}");
    drop(client);
    assert_eq!(server.tells(Ending::Idle).bytes, 5);
    server.serves();
}

/// The limit is the same for every engine: a blocking send that begins its wait again at least doubles it. A machine that
/// holds one attempt up does not hold up all. The kernel may move some bytes after the first wait, with a window probe.
fn a_stalled_client_counts_as_idle(at: &Place) {
    let limit = LIMIT * 3;
    let server = at.serve_with(|server| server.idle_timeout(limit));
    let mut waits = Vec::new();
    let in_time = (0..5).any(|_| {
        waits.push(server.client().writes_until_reset());
        server.tells(Ending::Idle);
        waits[waits.len() - 1] < limit * 2
    });
    assert!(in_time, "{waits:?}, and the limit is {limit:?}");
    server.serves();
}

/// On a machine that holds the client up for longer than the limit, the limit grows.
fn a_busy_client_is_not_idle(at: &Place) {
    let limits = (1..7).map(|n| LIMIT * (1 << n));
    let stayed = limits.into_iter().any(|limit| is_busy_enough(at, limit));
    assert!(stayed, "this machine never lets a client be busy");
}

/// Talks for twice the limit; `false` if it was itself silent for so long that the server may have ended it.
fn is_busy_enough(at: &Place, limit: Duration) -> bool {
    let server = at.serve_with(|server| server.idle_timeout(limit));
    let mut last = Instant::now();
    let mut client = server.client();
    for _ in 0..8 {
        let begun = Instant::now();
        let answered = client.tries_to_exchange(b"tick");
        if last.elapsed() >= limit {
            return false;
        }
        assert!(answered, "{:?} of {limit:?} had passed", last.elapsed());
        last = begun;
        std::thread::sleep(limit / 4);
    }
    true
}

fn neither_bulk_nor_a_stalled_reader_delays_the_others(at: &Place) {
    if at.one_at_a_time() {
        return at.skip("the others wait in the accept queue until it is their turn");
    }
    let server = at.serve();
    let mut stalled = server.client();
    stalled.writes_until_stuck(64 * MIB);
    // The bulk goes on until all the others have been served, so whoever has to wait for its end waits for ever.
    let much = at.scaled(64 * MIB);
    let mut bulk = server.client();
    let mut twin = bulk.twin();
    let enough = Arc::new(AtomicBool::new(false));
    let is_enough = Arc::clone(&enough);
    let writer = std::thread::spawn(move || {
        let mut written = 0;
        while written < much || !is_enough.load(Relaxed) {
            twin.writes(written..written + 100_000);
            written += 100_000;
        }
        twin.finishes();
        written
    });
    let reader = std::thread::spawn(move || bulk.reads_to_the_end());
    let mut guests = server.guests(20);
    for n in 0..10 {
        for guest in &mut guests {
            guest.exchanges(&[n; 100]);
        }
    }
    enough.store(true, Relaxed);
    assert_eq!(writer.join().unwrap(), reader.join().unwrap());
}
