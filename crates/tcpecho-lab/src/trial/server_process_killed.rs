//! The server's process is killed while the program waits for the keyboard (UNP 5.12, 6.1).

use super::{client, pair};
use crate::impairment::Matcher;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

trial! { CLIENT, harness;
    name: "server-process-killed",
    title: "the server's process is killed",
    source: "UNP 5.12, 6.1",
    question: "The server's FIN arrives while no line is typed. Does the program notice at \
               once, or only when the next line is typed?";

    step "a line is echoed, then the server's process is killed";
    let (program, server) = client::meet(harness)?;
    client::exchange(harness, &program, &server, "one")?;
    harness.decisive();
    server.program().kill();
    claim_packet("the server's kernel sends FIN", &Matcher::fin().from_server());
    claim_notices("the program notices the FIN without further input", &program);

    step "more is typed and the input ends, if the program still runs";
    let held = harness.stage.connections(Side::Client, harness.stage.port());
    if held.iter().any(|socket| socket.state == TcpState::CloseWait) {
        harness.note("kept the socket in CLOSE_WAIT until more input");
    };
    program.gets_more();
    claim_ends("the program exits without being killed by a signal", &program);
    claim_output("the program has written the first line and nothing else", &program, &["one"]);
}

// The server's process is killed while the client waits for the keyboard (UNP 5.12, 6.1).
trial! { PAIR, harness;
    name: "server-process-killed",
    title: "the server's process is killed",
    source: "UNP 5.12, 6.1",
    question: "The server's kernel closes the connection while no line is typed. Does the \
               client notice at once, or only when the next line is typed?";

    step "a line is echoed, then the server's process and its children are killed";
    let pair = pair::meet(harness)?;
    pair::exchange(harness, &pair, "one")?;
    let descendants = pair.server.process.descendants()?;
    harness.decisive();
    pair::kill_all(&pair.server, descendants);
    claim_packet("the server's kernel sends FIN", &Matcher::fin().from_server());
    claim_notices("the client notices the FIN without further input", &pair.client);

    step "more is typed and the input ends, if the client still runs";
    pair.client.gets_more();
    claim_ends("the client exits without being killed by a signal", &pair.client);
    claim_output("the client has written the first line and nothing else", &pair.client, &["one"]);
}
