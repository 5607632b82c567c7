//! A router answers data with an ICMP error until the kernel gives up (UNP 5.14).

use std::time::Duration;

use super::client;
use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;

trial! { CLIENT, harness;
    name: "unreachable-while-established",
    title: "a router answers a connection's data with an ICMP error",
    source: "UNP 5.14, A.6",
    question: "A router reports that the host is unreachable, first for a moment, then \
               permanently. Does the program survive the first and notice the second?";

    step "a line is echoed; for one packet a router cannot reach the server's host";
    harness.stage.two().client.set_rto_min(Duration::from_millis(20))?;
    let (program, server) = client::meet(harness)?;
    client::exchange(harness, &program, &server, "one")?;
    let data = Matcher::data().from_client();
    harness.stage.wire_rule(Rule::answer(data.clone(), IcmpError::HostUnreachable).once());
    client::exchange(harness, &program, &server, "two")?;
    claim_runs("the program continues, because the error is soft", &program);

    step "the host stays unreachable, and the retransmission timeout of the client's kernel is \
          short";
    harness.stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    harness.stage.wire_rule(Rule::answer(data, IcmpError::HostUnreachable));
    harness.decisive();
    program.types("three");
    claim_fails("the program exits with a status other than 0", &program);
    claim_output("the program has written the echoed lines and nothing else", &program, &["one", "two"]);
}
