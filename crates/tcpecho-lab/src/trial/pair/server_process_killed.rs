//! The server's process is killed while the client waits for the keyboard (UNP 5.12, 6.2).

use super::{exchange, kill_all, meet};
use crate::impairment::Matcher;
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &Side::BOTH,
    text: Text {
        name: "server-process-killed",
        title: "the server's process is killed",
        source: "UNP 5.12, 6.2",
        question: "The server's kernel closes the connection while no line is typed. Does the \
                   client notice at once, or only when the next line is typed?",
        steps: &[
            Step {
                does: "a line is echoed, then the server's process and its children are killed",
                claims: &[
                    "the server's kernel sends FIN",
                    "the client notices the FIN without further input",
                ],
            },
            Step {
                does: "more is typed and the input ends, if the client still runs",
                claims: &[
                    "the client exits without being killed by a signal",
                    "the client has written the first line and nothing else",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line is echoed, then the server's process and its children are killed");
    let pair = meet(harness)?;
    exchange(harness, &pair, "one")?;
    let descendants = pair.server.process.descendants()?;
    harness.decisive();
    kill_all(&pair.server, descendants);
    harness.claim_packet("the server's kernel sends FIN", &Matcher::fin().from_server());
    harness.claim_notices("the client notices the FIN without further input", &pair.client);

    harness.step("more is typed and the input ends, if the client still runs");
    pair.client.gets_more();
    harness.claim_ends("the client exits without being killed by a signal", &pair.client);
    harness.claim_output("the client has written the first line and nothing else", &pair.client, &["one".into()]);
    Ok(())
}
