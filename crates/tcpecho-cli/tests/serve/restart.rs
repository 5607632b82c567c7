//! The successor gets the port at once, whatever became of the one before.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use rustix::process::Signal;
use tcpecho_os::{sock_diag::tcp_sockets, tcp_state::TcpState};

use crate::common::{peers::until, process::*, *};

#[test]
fn connections_in_time_wait_do_not_keep_the_port() {
    together(everywhere(), |(engine, at)| {
        let mut server = Serving::start(engine, at, &["--workers", "2"]);
        let addr = server.addr();
        for _ in 0..5 {
            // Draining, the server says FIN first, and so it is its end that waits.
            let mut idle = server.connects();
            echoes(&mut idle, b"hello");
            server.gets(Signal::TERM);
            sees_the_end(&mut idle);
            drop(idle);
            server.ends().with(0);
            // The client's FIN may still be on its way.
            until(|| {
                let sockets = tcp_sockets(addr.port()).unwrap();
                sockets.iter().any(|socket| socket.state == TcpState::TimeWait)
            });
            server = Serving::start(engine, addr, &["--workers", "2"]);
        }
        visits(addr);
    });
}

/// Echoes on one connection until there is no server any more.
fn talk(addr: SocketAddr, over: &AtomicBool) {
    let Ok(mut stream) = TcpStream::connect(addr) else { return };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let mut buffer = vec![0; 20_000];
    while !over.load(Relaxed) && stream.write_all(&buffer).is_ok() {
        if stream.read_exact(&mut buffer).is_err() {
            return;
        }
    }
}

/// `kill -9` with connections idle, busy and in the accept queue; then the successor, at its first try.
fn dies_and_returns(server: Serving, engine: &str, more: &[&str]) -> Serving {
    let addr = server.addr();
    let mut idle = server.connects();
    if engine != "iterative" {
        echoes(&mut idle, b"hello");
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| talk(addr, &over));
        }
        // Not a wait for anything: some traffic is to be under way, how far makes no difference.
        thread::sleep(Duration::from_millis(10));
        let _in_the_queue = server.connects();
        let family = children(server.pid());
        assert!(engine != "fork" || !family.is_empty());
        server.dies();
        let successor = Serving::start(engine, addr, more);
        over.store(true, Relaxed);
        until(|| !family.iter().any(|child| lives(*child)));
        successor
    })
}

fn ten_times(engine: &str, at: SocketAddr, more: &[&str]) {
    let mut server = Serving::start(engine, at, more);
    for _ in 0..10 {
        server = dies_and_returns(server, engine, more);
    }
    visits(server.addr());
}

#[test]
fn a_killed_server_leaves_its_port_and_no_process_behind() {
    for engine in engines() {
        ten_times(engine, somewhere(), &[]);
    }
}

#[test]
fn so_does_one_with_several_workers() {
    for (engine, at) in everywhere().filter(|(_, at)| at.is_ipv6()) {
        ten_times(engine, at, &["--workers", "2"]);
    }
}
