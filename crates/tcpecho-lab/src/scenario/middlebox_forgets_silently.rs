//! A middlebox between the hosts drops an idle connection from its table and says nothing (RFC 5382, UNP 5.14).

use std::time::Duration;

use super::Scenario;
use crate::impairment::{Matcher, Rule};
use crate::pace::Timer;
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "middlebox-forgets-silently",
        title: "a middlebox forgets the connection",
        source: "RFC 5382 5, after UNP 5.14",
        question: "An address translator or a firewall forgets a connection that was idle for long \
                   and drops what belongs to it. What do client and server see?",
        book: "Of middleboxes the book says nothing; to the client this is a host that crashed \
               (5.14).",
        kernel: "ETIMEDOUT when retransmission gives up, as after a crash; but a new connection \
                 works at once. The server keeps the old one for ever, unless it sends or has \
                 SO_KEEPALIVE on.",
        timers: &[Timer::Retransmission],
        steps: &[
            Step {
                does: "a client and a server talk",
                claims: &[
                    "the server reads what the client sent",
                    "and acknowledges it",
                ],
            },
            Step {
                does: "the connection is idle for so long that the middlebox forgets it",
                claims: &[],
            },
            Step {
                does: "the client sends and waits for an answer",
                claims: &[
                    "send succeeds",
                    "recv fails with ETIMEDOUT",
                    "it had sent more than once",
                    "the server is ESTABLISHED",
                    "and waits for data that will not come",
                ],
            },
            Step {
                does: "another client connects through the same middlebox",
                claims: &[
                    "that works: the host was never away",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a client and a server talk");
    stage.two().client.set_rto_min(Duration::from_millis(20))?;
    stage.shorten(Side::Client, Timer::Retransmission, &[1])?;
    let (client, server) = stage.connected()?;
    client.must("send before")?;
    let read = server.call("recv 100")?;
    stage.claim_is("the server reads what the client sent", &read, "ok 6 before");
    stage.claim_packet("and acknowledges it", &Matcher::ack().from_server());

    stage.step("the connection is idle for so long that the middlebox forgets it");
    let name = client.must("getsockname")?;
    let port = name.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default();
    let forgotten = Rule::drop(Matcher::any_tcp().port(port));
    stage.wire_rule(forgotten.because("no such connection"));
    server.begin("recv 100")?;

    stage.step("the client sends and waits for an answer");
    stage.claim_is("send succeeds", &client.call("send after")?, "ok 5");
    stage.claim_is("recv fails with ETIMEDOUT", &client.call("recv 100")?, "ETIMEDOUT");
    let sent = stage.count(&Matcher::data().from_client().containing("after"));
    stage.claim("it had sent more than once", sent > 1);
    stage.claim_state("the server is ESTABLISHED", Side::Server, TcpState::Established);
    let unread = server.program().lines().len();
    stage.claim("and waits for data that will not come", unread == 6);

    stage.step("another client connects through the same middlebox");
    let next = stage.client()?;
    let line = stage.connect_line();
    stage.claim_is("that works: the host was never away", &next.call(&line)?, "ok");
    Ok(())
}
