//! shutdown with SHUT_RD and SHUT_RDWR (UNP 6.6, shutdown(2)).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::PATIENCE;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "shutdown-reading",
    group: Some(Group::Closing),
    title: "shutdown with SHUT_RD, and with SHUT_RDWR",
    source: "UNP 6.6, shutdown(2), RFC 9293 3.6, 3.6.1",
    question: "What does shutdown tell the peer when it ends the reading half, or both?",
    book: &[
        (
            "SHUT_RD: no more can be read, and what arrives is acknowledged and thrown away. \
             SHUT_RDWR does the same as SHUT_RD and then SHUT_WR.",
            &[Book("6.6")],
        ),
    ],
    kernel: &[
        (
            "SHUT_RD sends nothing. A read with no data returns end of file, but data that \
             arrives can still be read.",
            &[
                Code("tcp_shutdown", "net/ipv4/tcp.c"),
                Measured("no FIN and no RST was sent"),
                Measured("a read returns end of file at once"),
                Measured("the data can be read all the same"),
                Measured("after the data a read returns end of file again"),
            ],
        ),
        (
            "SHUT_RDWR sends a FIN, and data that arrives after it is answered with an RST.",
            &[
                Rfc(9293, "3.6.1"),
                Measured("a FIN is sent"),
                Measured("data of the client is answered with RST"),
            ],
        ),
    ];

    step "a server ends its reading half";
    let (client, server) = stage.connected()?;
    server.must("shutdown rd")?;
    claim_is("a read returns end of file at once", &server.call("recv 100")?, "ok 0");
    client.must("send hello")?;
    claim_packet("data of the client is acknowledged", &Matcher::ack().from_server());
    claim_is("the data can be read all the same", &server.call("recv 100")?, "ok 5 hello");
    claim_is("after the data a read returns end of file again", &server.call("recv 100")?, "ok 0");
    claim_is("the server can still send", &server.call("send reply")?, "ok 5");
    claim_is("the client reads what the server sent", &client.call("recv 100")?, "ok 5 reply");
    let ends = stage.count(&Matcher::fin()) + stage.count(&Matcher::rst());
    claim("no FIN and no RST was sent", ends == 0);

    step "another server ends both halves";
    server.must("close")?;
    client.must("close")?;
    let mark = stage.two().timeline.mark();
    let other = stage.joined(&server)?;
    server.must("shutdown rdwr")?;
    claim_packet_since("a FIN is sent", mark, &Matcher::fin().from_server().port(other.port()?));
    claim_state("the client's end is in CLOSE_WAIT", Side::Client, TcpState::CloseWait);
    other.must("send hello")?;
    claim_packet_since(
        "data of the client is answered with RST",
        mark, &Matcher::rst().from_server().port(other.port()?),
    );
    stage.two().wire.settle(PATIENCE);
    other.must("sigpipe ignore")?;
    claim_is("the client's next write fails with EPIPE", &other.call("send more")?, "EPIPE");
}
