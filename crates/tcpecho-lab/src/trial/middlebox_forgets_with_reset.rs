//! A middlebox has forgotten the connection and answers with RST (RFC 5382 5).

use super::harness::END;
use super::{Fault, client, pair, server};
use crate::impairment::{Action, Matcher, Rule};

trial! { CLIENT, harness;
    name: "middlebox-forgets-with-reset",
    title: "a middlebox forgets the connection and sends RST",
    source: "RFC 5382 5",
    question: "The next line is answered with RST, and the input has ended. Does the program \
               report that the line is lost?";

    step "a line is echoed; from now on data is answered with RST";
    let (program, server) = client::meet(harness)?;
    client::exchange(harness, &program, &server, "one")?;
    harness.stage.wire_rule(Rule::new(Matcher::data().from_client(), Action::ResetSender));

    step "a line is typed and the input ends";
    harness.decisive();
    program.types("two");
    program.ends_input();
    claim_packet("the RST arrives", &Matcher::rst().from_server());
    claim_fails("the program exits with a status other than 0", &program);
    claim_output("the program has written the first line and nothing else", &program, &["one"]);
}

// A middlebox resets an idle connection at the server (RFC 5382 5).
trial! { SERVER, harness;
    name: "middlebox-forgets-with-reset",
    title: "a middlebox resets an idle connection",
    source: "RFC 5382 5",
    question: "RST arrives while the program waits for a client's next line. Does the program \
               survive and close the connection?";

    step "one client comes and goes; a second one's line is echoed, and its next line is followed by RST";
    let program = server::open(harness)?;
    let warm = server::customer(harness)?;
    claim_serves("the first client's line is echoed", &warm)?;
    harness.leaves(&warm);
    claim_no_close_wait("the first client's socket is closed at the server");
    let before = server::settled(&program);
    let client = server::customer(harness)?;
    claim_serves("the second client's line is echoed", &client)?;
    harness.stage.wire_rule(Rule::new(Matcher::data().from_client(), Action::ResetReceiver).once());
    harness.decisive();
    harness.needs(&client, "line again")?;
    let reset = harness.delivered(&Matcher::rst().from_client(), 0, END);
    claim_or("the RST arrives at the program's host", Fault::Lost, reset.is_ok());

    step "a third client connects";
    claim_serves_another("the third client's line is echoed")?;
    claim_runs("the program still runs", &program);
    claim_no_zombies("no zombie is left", &program);
    let closed = harness.comes(END, || program.process.descriptors() <= before + 1);
    claim_or("the descriptor of the reset connection is closed", Fault::Leaked, closed);
}

trial! { PAIR, harness;
    name: "middlebox-forgets-with-reset",
    title: "a middlebox forgets the connection and sends RST",
    source: "RFC 5382 5",
    question: "The next line is answered with RST, and the input has ended. Does the client \
               report that the line is lost, and does the server keep running?";

    step "a line is echoed; from now on the client's data is answered with RST";
    let pair = pair::meet(harness)?;
    pair::exchange(harness, &pair, "one")?;
    harness.stage.wire_rule(Rule::new(Matcher::data().from_client(), Action::ResetSender));

    step "a line is typed and the input ends";
    harness.decisive();
    pair.client.types("two");
    pair.client.ends_input();
    claim_packet("the RST arrives at the client", &Matcher::rst().from_server());
    claim_fails("the client exits with a status other than 0", &pair.client);
    claim_output("the client has written the first line and nothing else", &pair.client, &["one"]);
    claim_runs("the server still runs, because no RST reached it", &pair.server);
}
