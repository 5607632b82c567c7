//! Names with several addresses, and names that move.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    common::{
        peers::{echo, full, until},
        somewhere,
    },
    support::*,
};

/// Echoes each connection, in a thread of its own.
fn echo_at(host: &str, port: u16) -> TcpListener {
    let listener = TcpListener::bind((host, port)).unwrap();
    let serving = listener.try_clone().unwrap();
    std::thread::spawn(move || {
        for stream in serving.incoming() {
            std::thread::spawn(move || echo(stream.unwrap()));
        }
    });
    listener
}

#[test]
fn an_address_that_does_not_answer_is_not_waited_for() {
    let (_held, dead, _first) = full(somewhere());
    let _listener = echo_at("127.0.0.2", dead.port());
    let Some(hosts) = Hosts::new("127.0.0.1 both.test\n127.0.0.2 both.test\n") else { return };
    let target = format!("both.test:{}", dead.port());
    for how in [&[][..], &["--connect"], &["--reconnect"]] {
        let args = [&["-c", "3", "-i", "0.1", "-W", "50", &target], how].concat();
        let ended = hosts.ping(&args).ends();
        ended.with(0).shows("3 probes transmitted, 3 received, 0% loss");
        ended.shows("127.0.0.2");
        // A quarter of a second (RFC 8305 5), and not the fifty that each address may take.
        assert!(ended.took < Duration::from_secs(25), "{how:?}: {:?}", ended.took);
        let ended = hosts.ping(&[&["--json"], args.as_slice()].concat()).ends();
        let times = &ended.with(0).object()["targets"][0];
        assert!(times["time"]["max_us"].as_f64().unwrap() < 25e6, "{times}");
    }
    // A sweep connects in the same way.
    let ended = hosts.ping(&["--size-sweep=64", "-W", "50", &target]).ends();
    ended.with(0).shows("64 bytes pass");
    assert!(ended.took < Duration::from_secs(25), "{:?}", ended.took);
}

/// The second of two words is a port if it is the name of a service. Where nothing answers, that is said: it may have been
/// meant as a second host.
#[test]
fn a_second_word_that_names_a_service_is_a_port_and_that_is_said() {
    let Some(hosts) = Hosts::new("127.0.0.1 one.test\n127.0.0.1 smtp\n") else { return };
    let note = "\"smtp\" was taken as port 25 of one.test; if it is a second host, write it with its port: smtp:9877";
    hosts.ping(&["-c1", "one.test", "smtp"]).ends().says(note);
    hosts.ping(&["-c1", "no.such.test", "smtp"]).ends().says("of no.such.test; if it is a second");
    // A number is a port and nothing else, and a host with its port is one.
    for second in ["25", "smtp:1"] {
        let ended = hosts.ping(&["-c1", "one.test", second]).ends();
        assert!(!ended.stderr.iter().any(|line| line.contains("was taken as")), "{ended:#?}");
    }
    let help = ping(&["--help"]);
    help.shows("tcpecho ping [OPTIONS] HOST PORT").shows("service name");
}

#[test]
fn of_two_dead_addresses_both_are_told() {
    let (_held, dead, _first) = full(somewhere());
    let Some(hosts) = Hosts::new("127.0.0.1 both.test\n127.0.0.2 both.test\n") else { return };
    let target = format!("both.test:{}", dead.port());
    for how in [&[][..], &["--connect"], &["--reconnect"]] {
        let ended = hosts.ping(&[&["-c", "1", "-w", "0.9", &target], how].concat()).ends();
        ended.with(1).shows("1 probes transmitted, 0 received, ").shows("100% loss");
        ended.says("tcpecho: connect-timeout").says("tcpecho: refused");
    }
}

/// Two addresses with this port that answer no SYN, and what has to live as long as they.
fn both_dead() -> (u16, [(OwnedFd, SocketAddr, TcpStream); 2]) {
    let first = full(somewhere());
    let port = first.1.port();
    (port, [first, full(([127, 0, 0, 2], port).into())])
}

