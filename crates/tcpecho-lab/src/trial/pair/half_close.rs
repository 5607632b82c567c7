//! The input ends while replies are outstanding (UNP 6.6).

use super::{END, many_lines, meet};
use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::Played;
use crate::trial::{Fault, Trial};
use std::time::Duration;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &Side::BOTH,
    text: Text {
        name: "half-close",
        title: "the client's input ends while replies are outstanding",
        source: "UNP 6.6",
        question: "Many lines are typed, and the input ends before the first reply arrives. Is \
                   every reply written, and do both ends close?",
        steps: &[
            Step {
                does: "ten lines of 1000 bytes are typed and the input ends; the wire holds every \
                       reply",
                claims: &[],
            },
            Step {
                does: "the wire releases the replies",
                claims: &[
                    "the client sends FIN",
                    "the server sends FIN",
                    "the client exits with status 0",
                    "the client has written every line",
                    "no RST was sent",
                    "the server leaves no socket in CLOSE_WAIT",
                    "the server still runs",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

/// How long the replies wait for FIN; a client that sends it only after them is not worse.
const FIN_FIRST: Duration = Duration::from_secs(1);

fn play(harness: &mut Harness) -> Played {
    harness.step("ten lines of 1000 bytes are typed and the input ends; the wire holds every reply");
    harness.stage.two().watch_states(false);
    // Held packets must not be retransmitted: a copy that arrives after the end would be answered
    // with RST.
    harness.stage.two().set_rto_min(Duration::from_secs(10))?;
    harness.stage.two().set_sysctl("net.ipv4.tcp_early_retrans", "0")?;
    let pair = meet(harness)?;
    let replies = [Matcher::data().from_server(), Matcher::fin().from_server()];
    let rules = replies.map(|reply| harness.stage.two().wire.add(Rule::hold(reply)));
    // No more than a kernel sends before the first acknowledgment, which the replies carry.
    let lines = many_lines(10);
    for line in &lines {
        pair.client.types(line);
    }
    harness.decisive();
    pair.client.ends_input();
    if harness.delivered(&Matcher::fin().from_client(), 0, FIN_FIRST).is_err() {
        harness.note("the client sends no FIN before it has every reply");
    }

    harness.step("the wire releases the replies");
    let all: usize = lines.iter().map(|line| line.len() + 1).sum();
    // Otherwise the last packet would overtake the others, and the kernel would retransmit them.
    harness.comes(END, || {
        let held = harness.stage.two().wire.held();
        pair.server.process.exit().is_some()
            || held.iter().map(|held| held.packet.payload().len()).sum::<usize>() >= all
    });
    let replies = Matcher::any_tcp().from_server();
    harness.stage.two().wire.release_all(&replies);
    for rule in rules {
        harness.stage.two().wire.remove(rule);
    }
    harness.stage.two().wire.release_all(&replies);
    harness.claim_closes("the client sends FIN", Side::Client, Fault::Hung);
    harness.claim_closes("the server sends FIN", Side::Server, Fault::CloseWait);
    harness.claim_ends_well("the client exits with status 0", &pair.client);
    harness.claim_output("the client has written every line", &pair.client, &lines);
    harness.claim("no RST was sent", harness.stage.count(&Matcher::rst()) == 0);
    harness.claim_no_close_wait("the server leaves no socket in CLOSE_WAIT");
    harness.claim_runs("the server still runs", &pair.server);
    Ok(())
}
