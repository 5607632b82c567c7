//! The connection is reset as soon as it is established (UNP 4.5, tcp_abort_on_overflow).

use super::harness::{END, NOTICE};
use crate::impairment::{Matcher, Rule};
use crate::packet::reset_sender;
use crate::side::Side;
use crate::stage::Broken;

trial! { CLIENT, harness;
    name: "abort-on-overflow",
    title: "the connection is reset as soon as it is established",
    source: "UNP 4.5",
    question: "connect succeeds, and an RST has already arrived. Does the program notice and \
               report an error?";

    step "the wire holds the final ACK of the handshake until connect has returned, and answers it \
          with RST";
    let _server = harness.stage.listening(10)?;
    let last = Matcher::ack().from_client();
    harness.stage.wire_rule(Rule::hold(last.clone()).once());
    let program = harness.start(Side::Client)?;
    let sent = harness.sent(&last, 0, END);
    let seen = sent.map_err(|_| harness.stuck("the program does not connect"))?;
    let _ = program.process.wait_asleep(NOTICE);
    harness.decisive();
    harness.stage.two().wire.discard(&last);
    let reset = reset_sender(&seen.packet).ok_or_else(|| Broken::new("no segment to answer"))?;
    harness.stage.two().wire.inject(Side::Client, &reset, "the accept queue is full");
    claim_packet("the RST arrives", &Matcher::rst().from_server());
    claim_notices("the program notices the RST without further input", &program);

    step "more is typed and the input ends, if the program still runs";
    program.gets_more();
    claim_fails("the program exits with a status other than 0", &program);
    claim_no_output("the program has written nothing to stdout", &program);
}
