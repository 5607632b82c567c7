//! `tcpecho lab test --gallery`: our own client, and bad ones, without virtual hosts.

#[path = "common/schema.rs"]
mod schema;
#[path = "common/script.rs"]
mod script;
#[path = "common/lab.rs"]
mod support;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use script::Script;
use serde_json::Value;
use support::{lab, text};

const TCPECHO: &str = env!("CARGO_BIN_EXE_tcpecho");

/// Runs `lab test --gallery --client CLIENT MORE --format json`. Returns the exit status and the report.
fn judged(client: &str, more: &[&str]) -> (Option<i32>, Value) {
    let args = ["test", "--gallery", "--client", client, "--format", "json"];
    let output = lab(&[&args, more].concat());
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{client}: {}", text(&output.stderr)));
    assert_eq!(schema::complaints("lab-test.json", &report), [""; 0]);
    (output.status.code(), report)
}

fn rows(report: &Value) -> &[Value] {
    report["trials"].as_array().unwrap()
}

/// The verdicts by the name of the row.
fn verdicts(report: &Value) -> BTreeMap<&str, &str> {
    rows(report)
        .iter()
        .map(|row| (row["name"].as_str().unwrap(), row["verdict"].as_str().unwrap()))
        .collect()
}

fn ours() -> String {
    format!("'{TCPECHO}' connect --timeout 5s --connect-timeout 2s {{host}} {{port}}")
}

#[test]
fn our_client_is_right_in_every_row() {
    let (status, report) = judged(&ours(), &["--family", "both"]);
    assert_eq!(rows(&report).len(), 2 * (tcpecho::PRESETS.len() + 1));
    let wrong: Vec<_> = rows(&report).iter().filter(|row| row["verdict"] != "right").collect();
    let has_ipv6 = tcpecho::internal::is_local("::1".parse().unwrap());
    let skipped = |row: &&Value| row["family"] == "IPv6" && row["verdict"] == "skipped";
    assert!(wrong.iter().all(|row| !has_ipv6 && skipped(row)), "{wrong:#?}");
    assert!(status == Some(0) || !has_ipv6, "{status:?}");
    let connected = rows(&report).iter().find(|row| row["name"] == "drip").unwrap();
    assert_eq!((&connected["connections"], &report["gallery"]), (&1.into(), &true.into()));
}

/// It copies what comes, and knows neither deadlines nor what the answer is.
#[test]
fn a_client_that_takes_everything_for_success_is_found_out() {
    let client = "bash -c 'exec 3<>/dev/tcp/{host}/{port} || exit 1; cat >&3; head -c 26 <&3'";
    let (status, report) = judged(client, &["--deadline", "4s"]);
    let verdicts = verdicts(&report);
    for (name, wanted) in [
        ("echo", "right"),
        ("drip", "right"),
        ("accept-delay", "right"),
        ("refuse", "right"),
        ("truncate", "silent"),
        ("half-close", "silent"),
        ("corrupt", "silent"),
        ("repeat", "silent"),
        ("stall-after", "hung"),
        ("zero-window", "hung"),
        ("never-accept", "hung"),
        ("backlog-full", "hung"),
    ] {
        assert_eq!(verdicts[name], wanted, "{name}: {report:#}");
    }
    assert_eq!(status, Some(1));
    let truncate = rows(&report).iter().find(|row| row["name"] == "truncate").unwrap();
    let why = truncate["failed"][0].as_str().unwrap();
    assert!(why.contains("(silent: 10 of 26 bytes had come back)"), "{why}");
    let notes = truncate["notes"].to_string();
    assert!(notes.contains("the server: ending=fault bytes=10 steps=3/3"), "{notes}");
}

#[test]
fn a_client_in_python_is_judged_by_its_exceptions() {
    let script = Script::new(
        "client.py",
        "import socket, sys\n\
         s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=4)\n\
         data = sys.stdin.buffer.read()\n\
         s.sendall(data)\n\
         s.shutdown(socket.SHUT_WR)\n\
         back = b''\n\
         while piece := s.recv(4096): back += piece\n\
         if back != data: sys.exit('the answer has %d of %d bytes' % (len(back), len(data)))\n\
         sys.stdout.buffer.write(back)\n",
    );
    let Some(script) = script else { return };
    let client = script.as_client();
    let (status, report) = judged(&client, &[]);
    assert!(verdicts(&report).values().all(|verdict| *verdict == "right"), "{report:#}");
    assert_eq!(status, Some(0));
    // The last line of a traceback, not the first.
    let refused = rows(&report).iter().find(|row| row["name"] == "refuse").unwrap();
    assert!(refused["said"].as_str().unwrap().contains("ConnectionRefusedError"), "{refused}");
}

