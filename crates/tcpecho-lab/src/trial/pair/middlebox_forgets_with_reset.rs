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
        title: "a middlebox forgets the connection and answers with RST",
        source: "RFC 5382 5",
        question: "The next line is answered with RST, and the input has ended. Does the client \
                   say that the line is lost, and does the server go on?",
        steps: &[
            Step {
                does: "a line goes there and back; from now on the client's data are answered with \
                       RST",
                claims: &[],
            },
            Step {
                does: "a line is typed and the input ends",
                claims: &[
                    "RST comes to the client",
                    "the client ends, and its status is not 0",
                    "the client has written the line that came back, and nothing else",
                    "the server, which was not told, goes on",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line goes there and back; from now on the client's data are answered with RST");
    let pair = meet(harness)?;
    exchange(harness, &pair, "one")?;
    harness.stage.wire_rule(Rule::new(Matcher::data().from_client(), Action::ResetSender));

    harness.step("a line is typed and the input ends");
    harness.decisive();
    pair.client.types("two");
    pair.client.ends_input();
    harness.claim_packet("RST comes to the client", &Matcher::rst().from_server());
    harness.claim_fails("the client ends, and its status is not 0", &pair.client);
    harness.claim_output("the client has written the line that came back, and nothing else", &pair.client, &["one".into()]);
    harness.claim_runs("the server, which was not told, goes on", &pair.server);
    Ok(())
}
