//! The connection is reset as soon as it is made (UNP 4.5, tcp_abort_on_overflow).

use crate::impairment::{Action, Matcher, Rule};
use crate::side::Side;
use crate::stage::{Played, Stage};

trial! {
    "abort-on-overflow", "the connection is reset as soon as it is made", "UNP 4.5",
    "connect works, and RST is already there. Does the program notice, and say that it failed?",
    "abort_on_overflow.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("the handshake's last packet is answered with RST");
    let _server = stage.listening(10)?;
    stage.wire_rule(Rule::new(Matcher::ack().from_client(), Action::ResetSender).once());
    stage.decisive();
    let stranger = stage.stranger(Side::Client)?;
    stage.claim_packet("RST arrives", &Matcher::rst().from_server());
    stage.claim_notices("the program notices while nobody types", &stranger);

    stage.step("more is typed and the input ends if it runs still");
    stage.give_more(&stranger);
    stage.claim_fails("it ends, and its status is not 0", &stranger);
    stage.claim_output("it has written nothing to standard output", &stranger, &[]);
    Ok(())
}
