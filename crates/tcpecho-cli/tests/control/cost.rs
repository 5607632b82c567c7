//! What control costs a server while nobody asks: nothing.

use std::time::Duration;

use crate::common::{
    trace::{MESSAGES, calls_of_a_client, can_trace, count, traced},
    *,
};

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

#[test]
fn an_echo_costs_the_same_with_control() {
    if !can_trace() {
        return;
    }
    for engine in engines() {
        let (plain, _) = calls_of_a_client(engine, &[]);
        let (controlled, _) = calls_of_a_client(engine, &["--control", "127.0.0.1:0"]);
        for name in plain.keys().chain(controlled.keys()) {
            // The calls of an echo come a hundred times; the second descriptor of the connection costs three.
            let (plain, controlled) = (count(&plain, name), count(&controlled, name));
            let differs = plain.abs_diff(controlled);
            assert!(differs < MESSAGES / 10, "{engine} {name}: {plain} and {controlled}");
        }
        println!("{engine}: {plain:?}\n{engine} with control: {controlled:?}");
    }
}
