//! The server closes its listener before it has accepted the program (RFC 9293 3.10.4).

use super::harness::END;
use crate::impairment::Matcher;
use crate::side::Side;

trial! { CLIENT, harness;
    name: "listener-closes",
    title: "the server closes its listener before it has accepted the connection",
    source: "UNP 4.5, RFC 9293 3.10.4",
    question: "A line was acknowledged by the server's kernel, and then the connection is reset. Does \
               the program report that the line is lost?";

    step "the program connects to a server that does not accept it, and a line is typed";
    let server = harness.stage.listening(10)?;
    let program = harness.start(Side::Client)?;
    program.types("one");
    let data = harness.delivered(&Matcher::data().from_client(), 0, END);
    if data.is_err() {
        return Err(harness.stuck("the program does not send the line"));
    };
    harness.wait_until_acknowledged()?;

    step "the server closes its listener";
    harness.decisive();
    harness.leaves(&server);
    claim_packet("the server's kernel sends RST", &Matcher::rst().from_server());
    claim_notices("the program notices the RST without further input", &program);

    step "more is typed and the input ends, if the program still runs";
    program.gets_more();
    claim_fails("the program exits with a status other than 0, because the line is lost", &program);
    claim_no_output("the program has written nothing to stdout", &program);
}