#[test]
fn dead_addresses_have_one_name_for_their_failure() {
    let (port, _held) = both_dead();
    let Some(hosts) = Hosts::new("127.0.0.1 both.test\n127.0.0.2 both.test\n") else { return };
    let target = format!("both.test:{port}");
    for mode in ["-i0.03", "-A", "-f", "--connect", "--reconnect"] {
        let args = [mode, "-w", "1.5", "-W", "300ms", "--json-stream", &target];
        let events = hosts.ping(&args).ends().objects();
        let lost = events.iter().filter(|event| event["event"] == "lost");
        let names: Vec<_> = lost.map(|event| &event["why"]).collect();
        assert!(!names.is_empty(), "{mode}: {events:?}");
        // Probes with a connection of their own always have an attempt.
        let shares = !mode.starts_with("--");
        let is_known = |name: &&Value| match name.as_str() {
            Some("connect-timeout") => true,
            Some("no-connection") => shares,
            _ => false,
        };
        assert!(names.iter().all(is_known), "{mode}: {names:?}");
        assert!(names.iter().any(|name| **name == "connect-timeout"), "{mode}: {names:?}");
    }
}

#[test]
fn the_address_that_tells_most_stands_for_all() {
    let (_held, dead, _first) = full(somewhere());
    // Nothing can be sent to the second one: that says nothing about the server.
    let lines = "127.0.0.1 both.test\n255.255.255.255 both.test\n";
    let Some(hosts) = Hosts::new(lines) else { return };
    let target = format!("both.test:{}", dead.port());
    for how in [&[][..], &["--connect"], &["--reconnect"], &["--size-sweep"]] {
        let args = [&["-w", "0.5", "-W", "100ms", "--json", &target], how].concat();
        let report = hosts.ping(&args).ends().with(1).object();
        let row = report["targets"].get(0).unwrap_or(&report);
        assert_eq!(row["error"]["ending"], "connect-timeout", "{how:?}: {report}");
        assert_eq!(row["error"]["addr"], dead.to_string(), "{how:?}: {report}");
    }
}

#[test]
fn probes_that_wait_for_a_connection_made_again_have_the_same_name() {
    // One connection that breaks; then nobody answers SYNs any more, since each queue is one place long and taken.
    let (port, _held) = both_dead();
    let listener = TcpListener::bind(("127.0.0.3", port)).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let lines = "127.0.0.3 all.test\n127.0.0.1 all.test\n127.0.0.2 all.test\n";
    let Some(hosts) = Hosts::new(lines) else { return };
    let target = format!("all.test:{port}");
    let pinging = hosts.ping(&["-i", "0.05", "-W", "300ms", "--json-stream", &target]);
    let (mut stream, _) = listener.accept().unwrap();
    let mut probe = [0; 64];
    stream.read_exact(&mut probe).unwrap();
    stream.write_all(&probe).unwrap();
    pinging.sees("\"answered\"");
    let _taken = TcpStream::connect(("127.0.0.3", port)).unwrap();
    until(|| tcpecho_os::tcp_info::listen_queue(&listener).unwrap().length == 1);
    drop(stream);
    pinging.sees("\"why\":\"connect-timeout\"");
    pinging.sees("\"unconnected\"");
    pinging.gets(Signal::INT);
    pinging.ends().hides("unsent");
}

#[test]
fn a_service_that_moves_is_found() {
    for how in [&[][..], &["--connect"], &["--reconnect"]] {
        let Some(hosts) = Hosts::new("127.0.0.1 moves.test\n") else { return };
        let server = crate::common::Serving::start("epoll", somewhere(), &[]);
        let port = server.addr().port();
        let target = format!("moves.test:{port}");
        let pinging = hosts.ping(&[&["-i", "0.1", &target], how].concat());
        pinging.sees("seq=2 time=");
        let _moved = echo_at("127.0.0.3", port);
        hosts.are("127.0.0.3 moves.test\n");
        server.dies();
        let found = if how == ["--connect"] {
            "connected to 127.0.0.3: seq="
        } else {
            "from 127.0.0.3: seq="
        };
        pinging.sees(found);
        pinging.gets(Signal::INT);
        pinging.ends().with(0);
    }
}
