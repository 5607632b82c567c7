//! What a client sees of each fault: exactly the bytes, the errno and the end that its row promises, whatever the engine, the
//! address family and the buffers. Times are lower bounds only.

#[macro_use]
mod common;

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use common::{PATIENCE, Place, client::Client, crowd, eventually, served::Served};
use tcpecho::{Ending, Fault, FaultPlan, Fired, ListenerFault, PRESETS, Report, Script};
use tcpecho_os::{tcp_info::tcp_info, tcp_state::TcpState};

promises_everywhere! {
    reset_after_some_bytes,
    close_after_some_bytes,
    truncate_goes_on_receiving,
    zero_window_lets_no_more_in,
    half_close_sends_fin_first,
    reset_on_accept,
    close_on_accept,
    close_with_bytes_unread,
    close_unread_without_bytes_is_a_fin,
    delays_are_lower_bounds,
    rate_and_drip_are_lower_bounds,
    slow_close_keeps_its_fin_back,
    corrupt_changes_the_bit_that_it_reports,
    drop_and_repeat_and_banner_change_the_echo,
    expect_takes_these_bytes,
    what_a_pause_does_not_read_is_not_lost,
    accept_delay_is_a_lower_bound,
    scripted_connections_delay_nobody,
    a_slow_reader_gets_everything_before_the_reset,
}

promises_without_loss! {
    stall_after_some_bytes,
    reset_instead_of_the_last_fin,
    expect_takes_no_other_bytes,
    a_fin_in_the_middle_ends_what_receives,
    a_reset_in_a_pause_ends_the_script,
    never_accept_shakes_hands_only,
    backlog_full_answers_no_syn,
    refuse_keeps_the_port,
    every_order_and_function_decide_which_connections,
}

promises! {
    a_drain_does_not_wait_for_the_accept_delay,
    the_same_seed_gives_the_same_run,
    a_thousand_scripts_at_a_time,
    close_ends_scripts_at_once,
    a_drain_plays_pauses_to_their_end,
    the_end_of_a_drain_is_rst_only_if_bytes_are_lost,
    a_drain_ends_scripts_that_wait_for_a_quiet_peer,
    the_limit_of_connections_counts_scripted_ones,
}

promises_alone! {
    nothing_outlives_the_server,
    no_thread_without_a_fault_that_fires,
}

promises_alone! {
    everywhere:
    waiting_scripts_cost_no_processor_time,
}

const TWENTY: &[u8] = b"0123456789abcdefghij";
const PAUSE: Duration = Duration::from_millis(60);

fn with(at: &Place, script: &str) -> Served {
    at.serve_with(|server| server.fault(script.parse().unwrap()))
}

/// The script has ended the connection, after all its steps.
fn tells_fault(server: &Served, script: &str, bytes: u64) -> Fired {
    let report = server.tells(Ending::Fault);
    assert_eq!((report.bytes, report.call), (bytes, None), "{report:?}");
    let fault = fired(report);
    assert_eq!(fault.script.to_string(), script);
    assert_eq!(fault.completed, script.parse::<Script>().unwrap().steps().len(), "{fault:?}");
    fault
}

fn fired(report: Report) -> Fired {
    report.fault.expect("a fault")
}

fn reset_after_some_bytes(at: &Place) {
    for script in ["reset-after=10", "echo 10; reset"] {
        let server = with(at, script);
        let mut client = server.client();
        client.says(TWENTY);
        client.sees(&TWENTY[..10]);
        assert_reset(client);
        tells_fault(&server, script, 10);
    }
}