#[test]
fn ncat_takes_an_answer_that_is_cut_for_success() {
    if Command::new("ncat").arg("--version").output().is_err() {
        return println!("SKIP no ncat");
    }
    let names = ["echo", "truncate", "reset-after", "refuse"];
    let (status, report) = judged("ncat {host} {port}", &names);
    let wanted = [("echo", "right"), ("truncate", "silent"), ("reset-after", "right")];
    let verdicts = verdicts(&report);
    assert!(wanted.iter().all(|(name, word)| verdicts[name] == *word), "{report:#}");
    assert_eq!(status, Some(1));
}

#[test]
fn a_client_that_prints_something_else_is_judged_by_its_status() {
    let check = |ok| {
        format!(
            "sh -c 'cat | \"{TCPECHO}\" connect {{host}} {{port}} >/dev/null 2>&1 && echo ok{ok}'"
        )
    };
    let (status, report) = judged(&check(""), &["echo", "corrupt", "drop"]);
    assert!(verdicts(&report).values().all(|verdict| *verdict == "right"), "{report:#}");
    assert_eq!(status, Some(0));
    let (status, report) = judged(&check(" || echo ok"), &["echo", "corrupt", "slow-close"]);
    let words = verdicts(&report);
    assert_eq!((words["corrupt"], words["slow-close"], status), ("silent", "right", Some(1)));
}

#[test]
fn crashes_and_signals_are_verdicts() {
    for (end, wanted) in [("SEGV", "died"), ("PIPE", "killed")] {
        let client = format!("sh -c ': {{port}}; kill -{end} $$'");
        let (status, report) = judged(&client, &["refuse"]);
        assert_eq!((verdicts(&report)["refuse"], status), (wanted, Some(1)), "{report:#}");
    }
    let (_, report) = judged("sh -c ': {port}; exit 3'", &["echo", "refuse"]);
    let words = verdicts(&report);
    assert_eq!((words["echo"], words["refuse"]), ("unconnected", "unconnected"));
}

/// A mistake in quoting: `cat` copies its input, and never connects.
#[test]
fn a_client_that_never_connects_is_wrong_in_every_row() {
    for client in ["sh -c cat {port}", "sh -c ': {port}; echo ok'"] {
        let (status, report) = judged(client, &[]);
        let words = verdicts(&report);
        assert!(words.values().all(|word| *word == "unconnected"), "{client}: {words:?}");
        assert_eq!((status, &report["right"]), (Some(1), &0.into()));
        assert_eq!(rows(&report)[0]["connections"], 0);
    }
    // What is known of a client that does connect where nothing is accepted.
    let (_, report) = judged(&ours(), &["refuse", "drop"]);
    let notes = |at: usize| rows(&report)[at]["notes"].to_string();
    assert!(notes(1).contains("connections are not counted"), "{report:#}");
    assert!(!notes(0).contains("not counted"), "{report:#}");
}

