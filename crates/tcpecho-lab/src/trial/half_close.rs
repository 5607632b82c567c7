//! The input ends while replies are outstanding (UNP 6.6).

use std::time::Duration;

use super::harness::END;
use super::{Fault, client, pair, server};
use crate::impairment::{Matcher, Rule};
use crate::side::Side;

trial! { CLIENT, harness;
    name: "half-close",
    title: "the input ends while replies are outstanding",
    source: "UNP 6.6",
    question: "Ten lines are typed, and the input ends before the first reply. Is every reply \
               written, and does the server receive FIN?";

    step "ten lines are typed and the input ends; the server reads nothing yet";
    let (program, server) = client::meet(harness)?;
    let lines: Vec<String> = (1..=10).map(|number| format!("line {number}")).collect();
    for line in &lines {
        program.types(line);
    };
    harness.decisive();
    program.ends_input();
    let fin = Matcher::fin().from_client();
    if harness.delivered(&fin, 0, client::FIN_FIRST).is_err() {
        harness.note("sends no FIN before it has every reply");
    };

    step "the server echoes";
    let bytes = lines.iter().map(|line| line.len() + 1).sum();
    let said = client::echoed(harness, &server, bytes)?;
    claim_echoed("the server received everything and echoed it", &said, bytes);
    let told = harness.delivered(&fin, 0, END);
    claim_or("the program sends FIN", Fault::Hung, told.is_ok());

    step "the server closes";
    harness.leaves(&server);
    claim_ends_well("the program exits with status 0", &program);
    claim_output("the program has written every line", &program, &lines);
}

// A client sends much data, shuts down its writing half, and then reads (UNP 6.6).
trial! { SERVER, harness;
    name: "half-close",
    title: "a client shuts down its writing half and then reads",
    source: "UNP 6.6",
    question: "100000 bytes and FIN arrive before the client reads anything. Does the client \
               get all of them, and then the program's FIN?";

    step "a client sends 100000 bytes and shuts down its writing half";
    harness.stage.two().watch_states(false);
    let program = server::open(harness)?;
    let client = server::customer(harness)?;
    harness.needs(&client, "send 100000 lines")?;
    harness.needs(&client, "shutdown wr")?;
    claim_comes_back("all bytes are echoed, then end of file", &client, 100_000)?;
    claim_or("no RST was sent", Fault::Lost, harness.stage.count(&Matcher::rst()) == 0);
    claim_no_close_wait("no socket is left in CLOSE_WAIT");
    claim_runs("the program still runs", &program);
}

trial! { PAIR, harness;
    name: "half-close",
    title: "the client's input ends while replies are outstanding",
    source: "UNP 6.6",
    question: "Many lines are typed, and the input ends before the first reply arrives. Is \
               every reply written, and do both ends close?";

    step "ten lines of 1000 bytes are typed and the input ends; the wire holds every reply";
    harness.stage.two().watch_states(false);
    // Held packets must not be retransmitted: a copy that arrives after the end would be answered
    // with RST.
    harness.stage.two().set_rto_min(Duration::from_secs(10))?;
    harness.stage.two().set_sysctl("net.ipv4.tcp_early_retrans", "0")?;
    let pair = pair::meet(harness)?;
    let replies = [Matcher::data().from_server(), Matcher::fin().from_server()];
    let rules = replies.map(|reply| harness.stage.two().wire.add(Rule::hold(reply)));
    // No more than a kernel sends before the first acknowledgment, which the replies carry.
    let lines = client::many_lines(10);
    for line in &lines {
        pair.client.types(line);
    };
    harness.decisive();
    pair.client.ends_input();
    if harness.delivered(&Matcher::fin().from_client(), 0, client::FIN_FIRST).is_err() {
        harness.note("the client sends no FIN before it has every reply");
    };

    step "the wire releases the replies";
    let all: usize = lines.iter().map(|line| line.len() + 1).sum();
    // Otherwise the last packet would overtake the others, and the kernel would retransmit them.
    harness.comes(END, || {
        let held = harness.stage.two().wire.held();
        pair.server.process.exit().is_some()
            || held.iter().map(|held| held.packet.payload().len()).sum::<usize>() >= all
    });
    let replies = Matcher::any_tcp().from_server();
    harness.stage.two().wire.release_all(&replies);
    for rule in rules {
        harness.stage.two().wire.remove(rule);
    };
    harness.stage.two().wire.release_all(&replies);
    claim_closes("the client sends FIN", Side::Client, Fault::Hung);
    claim_closes("the server sends FIN", Side::Server, Fault::CloseWait);
    claim_ends_well("the client exits with status 0", &pair.client);
    claim_output("the client has written every line", &pair.client, &lines);
    claim("no RST was sent", harness.stage.count(&Matcher::rst()) == 0);
    claim_no_close_wait("the server leaves no socket in CLOSE_WAIT");
    claim_runs("the server still runs", &pair.server);
}