/// The next read fails with ECONNRESET, and no byte comes before.
fn assert_reset(client: Client) {
    let error = reads_next(&mut client.into_stream()).expect_err("RST");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

/// Reads once. Nobody repeats an RST that the network has lost, but a peer that sends again gets another one.
fn reads_next(stream: &mut TcpStream) -> std::io::Result<usize> {
    if !common::network::loses() {
        return stream.read(&mut [0; 64]);
    }
    let start = Instant::now();
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    loop {
        match stream.read(&mut [0; 64]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && start.elapsed() < PATIENCE => {
                stream.write_all(b"?")?;
            }
            read => return read,
        }
    }
}

fn close_after_some_bytes(at: &Place) {
    let server = with(at, "close-after=10");
    let mut client = server.client();
    client.says(TWENTY);
    client.sees(&TWENTY[..10]);
    client.sees_the_end();
    tells_fault(&server, "close-after=10", 10);
    // No RST came behind the FIN, although ten bytes were never echoed.
    assert_eq!(tcp_info(&client).unwrap().state, TcpState::CloseWait);
    // Nobody is there any more: the kernel answers with RST, and then a write fails.
    let mut stream = client.into_stream();
    eventually("a write fails", || stream.write(b"more").is_err());
}

fn truncate_goes_on_receiving(at: &Place) {
    let server = with(at, "truncate=10");
    let mut client = server.client();
    client.says(TWENTY);
    client.sees(&TWENTY[..10]);
    client.sees_the_end();
    for _ in 0..10 {
        client.says(TWENTY);
    }
    client.finishes();
    tells_fault(&server, "truncate=10", 10);
    client.sees_the_end();
}

fn stall_after_some_bytes(at: &Place) {
    let server = with(at, "stall-after=10");
    let mut client = server.client();
    client.says(TWENTY);
    client.sees(&TWENTY[..10]);
    client.says(TWENTY);
    client.finishes();
    client.has_seen_nothing();
    assert_eq!(server.stats().active, 1);
    server.close();
    assert_reset(client);
    let report = server.tells(Ending::Draining);
    assert_eq!(fired(report).completed, 1);
}

fn zero_window_lets_no_more_in(at: &Place) {
    let server = with(at, "zero-window");
    let mut client = server.client();
    let most = 64 << 20;
    assert!(client.writes_until_stuck(most) < most);
    eventually("it is being played", || server.stats().active == 1);
    client.has_seen_nothing();
}

fn half_close_sends_fin_first(at: &Place) {
    let server = with(at, "half-close");
    let mut client = server.client();
    client.sees_the_end();
    client.says(TWENTY);
    client.finishes();
    tells_fault(&server, "half-close", 0);
    client.sees_the_end();
}

fn reset_on_accept(at: &Place) {
    let server = with(at, "reset-on-accept");
    assert_reset(server.client());
    tells_fault(&server, "reset-on-accept", 0);
}

fn close_on_accept(at: &Place) {
    let server = with(at, "close-on-accept");
    server.client().sees_the_end();
    tells_fault(&server, "close-on-accept", 0);
}

fn close_with_bytes_unread(at: &Place) {
    let server = with(at, "close-unread");
    let mut client = server.client();
    client.says(b"x");
    assert_reset(client);
    tells_fault(&server, "close-unread", 0);

    let server = with(at, "echo 3; close-unread");
    let mut client = server.client();
    client.says(b"abcd");
    client.sees(b"abc");
    assert_reset(client);
    tells_fault(&server, "echo 3; close-unread", 3);
}

fn close_unread_without_bytes_is_a_fin(at: &Place) {
    let server = with(at, "close-unread");
    let mut client = server.client();
    client.finishes();
    client.sees_the_end();
    tells_fault(&server, "close-unread", 0);
}

fn reset_instead_of_the_last_fin(at: &Place) {
    let server = with(at, "reset-at-end");
    let mut client = server.client();
    client.exchanges(TWENTY);
    client.finishes();
    assert_reset(client);
    tells_fault(&server, "reset-at-end", 20);
}

fn delays_are_lower_bounds(at: &Place) {
    for (script, least) in [("delay=60ms", PAUSE), ("jitter=80ms±20ms", PAUSE)] {
        let server = with(at, script);
        // The server may accept before the client knows that it is connected.
        let start = Instant::now();
        let mut client = server.client();
        client.exchanges(TWENTY);
        assert!(start.elapsed() >= least, "{script}: {:?}", start.elapsed());
        let start = Instant::now();
        client.exchanges(TWENTY);
        assert!(script.starts_with("delay") || start.elapsed() >= least);
        client.finishes();
        client.sees_the_end();
        tells_fault(&server, script, 40);
    }
}

fn rate_and_drip_are_lower_bounds(at: &Place) {
    // A piece is a fiftieth of the rate, 4 bytes: the last one waits for the 16 before it. Or ten pieces wait 10 ms each.
    for (script, least) in [("rate=200/s", 80), ("drip=2/10ms", 100)] {
        let server = with(at, script);
        let start = Instant::now();
        let mut client = server.client();
        client.exchanges(TWENTY);
        assert!(start.elapsed() >= Duration::from_millis(least), "{script}");
        client.finishes();
        client.sees_the_end();
        tells_fault(&server, script, 20);
    }
}

fn slow_close_keeps_its_fin_back(at: &Place) {
    let server = with(at, "slow-close=60ms");
    let mut client = server.client();
    client.exchanges(TWENTY);
    let start = Instant::now();
    client.finishes();
    client.sees_the_end();
    assert!(start.elapsed() >= PAUSE);
    tells_fault(&server, "slow-close=60ms", 20);
}

fn corrupt_changes_the_bit_that_it_reports(at: &Place) {
    let server = at.serve_with(|server| server.fault("corrupt=10".parse().unwrap()).seed(5));
    assert_eq!(server.seed(), 5);
    let mut client = server.client();
    client.says(TWENTY);
    client.finishes();
    let mut back = Vec::new();
    client.into_stream().read_to_end(&mut back).unwrap();
    let [flip] = tells_fault(&server, "corrupt=10", 20).flips[..] else { panic!("one bit") };
    assert!(flip.byte < 10);
    back[flip.byte as usize] ^= 1 << flip.bit;
    assert_eq!(back, TWENTY);
}

fn drop_and_repeat_and_banner_change_the_echo(at: &Place) {
    for (script, wanted) in [
        ("drop=10", &TWENTY[10..]),
        ("repeat=10", b"01234567890123456789abcdefghij"),
        ("banner=\"220 hi\\r\\n\"", b"220 hi\r\n0123456789abcdefghij"),
        ("send 0xff00; echo 2; discard 16; echo all", b"\xff\x0001ij"),
        ("echo 2; drop 16; repeat 100", b"01ijij"),
    ] {
        let server = with(at, script);
        let mut client = server.client();
        client.says(TWENTY);
        client.finishes();
        client.sees(wanted);
        client.sees_the_end();
        tells_fault(&server, script, wanted.len() as u64);
    }
}

const EXPECTS: &str = "expect \"USER x\\r\\n\"; send \"ok\"; close";

fn expect_takes_these_bytes(at: &Place) {
    let script = EXPECTS;
    let server = with(at, script);
    let mut client = server.client();
    client.says(b"USER ");
    client.says(b"x\r\n");
    client.sees(b"ok");
    client.sees_the_end();
    assert!(!tells_fault(&server, script, 2).unexpected);
}

fn expect_takes_no_other_bytes(at: &Place) {
    let server = with(at, EXPECTS);
    let mut client = server.client();
    client.says(b"USEX");
    assert_reset(client);
    let fault = fired(server.tells(Ending::Fault));
    assert!(fault.unexpected && fault.completed == 0, "{fault:?}");
    let mut client = server.client();
    client.says(b"USER");
    client.finishes();
    assert_reset(client);
    assert!(fired(server.tells(Ending::Fault)).unexpected);
}

fn a_fin_in_the_middle_ends_what_receives(at: &Place) {
    let script = "echo 100; discard 100; send \"bye\"; reset";
    let server = with(at, script);
    let mut client = server.client();
    client.says(TWENTY);
    client.finishes();
    client.sees(TWENTY);
    client.sees(b"bye");
    assert_reset(client);
    tells_fault(&server, script, 23);
}

fn a_reset_in_a_pause_ends_the_script(at: &Place) {
    for script in ["echo 5; pause 1h; send \"x\"", "echo 5; stop-reading", "echo 5; echo 9"] {
        let server = with(at, script);
        let mut client = server.client();
        client.exchanges(b"hello");
        client.resets();
        let report = server.tells(Ending::Reset);
        assert_eq!(report.call, Some(("recv", tcpecho::Errno::ECONNRESET)));
        assert_eq!(fired(report).completed, 1);
        server.is_empty_and_adds_up();
    }
}

fn what_a_pause_does_not_read_is_not_lost(at: &Place) {
    let server = with(at, "pause 60ms; echo all");
    let mut client = server.client();
    let much = at.scaled(1 << 20);
    client.streams(0..much);
    client.finishes();
    client.sees_the_end();
    tells_fault(&server, "pause 60ms; echo all", much as u64);
}

fn a_slow_reader_gets_everything_before_the_reset(at: &Place) {
    let much = at.scaled(1 << 20);
    let script = format!("echo {much}; reset");
    let server = with(at, &script);
    let mut client = server.client();
    let writer = client.writes_meanwhile(0..much);
    client.reads(0..much);
    writer.join().unwrap();
    assert_reset(client);
    tells_fault(&server, &script, much as u64);
}

fn listener_fault(at: &Place, text: &str) -> Served {
    let Fault::Listener(fault) = text.parse().unwrap() else { panic!("{text}") };
    at.serve_with(|server| server.listener_fault(fault))
}

fn never_accept_shakes_hands_only(at: &Place) {
    let server = listener_fault(at, "never-accept");
    let mut client = server.client();
    client.says(b"hello");
    client.has_seen_nothing();
    assert_eq!(server.stats().accepted, 0);
    assert!(server.drain(PATIENCE));
    client.sees_the_end_or_a_reset();
    assert!(TcpStream::connect(server.addr()).is_err());
}

fn accept_delay_is_a_lower_bound(at: &Place) {
    let server = listener_fault(at, "accept-delay=60ms");
    for _ in 0..3 {
        let start = Instant::now();
        let mut client = server.client();
        client.exchanges(b"hello");
        assert!(start.elapsed() >= PAUSE);
        client.finishes();
        client.sees_the_end();
        assert_eq!(server.tells(Ending::Finished).fault, None);
    }
}

/// More connections than a loop accepts in one turn wait in the queue.
fn a_drain_does_not_wait_for_the_accept_delay(at: &Place) {
    let server = listener_fault(at, "accept-delay=1h");
    let mut clients: Vec<Client> = (0..150).map(|_| server.client()).collect();
    for client in &mut clients {
        client.says(b"hello");
        client.finishes();
    }
    server.has_in_its_queue(150);
    server.begin_drain();
    for client in &mut clients {
        client.sees(b"hello");
        client.sees_the_end();
    }
    assert!(server.wait(Some(PATIENCE)));
    // On a busy machine, the drain may end one before its FIN is read.
    let stats = server.stats();
    assert_eq!(stats.bytes, 150 * 5);
    assert_eq!(stats.ended(Ending::Finished) + stats.ended(Ending::Draining), 150, "{stats:?}");
}

fn backlog_full_answers_no_syn(at: &Place) {
    let server = listener_fault(at, "backlog-full");
    let error = TcpStream::connect_timeout(&server.addr(), Duration::from_millis(200));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!((server.stats().accepted, server.backlog()), (0, 0));
    let addr = server.addr();
    drop(server);
    assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// A listener on all addresses is full on each of them.
#[test]
fn backlog_full_on_all_addresses() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let builder = tcpecho::Server::builder().listen(listen.parse().unwrap());
        let server = match builder.listener_fault(ListenerFault::BacklogFull).start() {
            Err(error) if listen.starts_with('[') => {
                println!("SKIP {listen}: {error}");
                continue;
            }
            started => started.unwrap(),
        };
        let addr = (std::net::Ipv4Addr::LOCALHOST, server.addr().port()).into();
        let error = TcpStream::connect_timeout(&addr, Duration::from_millis(200));
        assert_eq!(error.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}

fn refuse_keeps_the_port(at: &Place) {
    let server = listener_fault(at, "refuse");
    let refused = || TcpStream::connect(server.addr()).map_err(|error| error.kind());
    assert_eq!(refused().unwrap_err(), ErrorKind::ConnectionRefused);
    // The standard library sets SO_REUSEADDR, too.
    let taken = TcpListener::bind(server.addr()).map_err(|error| error.kind());
    assert_eq!(taken.unwrap_err(), ErrorKind::AddrInUse);
    assert_eq!(refused().unwrap_err(), ErrorKind::ConnectionRefused);
}

/// What connection after connection meets: `e` an echo, `r` a reset, `c` a close.
fn meets(server: &Served, many: usize) -> String {
    let one = |_| {
        let mut client = server.client().into_stream();
        // Where the RST has come before, the write takes the error.
        let seen = client.write_all(b"x").and_then(|()| client.read(&mut [0; 8]));
        let word = match seen {
            Ok(1) => 'e',
            Ok(0) => 'c',
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 'r',
            other => panic!("{other:?}"),
        };
        drop(client);
        server.next_report();
        word
    };
    (0..many).map(one).collect()
}

fn every_order_and_function_decide_which_connections(at: &Place) {
    let reset = || Script::new().reset();
    let server = at.serve_with(|server| server.fault_every(3, reset()));
    assert_eq!(meets(&server, 7), "eereere");
    // One number for all loops.
    let server = at.serve_with(|server| server.workers(3).fault_every(3, reset()));
    assert_eq!(meets(&server, 7), "eereere");
    let plan: FaultPlan = "1:reset,2-3:close,6-:reset,every=5:close".parse().unwrap();
    let server = at.serve_with(|server| server.fault_plan(&plan));
    assert_eq!(meets(&server, 7), "rccecrr");
    assert_eq!(server.stats().faults, 6);
    let ip = at.ip;
    let server = at.serve_with(|server| {
        let decide = move |peer: std::net::SocketAddr, n| {
            (peer.ip() == ip && n == 2).then(|| Script::new().close())
        };
        server.fault_when(decide).fault_every(4, reset())
    });
    assert_eq!(meets(&server, 5), "ecere");
    let here = if at.ip.is_ipv4() { "127.0.0.0/8" } else { "::1/128" };
    let plan: FaultPlan = format!("peer={here}:reset").parse().unwrap();
    let server = at.serve_with(|server| server.fault_plan(&plan));
    assert_eq!(meets(&server, 2), "rr");
    let plan: FaultPlan = "peer=192.0.2.0/24:reset,first=1us:reset,first=1h:close".parse().unwrap();
    let server = at.serve_with(|server| server.fault_plan(&plan));
    assert_eq!(meets(&server, 2), "cc");
}

fn scripted_connections_delay_nobody(at: &Place) {
    let server = at.serve_with(|server| server.fault_every(2, Script::new().stop_reading()));
    let mut stalled = Vec::new();
    for n in 1..=5 {
        server.serves();
        let mut client = server.client();
        client.says(b"hello");
        stalled.push(client);
        eventually("it is being played", || server.stats().active == n);
    }
    server.serves();
}

fn the_same_seed_gives_the_same_run(at: &Place) {
    let run = |seed| {
        let plan: FaultPlan = "probability=0.5:reset".parse().unwrap();
        let server = at.serve_with(|server| server.fault_plan(&plan).seed(seed));
        assert_eq!(server.seed(), seed);
        meets(&server, 40)
    };
    let (first, second, other) = (run(42), run(42), run(43));
    assert_eq!(first, second);
    assert!(first != other && first.contains('e') && first.contains('r'), "{first} {other}");
}

fn a_thousand_scripts_at_a_time(at: &Place) {
    let Some(_crowd) = crowd() else { return };
    let server = at.serve_with(|server| {
        server.max_connections(1000).fault("echo 5; send \"!\"; wait-fin; reset".parse().unwrap())
    });
    let mut clients: Vec<Client> = (0..1000).map(|_| server.client()).collect();
    eventually("all are being played", || server.stats().active == 1000);
    for client in &mut clients {
        client.says(b"hello");
    }
    for client in &mut clients {
        client.sees(b"hello!");
    }
    for client in &mut clients {
        client.finishes();
    }
    for client in clients {
        assert_reset(client);
    }
    server.is_empty_and_adds_up();
    let stats = server.stats();
    assert_eq!((stats.ended(Ending::Fault), stats.faults, stats.bytes), (1000, 1000, 6000));
}

fn close_ends_scripts_at_once(at: &Place) {
    let scripts = [
        "echo 1; pause 1h",
        "echo 1; stop-reading",
        "echo all",
        "echo 1; chunk 1 every 1h; echo 1",
    ];
    for script in scripts {
        let server = with(at, script);
        let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
        for client in &mut clients {
            client.exchanges(b"x");
            client.says(b"y");
        }
        eventually("all are being played", || server.stats().active == 3);
        server.close();
        assert!(server.wait(Some(PATIENCE)));
        for _ in 0..3 {
            server.tells(Ending::Draining);
        }
        server.is_empty_and_adds_up();
    }
}

fn a_drain_plays_pauses_to_their_end(at: &Place) {
    let server = with(at, "echo 1; pause 200ms; send \"after\"; close");
    let mut client = server.client();
    client.exchanges(b"x");
    assert!(server.drain(PATIENCE));
    client.sees(b"after");
    client.sees_the_end();
    server.tells(Ending::Fault);
    // A pause that is longer than the drain is cut off.
    let server = with(at, "echo 1; pause 1h; send \"after\"; close");
    let mut client = server.client();
    client.exchanges(b"x");
    assert!(!server.drain(Duration::from_millis(50)));
    client.sees_the_end_or_a_reset();
    server.tells(Ending::Draining);
}

/// A script may send bytes of its own and discard others, so the two directions need not have the same count.
fn the_end_of_a_drain_is_rst_only_if_bytes_are_lost(at: &Place) {
    for script in
        ["send \"hi\"; pause 1h", "discard 1; send \"hi\"; pause 1h", "discard 1; echo 2; pause 1h"]
    {
        let server = with(at, script);
        let mut client = server.client();
        if script.starts_with("discard") {
            client.says(b"x");
        }
        if script.contains("echo") {
            client.says(b"hi");
        }
        client.sees(b"hi");
        assert!(!server.drain(Duration::from_millis(50)));
        client.sees_the_end();
        server.tells(Ending::Draining);
    }
    for script in ["send \"hi\"; pause 1h", "send \"hi\"; chunk 1 every 1h; echo all"] {
        let server = with(at, script);
        let mut client = server.client();
        client.sees(b"hi");
        client.says(b"lost");
        assert!(!server.drain(Duration::from_millis(50)));
        assert_reset(client);
        server.tells(Ending::Draining);
    }
}

fn a_drain_ends_scripts_that_wait_for_a_quiet_peer(at: &Place) {
    for script in ["echo all", "echo 1; wait-fin", "echo 1; stop-reading", "echo 1; close-unread"] {
        let server = with(at, script);
        let mut client = server.client();
        client.exchanges(b"x");
        server.begin_drain();
        client.sees_the_end();
        drop(client);
        assert!(server.wait(Some(PATIENCE)), "{script}");
        server.tells(Ending::Draining);
    }
}

fn the_limit_of_connections_counts_scripted_ones(at: &Place) {
    let server = at.serve_with(|server| {
        server.max_connections(2).fault("echo 1; stop-reading".parse().unwrap())
    });
    let _stalled = server.guests_of_a_script(2);
    server.client().sees_the_end_or_a_reset();
    let report = server.tells(Ending::Limit);
    // The limit comes before the draw.
    assert_eq!(report.fault, None);
}

impl Served {
    fn guests_of_a_script(&self, many: usize) -> Vec<Client> {
        let guest = |_| {
            let mut client = self.client();
            client.exchanges(b"x");
            client
        };
        (0..many).map(guest).collect()
    }
}

fn nothing_outlives_the_server(at: &Place) {
    let (descriptors, threads) = (common::process::descriptors(), common::process::threads().len());
    for script in ["echo 1; pause 1h", "echo all", "reset-after=1"] {
        let server = with(at, script);
        let mut clients: Vec<Client> = (0..10).map(|_| server.client()).collect();
        for client in &mut clients {
            client.exchanges(b"x");
        }
        drop(server);
        drop(clients);
        assert_eq!(common::process::threads().len(), threads, "{script}");
        eventually("children are gone", || common::process::children().is_empty());
        assert_eq!(common::process::descriptors(), descriptors, "{script}");
    }
}

fn no_thread_without_a_fault_that_fires(at: &Place) {
    let server = at.serve_with(|server| server.fault_every(3, Script::new().reset()));
    let threads = || common::process::threads().len();
    // The thread engine has one more for each client.
    let serve = || {
        server.serves();
        eventually("it is over", || server.stats().active == 0);
    };
    serve();
    eventually("one loop", || threads() == 1);
    serve();
    assert_reset(server.client());
    eventually("a loop and the player", || threads() == 2);
}

/// A script that waits makes no system call until its peer does something or its time has come.
fn waiting_scripts_cost_no_processor_time(at: &Place) {
    let scripts = [
        "echo 1; pause 1h",
        "echo 1; stop-reading",
        "echo all",
        "echo 1; fin; pause 1h",
        "echo 1; chunk 1 every 1h; echo all",
        "echo 1; close-unread",
    ];
    let plan: Vec<String> =
        scripts.iter().enumerate().map(|(n, script)| format!("{}:{script}", n + 1)).collect();
    let plan: FaultPlan = plan.join(",").parse().unwrap();
    let server = at.serve_with(|server| server.fault_plan(&plan));
    let clients: Vec<Client> = scripts
        .iter()
        .map(|script| {
            let mut client = server.client();
            client.exchanges(b"x");
            // Both sides have sent FIN in that pause, and the other one has bytes that nobody reads.
            if script.contains("fin") {
                client.finishes();
            }
            if script.contains("stop") || script.contains("chunk") {
                client.says(b"y");
            }
            client
        })
        .collect();
    eventually("all of them wait", || {
        let before = common::process::switches();
        std::thread::sleep(Duration::from_millis(200));
        before == common::process::switches()
    });
    drop(clients);
}

/// The observer runs in the player's thread too.
#[test]
fn a_panic_of_the_observer_in_the_player_ends_the_server() {
    let server = tcpecho::Server::builder()
        .listen("127.0.0.1:0".parse().unwrap())
        .fault_every(2, Script::new().echo(1).reset())
        .fault_when(|_, n| (n == 3).then(|| Script::new().echo(1).stop_reading()))
        .observe(|event| {
            if let tcpecho::Event::Ended(report) = event {
                assert!(report.fault.is_none(), "on purpose");
            }
        })
        .start()
        .unwrap();
    let mut plain = Client::connects(server.addr());
    plain.exchanges(b"x");
    let mut scripted = Client::connects(server.addr());
    scripted.exchanges(b"x");
    assert!(server.wait(Some(PATIENCE)));
    assert_eq!(server.failure().unwrap().source, tcpecho::Errno::ECANCELED);
    plain.sees_the_end_or_a_reset();
}

/// One connection more than the player takes is closed at once; when one has ended, there is room again.
#[test]
fn the_player_has_room_for_4096() {
    let Some(_crowd) = crowd() else { return };
    let _ = tcpecho_os::limits::raise_descriptors();
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if most.is_some_and(|most| most < 9000) {
        println!("SKIP: a process may have {most:?} descriptors here, and this takes 9000");
        return;
    }
    let server = tcpecho::Server::builder()
        .listen("127.0.0.1:0".parse().unwrap())
        .fault("echo 1; wait-fin".parse().unwrap())
        .start()
        .unwrap();
    let mut clients: Vec<Client> = (0..4096).map(|_| Client::connects(server.addr())).collect();
    eventually("all are being played", || server.stats().active == 4096);
    Client::connects(server.addr()).sees_the_end_or_a_reset();
    eventually("it is counted", || server.stats().ended(Ending::Limit) == 1);
    clients.pop().unwrap().resets();
    eventually("one has ended", || server.stats().active == 4095);
    Client::connects(server.addr()).exchanges(b"x");
    assert_eq!(server.stats().faults, 4098);
}

#[test]
fn every_preset_has_a_row_here() {
    let source = include_str!("faults.rs");
    for preset in PRESETS {
        let named = |end: &str| source.contains(&format!("\"{}{end}", preset.name));
        assert!(named("\"") || named("="), "{}", preset.name);
    }
}

/// A fault of the listener has no other text than its own.
#[test]
fn listener_faults_are_values() {
    assert_eq!("refuse".parse(), Ok(Fault::Listener(ListenerFault::Refuse)));
}
