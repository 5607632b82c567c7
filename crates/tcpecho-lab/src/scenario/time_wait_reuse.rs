//! A client's ports are all in TIME_WAIT, and tcp_tw_reuse lends one of them (ip-sysctl, RFC 6191).

use std::time::{Duration, Instant};

use crate::side::Side;
use crate::stage::{PATIENCE, Stage};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "time-wait-reuse",
    group: Some(Group::Startup),
    title: "every port is in TIME_WAIT, and tcp_tw_reuse lends one",
    source: "UNP 2.7, RFC 6191",
    question: "Every port of a client is in TIME_WAIT. Does net.ipv4.tcp_tw_reuse help, and when?",
    book: &[
        (
            "While a connection is in TIME_WAIT, for 2 MSL, no new connection between the same \
             addresses and ports can be made.",
            &[Book("2.7")],
        ),
    ],
    kernel: &[
        (
            "With tcp_tw_reuse=1 connect takes a port whose TIME_WAIT is at least one second old \
             (before Linux 6.14: from the next second of the clock), if the connection had \
             timestamps. The default, 2, does so for loopback addresses only, not for other \
             addresses of the own host.",
            &[
                Sysctl("net.ipv4.tcp_tw_reuse"),
                Code("tcp_twsk_unique", "net/ipv4/tcp_ipv4.c"),
                Measured("connect succeeds once TIME_WAIT is a second old"),
                Measured(
                    "connect fails with tcp_tw_reuse=2: the addresses are not loopback addresses",
                ),
                Lab("no-local-port"),
            ],
        ),
        (
            "It never helps a server's bind.",
            &[
                Code("inet_csk_get_port", "net/ipv4/inet_connection_sock.c"),
                Lab("bind-in-use-by-time-wait"),
            ],
        ),
    ];

    step "the client's only port is in TIME_WAIT";
    stage.two().client.set_sysctl("net.ipv4.ip_local_port_range", "50000 50000")?;
    stage.two().client.set_sysctl("net.ipv4.tcp_tw_reuse", "2")?;
    let (client, server) = stage.connected()?;
    client.must("close")?;
    claim_is("the server reads end of file", &server.call("recv 100")?, "ok 0");
    server.must("close")?;
    claim_state("the client's end is in TIME_WAIT", Side::Client, TcpState::TimeWait);
    let socket = format!("socket {}", stage.number());
    client.must(&socket)?;
    let line = stage.connect_line();
    claim_is(
        "connect fails with tcp_tw_reuse=2: the addresses are not loopback addresses",
        &client.call(&line)?, "EADDRNOTAVAIL",
    );

    step "tcp_tw_reuse is set to 1";
    stage.two().client.set_sysctl("net.ipv4.tcp_tw_reuse", "1")?;
    claim("the connection has been in TIME_WAIT for more than a second", has_aged(stage));
    let connected = client.call(&line)?;
    claim_is("connect succeeds once TIME_WAIT is a second old", &connected, "ok");
    claim("the server accepts the connection", server.call("0: accept")?.starts_with("ok"));
}

/// Waits until the client's connection has been in TIME_WAIT for more than a second, as its timer
/// in the socket table tells; false if that does not happen.
fn has_aged(stage: &Stage) -> bool {
    let begun = Instant::now();
    let time_wait = Duration::from_secs(60);
    loop {
        let sockets = stage.two().client.sockets(stage.family());
        let left = sockets.iter().filter_map(|socket| socket.time_wait_ms).max();
        let left = left.map(|left| Duration::from_millis(left.into()));
        if left.is_some_and(|left| left + Duration::from_millis(1200) <= time_wait) {
            return true;
        }
        if left.is_none() || begun.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
