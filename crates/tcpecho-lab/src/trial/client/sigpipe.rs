//! A write after FIN and RST (UNP 5.13).

use super::{exchange, meet};
use crate::impairment::{Action, Matcher, Rule};
use crate::side::Side;
use crate::stage::{PATIENCE, Played};
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "sigpipe",
        title: "the program writes when the connection is already reset",
        source: "UNP 5.13",
        question: "FIN and RST have come and the program is still to learn of them when it has a \
                   line to send. Does SIGPIPE kill it?",
        steps: &[
            Step {
                does: "a line goes there and back, then the program is stopped",
                claims: &[],
            },
            Step {
                does: "the server closes, and RST follows its FIN; two lines are typed",
                claims: &[
                    "FIN and RST have arrived",
                    "the client's kernel has no connection left",
                ],
            },
            Step {
                does: "the program goes on",
                claims: &[
                    "it ends, and not by SIGPIPE",
                    "the line that came back was written, and nothing else",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line goes there and back, then the program is stopped");
    let (program, server) = meet(harness)?;
    exchange(harness, &program, &server, "one")?;
    program.process.wait_asleep(PATIENCE)?;
    program.process.stop()?;

    harness.step("the server closes, and RST follows its FIN; two lines are typed");
    harness.stage.wire_rule(Rule::new(Matcher::fin().from_server(), Action::ResetReceiver));
    server.must("close")?;
    harness.claim_packet("FIN and RST have arrived", &Matcher::rst().from_server());
    harness.stage.claim_none_left("the client's kernel has no connection left", Side::Client, crate::stage::PORT);
    program.types("two");
    program.types("three");

    harness.step("the program goes on");
    harness.decisive();
    program.process.go_on()?;
    harness.claim_ends("it ends, and not by SIGPIPE", &program);
    harness.claim_output("the line that came back was written, and nothing else", &program, &["one".into()]);
    Ok(())
}
