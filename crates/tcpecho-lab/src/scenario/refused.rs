//! No server listens on the port, and an RST answers the SYN (UNP 4.3, RFC 9293 3.10.7.1).

use super::Scenario;
use crate::impairment::Matcher;
use crate::packet::Flags;
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "refused",
        title: "no server listens on the port",
        source: "UNP 4.3, RFC 9293 3.10.7.1",
        question: "What does connect return when the host is up and no server listens, and can the \
                   socket be used again?",
        book: "The server's host answers the SYN with an RST, and connect fails with ECONNREFUSED \
               as soon as the RST arrives. A socket whose connect has failed cannot be used any \
               more and must be closed before the next attempt.",
        kernel: "The same error, without a second SYN. But the socket remains usable: the next \
                 connect on it starts again.",
        timers: &[],
        steps: &[
            Step {
                does: "the client connects to a port on which no server listens",
                claims: &[
                    "connect fails with ECONNREFUSED",
                    "an RST with ACK answers the SYN",
                    "no other packet was sent",
                    "no socket of the attempt is left",
                    "no SYN follows the RST",
                ],
            },
            Step {
                does: "a server starts, and the client connects with the same socket",
                claims: &[
                    "connect succeeds on Linux, although the book requires a new socket",
                    "the server accepts the connection",
                    "the client is ESTABLISHED",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("the client connects to a port on which no server listens");
    let client = stage.client()?;
    let refused = client.call(&stage.connect_line())?;
    stage.claim_is("connect fails with ECONNREFUSED", &refused, "ECONNREFUSED");
    let reset = Matcher::rst().from_server().with_flags(Flags::ACK);
    stage.claim_packet("an RST with ACK answers the SYN", &reset);
    // On a busy machine the answer may take so long that the SYN is retransmitted first.
    let syns = stage.count(&Matcher::syn());
    let resets = stage.count(&reset);
    stage.claim("no other packet was sent", stage.packets().len() == syns + resets);
    let none_left = stage.two().client.sockets(stage.family()).iter().all(|socket| {
        ![TcpState::SynSent, TcpState::TimeWait].contains(&socket.state)
    });
    stage.claim("no socket of the attempt is left", none_left);
    stage.claim("no SYN follows the RST", stage.count(&Matcher::syn()) == syns);

    stage.step("a server starts, and the client connects with the same socket");
    let server = stage.listening(10)?;
    let again = client.call(&stage.connect_line())?;
    stage.claim_is("connect succeeds on Linux, although the book requires a new socket", &again, "ok");
    stage.claim("the server accepts the connection", server.must("accept").is_ok());
    stage.claim_state("the client is ESTABLISHED", Side::Client, TcpState::Established);
    Ok(())
}
