//! What `tcpecho lab run` reports about time and chance, its real time, and its Mermaid diagrams.

#[path = "common/lab.rs"]
mod support;
use std::process::Command;
use support::{lab, shown, text};

/// The output of a run that must hold; prints SKIP and returns nothing where no hosts can be made.
fn run(args: &[&str]) -> Option<String> {
    shown(&lab(&[&["run"], args].concat()))
}

fn own(key: &str) -> u64 {
    let value = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{key}")).unwrap();
    value.trim().parse().unwrap()
}

#[test]
fn the_report_states_what_was_shortened_and_the_seed() {
    let retries = own("tcp_retries2");
    if retries == 1 {
        return println!("SKIP this host is as impatient as the scenario");
    }
    let stated = format!("client: net.ipv4.tcp_retries2 {retries} → 1: 0.6 s at least instead of ");
    let name = "middlebox-forgets-silently";
    let Some(shown) = run(&[name, "--seed", "42"]) else { return };
    assert!(shown.contains(&stated) && shown.contains("times shorter"), "{shown}");
    assert!(shown.contains("1 of 1 passed (--seed 42)"), "{shown}");

    let lines = run(&[name, "--format", "ndjson"]).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let lines: Vec<_> = lines.filter(|line| line["what"] == "shortened").collect();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let (own, here) = (line["own_ms"].as_f64().unwrap(), line["here_ms"].as_f64().unwrap());
    assert!((line["factor"].as_f64().unwrap() - own / here).abs() < 0.1, "{line}");
    for format in ["markdown", "html"] {
        let shown = run(&[name, "--format", format]).unwrap();
        assert!(shown.contains(&stated), "{shown}");
    }
}

#[test]
fn the_report_names_what_else_was_set() {
    let Some(shown) = run(&["syn-meets-time-wait"]) else { return };
    assert!(shown.contains("both hosts: also set: net.ipv4.tcp_rfc1337 0\n"), "{shown}");
    let shown = run(&["self-connection"]).unwrap();
    let range = "client: also set: net.ipv4.ip_local_port_range 50000 50000, then 50001 50001";
    assert!(shown.contains(range) && !shown.contains("tcp_retries2"), "{shown}");
    let shown = run(&["orphaned-fin-wait-2"]).unwrap();
    assert!(shown.contains("client: also set: minimum RTO 20 ms\n"), "{shown}");
    assert!(shown.contains("1: 1 s at least instead of "), "{shown}");
}

#[test]
fn a_scenario_that_shortens_nothing_does_not_mention_it() {
    let Some(shown) = run(&["close-with-unread-data"]) else { return };
    assert!(!shown.contains("instead of"), "{shown}");
}

/// In a network of its own, whose settings the program takes for this host's.
#[test]
fn real_time_takes_what_the_hosts_settings_say() {
    let program = env!("CARGO_BIN_EXE_tcpecho");
    let script = format!(
        "cd /proc/sys/net/ipv4 && echo 2 > tcp_retries2 && echo 1 > tcp_keepalive_time && \
         echo 1 > tcp_keepalive_intvl && echo 2 > tcp_keepalive_probes && \
         exec '{program}' lab run --real-time server-host-crashes-keepalive middlebox-forgets-silently"
    );
    let inside = ["-n", "sh", "-c"];
    let possible = Command::new("unshare")
        .args(inside)
        .arg("test -w /proc/sys/net/ipv4/tcp_retries2")
        .status();
    if !possible.is_ok_and(|status| status.success()) {
        return println!("SKIP no network of its own to be had here");
    }
    let output = Command::new("unshare").args(inside).arg(script).output().unwrap();
    let Some(shown) = shown(&output) else { return };
    let said = text(&output.stderr);
    assert!(said.contains("middlebox-forgets-silently: this will take 1.4 s or more"), "{said}");
    assert!(said.contains("server-host-crashes-keepalive: this will take 3 s or more"), "{said}");
    assert!(shown.contains("net.ipv4.tcp_retries2 2 as on this host: 1.4 s at least"), "{shown}");
    assert!(shown.contains("2 of 2 passed"), "{shown}");
}

#[test]
fn mermaid_has_packets_states_and_claims() {
    let Some(diagram) = run(&["close-with-unread-data", "--format", "mermaid"]) else { return };
    let lines: Vec<&str> = diagram.lines().collect();
    assert_eq!(lines[..2], ["---", "title: \"close-with-unread-data over IPv4\""], "{diagram}");
    assert_eq!(lines[2..4], ["---", "sequenceDiagram"], "{diagram}");
    for line in &lines[4..] {
        let line = line.strip_prefix("    ").unwrap();
        let known = ["c->>s: ", "c-xs: ", "s->>c: ", "s-xc: ", "Note left of c: "]
            .into_iter()
            .chain(["Note right of s: ", "Note over c,s: ", "participant ", "%% "])
            .find_map(|start| line.strip_prefix(start));
        let text = known.unwrap_or_else(|| panic!("{line}"));
        // Each semicolon ends an entity, and each number sign begins one.
        for (at, _) in text.match_indices(';') {
            let entity = text[..at].rsplit('#').next().unwrap();
            assert!(entity.parse::<u8>().is_ok(), "{line}");
        }
        assert_eq!(text.matches('#').count(), text.matches(';').count(), "{line}");
    }
    for part in ["c->>s: SYN seq=0", "Note right of s: ", "✓ an RST is sent", "s->>c: RST-ACK"] {
        assert!(diagram.contains(part), "{part}: {diagram}");
    }
}
