//! Urgent bytes that a server sends are part of its answer (RFC 6093): no client passes them over.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    thread,
};

use rustix::net::{SendFlags, send};

/// An echo server that puts one urgent byte of its own before the first answer of each connection.
fn urgent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(stream.unwrap()));
        }
    });
    addr
}

fn answer(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    let Ok(count) = stream.read(&mut buffer) else { return };
    if send(&stream, b"!", SendFlags::OOB) != Ok(1) || stream.write_all(&buffer[..count]).is_err() {
        return;
    }
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// Runs `tcpecho` with these arguments and the server's address.
fn tcpecho(args: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
    let output =
        command.args(args).arg(urgent().to_string()).stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output, said)
}

#[test]
fn ping_calls_it_foreign() {
    let (output, said) = tcpecho(&["ping", "-c", "2", "-i", "0.02"]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("foreign"), "{said}");
}

#[test]
fn bench_finds_a_mismatch() {
    let (output, said) = tcpecho(&["bench", "-c1", "-d200ms", "--fail-if", "errors>0"]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("mismatch"), "{said}");
}
