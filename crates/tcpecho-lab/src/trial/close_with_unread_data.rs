//! The server answers one line and closes with another one unread: data, then RST (RFC 9293 3.6.1).

use super::harness::{END, NOTICE};
use super::{Fault, client, server};
use crate::impairment::Matcher;
use crate::side::Side;

trial! { CLIENT, harness;
    name: "close-with-unread-data",
    title: "the server closes with unread data",
    source: "RFC 9293 3.6.1, RFC 2525 2.17",
    question: "One reply arrives, then RST, and the input has ended. Does the program report \
               that a line is lost?";

    step "two lines are typed and the input ends; the server answers one and closes";
    let (program, server) = client::meet(harness)?;
    client::exchange(harness, &program, &server, "one")?;
    let mark = harness.stage.two().timeline.mark();
    program.types("two");
    harness.sends_line(mark)?;
    program.ends_input();
    harness.decisive();
    harness.leaves(&server);
    claim_packet("the server's kernel sends RST", &Matcher::rst().from_server());
    claim_fails("the program exits with a status other than 0", &program);
    claim_output("the program has written the reply and nothing else", &program, &["one"]);
}

// A client closes with unread replies: RST in the middle of the transfer (RFC 9293 3.6.1).
trial! { SERVER, harness;
    name: "close-with-unread-data",
    title: "a client resets the connection in the middle of a transfer",
    source: "RFC 9293 3.6.1",
    question: "A client sends 100000 bytes and closes with unread replies. Does the program \
               survive the RST?";

    step "a client sends 100000 bytes and reads the replies; another one sends as many, and closes \
          without reading when replies have arrived";
    harness.stage.two().watch_states(false);
    let program = server::open(harness)?;
    let before = server::customer(harness)?;
    harness.needs(&before, "send 100000 lines")?;
    harness.needs(&before, "shutdown wr")?;
    claim_comes_back("all bytes of the first client are echoed, then end of file", &before, 100_000)?;
    harness.leaves(&before);
    let client = server::customer(harness)?;
    let mark = harness.stage.two().timeline.mark();
    harness.needs(&client, "send 100000 lines")?;
    let reply = harness.delivered(&Matcher::data().from_server(), mark, END);
    claim_or("replies arrive at the client", Fault::Hung, reply.is_ok());
    harness.decisive();
    harness.leaves(&client);
    let reset = harness.delivered(&Matcher::rst().from_client(), mark, NOTICE);
    claim_or("the second client's kernel sends RST", Fault::Lost, reset.is_ok());

    step "another client connects";
    claim_serves_another("the client's line is echoed")?;
    claim_runs("the program still runs", &program);
    claim_no_zombies("no zombie is left", &program);
    let left = harness.comes(END, || harness.connections_of_any_family(Side::Server).len() <= 1);
    claim_or("the server's kernel has removed the connection that was reset", Fault::Leaked, left);
}
