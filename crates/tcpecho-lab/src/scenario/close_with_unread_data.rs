//! Closing with unread data is an abort (RFC 2525 2.17, RFC 9293 3.6.1).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::PATIENCE;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "close-with-unread-data",
    group: Some(Group::Closing),
    title: "the program closes without having read everything",
    source: "UNP 4.9, 7.5, RFC 2525 2.17, RFC 9293 3.6.1",
    question: "Does close always end a connection with a FIN?",
    book: &[
        (
            "close sends the data that was written, and the normal termination sequence follows.",
            &[Book("4.9")],
        ),
        (
            "With SO_LINGER and a time of zero, close sends an RST instead, and there is no \
             TIME_WAIT.",
            &[Book("7.5")],
        ),
    ],
    kernel: &[
        (
            "If the receive buffer holds data that was never read, close sends an RST without \
             SO_LINGER: the data is lost, and the RST tells the peer so.",
            &[
                Rfc(9293, "3.6.1"),
                Rfc(2525, "2.17"),
                Measured("an RST is sent"),
                Measured("no FIN is sent"),
            ],
        ),
        (
            "The peer reads what arrived before the RST, then ECONNRESET, then end of file. \
             Neither end keeps TIME_WAIT.",
            &[
                Measured("the client reads what arrived before the RST"),
                Measured("the next read returns ECONNRESET"),
                Measured("the read after that returns end of file"),
                Measured("neither end is in TIME_WAIT or any other state"),
            ],
        ),
    ];

    step "the client sends data that the server does not read; the server sends a greeting";
    let (client, server) = stage.connected()?;
    client.must("send unread")?;
    stage.two().wire.wait_delivered(&Matcher::data().from_client(), 0, PATIENCE)?;
    server.must("send greeting")?;
    stage.two().wire.wait_delivered(&Matcher::data().from_server(), 0, PATIENCE)?;

    step "the server closes";
    server.must("close")?;
    claim_packet("an RST is sent", &Matcher::rst().from_server());
    claim("no FIN is sent", stage.count(&Matcher::fin()) == 0);

    step "the client reads";
    let read = client.call("recv 100")?;
    claim_is("the client reads what arrived before the RST", &read, "ok 8 greeting");
    claim_is("the next read returns ECONNRESET", &client.call("recv 100")?, "ECONNRESET");
    claim_is("the read after that returns end of file", &client.call("recv 100")?, "ok 0");
    let ended = |side| {
        let sockets = stage.two().host(side).sockets(stage.family());
        sockets.iter().all(|socket| matches!(socket.state, TcpState::Listen | TcpState::Close))
    };
    let gone = Side::BOTH.into_iter().all(ended);
    claim("neither end is in TIME_WAIT or any other state", gone);
}
