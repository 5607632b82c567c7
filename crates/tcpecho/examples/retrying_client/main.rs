//! A client with retries and deadlines against every fault: `cargo run -p tcpecho --example retrying_client`.
//!
//! `client.rs` is the client; `tests/retrying_client.rs` says what it does with each fault.

#[allow(unreachable_pub, reason = "an example has no outside")]
mod client;

use std::{error::Error, time::Duration};

use client::{Client, Limits, Repeat};
use tcpecho::{Fault, PRESETS, Server};

const LIMITS: Limits = Limits {
    attempt: Duration::from_millis(500),
    total: Duration::from_secs(2),
    attempts: 3,
    pause: Duration::from_millis(10),
};

fn main() -> Result<(), Box<dyn Error>> {
    for preset in PRESETS {
        let server = Server::builder().listen("127.0.0.1:0".parse()?).seed(1);
        let server = match preset.example.parse()? {
            Fault::Listener(fault) => server.listener_fault(fault),
            Fault::Connections(plan) => server.fault_plan(&plan),
            _ => continue,
        };
        let server = server.start()?;
        let mut client = Client::new(server.addr(), LIMITS);
        let result = client.ask("get the answer", Repeat::Idempotent);
        let result = result.map_or_else(|failure| failure.to_string(), |_| "answered".into());
        drop(client);
        println!("{:22} {result:54} sessions: {}", preset.example, server.finish().len());
    }
    Ok(())
}
