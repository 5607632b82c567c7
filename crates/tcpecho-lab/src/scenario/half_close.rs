//! Ending one direction does not end the other (UNP 6.6).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "half-close",
        title: "one direction ends, and replies still arrive",
        source: "UNP 6.6, RFC 9293 3.6",
        question: "How does a client say that it has no more requests and still read every reply?",
        book: "shutdown with SHUT_WR sends a FIN after the data that was written and closes only \
               the writing half. The server reads end of file after the last request, and the \
               client still receives its replies.",
        kernel: "The same. FIN_WAIT_2 and CLOSE_WAIT last as long as the server has data to send. \
                 A write after the shutdown returns EPIPE.",
        timers: &[],
        steps: &[
            Step {
                does: "the client sends a request and shuts down its writing half",
                claims: &[
                    "a FIN is sent",
                    "the server is in CLOSE_WAIT",
                    "the client is in FIN_WAIT_2",
                    "a write fails with EPIPE",
                ],
            },
            Step {
                does: "the server reads until end of file",
                claims: &[
                    "the server reads the request",
                    "the next read returns end of file",
                ],
            },
            Step {
                does: "the server sends two replies",
                claims: &[
                    "the first write succeeds",
                    "the client reads the first reply",
                    "the second write succeeds",
                    "the client reads the second reply",
                ],
            },
            Step {
                does: "the server closes",
                claims: &[
                    "the client reads end of file",
                    "the client's end is in TIME_WAIT",
                    "no RST was sent",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("the client sends a request and shuts down its writing half");
    let (client, server) = stage.connected()?;
    client.must("sigpipe ignore")?;
    client.must("send question")?;
    client.must("shutdown wr")?;
    stage.claim_packet("a FIN is sent", &Matcher::fin().from_client());
    stage.claim_state("the server is in CLOSE_WAIT", Side::Server, TcpState::CloseWait);
    stage.claim_state("the client is in FIN_WAIT_2", Side::Client, TcpState::FinWait2);
    stage.claim_is("a write fails with EPIPE", &client.call("send more")?, "EPIPE");

    stage.step("the server reads until end of file");
    stage.claim_is("the server reads the request", &server.call("recv 100")?, "ok 8 question");
    stage.claim_is("the next read returns end of file", &server.call("recv 100")?, "ok 0");

    stage.step("the server sends two replies");
    stage.claim_is("the first write succeeds", &server.call("send answer one")?, "ok 10");
    stage.claim_is("the client reads the first reply", &client.call("recv 100")?, "ok 10 answer one");
    stage.claim_is("the second write succeeds", &server.call("send answer two")?, "ok 10");
    stage.claim_is("the client reads the second reply", &client.call("recv 100")?, "ok 10 answer two");

    stage.step("the server closes");
    server.must("close")?;
    stage.claim_is("the client reads end of file", &client.call("recv 100")?, "ok 0");
    stage.claim_state("the client's end is in TIME_WAIT", Side::Client, TcpState::TimeWait);
    stage.claim("no RST was sent", stage.count(&Matcher::rst()) == 0);
    Ok(())
}
