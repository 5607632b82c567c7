//! long packets vanish on the way: the stream is right all the same (RFC 2923, RFC 4821).

use super::through;
use crate::impairment::{Matcher, Rule};
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "mtu-black-hole",
        title: "long packets vanish on the way",
        source: "RFC 2923, RFC 4821",
        question: "Twenty lines go there and back over such a path. Are they all there, in order, \
                   once?",
        steps: &[
            Step {
                does: "twenty lines of 1000 bytes are typed and the input ends; packets longer \
                       than 1400 bytes vanish, and the kernels probe",
                claims: &[
                    "the server got everything and could send it back",
                    "the program ends with status 0",
                    "every line came back, in order, once",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("twenty lines of 1000 bytes are typed and the input ends; packets longer than 1400 bytes vanish, and the kernels probe");
    harness.stage.two().set_sysctl("net.ipv4.tcp_mtu_probing", "1")?;
    harness.stage.two().set_sysctl("net.ipv4.tcp_retries1", "1")?;
    let rules = vec![
        Rule::drop(Matcher::any_tcp().longer_than(1400)),
    ];
    let (program, lines, said) = through(harness, rules)?;
    harness.claim_echoed("the server got everything and could send it back", &said, 20000);
    harness.claim_ends_well("the program ends with status 0", &program);
    harness.claim_output("every line came back, in order, once", &program, &lines);
    Ok(())
}
