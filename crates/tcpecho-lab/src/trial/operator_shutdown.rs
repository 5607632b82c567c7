//! The server answers and exits at once, as on SIGTERM: the last reply and FIN arrive together (UNP 5.16).

use rustix::process::Signal;

use super::harness::END;
use super::{Fault, client, pair, server};
use crate::impairment::Matcher;
use crate::stage::PATIENCE;

trial! { CLIENT, harness;
    name: "operator-shutdown",
    title: "the last reply and the server's FIN arrive together",
    source: "UNP 5.16",
    question: "SIGTERM ends the server right after its last reply. Is the reply written before \
               the program exits?";

    step "a line is typed; the program is stopped until the reply and FIN have arrived";
    let (program, server) = client::meet(harness)?;
    let mark = harness.stage.two().timeline.mark();
    program.types("one");
    harness.sends_line(mark)?;
    program.process.stop()?;
    client::answer(harness, &server, "one")?;
    server.program().signal(Signal::TERM)?;
    server.program().wait(PATIENCE)?;
    claim_packet("the server's kernel sends FIN", &Matcher::fin().from_server());

    step "the program continues";
    harness.decisive();
    program.process.go_on()?;
    claim_notices("the program notices the FIN without further input", &program);

    step "more is typed and the input ends, if the program still runs";
    program.gets_more();
    claim_ends("the program exits without being killed by a signal", &program);
    claim_output("the program has written the last reply and nothing else", &program, &["one"]);
}

// The program gets SIGTERM while a client is connected (UNP 5.16).
trial! { SERVER, harness;
    name: "operator-shutdown",
    title: "the program gets SIGTERM",
    source: "UNP 5.16",
    question: "A client is connected and idle. Does the program exit on SIGTERM, and what does \
               the client see?";

    step "a client's line is echoed, and the client stays; the program gets SIGTERM";
    let program = server::open(harness)?;
    let client = server::customer(harness)?;
    claim_serves("the client's line is echoed", &client)?;
    harness.decisive();
    program.process.signal(Signal::TERM)?;
    let ended = program.process.wait(END);
    claim_or("the program exits", Fault::Hung, ended.is_ok());
    let said = harness.needs(&client, "poll 1000 in")?;
    let reset = harness.stage.count(&Matcher::rst().from_server()) > 0;
    harness.note(match said.as_str() {
        "ok 0x0" => "the idle client stays connected to a child",
        _ if reset => "the idle client got RST",
        _ => "the idle client got FIN",
    });
}

// An administrator shuts down the server's host: SIGTERM, later SIGKILL (UNP 5.16).
trial! { PAIR, harness;
    name: "operator-shutdown",
    title: "the server gets SIGTERM",
    source: "UNP 5.16",
    question: "A client is connected and idle. Does the server exit on SIGTERM, and does the \
               client notice?";

    step "a line is echoed; the server gets SIGTERM, and processes that are left get SIGKILL";
    let pair = pair::meet(harness)?;
    pair::exchange(harness, &pair, "one")?;
    let descendants = pair.server.process.descendants()?;
    harness.decisive();
    pair.server.process.signal(Signal::TERM)?;
    let ended = pair.server.process.wait(END);
    claim_or("the server exits on SIGTERM", Fault::Hung, ended.is_ok());
    pair::kill_all(&pair.server, descendants);
    let ends = [Matcher::fin().from_server(), Matcher::rst().from_server()];
    let closed = harness.comes(END, || ends.iter().any(|end| harness.stage.count(end) > 0));
    claim("the client's kernel receives FIN or RST", closed);
    claim_notices("the client notices the FIN or RST without further input", &pair.client);

    step "more is typed and the input ends, if the client still runs";
    pair.client.gets_more();
    claim_ends("the client exits without being killed by a signal", &pair.client);
    claim_output("the client has written the first line and nothing else", &pair.client, &["one"]);
}
