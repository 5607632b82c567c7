//! A write after FIN and RST (UNP 5.13).

use super::harness::NOTICE;
use super::{client, server};
use crate::impairment::{Action, Matcher, Rule};
use crate::side::Side;
use crate::stage::PATIENCE;

trial! { CLIENT, harness;
    name: "sigpipe",
    title: "the program writes after the connection was reset",
    source: "UNP 5.13",
    question: "FIN and RST have arrived, and the program has not noticed them when it has a \
               line to send. Does SIGPIPE kill it?";

    step "a line is echoed, then the program is stopped";
    let (program, server) = client::meet(harness)?;
    client::exchange(harness, &program, &server, "one")?;
    let _ = program.process.wait_asleep(NOTICE);
    program.process.stop()?;

    step "the server closes, and RST follows its FIN; two lines are typed";
    harness.stage.wire_rule(Rule::new(Matcher::fin().from_server(), Action::ResetReceiver));
    harness.leaves(&server);
    claim_packet("FIN and RST have arrived", &Matcher::rst().from_server());
    claim_none_left(
        "the client's kernel has removed the connection",
        Side::Client, harness.stage.port(),
    );
    program.types("two");
    program.types("three");

    step "the program continues";
    harness.decisive();
    program.process.go_on()?;
    claim_ends("the program exits without being killed by SIGPIPE", &program);
    claim_output("the program has written the first line and nothing else", &program, &["one"]);
}

// A client's FIN and RST have arrived when the program writes (UNP 5.13).
trial! { SERVER, harness;
    name: "sigpipe",
    title: "the program writes to a client that has closed",
    source: "UNP 5.13",
    question: "A client sends a line, closes, and resets the connection. Does SIGPIPE kill the \
               program when it writes?";

    step "the program is stopped; a client sends a line and closes, and RST follows its FIN";
    let program = server::open(harness)?;
    program.process.stop()?;
    let client = server::customer(harness)?;
    harness.stage.wire_rule(Rule::new(Matcher::fin().from_client(), Action::ResetReceiver).once());
    harness.needs(&client, "line hello")?;
    harness.leaves(&client);
    claim_packet("FIN and RST have arrived", &Matcher::rst().from_client());
    let gone = harness.comes(PATIENCE, || {
        harness.connections_of_any_family(Side::Server).iter().all(|socket| socket.local.port() != harness.stage.port())
    });
    claim("the server's kernel has removed the connection", gone);

    step "the program continues, and another client connects";
    program.process.go_on()?;
    claim_serves_another("the other client's line is echoed")?;
    claim_runs("the program still runs", &program);
    claim_no_zombies("no zombie is left", &program);
}
