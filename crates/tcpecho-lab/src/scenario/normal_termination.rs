//! Four segments end a connection, and the end that sends the first FIN keeps TIME_WAIT (UNP 5.7, RFC 9293 3.6).

use std::time::{Duration, Instant};

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{PORT, Stage};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "normal-termination",
    group: Some(Group::Closing),
    title: "a connection ends, and one side keeps TIME_WAIT",
    source: "UNP 5.7, 2.6 and 2.7, RFC 9293 3.6",
    question: "Which states does a connection pass through when it ends, and on which host \
               does TIME_WAIT stay?",
    book: &[
        (
            "The end that closes first goes through FIN_WAIT_1 and FIN_WAIT_2 to TIME_WAIT, and \
             the other end through CLOSE_WAIT and LAST_ACK to CLOSED.",
            &[Book("2.6"), Rfc(9293, "3.6")],
        ),
        (
            "TIME_WAIT lasts twice the maximum segment lifetime.",
            &[Book("2.7")],
        ),
        (
            "With the client of chapter 5, the client keeps TIME_WAIT.",
            &[Book("5.7")],
        ),
    ],
    kernel: &[
        (
            "The same, with TIME_WAIT for 60 s regardless of the segment lifetime.",
            &[
                Measured("TIME_WAIT lasts 60 seconds"),
                Code("TCP_TIMEWAIT_LEN", "include/net/tcp.h"),
            ],
        ),
        (
            "TIME_WAIT stays on the host that closed first, so a server that closes first keeps \
             one for each connection.",
            &[
                Measured("the client's host, which closed first, keeps the connection in TIME_WAIT"),
                Measured("the server's host, which closed first now, keeps TIME_WAIT"),
            ],
        ),
    ];

    step "a client and a server are connected; the client closes, and the wire holds its FIN";
    let (client, server) = stage.connected()?;
    let fin = stage.hold(Matcher::fin().from_client());
    claim("close returns at once, although no reply has arrived", client.must("close").is_ok());
    claim_state("the client is in FIN_WAIT_1", Side::Client, TcpState::FinWait1);
    claim_state("the server is still ESTABLISHED", Side::Server, TcpState::Established);

    step "the FIN is released";
    stage.release(&fin)?;
    claim_packet("the FIN arrives at the server", &Matcher::fin().from_client());
    claim_state("the server is in CLOSE_WAIT", Side::Server, TcpState::CloseWait);
    claim_is("the server reads end of file", &server.call("recv 100")?, "ok 0");
    claim_state(
        "the server's ACK brings the client to FIN_WAIT_2",
        Side::Client, TcpState::FinWait2,
    );

    step "the server closes, and the wire holds its FIN";
    let fin = stage.hold(Matcher::fin().from_server());
    server.must("close")?;
    claim_state("the server is in LAST_ACK", Side::Server, TcpState::LastAck);
    claim_state("the client is still in FIN_WAIT_2", Side::Client, TcpState::FinWait2);

    step "the server's FIN is released, and the wire holds the client's last ACK";
    let ack = stage.hold(Matcher::ack().from_client());
    let before = Instant::now();
    stage.release(&fin)?;
    claim_state("the client is in TIME_WAIT", Side::Client, TcpState::TimeWait);
    claim_state("the server is still in LAST_ACK", Side::Server, TcpState::LastAck);

    step "the last ACK is released";
    stage.release_one(&ack)?;
    claim_none_left("the server's kernel has removed the connection", Side::Server, PORT);
    claim(
        "the client's host, which closed first, keeps the connection in TIME_WAIT",
        only_time_wait(stage, Side::Client),
    );
    let left = stage.connections(Side::Client, PORT).pop().and_then(|socket| socket.time_wait_ms);
    let left = Duration::from_millis(left.unwrap_or_default().into());
    let passed = before.elapsed();
    claim(
        "TIME_WAIT lasts 60 seconds",
        {
        // A timer of the kernel is late by up to an eighth of its time, and never early.
        left + passed + TICK >= TIME_WAIT && left <= TIME_WAIT * 9 / 8
    },
    );
    claim("no RST was sent", stage.count(&Matcher::rst()) == 0);
    stage.discard(&ack)?;

    step "a second client connects, and this time the server closes first";
    let client = stage.connected_client()?;
    let port = client.port()?;
    server.must("0: accept")?;
    server.must("close")?;
    claim_is("the client reads end of file", &client.call("recv 100")?, "ok 0");
    client.must("close")?;
    claim_state("the server's host, which closed first now, keeps TIME_WAIT", Side::Server, TcpState::TimeWait);
    claim_none_left("the client's kernel has removed the connection", Side::Client, port);
}

/// `TCP_TIMEWAIT_LEN`.
const TIME_WAIT: Duration = Duration::from_secs(60);
/// The resolution of the kernel's clock, at least 100 Hz.
const TICK: Duration = Duration::from_millis(20);

fn only_time_wait(stage: &Stage, side: Side) -> bool {
    let connections = stage.connections(side, PORT);
    connections.len() == 1 && connections[0].state == TcpState::TimeWait
}
