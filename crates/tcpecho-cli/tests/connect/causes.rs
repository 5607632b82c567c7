//! What a failure is said to mean where the evidence depends on the moment.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::net::sockopt;

use super::support::*;

/// The listener's accepted sockets receive only a little before their window closes.
fn small_window(at: SocketAddr) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(at).unwrap();
    sockopt::set_socket_recv_buffer_size(&listener, 4096).unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// The peer's kernel answers at most one window probe in half a second, so the last probes may be without an answer. One of
/// these limits ends while they are.
#[test]
fn a_server_that_does_not_read_is_not_taken_for_a_dead_host() {
    for at in families() {
        let limits = [500, 700, 900, 1000, 1200, 2000].map(|ms| ("--timeout", ms));
        let limits = limits.into_iter().chain([("--user-timeout", 500), ("--user-timeout", 1000)]);
        let clients = limits.map(|(option, ms)| {
            let (listener, addr) = small_window(at);
            let (ended, end) = mpsc::channel::<()>();
            let server = thread::spawn(move || {
                let stream = listener.accept().unwrap().0;
                let _ = end.recv();
                drop(stream);
            });
            let limit = format!("{ms}ms");
            let mut client = Client::to(addr, &["--json", option, &limit]);
            client.types(&vec![b'x'; 60_000]);
            (client, server, ended, format!("{option} {limit}"))
        });
        let clients: Vec<_> = clients.collect();
        for (client, server, ended, limit) in clients {
            let told = client.ends();
            drop(ended);
            server.join().unwrap();
            let told = told.with(4).json();
            assert_eq!(told["diagnosis"]["case"], "window-closed", "{limit}: {told}");
        }
    }
}

/// A server that resets each connection has not been rebooted, wherever the client's bytes were when the RST came.
#[test]
fn a_reset_right_after_the_handshake_is_not_taken_for_a_reboot() {
    const TIMES: usize = 40;
    for at in families() {
        let listener = TcpListener::bind(at).unwrap();
        let addr = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            for _ in 0..TIMES {
                let stream = listener.accept().unwrap().0;
                thread::sleep(Duration::from_micros(200));
                reset(stream);
            }
        });
        for _ in 0..TIMES {
            let mut client = Client::to(addr, &["--json"]);
            // The client may have been reset already.
            let _ = client.takes_stdin().write_all(b"hello\n");
            let told = client.ends().json();
            let case = told["diagnosis"]["case"].as_str();
            let known = ["reset-at-once", "reset-in-handshake", "reset-by-process"];
            assert!(case.is_some_and(|case| known.contains(&case)), "{told}");
        }
        server.join().unwrap();
    }
}