#[test]
fn a_remark_says_what_is_known_of_a_wrong_client() {
    let remarks = |client: &str, more: &[&str]| {
        let args = ["test", "--gallery", "--client", client];
        text(&lab(&[&args, more].concat()).stdout)
    };
    let waits = "bash -c 'exec 3<>/dev/tcp/{host}/{port}; cat >&3; cat <&3; sleep 300'";
    let table = remarks(waits, &["stall-after", "--deadline", "3s"]);
    for words in [
        "did not exit within 3s: connected; the server sent 10 bytes, it printed 10 bytes",
        "a correct client stops waiting for the rest at its own deadline",
        "this test ended the connection",
        " --deadline 3s --format json",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    assert!(!table.contains("ending=draining"), "{table}");
    let floods = "sh -c ': {port}; yes'";
    let table = remarks(floods, &["echo", "--deadline", "1s"]);
    assert!(table.contains("did not exit within 1s: not connected, it printed "), "{table}");
    // Its own output is what differs.
    let adds = "bash -c 'exec 3<>/dev/tcp/{host}/{port}; cat >&3; echo; cat <&3; true'";
    let (_, report) = judged(adds, &["truncate", "--deadline", "9s"]);
    let why = rows(&report)[0]["failed"].to_string();
    assert!(why.contains("it printed other bytes than had come back"), "{report:#}");
    let correct = rows(&report)[0]["correct_client"].as_str().unwrap();
    assert!(correct.contains("reports that the answer is truncated"), "{correct}");
    let table = remarks("sh -c ': {port}; kill -PIPE $$'", &["refuse"]);
    assert!(table.contains("FAILED: was killed by SIGPIPE;"), "{table}");
}

/// Its output has no end, and it leaves a child behind that holds the pipes open.
#[test]
fn output_is_bounded_and_nothing_is_left_of_a_client() {
    let folder = std::env::temp_dir().join(format!("tcpecho-gallery-{}", std::process::id()));
    let client = format!(
        "sh -c ': {{port}}; sleep 300 & echo $! >> {0}; setsid sleep 301 & echo $! >> {0}; \
         setsid sh -c \"echo \\$\\$ >> {0}; exec sleep 302\" & \
         setsid env -i sh -c \"echo \\$\\$ >> {0}; exec sleep 303\" & yes | head -c 100000000; yes no >&2'",
        folder.display()
    );
    let begun = Instant::now();
    let (_, report) = judged(&client, &["refuse", "--deadline", "1s"]);
    assert_eq!(rows(&report)[0]["ended_by_lab"], true);
    assert!(begun.elapsed() < Duration::from_secs(60));
    let left = std::fs::read_to_string(&folder).unwrap();
    assert!(left.lines().count() >= 8, "two rows with four each: {left}");
    std::fs::remove_file(&folder).unwrap();
    for pid in left.lines() {
        // A process that was killed may be a zombie of init's for a moment.
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }
}

#[test]
fn known_verdicts_and_other_formats() {
    let script = Script::new("expected", "truncate silent # as every copier\n");
    let Some(script) = script else { return };
    let file = script.path().display().to_string();
    let client = "bash -c 'exec 3<>/dev/tcp/{host}/{port}; cat >&3; head -c 26 <&3'";
    let run = |format| {
        let args = ["test", "truncate", "drip", "--gallery", "--client", client];
        lab(&[&args[..], &["--expect", &file, "--format", format]].concat())
    };
    let json = run("json");
    assert_eq!(json.status.code(), Some(0), "{}", text(&json.stdout));
    let table = text(&run("text").stdout);
    assert!(table.contains("1 of 2 right, 2 as expected"), "{table}");
    assert!(
        table.contains("exited with status 0 although 10 of 26 bytes had come back"),
        "{table}"
    );
    let junit = text(&run("junit").stdout);
    assert!(junit.contains("tests=\"2\" failures=\"0\"") && junit.contains("--gallery"), "{junit}");
    assert!(text(&run("markdown").stdout).contains("| truncate | IPv4 | **silent** |"));
}

#[test]
fn an_unknown_row_of_known_verdicts_is_an_error_that_names_the_list() {
    let Some(script) = Script::new("unknown", "echo right\ntrunkate silent\n") else { return };
    let file = script.path().display().to_string();
    let output = lab(&["test", "--gallery", "--client", "x {port}", "--expect", &file]);
    let said = text(&output.stderr);
    let words = "line 2: unknown trial 'trunkate' (did you mean 'truncate'?); \
                 tcpecho serve --fault list shows all";
    assert!(said.contains(words) && !said.contains("lab list"), "{said}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_cannot_be_run_is_refused() {
    for (args, words) in [
        (&["--client", "/nowhere/at/all {port}"][..], "start /nowhere/at/all: No such file"),
        (&["--client", "nc {host}"], "no {port} in 'nc {host}'"),
        (&["--server", "x {port}"], "--gallery tests a client"),
        (&["--client", "x", "--port", "7"], "--port cannot be used with --gallery"),
        (&["--client", "x {port}", "trunkate"], "did you mean 'truncate'?"),
        (&["--client", "x {port}", "--expect", "/nowhere/at/all"], "read /nowhere/at/all"),
        (&[], "give a program"),
    ] {
        let output = lab(&[&["test", "--gallery"], args].concat());
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()), "{said}");
        assert!(said.contains(words), "{said}");
    }
    let output = lab(&["test", "--deadline", "1s", "--client", "x {port}"]);
    assert_eq!(output.status.code(), Some(2));
}

/// A signal ends the clients and the gallery; what was seen so far is shown.
#[test]
fn a_signal_ends_everything() {
    let mut child = Command::new(TCPECHO)
        .args(["lab", "test", "--gallery", "--jobs", "1", "echo", "refuse", "--client"])
        .arg("sh -c 'echo $$ {port} >&2; echo begun; exec sleep 300'")
        .args(["--format", "json", "--deadline", "200s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    // The client is running as soon as it is our grandchild, in a group of its own.
    let clients = || {
        let own = pid.as_raw_pid().to_string();
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let stat = |name: &str| std::fs::read_to_string(format!("/proc/{name}/stat")).ok();
        let names = all.filter_map(|entry| entry.file_name().into_string().ok());
        names
            .filter(|name| {
                let Some(stat) = stat(name) else { return false };
                let rest = stat.rsplit(") ").next().unwrap_or_default();
                rest.split(' ').nth(1) == Some(&own) && stat.contains("(sleep)")
            })
            .collect::<Vec<String>>()
    };
    let begun = Instant::now();
    while clients().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    let running = clients();
    kill_process(pid, Signal::TERM).unwrap();
    let (mut out, mut said) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15), "{said}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(verdicts(&report), BTreeMap::from([("echo", "interrupted")]));
    // The row that was not begun is not counted.
    assert_eq!(report["of"], 1);
    assert!(said.contains("interrupted by SIGTERM"), "{said}");
    for client in running {
        assert!(!Path::new(&format!("/proc/{client}")).exists(), "{client}");
    }
}
