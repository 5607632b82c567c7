//! The server does not read for a while, and there is much to send (UNP 2.11, RFC 9293 3.8.6).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::harness::{END, NOTICE};
use super::{Fault, client, server};
use crate::stage::count;

trial! { CLIENT, harness;
    name: "zero-window",
    title: "the server does not read for a while",
    source: "UNP 2.11, RFC 9293 3.8.6",
    question: "Two megabytes wait on stdin and the server reads none. Does the program stop \
               reading stdin, and is every line echoed afterwards?";

    step "2000 lines of 1000 bytes are offered to the program; buffers are small and the server \
          does not read";
    harness.stage.two().watch_states(false);
    harness.stage.two().set_sysctl("net.ipv4.tcp_rmem", "4096 16384 16384")?;
    harness.stage.two().set_sysctl("net.ipv4.tcp_wmem", "4096 16384 16384")?;
    harness.stage.two().set_rto_min(Duration::from_millis(20))?;
    let (program, server) = client::meet(harness)?;
    let _ = program.process.wait_asleep(NOTICE);
    let before = program.process.memory();
    let lines = client::many_lines(LINES);
    let (process, offered) = (Arc::clone(&program.process), lines.clone());
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let typing = std::thread::spawn(move || {
        for line in &offered {
            if process.write(format!("{line}\n").as_bytes()).is_err() {
                return;
            }
            count.fetch_add(1, Relaxed);
        }
        process.close_input();
    });
    settle(&taken);
    let grown = program.process.memory().saturating_sub(before);
    harness.conduct.memory_growth = Some(grown);
    claim_or("the program's memory does not grow with the input", Fault::Grew, grown < CLIENT_GROWTH);
    claim_runs("the program still runs", &program);

    step "the server echoes";
    let said = client::echoed(harness, &server, LINES * 1000)?;
    harness.decisive();
    claim_echoed("the server received everything and echoed it", &said, LINES * 1000);
    if said.starts_with("ok") {
        client::closes(harness, &server);
    };
    claim_ends_well("the program exits with status 0", &program);
    let _ = typing.join();
    claim_output("the program has written every line", &program, &lines);
}

const LINES: usize = 2000;
/// Far more than a bounded buffer needs, far less than the input.
const CLIENT_GROWTH: u64 = 1 << 20;

/// Waits until no line has been taken for 300 ms.
fn settle(taken: &AtomicUsize) {
    let mut before = usize::MAX;
    loop {
        let now = taken.load(Relaxed);
        if now == before || now == LINES {
            return;
        }
        before = now;
        std::thread::sleep(Duration::from_millis(300));
    }
}

// A client sends and does not read (UNP 6.8, RFC 9293 3.8.6).
trial! { SERVER, harness;
    name: "zero-window",
    title: "a client does not read",
    source: "UNP 6.8, RFC 9293 3.8.6",
    question: "A client sends four megabytes and reads no reply. Does the program stop reading, so \
               that its memory does not grow, and is every byte echoed?";

    step "two clients come and go; another one sends as many of 4000000 bytes as the program accepts \
          and reads nothing; the kernels' buffers are small";
    harness.stage.two().watch_states(false);
    harness.stage.two().set_sysctl("net.ipv4.tcp_rmem", "4096 65536 65536")?;
    harness.stage.two().set_sysctl("net.ipv4.tcp_wmem", "4096 65536 65536")?;
    harness.stage.two().set_rto_min(Duration::from_millis(20))?;
    let program = server::open(harness)?;
    let first = server::customer(harness)?;
    claim_serves("a line is echoed", &first)?;
    let second = server::customer(harness)?;
    let serves_both = harness.serves_both(&first, &second)?;
    harness.leaves(&first);
    // A client that closes before its reply has arrived answers it with RST.
    if !serves_both {
        let _ = harness.hears(&second, END);
    };
    harness.leaves(&second);
    let before = program.process.memory();
    let client = server::customer(harness)?;
    let taken = count(&harness.needs(&client, &format!("stuff {BYTES}"))?);
    let grown = program.process.memory().saturating_sub(before);
    harness.conduct.memory_growth = Some(grown);
    claim_or(
        "the program's memory does not grow with what it cannot send",
        Fault::Grew, grown < SERVER_GROWTH,
    );

    step "another client connects";
    let other = server::customer(harness)?;
    let waits = !serves_both || harness.keeps_waiting(&other)?;
    claim_no_stall(
        "a program that serves two clients at a time echoes the other client's line meanwhile",
        serves_both, waits,
    );

    step "the first client shuts down its writing half and reads";
    harness.needs(&client, "shutdown wr")?;
    claim_comes_back(
        "everything that was accepted is echoed, then end of file",
        &client, taken,
    )?;
    if serves_both && waits {
        let _ = harness.hears(&other, END);
    };
    harness.leaves(&other);
    claim_runs("the program still runs", &program);
}

const BYTES: usize = 4_000_000;
/// Far more than a bounded buffer needs, far less than what is offered.
const SERVER_GROWTH: u64 = 2 << 20;
