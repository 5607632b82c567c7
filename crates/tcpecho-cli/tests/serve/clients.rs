//! What `tcpecho connect` makes of a server that ends its connection, and what the server calls it.

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;

use crate::common::*;

/// A client with a keyboard at which nobody types.
fn client(server: &Serving) -> Child {
    let mut command = Command::new(program());
    command.args(["connect", "--exit-detail", &server.addr().to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How a client that still waits for its user ends.
fn ends(mut client: Child) -> (Option<i32>, String) {
    let keyboard = client.stdin.take();
    let status = client.wait().unwrap().code();
    drop(keyboard);
    let said = std::io::read_to_string(client.stderr.take().unwrap()).unwrap();
    (status, said)
}

/// `--exit-detail` of closed-early: the FIN does not say why.
const CLOSED_EARLY: i32 = 71;

#[test]
fn a_client_cannot_tell_the_servers_limits_from_each_other() {
    let server = Serving::start("epoll", somewhere(), &["--idle-timeout", "100ms"]);
    let (status, said) = ends(client(&server));
    assert_eq!(status, Some(CLOSED_EARLY), "{said}");
    server.says("ending=idle");

    let server = Serving::start("epoll", somewhere(), &["--max-connections", "1"]);
    let mut first = server.connects();
    echoes(&mut first, b"I am the only one");
    let (status, said) = ends(client(&server));
    assert_eq!(status, Some(CLOSED_EARLY), "{said}");
    server.says("ending=limit");
    drop(first);

    let server = Serving::start("epoll", somewhere(), &[]);
    let mut waits = client(&server);
    waits.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    waits.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    server.gets(Signal::TERM);
    let (status, said) = ends(waits);
    assert_eq!(status, Some(CLOSED_EARLY), "{said}");
    server.ends().with(0).says("ending=draining");
}

#[test]
fn a_client_without_a_descriptor_could_not_connect() {
    let server = Serving::start("epoll", somewhere(), &[]);
    // Standard streams and what the client opens before its socket.
    for (detail, status) in [("", 3), ("--exit-detail", 79)] {
        let mut seen = Vec::new();
        let found = (4..12).any(|limit| {
            let script =
                format!("ulimit -n {limit}; exec \"$0\" connect {detail} {}", server.addr());
            let output = Command::new("sh").args(["-c", &script, program()]).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            let is_ours = said.contains("tcpecho: limit\n");
            assert!(!is_ours || output.status.code() == Some(status), "{said}");
            seen.push(said);
            is_ours
        });
        assert!(found, "{seen:#?}");
    }
}
