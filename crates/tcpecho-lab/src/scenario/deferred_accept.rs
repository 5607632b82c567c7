//! accept returns only when data has come (tcp(7): TCP_DEFER_ACCEPT).

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
                Measured("it completes the handshake: ESTABLISHED"),
            ],
        ),
        (
            "A client that waits for a greeting has an established connection that accept does \
             not return until the time is over and the server's kernel has sent the SYN-ACK again.",
            &[
                Measured("the client's end is ESTABLISHED"),
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
    claim_state("it completes the handshake: ESTABLISHED", Side::Server, TcpState::Established);
    claim("accept returns the connection", server.call("accept")?.starts_with("ok"));
    claim_is("with its data", &server.call("recv 100")?, "ok 5 hello");
}
