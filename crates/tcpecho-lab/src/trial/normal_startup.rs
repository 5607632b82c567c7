//! A connection is established and carries no data (UNP 5.6).

use super::harness::END;
use super::{Fault, client, pair, server};
use crate::impairment::Matcher;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

trial! { CLIENT, harness;
    name: "normal-startup",
    title: "the program connects",
    source: "UNP 5.6",
    question: "Does the program connect when it starts, wait for input, and exit with 0 when \
               the input ends?";

    step "the program is started and connects to a server of the lab";
    let (program, server) = client::meet(harness)?;
    claim_state("the program's connection is ESTABLISHED", Side::Client, TcpState::Established);
    claim_runs("the program waits for input", &program);

    step "its input ends without a line";
    harness.decisive();
    program.ends_input();
    let fin = harness.delivered(&Matcher::fin().from_client(), 0, END);
    claim_or("the program sends FIN", Fault::Hung, fin.is_ok());

    step "the server closes too";
    harness.leaves(&server);
    claim_ends_well("the program exits with status 0", &program);
    claim_no_output("the program has written nothing to stdout", &program);
}

// Two clients connect, the second while the first is connected (UNP 5.6).
trial! { SERVER, harness;
    name: "normal-startup",
    title: "clients connect",
    source: "UNP 5.6",
    question: "Does the program serve a client, and another one that connects meanwhile?";

    step "a client connects and sends a line";
    let program = server::open(harness)?;
    let first = server::customer(harness)?;
    claim_serves("the client's line is echoed", &first)?;

    step "a second client connects and sends a line while the first is connected";
    let second = server::customer(harness)?;
    let waits = harness.keeps_waiting(&second)?;
    if waits {
        harness.note(server::ONE_AT_A_TIME);
    };

    step "the first closes, and a third connects after the second has closed";
    harness.leaves(&first);
    // A client that closes before its reply has arrived answers it with RST.
    if waits {
        let _ = harness.hears(&second, END);
    };
    harness.leaves(&second);
    claim_serves_another("the third client's line is echoed")?;
    claim_runs("the program still runs", &program);
}

trial! { PAIR, harness;
    name: "normal-startup",
    title: "the client connects to the server",
    source: "UNP 5.6",
    question: "Do client and server connect, wait for input, and close when the input ends?";

    step "the server is started and listens; the client is started and connects";
    let pair::Pair { client, server } = pair::meet(harness)?;
    claim_established("the client is ESTABLISHED", Side::Client);
    claim_established("the server is ESTABLISHED", Side::Server);
    claim_runs("the client waits for input", &client);

    step "the client's input ends without a line";
    harness.decisive();
    client.ends_input();
    claim_closes("the client sends FIN", Side::Client, Fault::Hung);
    claim_closes("the server sends FIN", Side::Server, Fault::CloseWait);
    claim_ends_well("the client exits with status 0", &client);
    claim_no_output("the client has written nothing to stdout", &client);
    claim_runs("the server still runs", &server);
}
