//! Lines are echoed, then the input ends (UNP 5.7).

use super::harness::END;
use super::{Fault, client, pair, server};
use crate::impairment::Matcher;
use crate::side::Side;

trial! { CLIENT, harness;
    name: "normal-termination",
    title: "lines are echoed",
    source: "UNP 5.7",
    question: "Is every line written, and does the program exit with 0?";

    step "three lines are typed, each after the one before has been echoed";
    let (program, server) = client::meet(harness)?;
    for line in ["one", "", "three"] {
        client::exchange(harness, &program, &server, line)?;
    };

    step "the input ends";
    harness.decisive();
    program.ends_input();
    let fin = harness.delivered(&Matcher::fin().from_client(), 0, END);
    claim_or("the program sends FIN", Fault::Hung, fin.is_ok());

    step "the server closes too";
    harness.leaves(&server);
    claim_ends_well("the program exits with status 0", &program);
    claim_output("the program has written the three lines and nothing else", &program, &["one", "", "three"]);
}

// A client connects and closes (UNP 5.7).
trial! { SERVER, harness;
    name: "normal-termination",
    title: "a client connects and closes",
    source: "UNP 5.7",
    question: "The client closes first. Does the program close its end, and is nothing left?";

    step "a client connects, sends a line, reads the echo, and closes";
    let program = server::open(harness)?;
    let client = server::customer(harness)?;
    claim_serves("the client's line is echoed", &client)?;
    harness.leaves(&client);
    let fin = harness.delivered(&Matcher::fin().from_server(), 0, END);
    claim_or("the program sends FIN", Fault::CloseWait, fin.is_ok());
    claim_no_close_wait("no socket is left in CLOSE_WAIT");
    let reset = harness.stage.count(&Matcher::rst().from(Side::Server));
    if reset > 0 {
        harness.note("ended the connection with RST");
    };

    step "another client connects";
    claim_serves_another("the other client's line is echoed")?;
    claim_runs("the program still runs", &program);
}

trial! { PAIR, harness;
    name: "normal-termination",
    title: "lines are echoed between client and server",
    source: "UNP 5.7",
    question: "Is every line written, and do both ends close? Which end keeps TIME_WAIT?";

    step "three lines are typed at the client, each after the one before has been echoed";
    let pair = pair::meet(harness)?;
    for line in ["one", "", "three"] {
        pair::exchange(harness, &pair, line)?;
    };

    step "the client's input ends";
    harness.decisive();
    pair.client.ends_input();
    claim_closes("the client sends FIN", Side::Client, Fault::Hung);
    claim_closes("the server sends FIN", Side::Server, Fault::CloseWait);
    claim_ends_well("the client exits with status 0", &pair.client);
    claim_output("the client has written the three lines and nothing else", &pair.client, &["one", "", "three"]);
    claim_no_close_wait("the server leaves no socket in CLOSE_WAIT");
    claim_time_wait("at most one end keeps TIME_WAIT");
    claim_runs("the server still runs", &pair.server);
}
