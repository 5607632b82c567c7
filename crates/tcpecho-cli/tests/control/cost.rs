//! What control costs a server while nobody asks: nothing.

use std::{collections::BTreeMap, net::Shutdown, time::Duration};

use crate::common::{
    trace::{can_trace, traced},
    *,
};

const MESSAGES: usize = 100;

#[test]
fn an_idle_server_with_control_makes_no_system_calls() {
    if !can_trace() {
        return;
    }
    together(engines(), |engine| {
        let (server, log) = traced(&[], engine, &["--control", "127.0.0.1:0"]);
        let mut client = server.connects();
        echoes(&mut client, b"hello");
        let quiet = log.is_quiet_for(Duration::from_millis(1500));
        assert!(quiet && !log.calls().is_empty(), "{engine}: {:#?}", log.calls());
    });
}

/// The calls of one client with so many echoes, from accept on.
fn calls(engine: &str, more: &[&str]) -> BTreeMap<String, usize> {
    let args = [&["--log", "off"], more].concat();
    let (server, log) = traced(&["-e", "trace=!futex"], engine, &args);
    let mut stream = server.connects();
    for _ in 0..MESSAGES {
        echoes(&mut stream, b"a message");
    }
    stream.shutdown(Shutdown::Write).unwrap();
    sees_the_end(&mut stream);
    let _ = server.stops();
    let calls = log.calls();
    let accepted = calls.iter().position(|call| call.is("accept4") && !call.failed());
    let mut counts = BTreeMap::new();
    for call in calls.iter().skip(accepted.unwrap() + 1) {
        let name = call.text.split('(').next().unwrap();
        *counts.entry(name.to_string()).or_default() += 1;
    }
    counts
}

#[test]
fn an_echo_costs_the_same_with_control() {
    if !can_trace() {
        return;
    }
    for engine in engines() {
        let plain = calls(engine, &[]);
        let controlled = calls(engine, &["--control", "127.0.0.1:0"]);
        let count = |counts: &BTreeMap<String, usize>, name| counts.get(name).copied().unwrap_or(0);
        for name in plain.keys().chain(controlled.keys()) {
            // The calls of an echo come a hundred times; the second descriptor of the connection costs three.
            let (plain, controlled) = (count(&plain, name), count(&controlled, name));
            let differs = plain.abs_diff(controlled);
            assert!(differs < MESSAGES / 10, "{engine} {name}: {plain} and {controlled}");
        }
        println!("{engine}: {plain:?}\n{engine} with control: {controlled:?}");
    }
}
