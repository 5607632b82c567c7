//! A client that closes instead of shutting down loses the replies (UNP 6.5, 6.6).

use crate::impairment::Matcher;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "close-with-replies-under-way",
    group: Some(Group::Closing),
    title: "the client closes before the replies have arrived",
    source: "UNP 6.5, 6.6, 5.12",
    question: "What happens to replies that arrive after the client has closed its socket?",
    book: &[
        (
            "A client in batch mode that closes at the end of its input may still have requests \
             and replies in transit. That is why it must close one half only, with shutdown.",
            &[Book("6.5"), Book("6.6")],
        ),
        (
            "A segment for a socket that is no longer open is answered with an RST.",
            &[Book("5.12")],
        ),
    ],
    kernel: &[
        (
            "The server's first write succeeds, because it only fills a buffer; the RST that it \
             provokes makes the next write return EPIPE.",
            &[
                Measured("the client's kernel answers the reply with an RST"),
                Measured("the next write fails with EPIPE"),
                Rfc(9293, "3.6.1"),
            ],
        ),
        (
            "read returns end of file and never ECONNRESET, because the FIN came first.",
            &[Measured("read still returns end of file"), Lab("server-process-killed")],
        ),
    ];

    step "the client sends a request and closes";
    let (client, server) = stage.connected()?;
    server.must("sigpipe ignore")?;
    client.must("send question")?;
    client.must("close")?;
    claim_state("the client's socket goes to FIN_WAIT_2", Side::Client, TcpState::FinWait2);
    claim_state("the server is in CLOSE_WAIT", Side::Server, TcpState::CloseWait);
    claim_is("the server reads the request", &server.call("recv 100")?, "ok 8 question");

    step "the server sends a reply";
    let first = server.call("send answer one")?;
    claim_is(
        "the first write succeeds: the server's kernel does not know yet that the client has \
         closed",
        &first, "ok 10",
    );
    let reset = Matcher::rst().from_client();
    claim_packet("the client's kernel answers the reply with an RST", &reset);

    step "the server continues";
    claim_is("the next write fails with EPIPE", &server.call("send answer two")?, "EPIPE");
    claim_is("read still returns end of file", &server.call("recv 100")?, "ok 0");
    let second = stage.count(&Matcher::data().from_server().containing("two"));
    claim("the second reply was never sent", second == 0);
}
