//! Where to listen: ports, names and services, as arguments and as values of `-l`.

use std::{net::SocketAddr, process::Command};

use tcpecho_os::resolve::{addresses, service_port};

use crate::common::{
    server::{refused, refused_command},
    *,
};

/// The addresses of a server that has printed `count` ready lines.
fn listening(server: &mut Serving, count: usize) -> Vec<SocketAddr> {
    while server.ready.len() < count {
        server.next_line();
    }
    let addr = |line: &String| {
        let addr = line.strip_prefix("listening on ").and_then(|rest| rest.split(' ').next());
        addr.and_then(|addr| addr.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    };
    server.ready.iter().map(addr).collect()
}

/// The loopback address with this port: the server listens on all addresses.
fn at(addr: SocketAddr) -> SocketAddr {
    assert!(addr.ip().is_unspecified(), "{addr}");
    SocketAddr::from(([127, 0, 0, 1], addr.port()))
}

#[test]
fn a_port_is_a_place() {
    for args in [&["0"][..], &["-l", "0"], &["-l", ":0"], &["-l", "*:0"]] {
        let mut server = Serving::with(args);
        visits(at(listening(&mut server, 1)[0]));
        server.stops().with(0);
    }
    let mut server = Serving::with(&["127.0.0.1:0"]);
    visits(listening(&mut server, 1)[0]);
    let mut server = Serving::with(&["127.0.0.1", "0"]);
    visits(listening(&mut server, 1)[0]);
}

#[test]
fn a_name_stands_for_all_its_addresses_of_this_host() {
    let known = addresses("localhost", 0).unwrap();
    let here: Vec<SocketAddr> =
        known.into_iter().filter(|addr| std::net::TcpListener::bind(addr).is_ok()).collect();
    assert!(!here.is_empty());
    for args in [&["-l", "localhost:0"][..], &["localhost", "0"], &["-l", "localhost", "-p", "0"]] {
        let mut server = Serving::with(args);
        let addrs = listening(&mut server, here.len());
        assert_eq!(
            addrs.iter().map(SocketAddr::ip).collect::<Vec<_>>(),
            here.iter().map(SocketAddr::ip).collect::<Vec<_>>()
        );
        addrs.into_iter().for_each(visits);
        server.stops().with(0);
    }
}

#[test]
fn a_service_is_a_port() {
    if service_port("echo").is_err() {
        eprintln!("SKIP: echo is not in the services database here");
        return;
    }
    // Port 7 needs a privilege; what bind(2) refuses names it as well.
    for args in [&["-l", "192.0.2.77:echo"][..], &["192.0.2.77", "echo"]] {
        refused(args).with(2).says("192.0.2.77:7");
    }
    refused(&["-l", "192.0.2.77", "-p", "echo"]).with(2).says("192.0.2.77:7");
    // Nobody listens there.
    for verb in [&["connect"][..], &["ping", "-c1", "-W1"], &["bench", "-d", "100ms"]] {
        for place in [&["127.9.8.7", "echo"][..], &["127.9.8.7:echo"]] {
            let output = Command::new(program()).args(verb).args(place).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("127.9.8.7:7"), "{verb:?} {place:?}: {said}");
            assert_ne!(output.status.code(), Some(0));
        }
    }
}

#[test]
fn what_cannot_be_a_place_has_a_hint() {
    refused(&["-l", "127.1:7"]).with(2).says("an IPv4 address has four decimal numbers");
    refused(&["-p", "70000"]).with(2).says("a port is a number from 0 to 65535 or a service name");
    refused(&["70000"]).with(2).says("a port is a number from 0 to 65535 or a service name");
    refused(&["127.0.0.1:0", "-p", "7013"]).with(2).says("--port 7013 is not used");
    refused(&["-l", "127.0.0.1:0,:0", "-p", "7013"]).with(2).says("--port 7013 is not used");
    refused(&["localhost:7012", "7013"]).with(2).says("the host has a port already, 7012");
    refused(&["7012", "7013"]).with(2).says("write -l 7012 -l 7013");
    refused(&[":no-such-service"]).with(2).says("not a TCP service of this host");
    let connect = |args: &[&str]| {
        let output = Command::new(program()).arg("connect").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(connect(&["7012"]).contains("write localhost:7012"));
    assert!(connect(&[":7012"]).contains("write localhost:7012"));
    let said = connect(&["localhost", "no-such-service"]);
    assert!(said.contains("a number from 1 to 65535 or a service name"), "{said}");
}

#[test]
fn a_place_on_the_command_line_goes_before_the_environment() {
    let mut command = Command::new(program());
    command.args(["serve", "127.0.0.1:0"]).env("TCPECHO_LISTEN", "192.0.2.1:7");
    let mut server = Serving::run(&mut command);
    assert_eq!(listening(&mut server, 1)[0].ip().to_string(), "127.0.0.1");
    let mut command = Command::new(program());
    command.args(["serve", "127.0.0.1:0"]).env("TCPECHO_PORT", "7013");
    let mut server = Serving::run(&mut command);
    assert_ne!(listening(&mut server, 1)[0].port(), 7013);
    let mut command = Command::new(program());
    command.args(["serve"]).env("TCPECHO_LISTEN", "192.0.2.1:7");
    refused_command(&mut command).with(2).says("192.0.2.1:7");
}
