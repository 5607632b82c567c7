//! Closing with unread data is an abort (RFC 2525 2.17, RFC 9293 3.6.1).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{PATIENCE, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "close-with-unread-data",
        title: "close without having read everything",
        source: "UNP 7.5, RFC 2525 2.17, RFC 1122 4.2.2.13",
        question: "Does close always end a connection in the orderly way, with a FIN?",
        book: "close puts a FIN behind what was written, and the orderly end follows, unless \
               SO_LINGER asks for a RST; a RST sent, there is no TIME_WAIT.",
        kernel: "With data in the receive buffer that was never read, close sends a RST without \
                 SO_LINGER, since the data is lost and the peer should know. The peer reads what \
                 had arrived before it, then ECONNRESET, then end of file. There is no TIME_WAIT \
                 at either end.",
        timers: &[],
        steps: &[
            Step {
                does: "the client sends what the server does not read; the server sends a greeting",
                claims: &[],
            },
            Step {
                does: "the server closes",
                claims: &[
                    "a RST goes out",
                    "and no FIN",
                ],
            },
            Step {
                does: "the client reads",
                claims: &[
                    "it reads what had arrived before the RST",
                    "then it is told of the RST",
                    "once: afterwards it is end of file",
                    "neither end is in TIME_WAIT, or anywhere else",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("the client sends what the server does not read; the server sends a greeting");
    let (client, server) = stage.connected()?;
    client.must("send unread")?;
    stage.two().wire.wait_delivered(&Matcher::data().from_client(), 0, PATIENCE)?;
    server.must("send greeting")?;
    stage.two().wire.wait_delivered(&Matcher::data().from_server(), 0, PATIENCE)?;

    stage.step("the server closes");
    server.must("close")?;
    stage.claim_packet("a RST goes out", &Matcher::rst().from_server());
    stage.claim("and no FIN", stage.count(&Matcher::fin()) == 0);

    stage.step("the client reads");
    let read = client.call("recv 100")?;
    stage.claim_is("it reads what had arrived before the RST", &read, "ok 8 greeting");
    stage.claim_is("then it is told of the RST", &client.call("recv 100")?, "ECONNRESET");
    stage.claim_is("once: afterwards it is end of file", &client.call("recv 100")?, "ok 0");

    let ended = |side| {
        let sockets = stage.two().host(side).sockets(stage.family());
        sockets.iter().all(|socket| matches!(socket.state, TcpState::Listen | TcpState::Close))
    };
    let gone = Side::BOTH.into_iter().all(ended);
    stage.claim("neither end is in TIME_WAIT, or anywhere else", gone);
    Ok(())
}
