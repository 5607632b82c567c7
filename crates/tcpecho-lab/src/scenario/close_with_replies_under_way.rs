//! Who closes instead of shutting down loses the replies (UNP 5.13 and 6.6).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "close-with-replies-under-way",
        title: "the client closes before the replies are there",
        source: "UNP 5.13, 6.2, 6.6",
        question: "What happens to replies that arrive after the client has closed its socket?",
        book: "A client in batch mode that ends at the end of its input may have requests and \
               replies on the way still; close ends both directions, so that replies are refused \
               with a RST. That is what shutdown is for.",
        kernel: "The same. The first write of the server works, since it only fills a buffer; the \
                 RST that it provokes makes the next one EPIPE. Reading still says end of file and \
                 never ECONNRESET: the FIN came first.",
        timers: &[],
        steps: &[
            Step {
                does: "the client sends a question and closes",
                claims: &[
                    "the client's kernel goes to FIN_WAIT_2",
                    "the server is in CLOSE_WAIT",
                    "the server reads the question",
                ],
            },
            Step {
                does: "the server answers",
                claims: &[
                    "its first write works: nothing tells it that nobody will read",
                    "the client's kernel answers the answer with a RST",
                ],
            },
            Step {
                does: "the server goes on",
                claims: &[
                    "its next write is EPIPE",
                    "its read still says end of file",
                    "the second answer was never on the wire",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("the client sends a question and closes");
    let (client, server) = stage.connected()?;
    server.must("sigpipe ignore")?;
    client.must("send question")?;
    client.must("close")?;
    stage.claim_state("the client's kernel goes to FIN_WAIT_2", Side::Client, TcpState::FinWait2);
    stage.claim_state("the server is in CLOSE_WAIT", Side::Server, TcpState::CloseWait);
    stage.claim_is("the server reads the question", &server.call("recv 100")?, "ok 8 question");

    stage.step("the server answers");
    let first = server.call("send answer one")?;
    stage.claim_is("its first write works: nothing tells it that nobody will read", &first, "ok 10");
    let reset = Matcher::rst().from_client();
    stage.claim_packet("the client's kernel answers the answer with a RST", &reset);

    stage.step("the server goes on");
    stage.claim_is("its next write is EPIPE", &server.call("send answer two")?, "EPIPE");
    stage.claim_is("its read still says end of file", &server.call("recv 100")?, "ok 0");
    let second = stage.count(&Matcher::data().from_server().containing("two"));
    stage.claim("the second answer was never on the wire", second == 0);
    Ok(())
}
