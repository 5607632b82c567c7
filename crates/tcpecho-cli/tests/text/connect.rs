//! `tcpecho connect`.

use crate::{
    common::{Serving, somewhere},
    looks, looks_like, seen,
};

#[test]
fn verbose() {
    let server = Serving::start("epoll", somewhere(), &[]);
    looks("connect-v", &format!("echo hello | tcpecho connect -v {}", server.addr()));
    looks("connect-own", "echo hello | tcpecho connect");
}

/// Which state a call leads to depends on how fast the peer is.
#[test]
fn calls() {
    let server = Serving::start("epoll", somewhere(), &[]);
    let line = format!("echo hello | tcpecho connect --calls {}", server.addr());
    looks_like("connect-calls", &line, |text| {
        let of_call = |line: &str| line.split(" now ").next().unwrap_or_default().trim().to_owned();
        // The data may come between any two calls.
        let calls = text.replace("hello\n", "").replace("\n      ", " ");
        calls.lines().flat_map(|line| seen(&of_call(line))).collect()
    });
}

#[test]
fn failures() {
    looks("connect-refused", "tcpecho connect 127.0.0.1:1");
    looks("connect-unresolved", "tcpecho connect nosuch.invalid");
    looks(
        "connect-usage",
        "tcpecho connect --bogus; tcpecho connect --timeout x; tcpecho connect -4 -6",
    );
    let server = Serving::start("epoll", somewhere(), &["--idle-timeout", "100ms"]);
    let line = format!("(echo hello; sleep 1) | tcpecho connect {}", server.addr());
    looks("connect-closed", &line);
}
