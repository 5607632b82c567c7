//! What every engine promises to the program that it is part of: it takes nothing that is not its own, and leaves nothing.

#[macro_use]
mod common;

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    os::fd::AsFd,
    process::Command,
    time::Duration,
};

use common::{Place, eventually, pattern::Random, process, served::Served};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, sockopt},
    process::{Signal, WaitOptions, kill_process, wait},
};
use tcpecho::{Ending, Error, Server};

promises! {
    every_session_is_reported_once_and_the_sums_are_right,
    a_port_in_use_is_an_error,
    a_port_that_another_program_would_share_is_an_error,
    several_workers_serve_and_end_together,
    many_servers_at_once,
    its_descriptor_tells_of_its_end,
    its_backlog_is_what_the_kernel_says,
}

promises_alone! {
    nothing_is_left_behind,
    the_children_of_the_program_are_its_own,
    no_call_of_the_program_is_interrupted,
}

promises_alone! {
    on fork:
    five_children_that_end_at_once_leave_no_zombie,
    a_killed_child_ends_its_connection_and_no_other,
}

fn every_session_is_reported_once_and_the_sums_are_right(at: &Place) {
    let server = at.serve();
    let mut random = Random::new(7);
    let mut sizes = HashMap::new();
    for _ in 0..30 {
        let size = random.below(50_000);
        let mut client = server.client();
        client.streams(0..size);
        sizes.insert(client.addr(), size as u64);
    }
    for _ in 0..30 {
        let report = server.tells(Ending::Finished);
        assert_eq!(sizes.remove(&report.peer), Some(report.bytes), "{report:?}");
    }
    server.is_empty_and_adds_up();
    server.has_told_all();
    let stats = server.stats();
    assert_eq!((stats.accepted, stats.ended(Ending::Finished)), (30, 30));
    assert_eq!((stats.refused, stats.accept_failures), (0, 0));
}

fn second(at: &Place, addr: SocketAddr, workers: usize) -> Error {
    let second = Server::builder().engine(at.engine).listen(addr).workers(workers).start();
    second.expect_err("the port is taken")
}

fn a_port_in_use_is_an_error(at: &Place) {
    for workers in [1, 3] {
        let first = at.serve_with(|server| server.workers(workers));
        for workers in [1, 3] {
            let error = second(at, first.addr(), workers);
            assert_eq!((error.op, error.source), ("bind", tcpecho::Errno::EADDRINUSE), "{error}");
            assert_eq!(error.addr, Some(first.addr()));
        }
        first.serves();
    }
}

fn a_port_that_another_program_would_share_is_an_error(at: &Place) {
    let family = if at.ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let stranger =
        rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    sockopt::set_socket_reuseaddr(&stranger, true).unwrap();
    sockopt::set_socket_reuseport(&stranger, true).unwrap();
    rustix::net::bind(&stranger, &SocketAddr::from((at.ip, 0))).unwrap();
    rustix::net::listen(&stranger, 8).unwrap();
    let addr = TcpListener::from(stranger.try_clone().unwrap()).local_addr().unwrap();
    for workers in [1, 3] {
        assert_eq!(second(at, addr, workers).source, tcpecho::Errno::EADDRINUSE);
    }
}

fn several_workers_serve_and_end_together(at: &Place) {
    let server = at.serve_with(|server| server.workers(3));
    assert_eq!(server.workers(), 3);
    for _ in 0..30 {
        server.serves();
    }
    // Each of three loops may have got all of them.
    let mut guests = server.guests(1);
    server.begin_drain();
    guests[0].sees_the_end();
    drop(guests);
    assert!(server.wait(Some(common::PATIENCE)));
    server.is_empty_and_adds_up();
    assert_eq!(server.stats().accepted, 31);
}

fn many_servers_at_once(at: &Place) {
    let servers: Vec<Served> = (0..10).map(|_| at.serve()).collect();
    for server in &servers {
        server.serves();
    }
    for server in &servers {
        assert_eq!(server.stats().accepted, 1);
    }
}

