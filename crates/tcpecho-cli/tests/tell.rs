//! How `tcpecho connect` tells: JSON by its schema, exit statuses, colour, each call as it happens.

#[path = "common/schema.rs"]
mod schema;
#[path = "connect/support.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use schema::complaints;
use serde_json::json;
use support::*;

const SCHEMA: &str = "connect.json";

#[test]
fn every_report_is_what_the_schema_says() {
    let valid = |ended: &Ended| assert_eq!(complaints(SCHEMA, &ended.json()), [""; 0]);
    for at in families() {
        // It went well.
        let (addr, server) = peer(at, echo);
        let mut client = Client::to(addr, &["--json"]);
        client.types(b"hello");
        valid(&client.finishes());
        server.join().unwrap();
        // Nobody there.
        let (_held, addr) = deserted(at);
        valid(&Client::to(addr, &["--json"]).ends());
        // Reset, mismatch, closed.
        let (addr, _server) = peer(at, reset);
        valid(&Client::to(addr, &["--json"]).ends());
        let (addr, _server) =
            peer(at, |mut stream| stream.write_all(b"220 welcome").map(|()| stream));
        valid(&Client::to(addr, &["--json"]).ends());
        let (addr, _server) = peer(at, drop);
        valid(&Client::to(addr, &["--json"]).ends());
    }
    // No name, no source, no sense on this side.
    valid(&Client::connect(&["no-such-host.invalid", "--json"]).ends());
    valid(&Client::connect(&["127.0.0.1:1", "-s", "192.0.2.1", "--json"]).ends());
}

/// The check itself finds what is wrong.
#[test]
fn the_schema_is_strict() {
    let (addr, server) = peer(families().next().unwrap(), echo);
    let report = Client::to(addr, &["--json"]).finishes().json();
    server.join().unwrap();
    assert_eq!(complaints(SCHEMA, &report), [""; 0]);
    for (key, wrong) in [
        ("ending", json!("ended")),
        ("exit_status", json!(256)),
        ("sent", json!("6")),
        ("attempts", json!([{ "addr": "127.0.0.1:1" }])),
        ("errno", json!("refused")),
        ("something", json!("else")),
    ] {
        let mut changed = report.clone();
        changed[key] = wrong;
        assert!(!complaints(SCHEMA, &changed).is_empty(), "{key}");
    }
}

#[test]
fn exit_detail_gives_each_ending_its_own_status() {
    let at = families().next().unwrap();
    let statuses = listed_statuses();
    let status = |ending: &str| statuses[ending];
    let (_held, addr) = deserted(at);
    Client::to(addr, &["--exit-detail"]).ends().with(status("refused"));
    let (addr, _server) = peer(at, drop);
    Client::to(addr, &["--exit-detail"]).ends().with(status("closed-early"));
    let (addr, _server) = peer(at, reset);
    Client::to(addr, &["--exit-detail"]).ends().with(status("reset"));
    let (addr, _server) = peer(at, |mut stream| stream.write_all(b"!").map(|()| stream));
    Client::to(addr, &["--exit-detail"]).ends().with(status("mismatch"));
    Client::connect(&["no-such-host.invalid", "--exit-detail"])
        .ends()
        .with(status("resolve-failed"));
    // What is no failure of the connection keeps its status.
    let (addr, server) = peer(at, echo);
    Client::to(addr, &["--exit-detail"]).finishes().with(0);
    server.join().unwrap();
    Client::connect(&["--exit-detail", "host:0"]).ends().with(2);
}

/// The statuses of `--exit-detail` as the help lists them.
fn listed_statuses() -> HashMap<String, i32> {
    let output = Command::new(env!("CARGO_BIN_EXE_tcpecho")).args(["connect", "--help"]).output();
    let help = String::from_utf8(output.unwrap().stdout).unwrap();
    // "  65   refused: the connection was refused ..."
    let pairs = help.lines().filter_map(|line| line.trim().split_once("  "));
    let words = pairs.filter_map(|(status, text)| Some((status, text.trim().split_once(':')?.0)));
    words.filter_map(|(status, word)| Some((word.to_owned(), status.parse().ok()?))).collect()
}

#[test]
fn the_help_lists_the_statuses() {
    let statuses = listed_statuses();
    for row in tcpecho::internal::ENDINGS {
        assert!(statuses.contains_key(row.word), "{} is not in {statuses:?}", row.word);
    }
}

