//! Faults on demand: how they are asked for, what a client reports, and what the log says.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr},
    process::{Command, Stdio},
};

use serde_json::Value;
use tcpecho::PRESETS;

use crate::common::{server::refused, *};

/// More than the ten bytes of the presets' examples.
const MESSAGE: &[u8] = b"hello, world\n";

/// How the connection of `tcpecho connect` ends, which sends a message and half-closes.
pub(crate) fn ending_of_a_client(addr: SocketAddr) -> Value {
    let mut client = Command::new(program())
        .args(["connect", "--json", "--timeout", "4s", "--connect-timeout", "1s"])
        .arg(addr.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended before it reads.
    let _ = client.stdin.take().unwrap().write_all(MESSAGE);
    let output = client.wait_with_output().unwrap();
    let object: Value = serde_json::from_slice(&output.stderr).unwrap();
    object["ending"].clone()
}

/// The row says how a correct client's connection ends; ours is one.
#[test]
fn the_ending_of_every_preset_is_what_a_client_reports() {
    together(PRESETS.iter().map(|preset| preset.example), |fault| {
        let preset = PRESETS.iter().find(|preset| preset.example == fault).unwrap();
        let server = Serving::start("epoll", somewhere(), &["--fault", fault]);
        assert_eq!(ending_of_a_client(server.addr()), preset.ending.word(), "{fault}");
    });
}

#[test]
fn the_list_has_every_preset_with_its_ending() {
    let output = Command::new(program()).args(["serve", "--fault", "list"]).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert_eq!(list.lines().count(), PRESETS.len());
    for (line, preset) in list.lines().zip(PRESETS) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(words[0].starts_with(preset.name) && words[1] == preset.ending.word(), "{line}");
        assert!(line.ends_with(preset.sentence) && line.chars().count() <= 120, "{line}");
    }
}

#[test]
fn completions_have_the_presets() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(program()).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        for value in ["reset-after=", "zero-window", "accept-delay="] {
            assert!(script.contains(value), "{shell}: {value}");
        }
    }
}

#[test]
fn a_session_names_its_fault_in_words() {
    for (engine, at) in everywhere() {
        let fault = "echo 3; send \"!\"; corrupt 100; reset";
        let server = Serving::start(engine, at, &["--fault", fault, "--seed", "7"]);
        let mut stream = server.connects();
        stream.write_all(b"abcde").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        // RST ends it.
        let _ = stream.read_to_end(&mut back);
        let line = server.says("session ");
        let quoted = "fault=\"echo 3; send \\\"!\\\"; corrupt 100; reset\" steps=4/4";
        assert!(line.contains("ending=fault bytes=6 ") && line.contains(quoted), "{line}");
        server.says("fault=\"echo 3; send \\\"!\\\"; corrupt 100; reset\" seed=7");
        // The drawn bit is among a hundred bytes, of which two came.
        let changed = back != b"abc!de";
        assert_eq!(changed, line.contains(" flips="), "{line} {back:?}");
        server.stops().with(0).says(" faults=1 fault=1");
    }
}

#[test]
fn the_json_log_has_the_fault_as_an_object() {
    for (engine, at) in everywhere() {
        let more = ["--log", "json", "--fault", "1:corrupt=2,2:expect \"x\"", "--seed", "5"];
        let server = Serving::start(engine, at, &more);
        for _ in 0..3 {
            let mut stream = server.connects();
            let _ = stream.write_all(b"ab");
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        server.says_times("\"session\"", 3);
        let ended = server.stops();
        crate::schema::check_lines("serve-log.json", &ended.with(0).log.join("\n"));
        let lines: Vec<Value> =
            ended.log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let armed = lines.iter().find(|line| line["event"] == "fault").unwrap();
        assert_eq!((&armed["fault"], &armed["seed"]), (&more[3].into(), &5.into()));
        let session = |script: &str| {
            let found = lines.iter().find(|line| line["fault"]["script"] == script);
            &found.unwrap_or_else(|| panic!("no {script}: {lines:#?}"))["fault"]
        };
        let corrupt = session("corrupt=2");
        assert_eq!((&corrupt["completed"], &corrupt["steps"]), (&2.into(), &2.into()));
        assert!(corrupt["flips"][0]["byte"].as_u64().unwrap() < 2 && !is_true(corrupt));
        let expect = session("expect \"x\"");
        assert!(is_true(expect) && expect["completed"] == 0, "{expect}");
        let sessions = lines.iter().filter(|line| line["event"] == "session");
        let without: Vec<_> = sessions.filter(|line| line.get("fault").is_none()).collect();
        assert_eq!((without.len(), &without[0]["ending"]), (1, &"finished".into()));
        let counters = lines.iter().rfind(|line| line["event"] == "counters").unwrap();
        assert_eq!((&counters["faults"], &counters["endings"]["fault"]), (&2.into(), &2.into()));
    }
}

fn is_true(fault: &Value) -> bool {
    fault["unexpected"] == true
}

#[test]
fn the_same_seed_gives_the_same_run_whatever_the_engine() {
    let mut runs = Vec::new();
    for engine in engines() {
        let more = ["--fault", "reset", "--fault-when", "probability=0.4", "--seed", "11"];
        let server = Serving::start(engine, somewhere(), &more);
        let one = |n| {
            let mut stream = server.connects();
            let _ = stream.write_all(b"x");
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
            server.says_times("session ", n).contains("fault=")
        };
        runs.push((1..=30).map(one).collect::<Vec<bool>>());
    }
    assert!(runs.iter().all(|run| *run == runs[0]), "{runs:?}");
    assert!(runs[0].contains(&true) && runs[0].contains(&false));
}

#[test]
fn a_bad_fault_is_refused_with_its_column() {
    for (args, words) in [
        (&["--fault", "echo 5; pasue 1s"][..], "column 9: expected a step"),
        (&["--fault", "1:refuse"], "column 3: refuse is a fault of the listener"),
        (&["--fault", ""], "column 1: expected a step"),
        (&["--fault", "reset", "--fault-when", "every=x"], "column 7: expected a whole number"),
        (&["--fault", "1:reset", "--fault-when", "2"], "names its connections itself"),
        (&["--fault", "refuse", "--fault-when", "2"], "concerns all connections"),
        (&["--fault-when", "2"], "--fault-when (TCPECHO_FAULT_WHEN) needs --fault"),
        (&["--seed", "2"], "--seed (TCPECHO_SEED) needs --fault"),
        (&["--fault", "reset", "--seed", "x"], "--seed"),
    ] {
        let args = [&["-l", "127.0.0.1:0"], args].concat();
        refused(&args).with(2).says(words);
    }
    let output =
        Command::new(program()).args(["serve", "--fault", "send \"\u{1b}[31m\""]).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains('\u{1b}'));
}

/// A script that pauses holds up the drain no longer than its time limit.
#[test]
fn a_drain_has_its_time_limit_for_scripts_too() {
    for engine in engines() {
        let more = ["--fault", "echo 5; pause 1h", "--drain-timeout", "50ms"];
        let server = Serving::start(engine, somewhere(), &more);
        let mut stream = server.connects();
        echoes(&mut stream, b"hello");
        let ended = server.stops();
        ended.with(0).says("because of the drain timeout").says("ending=draining bytes=5");
        ended.says("fault=\"echo 5; pause 1h\" steps=1/2");
    }
}
