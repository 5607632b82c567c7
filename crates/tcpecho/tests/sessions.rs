//! What a server says about its connections, so that a test can assert on its client: every engine says the same.

#[macro_use]
mod common;

use std::{
    net::TcpStream,
    thread::{sleep, spawn},
    time::Duration,
};

use common::{Place, client::Client, eventually, process};
use rustix::process::{Resource, getrlimit};
use tcpecho::{Ending, Report, Server, ServerBuilder};

promises! {
    a_client_that_has_gone_is_not_missed,
    a_retrying_client_is_seen_to_retry,
    scripts_count_what_they_receive,
    what_was_received_and_not_sent_shows,
    a_refused_connection_is_a_session,
    an_open_connection_is_waited_for,
    finish_ends_what_is_open,
    the_latest_sessions_are_kept,
    nothing_is_accepted_and_nothing_waited_for,
}

promises_alone! {
    a_thousand_servers_at_once_leave_nothing,
    waiting_costs_no_processor_time,
}

fn serve_with(at: &Place, shape: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Server {
    shape(at.builder()).start().unwrap()
}

fn serve(at: &Place) -> Server {
    serve_with(at, |server| server)
}

fn client(server: &Server) -> Client {
    Client::connects(server.addr())
}

/// Says these words, closes properly, and has gone.
fn speaks(server: &Server, words: &[u8]) {
    let mut client = client(server);
    client.exchanges(words);
    client.finishes();
    client.sees_the_end();
}

fn sessions(server: &Server) -> Vec<Report> {
    server.sessions_within(common::PATIENCE).unwrap()
}

fn a_client_that_has_gone_is_not_missed(at: &Place) {
    let server = serve(at);
    assert!(sessions(&server).is_empty());
    for n in 1..=20 {
        // It does not wait for anything.
        let stream = TcpStream::connect(server.addr()).unwrap();
        let peer = stream.local_addr().unwrap();
        drop(stream);
        let sessions = sessions(&server);
        assert_eq!(sessions.len(), n);
        let last = &sessions[n - 1];
        assert_eq!((last.number, last.peer, last.received), (n as u64, peer, 0), "{last}");
        assert_eq!((last.ending, last.call), (Ending::Finished, None), "{last}");
        assert!(last.peer_closed());
    }
}

fn a_retrying_client_is_seen_to_retry(at: &Place) {
    let server = serve_with(at, |server| server.fault_plan(&"1-2:echo 2; reset".parse().unwrap()));
    for _ in 0..2 {
        let mut client = client(&server);
        client.says(b"hello");
        client.sees(b"he");
        assert_eq!(client.sees_a_reset(), 0);
    }
    speaks(&server, b"hello");
    let [first, second, third] = sessions(&server).try_into().unwrap();
    for (n, report) in [(1, first), (2, second)] {
        assert_eq!((report.number, report.ending), (n, Ending::Fault), "{report}");
        assert_eq!((report.received, report.bytes), (2, 2), "{report}");
        assert!(!report.peer_closed());
        let text = report.to_string();
        assert!(text.ends_with("fault, fault \"echo 2; reset\", 2 of 2 steps"), "{text}");
        let fault = report.fault.unwrap();
        assert_eq!((fault.script.to_string().as_str(), fault.completed), ("echo 2; reset", 2));
    }
    assert_eq!((third.number, third.ending, third.fault.is_none()), (3, Ending::Finished, true));
    assert_eq!((third.received, third.bytes, third.peer_closed()), (5, 5, true));
}

fn scripts_count_what_they_receive(at: &Place) {
    let script = r#"expect "hello"; send "HI"; discard 3; wait-fin"#;
    let server = serve_with(at, |server| server.fault(script.parse().unwrap()));
    let mut polite = client(&server);
    polite.says(b"hello");
    polite.sees(b"HI");
    polite.says(b"abcdef");
    polite.finishes();
    polite.sees_the_end();
    let mut rude = client(&server);
    rude.says(b"hullo");
    rude.sees_a_reset();
    let mut leaving = client(&server);
    leaving.says(b"hello");
    leaving.sees(b"HI");
    leaving.resets();
    let [polite, rude, leaving] = sessions(&server).try_into().unwrap();
    assert_eq!((polite.received, polite.bytes, polite.peer_closed()), (11, 2, true), "{polite}");
    assert_eq!((rude.received, rude.bytes, rude.peer_closed()), (5, 0, false), "{rude}");
    assert!(rude.fault.unwrap().unexpected);
    assert_eq!((leaving.received, leaving.bytes, leaving.peer_closed()), (5, 2, false));
    assert_eq!(leaving.ending, Ending::Reset, "{leaving}");
    assert_eq!(leaving.call, Some(("recv", tcpecho::Errno::ECONNRESET)));
}

fn what_was_received_and_not_sent_shows(at: &Place) {
    let server = serve(at);
    let mut stuck = client(&server);
    stuck.writes_until_stuck(64 << 20);
    let sent = server.stats().bytes;
    stuck.resets();
    let [report] = sessions(&server).try_into().unwrap();
    assert!(sent > 0 && report.bytes >= sent, "{report}");
    assert!(report.received > report.bytes, "{report}");
    assert!(report.call.is_some() && !report.peer_closed(), "{report}");
}

fn a_refused_connection_is_a_session(at: &Place) {
    let server = serve_with(at, |server| server.max_connections(0));
    client(&server).sees_the_end_or_a_reset();
    let [report] = sessions(&server).try_into().unwrap();
    assert_eq!((report.number, report.ending), (1, Ending::Limit), "{report}");
}

fn an_open_connection_is_waited_for(at: &Place) {
    let server = serve(at);
    let mut open = client(&server);
    open.exchanges(b"hello");
    let error = server.sessions_within(Duration::from_millis(20)).unwrap_err();
    assert_eq!((error.open, error.ended.len()), (1, 0), "{error}");
    // Behind the first one of the iterative engine, it waits in the accept queue.
    let second = client(&server);
    let error = server.sessions_within(Duration::ZERO).unwrap_err();
    assert_eq!((error.open, error.ended.len()), (2, 0), "{error}");
    let closes = spawn(move || {
        sleep(Duration::from_millis(50));
        open.finishes();
        open.sees_the_end();
        drop(second);
    });
    let sessions = sessions(&server);
    closes.join().unwrap();
    assert_eq!(sessions.iter().map(|report| report.received).collect::<Vec<_>>(), [5, 0]);
    assert!(sessions[0].duration >= Duration::from_millis(50));
}

fn finish_ends_what_is_open(at: &Place) {
    let server = serve(at);
    speaks(&server, b"gone");
    let mut open = client(&server);
    open.exchanges(b"hello");
    let [gone, open] = server.finish().try_into().unwrap();
    assert_eq!((gone.received, gone.ending), (4, Ending::Finished), "{gone}");
    assert_eq!((open.received, open.ending), (5, Ending::Draining), "{open}");
    // Of a server that has ended, everything is known at once.
    let server = serve(at);
    let _open = client(&server);
    server.close();
    assert!(server.wait(Some(common::PATIENCE)));
    assert!(sessions(&server).len() <= 1);
}

fn the_latest_sessions_are_kept(at: &Place) {
    let server = serve_with(at, |server| server.keep_sessions(3));
    for n in 1..=5_u64 {
        speaks(&server, b"hello");
        let numbers: Vec<u64> = sessions(&server).iter().map(|report| report.number).collect();
        assert_eq!(numbers, (1..=n).skip(n.saturating_sub(3) as usize).collect::<Vec<_>>());
    }
    let server = serve_with(at, |server| server.keep_sessions(0));
    speaks(&server, b"hello");
    assert!(sessions(&server).is_empty());
}

fn nothing_is_accepted_and_nothing_waited_for(at: &Place) {
    let server =
        serve_with(at, |server| server.listener_fault(tcpecho::ListenerFault::NeverAccept));
    let _open = client(&server);
    assert!(sessions(&server).is_empty());
}

/// Descriptors that a server of any engine has open, with room for one connection.
const EACH: u64 = 12;

/// One connection with each of a thousand servers in one process, and then everything is as before.
fn a_thousand_servers_at_once_leave_nothing(at: &Place) {
    // Each fork copies the page tables of a process with as many threads as there are servers.
    let many = if at.engine.name == "fork" { 100 } else { 1000 };
    drop(client(&serve(at)));
    eventually("the first server is gone", || process::threads().is_empty());
    let before = process::descriptors();
    let tasks = process::all_tasks().len();
    let most = getrlimit(Resource::Nofile).current;
    if most.is_some_and(|most| most < many as u64 * EACH) {
        return println!("SKIP: {many} servers take more than {most:?} descriptors");
    }
    let servers: Vec<Server> = (0..many).map(|_| serve(at)).collect();
    for server in &servers {
        speaks(server, b"hello");
    }
    for server in &servers {
        let [report] = sessions(server).try_into().unwrap();
        assert_eq!((report.received, report.ending), (5, Ending::Finished), "{report}");
    }
    assert!(process::threads().len() >= many && process::descriptors() > before);
    drop(servers);
    eventually("every thread is gone", || process::all_tasks().len() <= tasks);
    eventually("every descriptor is closed", || process::descriptors() <= before);
}

fn waiting_costs_no_processor_time(at: &Place) {
    let server = serve(at);
    let mut open = client(&server);
    open.exchanges(b"hello");
    std::thread::scope(|scope| {
        // The name by which the threads of the server are found.
        let thread = std::thread::Builder::new().name("tcpecho".into());
        let waits = thread.spawn_scoped(scope, || sessions(&server)).unwrap();
        sleep(Duration::from_millis(100));
        let before = process::switches();
        sleep(Duration::from_millis(300));
        // It is woken by the end of a connection and by nothing else.
        assert_eq!(process::switches(), before);
        open.finishes();
        assert_eq!(waits.join().unwrap().len(), 1);
    });
}
