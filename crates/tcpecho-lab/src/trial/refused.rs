//! No server listens (UNP 4.3).

use crate::impairment::Matcher;
use crate::side::Side;

trial! { CLIENT, harness;
    name: "refused",
    title: "no server listens",
    source: "UNP 4.3",
    question: "RST answers the SYN. Does the program report an error?";

    step "the program is started, and no server listens on the port";
    harness.decisive();
    let program = harness.start(Side::Client)?;
    claim_packet("RST answers the SYN", &Matcher::rst().from_server());
    claim_fails("the program exits with a status other than 0", &program);
    claim_no_output("the program has written nothing to stdout", &program);
}
