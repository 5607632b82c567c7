//! A middlebox has forgotten the connection and answers with RST (RFC 5382 5).

use super::{exchange, meet};
use crate::impairment::{Action, Matcher, Rule};
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "middlebox-forgets-with-reset",
        title: "a middlebox forgets the connection and sends RST",
        source: "RFC 5382 5",
        question: "The next line is answered with RST, and the input has ended. Does the program \
                   report that the line is lost?",
        steps: &[
            Step {
                does: "a line is echoed; from now on data is answered with RST",
                claims: &[],
            },
            Step {
                does: "a line is typed and the input ends",
                claims: &[
                    "the RST arrives",
                    "the program exits with a status other than 0",
                    "the program has written the first line and nothing else",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line is echoed; from now on data is answered with RST");
    let (program, server) = meet(harness)?;
    exchange(harness, &program, &server, "one")?;
    harness.stage.wire_rule(Rule::new(Matcher::data().from_client(), Action::ResetSender));

    harness.step("a line is typed and the input ends");
    harness.decisive();
    program.types("two");
    program.ends_input();
    harness.claim_packet("the RST arrives", &Matcher::rst().from_server());
    harness.claim_fails("the program exits with a status other than 0", &program);
    harness.claim_output("the program has written the first line and nothing else", &program, &["one".into()]);
    Ok(())
}
