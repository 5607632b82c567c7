//! The connection is reset as soon as it is made (UNP 4.5, tcp_abort_on_overflow).

use crate::impairment::{Matcher, Rule};
use crate::packet::reset_sender;
use crate::side::Side;
use crate::stage::{Broken, PATIENCE, Played, Stage};

trial! {
    "abort-on-overflow", "the connection is reset as soon as it is made", "UNP 4.5",
    "connect works, and RST is already there. Does the program notice, and say that it failed?",
    "abort_on_overflow.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("the wire keeps the handshake's last packet, until connect has returned, and answers it with RST");
    let _server = stage.listening(10)?;
    let last = Matcher::ack().from_client();
    stage.wire_rule(Rule::hold(last.clone()).once());
    let stranger = stage.stranger(Side::Client)?;
    let seen = stage.sent(&last, 0, PATIENCE)?;
    stranger.program.wait_asleep(PATIENCE)?;
    stage.decisive();
    stage.two().wire.discard(&last);
    let reset = reset_sender(&seen.packet).ok_or_else(|| Broken::new("no segment to answer"))?;
    stage.two().wire.inject(Side::Client, &reset, "the accept queue is full");
    stage.claim_packet("RST arrives", &Matcher::rst().from_server());
    stage.claim_notices("the program notices while nobody types", &stranger);

    stage.step("more is typed and the input ends if it runs still");
    stranger.gets_more();
    stage.claim_fails("it ends, and its status is not 0", &stranger);
    stage.claim_output("it has written nothing to standard output", &stranger, &[]);
    Ok(())
}
