//! The server's process is killed with unread data: RST instead of FIN (UNP 5.12, RFC 9293 3.6.1).

use super::client;
use crate::impairment::Matcher;

trial! { CLIENT, harness;
    name: "server-process-killed-unread",
    title: "the server's process is killed before it has read a line",
    source: "UNP 5.12, RFC 9293 3.6.1",
    question: "The server is killed before it has read a line. Does the program report that \
               the line is lost?";

    step "a line is echoed, the next is not read, and the server's process is killed";
    let (program, server) = client::meet(harness)?;
    client::exchange(harness, &program, &server, "one")?;
    let mark = harness.stage.two().timeline.mark();
    program.types("two");
    harness.sends_line(mark)?;
    harness.decisive();
    server.program().kill();
    claim_packet("the server's kernel sends RST", &Matcher::rst().from_server());
    claim_notices("the program notices the RST without further input", &program);

    step "more is typed and the input ends, if the program still runs";
    program.gets_more();
    claim_fails("the program exits with a status other than 0, because a line is lost", &program);
    claim_output("the program has written the first line and nothing else", &program, &["one"]);
}
