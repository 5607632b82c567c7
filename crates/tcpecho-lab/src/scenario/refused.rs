//! No server listens on the port, and an RST answers the SYN (UNP 4.3, RFC 9293 3.10.7.1).

use crate::impairment::Matcher;
use crate::packet::Flags;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "refused",
    group: Some(Group::Startup),
    title: "no server listens on the port",
    source: "UNP 4.3, RFC 9293 3.10.7.1",
    question: "What does connect return when the host is up and no server listens, and can the \
               socket be used again?",
    book: &[
        (
            "The server's host answers the SYN with an RST, and connect fails with ECONNREFUSED \
             as soon as the RST arrives. A socket whose connect has failed cannot be used any \
             more and must be closed before the next attempt.",
            &[Book("4.3"), Rfc(9293, "3.10.7.1")],
        ),
    ],
    kernel: &[
        (
            "The same error, without a second SYN.",
            &[Measured("connect fails with ECONNREFUSED"), Measured("no SYN follows the RST")],
        ),
        (
            "But the socket remains usable: the next connect on it starts again.",
            &[Measured("connect succeeds on Linux, although the book requires a new socket")],
        ),
        (
            "On a nonblocking socket the next connect returns the error, or ECONNABORTED if \
             SO_ERROR has been read, and the one after it starts again.",
            &[Code("__inet_stream_connect", "net/ipv4/af_inet.c")],
        ),
    ];

    step "the client connects to a port on which no server listens";
    let client = stage.client()?;
    let refused = client.call(&stage.connect_line())?;
    claim_is("connect fails with ECONNREFUSED", &refused, "ECONNREFUSED");
    let reset = Matcher::rst().from_server().with_flags(Flags::ACK);
    claim_packet("an RST with ACK answers the SYN", &reset);
    // On a busy machine the answer may take so long that the SYN is retransmitted first.
    let syns = stage.count(&Matcher::syn());
    let resets = stage.count(&reset);
    claim("no other packet was sent", stage.packets().len() == syns + resets);
    let none_left = stage.two().client.sockets(stage.family()).iter().all(|socket| {
        ![TcpState::SynSent, TcpState::TimeWait].contains(&socket.state)
    });
    claim("no socket of the attempt is left", none_left);
    claim("no SYN follows the RST", stage.count(&Matcher::syn()) == syns);

    step "a server starts, and the client connects with the same socket";
    let server = stage.listening(10)?;
    let again = client.call(&stage.connect_line())?;
    claim_is("connect succeeds on Linux, although the book requires a new socket", &again, "ok");
    claim("the server accepts the connection", server.must("accept").is_ok());
    claim_state("the client is ESTABLISHED", Side::Client, TcpState::Established);
}
