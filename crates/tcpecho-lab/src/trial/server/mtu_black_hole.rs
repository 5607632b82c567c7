//! long packets vanish on the way: the stream is right all the same (RFC 2923, RFC 4821).

use super::through;
use crate::impairment::{Matcher, Rule};
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "mtu-black-hole",
        title: "long packets vanish on the way",
        source: "RFC 2923, RFC 4821",
        question: "A client sends 20000 bytes over such a path and ends its half. Do they all come \
                   back, in order, once?",
        steps: &[
            Step {
                does: "a client sends 20000 bytes and ends its half; packets longer than 1400 \
                       bytes vanish, and the kernels probe",
                claims: &[
                    "all bytes come back, in order, once",
                    "the program goes on",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client sends 20000 bytes and ends its half; packets longer than 1400 bytes vanish, and the kernels probe");
    harness.stage.two().set_sysctl("net.ipv4.tcp_mtu_probing", "1")?;
    harness.stage.two().set_sysctl("net.ipv4.tcp_retries1", "1")?;
    let rules = vec![
        Rule::drop(Matcher::any_tcp().longer_than(1400)),
    ];
    let (program, client) = through(harness, rules)?;
    harness.claim_comes_back("all bytes come back, in order, once", &program, &client, 20_000)?;
    harness.claim_runs("the program goes on", &program);
    Ok(())
}
