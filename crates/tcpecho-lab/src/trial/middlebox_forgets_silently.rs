//! A middlebox has forgotten the connection and drops its segments (RFC 5382 5).

use std::time::Duration;

use super::{client, pair};
use crate::impairment::{Matcher, Rule};
use crate::side::Side;

trial! { CLIENT, harness;
    name: "middlebox-forgets-silently",
    title: "a middlebox forgets the connection and sends nothing",
    source: "RFC 5382 5",
    question: "After a pause all segments are dropped. Does the program exit when its kernel gives \
               up, and report an error?";

    step "a line is echoed; from now on every segment is dropped";
    harness.stage.two().client.set_rto_min(Duration::from_millis(20))?;
    harness.stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    let (program, server) = client::meet(harness)?;
    client::exchange(harness, &program, &server, "one")?;
    harness.stage.wire_rule(Rule::drop(Matcher::any_tcp()).because("no such flow"));

    step "a line is typed and the input ends";
    harness.decisive();
    program.types("two");
    program.ends_input();
    claim_fails("the program exits with a status other than 0", &program);
    claim_output("the program has written the first line and nothing else", &program, &["one"]);
}

trial! { PAIR, harness;
    name: "middlebox-forgets-silently",
    title: "a middlebox forgets the connection and sends nothing",
    source: "RFC 5382 5",
    question: "After a pause all segments are dropped. Does the client exit and report an error, \
               and does the server keep running?";

    step "a line is echoed; from now on every segment is dropped";
    harness.stage.two().client.set_rto_min(Duration::from_millis(20))?;
    harness.stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    let pair = pair::meet(harness)?;
    pair::exchange(harness, &pair, "one")?;
    harness.stage.wire_rule(Rule::drop(Matcher::any_tcp()).because("no such flow"));

    step "a line is typed and the input ends";
    harness.decisive();
    pair.client.types("two");
    pair.client.ends_input();
    claim_fails("the client exits with a status other than 0", &pair.client);
    claim_output("the client has written the first line and nothing else", &pair.client, &["one"]);
    claim_runs("the server still runs, because no packet has told it of the failure", &pair.server);
    if !harness.connections_of_any_family(Side::Server).is_empty() {
        harness.note("the server still has the connection");
    };
}