#[test]
fn calls_are_shown_in_order_with_their_states() {
    for at in families() {
        let (addr, server) = peer(at, echo);
        let mut client = Client::to(addr, &["--calls"]);
        client.types(b"hello");
        client.sees(b"hello");
        let ended = client.finishes();
        server.join().unwrap();
        let mut rest = ended.with(0).stderr.as_str();
        for (call, state) in [
            ("socket", "CLOSED"),
            ("connect", "SYN_SENT"),
            ("connect", "ESTABLISHED"),
            ("send", "ESTABLISHED"),
            ("recv", ""),
            ("shutdown", ""),
            ("recv", ""),
            ("close", "TIME_WAIT"),
        ] {
            let line = rest.lines().next().unwrap_or_default();
            assert!(
                line.contains(call) && line.contains(state),
                "{call} {state}: {}",
                ended.stderr
            );
            rest = &rest[line.len() + 1..];
        }
        assert_eq!(rest, "");
        // The first thing that came back, the FIN and the port that the kernel chose.
        assert!(ended.stderr.contains("recv       = 5 bytes"), "{}", ended.stderr);
        ended.says("SHUT_WR = FIN sent").says("0: the peer's FIN").says("SYN sent from ");
    }
}

#[test]
fn the_options_are_told_and_can_be_switched_off() {
    let at = families().next().unwrap();
    let (addr, server) = peer(at, echo);
    let ended = Client::to(addr, &["-v"]).finishes();
    ended.with(0).says("TCP_USER_TIMEOUT 30s").says("SO_KEEPALIVE after 15s, every 5s, 3 probes");
    server.join().unwrap();
    let (addr, server) = peer(at, echo);
    let options = ["-v", "--user-timeout", "off", "--keepalive", "off", "--no-race"];
    let ended = Client::to(addr, &options).finishes();
    ended.with(0).says("TCP_USER_TIMEOUT the kernel's").says("SO_KEEPALIVE off");
    server.join().unwrap();
    for wrong in [["--keepalive", "1ms"], ["--user-timeout", "never"], ["--keepalive", "1,1,999"]] {
        Client::to(addr, &wrong).ends().with(2);
    }
}

/// script(1) gives it a terminal.
#[test]
fn there_is_colour_on_a_terminal_only_and_never_against_no_color() {
    let (_held, addr) = deserted(families().next().unwrap());
    let plain = Client::to(addr, &[]).ends();
    assert!(!plain.with(3).stderr.contains('\u{1b}'), "{}", plain.stderr);
    let on_terminal = |no_color: &str| {
        let line = format!("{} connect {addr} 2>&1", env!("CARGO_BIN_EXE_tcpecho"));
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("NO_COLOR", no_color);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().ok()?;
        let mut text = String::new();
        child.stdout.take()?.read_to_string(&mut text).ok()?;
        child.wait().ok()?;
        Some(text)
    };
    let Some(coloured) = on_terminal("") else {
        eprintln!("SKIP: no script(1) here");
        return;
    };
    assert!(coloured.contains("\u{1b}[1;31mrefused\u{1b}[0m"), "{coloured:?}");
    let spared = on_terminal("1").unwrap();
    assert!(spared.contains("refused") && !spared.contains('\u{1b}'), "{spared:?}");
}

/// A server that is ended with the test, and what it says, line by line.
struct Watched(Child, Receiver<String>);

impl Watched {
    fn serve() -> (Self, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
        command.args(["serve", "-l", "127.0.0.1:0", "--calls"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (said, hears) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| said.send(line))
        });
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let addr = ready.split(' ').nth(2).unwrap().to_owned();
        (Watched(child, hears), addr)
    }

    /// Waits for a line with all of this.
    fn says(&self, parts: &[&str]) {
        loop {
            let line = self.1.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|error| panic!("{parts:?}: {error}"));
            if parts.iter().all(|part| line.contains(part)) {
                return;
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_shows_the_calls_of_its_listener_and_its_connections() {
    let (server, addr) = Watched::serve();
    server.says(&["socket", "AF_INET"]);
    server.says(&["bind", &addr]);
    server.says(&["listen", "accept queue", "LISTEN"]);
    let client = TcpStream::connect(&addr).unwrap();
    let peer = client.local_addr().unwrap().to_string();
    server.says(&["accept", &peer, "ESTABLISHED"]);
    drop(client);
    server.says(&["gone", &peer]);
}
