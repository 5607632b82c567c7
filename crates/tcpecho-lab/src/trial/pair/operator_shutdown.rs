//! An administrator shuts down the server's host: SIGTERM, later SIGKILL (UNP 5.16).

use super::{END, exchange, kill_all, meet};
use crate::impairment::Matcher;
use crate::stage::Played;
use crate::trial::{Fault, Trial};
use rustix::process::Signal;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &Side::BOTH,
    text: Text {
        name: "operator-shutdown",
        title: "the server gets SIGTERM",
        source: "UNP 5.16",
        question: "A client is connected and idle. Does the server exit on SIGTERM, and does the \
                   client notice?",
        steps: &[
            Step {
                does: "a line is echoed; the server gets SIGTERM, and processes that are left get \
                       SIGKILL",
                claims: &[
                    "the server exits on SIGTERM",
                    "the client's kernel receives FIN or RST",
                    "the client notices the FIN or RST without further input",
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
    harness.step("a line is echoed; the server gets SIGTERM, and processes that are left get SIGKILL");
    let pair = meet(harness)?;
    exchange(harness, &pair, "one")?;
    let descendants = pair.server.process.descendants()?;
    harness.decisive();
    pair.server.process.signal(Signal::TERM)?;
    let ended = pair.server.process.wait(END);
    harness.claim_or("the server exits on SIGTERM", Fault::Hung, ended.is_ok());
    kill_all(&pair.server, descendants);
    let ends = [Matcher::fin().from_server(), Matcher::rst().from_server()];
    let closed = harness.comes(END, || ends.iter().any(|end| harness.stage.count(end) > 0));
    harness.claim("the client's kernel receives FIN or RST", closed);
    harness.claim_notices("the client notices the FIN or RST without further input", &pair.client);

    harness.step("more is typed and the input ends, if the client still runs");
    pair.client.gets_more();
    harness.claim_ends("the client exits without being killed by a signal", &pair.client);
    harness.claim_output("the client has written the first line and nothing else", &pair.client, &["one".into()]);
    Ok(())
}
