//! A middlebox has forgotten the connection and answers with RST (RFC 5382 5).

use super::{exchange, meet};
use crate::impairment::{Action, Matcher, Rule};
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &Side::BOTH,
    text: Text {
        name: "middlebox-forgets-with-reset",
        title: "a middlebox forgets the connection and sends RST",
        source: "RFC 5382 5",
        question: "The next line is answered with RST, and the input has ended. Does the client \
                   report that the line is lost, and does the server keep running?",
        steps: &[
            Step {
                does: "a line is echoed; from now on the client's data is answered with RST",
                claims: &[],
            },
            Step {
                does: "a line is typed and the input ends",
                claims: &[
                    "the RST arrives at the client",
                    "the client exits with a status other than 0",
                    "the client has written the first line and nothing else",
                    "the server still runs, because nothing told it",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line is echoed; from now on the client's data is answered with RST");
    let pair = meet(harness)?;
    exchange(harness, &pair, "one")?;
    harness.stage.wire_rule(Rule::new(Matcher::data().from_client(), Action::ResetSender));

    harness.step("a line is typed and the input ends");
    harness.decisive();
    pair.client.types("two");
    pair.client.ends_input();
    harness.claim_packet("the RST arrives at the client", &Matcher::rst().from_server());
    harness.claim_fails("the client exits with a status other than 0", &pair.client);
    harness.claim_output("the client has written the first line and nothing else", &pair.client, &["one".into()]);
    harness.claim_runs("the server still runs, because nothing told it", &pair.server);
    Ok(())
}