fn its_descriptor_tells_of_its_end(at: &Place) {
    let server = at.serve();
    let ended = |server: &Server| {
        let fd = server.as_fd();
        poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&rustix::event::Timespec::default()))
    };
    assert_eq!(ended(&server), Ok(0));
    server.close();
    assert!(server.wait(Some(common::PATIENCE)));
    assert_eq!(ended(&server), Ok(1));
}

fn nothing_is_left_behind(at: &Place) {
    // Whatever the first use of anything keeps for good.
    drop(at.serve().guests(1));
    eventually("the first server is gone", || process::threads().is_empty());
    let before = process::descriptors();

    let server = at.serve();
    for _ in 0..20 {
        server.serves();
    }
    server.client().resets();
    let mut guests = server.guests(at.at_a_time(3));
    let mut stuck = server.client();
    if !at.one_at_a_time() {
        stuck.writes_until_stuck(64 << 20);
    }
    drop(server);
    guests.clear();
    drop(stuck);

    assert_eq!(process::children(), [], "children");
    eventually("every thread is gone", || process::threads().is_empty());
    eventually("every descriptor is closed", || process::descriptors() == before);
}

/// While sessions end all the time, a program's child ends and is waited for by it.
fn the_children_of_the_program_are_its_own(at: &Place) {
    let server = at.serve();
    for _ in 0..5 {
        let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        for _ in 0..5 {
            server.serves();
        }
        assert_eq!(child.wait().unwrap().code(), Some(7));
    }
    // The reverse: a program that reaps whatever child it finds does not find one of ours. That also shows that their end
    // sends no SIGCHLD, which would interrupt calls of the program.
    let _guests = server.guests(at.at_a_time(3));
    assert!(matches!(wait(WaitOptions::NOHANG), Err(Errno::CHILD)));
}

fn no_call_of_the_program_is_interrupted(at: &Place) {
    let silent = TcpListener::bind((at.ip, 0)).unwrap();
    let fd = silent.as_fd();
    sockopt::set_socket_timeout(fd, sockopt::Timeout::Recv, Some(Duration::from_millis(200)))
        .unwrap();
    let interrupted = |_: &usize| {
        let _used = at.engine.probe();
        let server = at.serve();
        // They all end while this thread is the only one that a signal could interrupt.
        let guests = server.guests(at.at_a_time(20));
        let leaving = std::thread::spawn(move || drop(guests));
        let result = rustix::net::accept(fd);
        leaving.join().unwrap();
        result.err() == Some(Errno::INTR)
    };
    // Something else may have stopped and continued the process, but hardly three times.
    assert!((0..3).filter(interrupted).count() < 3);
}

fn five_children_that_end_at_once_leave_no_zombie(at: &Place) {
    let server = at.serve();
    for _ in 0..10 {
        let guests = server.guests(5);
        assert_eq!(process::children().len(), 5);
        drop(guests);
        eventually("no child is left", || process::children().is_empty());
    }
    server.is_empty_and_adds_up();
}

fn a_killed_child_ends_its_connection_and_no_other(at: &Place) {
    let server = at.serve();
    let mut first = server.guests(1).remove(0);
    let child = process::children()[0];
    // The client may have the bytes before the child has counted them.
    eventually("they are counted", || server.stats().bytes == 5);
    let mut second = server.guests(1).remove(0);
    kill_process(child, Signal::KILL).unwrap();
    first.sees_the_end();
    let report = server.tells(Ending::Interrupted);
    assert_eq!((report.peer, report.bytes), (first.addr(), 5));
    second.exchanges(b"not disturbed");
    server.serves();
}

/// listen(2): the backlog is clamped by net.core.somaxconn.
fn its_backlog_is_what_the_kernel_says(at: &Place) {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let most: u32 = most.trim().parse().unwrap();
    assert_eq!(at.serve().backlog(), most);
    for (asked, wanted) in [(3, 3.min(most)), (u32::MAX >> 1, most)] {
        let server = at.serve_with(|server| server.backlog(asked));
        assert_eq!(server.backlog(), wanted);
    }
}
