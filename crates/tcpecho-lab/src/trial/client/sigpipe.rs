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
        title: "the program writes after the connection was reset",
        source: "UNP 5.13",
        question: "FIN and RST have arrived, and the program has not noticed them when it has a \
                   line to send. Does SIGPIPE kill it?",
        steps: &[
            Step {
                does: "a line is echoed, then the program is stopped",
                claims: &[],
            },
            Step {
                does: "the server closes, and RST follows its FIN; two lines are typed",
                claims: &[
                    "FIN and RST have arrived",
                    "the client's kernel has removed the connection",
                ],
            },
            Step {
                does: "the program continues",
                claims: &[
                    "the program exits without being killed by SIGPIPE",
                    "the program has written the first line and nothing else",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line is echoed, then the program is stopped");
    let (program, server) = meet(harness)?;
    exchange(harness, &program, &server, "one")?;
    program.process.wait_asleep(PATIENCE)?;
    program.process.stop()?;

    harness.step("the server closes, and RST follows its FIN; two lines are typed");
    harness.stage.wire_rule(Rule::new(Matcher::fin().from_server(), Action::ResetReceiver));
    server.must("close")?;
    harness.claim_packet("FIN and RST have arrived", &Matcher::rst().from_server());
    harness.stage.claim_none_left("the client's kernel has removed the connection", Side::Client, harness.stage.port());
    program.types("two");
    program.types("three");

    harness.step("the program continues");
    harness.decisive();
    program.process.go_on()?;
    harness.claim_ends("the program exits without being killed by SIGPIPE", &program);
    harness.claim_output("the program has written the first line and nothing else", &program, &["one".into()]);
    Ok(())
}
