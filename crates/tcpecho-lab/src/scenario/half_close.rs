//! The end of one direction is not the end of the other (UNP 6.6).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "half-close",
        title: "one direction ends, replies still arrive",
        source: "UNP 6.6, RFC 9293 3.6",
        question: "How does a client say that it has no more requests, and still read every reply?",
        book: "shutdown with SHUT_WR sends a FIN behind everything that was written and closes \
               only the writing half; the server reads end of file when it has read the last \
               request, and what it answers is still received.",
        kernel: "The same: FIN_WAIT_2 and CLOSE_WAIT can last as long as the server has something \
                 to say, and data passes between them. Writing after the shutdown is EPIPE.",
        timers: &[],
        steps: &[
            Step {
                does: "the client sends a question and shuts down its writing half",
                claims: &[
                    "a FIN goes out",
                    "the server is in CLOSE_WAIT",
                    "the client is in FIN_WAIT_2",
                    "the client can write no more",
                ],
            },
            Step {
                does: "the server reads to the end",
                claims: &[
                    "it reads the question",
                    "and then end of file",
                ],
            },
            Step {
                does: "the server answers, twice",
                claims: &[
                    "it may write one answer",
                    "the client reads it",
                    "it may write another",
                    "the client reads that too",
                ],
            },
            Step {
                does: "the server closes",
                claims: &[
                    "now the client reads end of file",
                    "and its end is in TIME_WAIT",
                    "nobody sent a RST",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("the client sends a question and shuts down its writing half");
    let (client, server) = stage.connected()?;
    client.must("sigpipe ignore")?;
    client.must("send question")?;
    client.must("shutdown wr")?;
    stage.claim_packet("a FIN goes out", &Matcher::fin().from_client());
    stage.claim_state("the server is in CLOSE_WAIT", Side::Server, TcpState::CloseWait);
    stage.claim_state("the client is in FIN_WAIT_2", Side::Client, TcpState::FinWait2);
    stage.claim_is("the client can write no more", &client.call("send more")?, "EPIPE");

    stage.step("the server reads to the end");
    stage.claim_is("it reads the question", &server.call("recv 100")?, "ok 8 question");
    stage.claim_is("and then end of file", &server.call("recv 100")?, "ok 0");

    stage.step("the server answers, twice");
    stage.claim_is("it may write one answer", &server.call("send answer one")?, "ok 10");
    stage.claim_is("the client reads it", &client.call("recv 100")?, "ok 10 answer one");
    stage.claim_is("it may write another", &server.call("send answer two")?, "ok 10");
    stage.claim_is("the client reads that too", &client.call("recv 100")?, "ok 10 answer two");

    stage.step("the server closes");
    server.must("close")?;
    stage.claim_is("now the client reads end of file", &client.call("recv 100")?, "ok 0");
    stage.claim_state("and its end is in TIME_WAIT", Side::Client, TcpState::TimeWait);
    stage.claim("nobody sent a RST", stage.count(&Matcher::rst()) == 0);
    Ok(())
}
