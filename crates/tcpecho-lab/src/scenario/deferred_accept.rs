//! accept returns only when data has come (tcp(7): TCP_DEFER_ACCEPT).

use std::time::{Duration, Instant};

use crate::impairment::Matcher;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "deferred-accept",
    group: Some(Group::Queues),
    title: "TCP_DEFER_ACCEPT hides a connection until it has data",
    source: "UNP 4.6, tcp(7)",
    question: "A server sets TCP_DEFER_ACCEPT. What do a client that sends and one that waits for a \
               greeting see?",
    book: &[
        (
            "accept returns the next connection of the queue of completed ones.",
            &[Book("4.6")],
        ),
    ],
    kernel: &[
        (
            "The ACK of the handshake is dropped, and the connection stays in SYN_RECV until data \
             arrives, which completes it, or the time is over.",
            &[
                Man("tcp(7)"),
                Measured("the server's end is in SYN_RECV"),
                Measured("accept has nothing to return"),
                Measured("the data completes the handshake: the server's end is ESTABLISHED"),
            ],
        ),
        (
            "A client that waits for a greeting has an established connection that accept does \
             not return until the time is over and the server's kernel has sent the SYN-ACK again.",
            &[
                Measured("the waiting client's end is ESTABLISHED"),
                Measured("the server's kernel sends its SYN-ACK again"),
                Measured("accept returns the waiting client's connection"),
                Measured("accept returned a second or more after the client had connected"),
                Measured("the accepted connection has no data"),
                Code("tcp_check_req", "net/ipv4/tcp_minisocks.c"),
            ],
        ),
    ];

    step "a server listens with TCP_DEFER_ACCEPT, and a client connects";
    let server = stage.listening(10)?;
    server.must("setsockopt defer_accept 5")?;
    server.must("nonblocking on")?;
    let client = stage.client()?;
    claim_is("connect succeeds", &client.call(&stage.connect_line())?, "ok");
    claim_packet("the client's ACK arrives", &Matcher::ack().from_client());
    claim_state("the client's end is ESTABLISHED", Side::Client, TcpState::Established);
    claim_state("the server's end is in SYN_RECV", Side::Server, TcpState::SynRecv);
    claim_is("accept has nothing to return", &server.call("accept")?, "EAGAIN");

    step "the client sends a line";
    client.must("send hello")?;
    claim_packet("the data arrives", &Matcher::data().from_client());
    claim_state("the data completes the handshake: the server's end is ESTABLISHED", Side::Server, TcpState::Established);
    claim("accept returns the connection", server.call("accept")?.starts_with("ok"));
    claim_is("the server reads the client's data", &server.call("recv 100")?, "ok 5 hello");

    step "another client waits for a greeting; TCP_DEFER_ACCEPT is one second";
    server.must("0: setsockopt defer_accept 1")?;
    server.must("0: nonblocking off")?;
    let waiting = stage.client()?;
    let begun = Instant::now();
    waiting.must(&stage.connect_line())?;
    let port = waiting.port()?;
    let ends = stage.connections(Side::Client, port);
    let states: Vec<TcpState> = ends.iter().map(|socket| socket.state).collect();
    claim("the waiting client's end is ESTABLISHED", states == [TcpState::Established]);
    let accepted = server.call("0: accept")?.starts_with("ok");
    claim("accept returns the waiting client's connection", accepted);
    claim(
        "accept returned a second or more after the client had connected",
        begun.elapsed() >= Duration::from_secs(1),
    );
    let syn_acks = stage.count(&Matcher::syn_ack().port(port));
    claim("the server's kernel sends its SYN-ACK again", syn_acks >= 2);
    server.must("nonblocking on")?;
    claim_is("the accepted connection has no data", &server.call("recv 100")?, "EAGAIN");
}
