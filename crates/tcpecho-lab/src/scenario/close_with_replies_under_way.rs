//! A client that closes instead of shutting down loses the replies (UNP 5.13 and 6.6).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "close-with-replies-under-way",
        title: "the client closes before the replies have arrived",
        source: "UNP 5.13, 6.2, 6.6",
        question: "What happens to replies that arrive after the client has closed its socket?",
        book: "A client in batch mode that exits at the end of its input may still have requests \
               and replies in transit. close ends both directions, and the replies are answered \
               with an RST. That is what shutdown is for.",
        kernel: "The same. The server's first write succeeds, because it only fills a buffer; the \
                 RST that it provokes makes the next write return EPIPE. read returns end of file \
                 and never ECONNRESET, because the FIN came first.",
        timers: &[],
        steps: &[
            Step {
                does: "the client sends a request and closes",
                claims: &[
                    "the client's socket goes to FIN_WAIT_2",
                    "the server is in CLOSE_WAIT",
                    "the server reads the request",
                ],
            },
            Step {
                does: "the server sends a reply",
                claims: &[
                    "the first write succeeds: nothing has told the server that the reader has \
                     gone",
                    "the client's kernel answers the reply with an RST",
                ],
            },
            Step {
                does: "the server continues",
                claims: &[
                    "the next write fails with EPIPE",
                    "read still returns end of file",
                    "the second reply was never sent",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("the client sends a request and closes");
    let (client, server) = stage.connected()?;
    server.must("sigpipe ignore")?;
    client.must("send question")?;
    client.must("close")?;
    stage.claim_state("the client's socket goes to FIN_WAIT_2", Side::Client, TcpState::FinWait2);
    stage.claim_state("the server is in CLOSE_WAIT", Side::Server, TcpState::CloseWait);
    stage.claim_is("the server reads the request", &server.call("recv 100")?, "ok 8 question");

    stage.step("the server sends a reply");
    let first = server.call("send answer one")?;
    stage.claim_is("the first write succeeds: nothing has told the server that the reader has gone", &first, "ok 10");
    let reset = Matcher::rst().from_client();
    stage.claim_packet("the client's kernel answers the reply with an RST", &reset);

    stage.step("the server continues");
    stage.claim_is("the next write fails with EPIPE", &server.call("send answer two")?, "EPIPE");
    stage.claim_is("read still returns end of file", &server.call("recv 100")?, "ok 0");
    let second = stage.count(&Matcher::data().from_server().containing("two"));
    stage.claim("the second reply was never sent", second == 0);
    Ok(())
}
