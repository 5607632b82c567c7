//! Large packets disappear on the path, and the stream is still right (RFC 2923, RFC 4821).

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
        title: "large packets disappear on the path",
        source: "RFC 2923, RFC 4821",
        question: "A client sends 20000 bytes over such a path and shuts down its writing half. \
                   Are all of them echoed, in order, once?",
        steps: &[
            Step {
                does: "a client sends 20000 bytes and shuts down its writing half; packets larger \
                       than 1400 bytes are dropped, and the kernels probe the MTU",
                claims: &[
                    "all bytes are echoed, in order, once",
                    "the program still runs",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client sends 20000 bytes and shuts down its writing half; packets larger than 1400 bytes are dropped, and the kernels probe the MTU");
    harness.stage.two().set_sysctl("net.ipv4.tcp_mtu_probing", "1")?;
    harness.stage.two().set_sysctl("net.ipv4.tcp_retries1", "1")?;
    let rules = vec![
        Rule::drop(Matcher::any_tcp().longer_than(1400)),
    ];
    let (program, client) = through(harness, rules)?;
    harness.claim_comes_back("all bytes are echoed, in order, once", &program, &client, 20_000)?;
    harness.claim_runs("the program still runs", &program);
    Ok(())
}
