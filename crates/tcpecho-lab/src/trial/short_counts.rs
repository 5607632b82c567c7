//! A long line is echoed in small pieces (UNP 3.9).

use super::harness::END;
use super::{client, server};

trial! { CLIENT, harness;
    name: "short-counts",
    title: "a long line is echoed in small pieces",
    source: "UNP 3.9",
    question: "A line of 20000 bytes is echoed 97 bytes at a time. Is the whole line written?";

    step "a line of 20000 bytes is typed and the input ends; the server echoes it in pieces of 97 \
          bytes";
    harness.stage.two().watch_states(false);
    let (program, server) = client::meet(harness)?;
    harness.needs(&server, "setsockopt nodelay on")?;
    let line: String = ('a'..='z').cycle().take(19_999).collect();
    program.types(&line);
    program.ends_input();
    server.begin("echo 20000 in 97")?;
    let said = harness.hears(&server, END);
    let said = said.unwrap_or_else(|_| client::NOTHING_CAME.into());
    claim_echoed("the server received everything and echoed it", &said, 20000);
    client::closes(harness, &server);
    claim_ends_well("the program exits with status 0", &program);
    claim_output("the program has written the whole line", &program, &[line]);
}

// A line arrives in small pieces (UNP 3.9).
trial! { SERVER, harness;
    name: "short-counts",
    title: "a line arrives in small pieces",
    source: "UNP 3.9",
    question: "A client sends a line a few bytes at a time. Is the whole line echoed?";

    step "a client sends a line byte by byte";
    let program = server::open(harness)?;
    let client = server::customer(harness)?;
    harness.needs(&client, "setsockopt nodelay on")?;
    for byte in b'a'..=b'z' {
        harness.needs(&client, &format!("send {}", char::from(byte)))?;
    };
    for byte in b'a'..=b'z' {
        harness.needs(&client, &format!("send {}", char::from(byte)))?;
    };
    // The pattern's first 52 bytes are twice the alphabet; the following ones are its beginning
    // again.
    harness.needs(&client, "send abcdefghi")?;
    harness.needs(&client, "line ab")?;
    harness.needs(&client, "shutdown wr")?;
    claim_comes_back("the whole line is echoed, in order", &client, 64)?;
    claim_runs("the program still runs", &program);
}
