//! Ending one direction does not end the other (UNP 6.6).

use crate::impairment::Matcher;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "half-close",
    group: Some(Group::Closing),
    title: "one direction ends, and replies still arrive",
    source: "UNP 6.6, RFC 9293 3.6",
    question: "How does a client say that it has no more requests and still read every reply?",
    book: &[
        (
            "shutdown with SHUT_WR sends a FIN after the data that was written and closes only \
             the writing half. The server reads end of file after the last request, and the \
             client still receives its replies.",
            &[Book("6.6")],
        ),
    ],
    kernel: &[
        (
            "The same. FIN_WAIT_2 and CLOSE_WAIT last until the server closes: a socket that its \
             program still holds has no timeout in FIN_WAIT_2.",
            &[
                Measured("the server is in CLOSE_WAIT"),
                Measured("the client is in FIN_WAIT_2"),
                Measured("the client reads the second reply"),
                Sysctl("net.ipv4.tcp_fin_timeout"),
            ],
        ),
        (
            "A write after the shutdown returns EPIPE.",
            &[Measured("a write fails with EPIPE"), Man("write(2)")],
        ),
    ];

    step "the client sends a request and shuts down its writing half";
    let (client, server) = stage.connected()?;
    client.must("sigpipe ignore")?;
    client.must("send question")?;
    client.must("shutdown wr")?;
    claim_packet("a FIN is sent", &Matcher::fin().from_client());
    claim_state("the server is in CLOSE_WAIT", Side::Server, TcpState::CloseWait);
    claim_state("the client is in FIN_WAIT_2", Side::Client, TcpState::FinWait2);
    claim_is("a write fails with EPIPE", &client.call("send more")?, "EPIPE");

    step "the server reads until end of file";
    claim_is("the server reads the request", &server.call("recv 100")?, "ok 8 question");
    claim_is("the next read returns end of file", &server.call("recv 100")?, "ok 0");

    step "the server sends two replies";
    claim_is("the first write succeeds", &server.call("send answer one")?, "ok 10");
    claim_is("the client reads the first reply", &client.call("recv 100")?, "ok 10 answer one");
    claim_is("the second write succeeds", &server.call("send answer two")?, "ok 10");
    claim_is("the client reads the second reply", &client.call("recv 100")?, "ok 10 answer two");

    step "the server closes";
    server.must("close")?;
    claim_is("the client reads end of file", &client.call("recv 100")?, "ok 0");
    claim_state("the client's end is in TIME_WAIT", Side::Client, TcpState::TimeWait);
    claim("no RST was sent", stage.count(&Matcher::rst()) == 0);
}
