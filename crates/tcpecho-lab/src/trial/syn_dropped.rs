//! Nothing answers the SYN (UNP 4.3).

use super::harness::NOTICE;
use crate::impairment::{Matcher, Rule};
use crate::pace::Timer;
use crate::side::Side;
use crate::stage::PATIENCE;

trial! { CLIENT, harness;
    name: "syn-dropped",
    title: "nothing answers the SYN",
    source: "UNP 4.3",
    question: "The kernel gives up after two SYNs and three seconds. Does the program exit \
               then, and report an error?",
    timers: &[Timer::Syn];

    step "the wire drops every SYN";
    harness.stage.shorten(Side::Client, Timer::Syn, &[1, 0])?;
    harness.stage.wire_rule(Rule::drop(Matcher::syn()));
    harness.decisive();
    let program = harness.start(Side::Client)?;
    let again = harness.sent(&Matcher::syn(), 0, PATIENCE);
    claim("the program sends a SYN", again.is_ok());
    // The kernel's own time comes on top of the program's.
    let _ = program.process.wait(NOTICE);
    claim_fails("the program exits with a status other than 0", &program);
    claim_no_output("the program has written nothing to stdout", &program);
}
