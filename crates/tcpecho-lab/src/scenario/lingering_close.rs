//! A server that closes early reads what still arrives first (RFC 9112 9.6; RFC 2525 2.17).

use crate::impairment::Matcher;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "lingering-close",
    group: Some(Group::Closing),
    title: "a server reads the rest of a request that it refuses",
    source: "UNP 6.6, 7.5, RFC 2525 2.17, RFC 9112 9.6",
    question: "A server answers a request that it does not want to read to its end. How does it close \
               so that the client still gets the answer?",
    book: &[
        (
            "shutdown with SHUT_WR sends the FIN after the answer; a read until end of file then \
             tells that the client has received it, if the client closes only after the answer.",
            &[Book("6.6"), Book("7.5")],
        ),
        (
            "A server that closes at once risks that the client loses the answer.",
            &[Rfc(9112, "9.6")],
        ),
    ],
    kernel: &[
        (
            "The same. After shutdown the server reads and throws away what arrives, until the \
             client's FIN; then nothing is unread, and close sends no RST.",
            &[
                Measured("a FIN is sent after the refusal"),
                Measured("the server reads the rest of the request"),
                Measured("no RST was sent"),
            ],
        ),
        (
            "Without that, close sends an RST, and what is not acknowledged yet is lost. A client \
             on Linux can still read what arrived before the RST; another system may discard it.",
            &[Lab("close-with-unread-data"), Rfc(2525, "2.17"), Rfc(9112, "9.6")],
        ),
    ];

    step "a client sends half of a long request, and the server sends its refusal";
    let (client, server) = stage.connected()?;
    client.must("send 20000 bytes")?;
    server.must("recv 1000")?;
    server.must("send too long")?;
    server.must("shutdown wr")?;
    claim_packet("a FIN is sent after the refusal", &Matcher::fin().from_server());
    claim_state("the server's end is in FIN_WAIT_2", Side::Server, TcpState::FinWait2);

    step "the client sends the other half before it reads";
    claim_is("send succeeds", &client.call("send 20000 bytes")?, "ok 20000");
    claim_is("the client reads the refusal", &client.call("recv 100")?, "ok 8 too long");
    claim_is("the client reads end of file after the refusal", &client.call("recv 100")?, "ok 0");
    client.must("close")?;

    step "the server reads the rest and closes";
    let rest = server.receive_all(39_000)?;
    claim("the server reads the rest of the request", rest.iter().sum::<usize>() == 39_000);
    claim_is("the server reads end of file after the request", &server.call("recv 100")?, "ok 0");
    server.must("close")?;
    claim_state("the server's end is in TIME_WAIT", Side::Server, TcpState::TimeWait);
    claim("no RST was sent", stage.count(&Matcher::rst()) == 0);
}
