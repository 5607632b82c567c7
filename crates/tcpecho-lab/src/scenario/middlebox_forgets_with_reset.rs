//! A middlebox forgets an idle connection and answers the segments that follow with RST (RFC 5382).

use super::Scenario;
use crate::impairment::{Matcher, Rule};
use crate::packet::reset_sender;
use crate::side::Side;
use crate::stage::{Broken, PATIENCE, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "middlebox-forgets-with-reset",
        title: "a middlebox forgets the connection and sends RST",
        source: "RFC 5382 5, after UNP 5.15",
        question: "A firewall forgets an idle connection and answers its segments with RST. What \
                   do client and server see?",
        book: "The book does not discuss middleboxes. To the client this looks like a host that \
               has crashed and rebooted (5.15): ECONNRESET.",
        kernel: "The side that sends gets ECONNRESET at once. The other side learns nothing until \
                 it sends data itself.",
        timers: &[],
        steps: &[
            Step {
                does: "a client and a server exchange data",
                claims: &[
                    "the server reads what the client sent",
                    "the server's kernel acknowledges it",
                ],
            },
            Step {
                does: "the middlebox forgets the connection, and the client sends",
                claims: &[
                    "send succeeds",
                    "recv fails with ECONNRESET",
                    "the next recv returns end of file",
                    "a further send fails with EPIPE",
                    "the client's kernel has removed the connection",
                ],
            },
            Step {
                does: "the server sends",
                claims: &[
                    "the server is ESTABLISHED: it has learned nothing",
                    "its send succeeds, too",
                    "its recv then fails with ECONNRESET",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a client and a server exchange data");
    let (client, server) = stage.connected()?;
    client.must("send before")?;
    let read = server.call("recv 100")?;
    stage.claim_is("the server reads what the client sent", &read, "ok 6 before");
    stage.claim_packet("the server's kernel acknowledges it", &Matcher::ack().from_server());

    stage.step("the middlebox forgets the connection, and the client sends");
    stage.wire_rule(Rule::hold(Matcher::data()).because("no such connection"));
    stage.claim_is("send succeeds", &client.call("send after")?, "ok 5");
    reset_sender_of(stage, &Matcher::data().from_client())?;
    stage.claim_is("recv fails with ECONNRESET", &client.call("recv 100")?, "ECONNRESET");
    stage.claim_is("the next recv returns end of file", &client.call("recv 100")?, "ok 0");
    stage.claim_is("a further send fails with EPIPE", &client.call("send more")?, "EPIPE");
    let left = stage.two().client.sockets(stage.family()).len();
    stage.claim("the client's kernel has removed the connection", left == 0);

    stage.step("the server sends");
    stage.claim_state("the server is ESTABLISHED: it has learned nothing", Side::Server, TcpState::Established);
    stage.claim_is("its send succeeds, too", &server.call("send after")?, "ok 5");
    reset_sender_of(stage, &Matcher::data().from_server())?;
    stage.claim_is("its recv then fails with ECONNRESET", &server.call("recv 100")?, "ECONNRESET");
    Ok(())
}

/// The middlebox answers the packets that it holds in the receiver's name and discards them.
fn reset_sender_of(stage: &Stage, data: &Matcher) -> Result<(), Broken> {
    let wire = &stage.two().wire;
    let seen = wire.wait_for(data, 0, PATIENCE)?;
    wire.discard(data);
    if let Some(reset) = reset_sender(&seen.packet) {
        wire.inject(seen.from, &reset, "from the middlebox");
    }
    Ok(())
}
