//! Data that arrives out of order waits for the missing data (RFC 9293 3.10.7.4, RFC 2018).

use std::time::Duration;

use super::Scenario;
use crate::impairment::{Matcher, Rule};
use crate::stage::{PATIENCE, Played, Stage};
use crate::text::{Step, Text};

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "segments-reordered",
        title: "the second segment arrives first",
        source: "UNP 2.4, RFC 2018",
        question: "Does a program read data in the order of arrival or in the order of sending?",
        book: "TCP sorts segments by their sequence numbers before it passes data to the \
               application.",
        kernel: "The same: the early segment is acknowledged with SACK and stays unreadable until \
                 the gap is filled. The sender cannot tell a late segment from a lost one: RACK \
                 retransmits it after a fraction of the RTT.",
        timers: &[],
        steps: &[
            Step {
                does: "the client sends two segments, and the wire holds the first",
                claims: &[
                    "the second segment arrives",
                    "the server's kernel acknowledges it with SACK",
                    "the client's kernel takes the first segment for lost and retransmits it",
                    "the server has nothing to read yet",
                ],
            },
            Step {
                does: "the first segment is released",
                claims: &[
                    "the first segment arrives",
                    "both segments are read in the order of sending",
                    "the data that arrived twice is read once",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("the client sends two segments, and the wire holds the first");
    // No timer expires; retransmissions are caused by the SACK of the server's kernel.
    stage.two().client.set_rto_min(Duration::from_secs(30))?;
    let (client, server) = stage.connected()?;
    client.must("setsockopt nodelay on")?;
    let first = Matcher::data().from_client().containing("first");
    stage.wire_rule(Rule::hold(first.clone()));
    client.must("send first, ")?;
    stage.two().wire.wait_for(&first, 0, PATIENCE)?;
    let mark = stage.two().timeline.mark();
    client.must("send second")?;
    stage.claim_packet("the second segment arrives", &Matcher::data().from_client().containing("second"));
    let early = Matcher::ack().from_server().matching("with SACK", |_, packet| {
        packet.tcp().is_some_and(|tcp| !tcp.sack.is_empty())
    });
    stage.claim_packet("the server's kernel acknowledges it with SACK", &early);
    let again = stage.two().wire.wait_for(&first, mark, PATIENCE);
    stage.claim("the client's kernel takes the first segment for lost and retransmits it", again.is_ok());
    server.must("nonblocking on")?;
    let nothing = server.call("recv 100")?;
    stage.claim_is("the server has nothing to read yet", &nothing, "EAGAIN");

    stage.step("the first segment is released");
    stage.two().wire.release_all(&first);
    stage.claim_packet("the first segment arrives", &first);
    let read = server.call("recv 100")?;
    stage.claim_is("both segments are read in the order of sending", &read, "ok 13 first, second");
    let none = server.call("recv 100")?;
    stage.claim_is("the data that arrived twice is read once", &none, "EAGAIN");
    Ok(())
}
