//! The server's host crashes, and nothing answers (UNP 5.14).

use std::time::Duration;

use super::{client, pair};
use crate::impairment::Matcher;

trial! { CLIENT, harness;
    name: "server-host-crashes",
    title: "the server's host crashes",
    source: "UNP 5.14, RFC 6298 5",
    question: "Nothing answers any more. Does the program exit when its kernel gives up, and \
               report an error?";

    step "a line is echoed; the retransmission timeout of the client's kernel is short; the \
          server's host loses power";
    harness.stage.two().client.set_rto_min(Duration::from_millis(20))?;
    harness.stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    let (program, server) = client::meet(harness)?;
    client::exchange(harness, &program, &server, "one")?;
    harness.stage.two_mut().server.power_off();

    step "a line is typed, and no answer arrives";
    harness.decisive();
    program.types("two");
    claim_fails("the program exits with a status other than 0", &program);
    let sent = harness.stage.count(&Matcher::data().from_client().containing("two"));
    claim("the client's kernel retransmitted the line several times", sent > 1);
    claim_output("the program has written the first line and nothing else", &program, &["one"]);
}

trial! { PAIR, harness;
    name: "server-host-crashes",
    title: "the server's host crashes",
    source: "UNP 5.14, RFC 6298 5",
    question: "Nothing answers any more. Does the client exit when its kernel gives up, and \
               report an error?";

    step "a line is echoed; the retransmission timeout of the client's kernel is short; the \
          server's host loses power";
    harness.stage.two().client.set_rto_min(Duration::from_millis(20))?;
    harness.stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    let pair = pair::meet(harness)?;
    pair::exchange(harness, &pair, "one")?;
    claim_runs("the server runs until its host loses power", &pair.server);
    harness.stage.two_mut().server.power_off();
    claim_runs("the client still runs, because no packet has told it of the crash", &pair.client);

    step "a line is typed, and no answer arrives";
    harness.decisive();
    pair.client.types("two");
    claim_fails("the client exits with a status other than 0", &pair.client);
    let sent = harness.stage.count(&Matcher::data().from_client().containing("two"));
    claim("the client's kernel retransmitted the line several times", sent > 1);
    claim_output("the client has written the first line and nothing else", &pair.client, &["one"]);
}
