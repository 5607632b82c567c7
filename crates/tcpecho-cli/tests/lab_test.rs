//! `tcpecho lab test` and `lab run --client`, with our own programs and with bad ones.

#[path = "common/schema.rs"]
mod schema;
#[path = "common/script.rs"]
mod script;
#[path = "common/lab.rs"]
mod support;
use script::Script;
use std::{collections::BTreeSet, process::Command};
use support::{lab, text};

use tcpecho_lab::{
    Side,
    text::Text,
    trial::{Fault, trials},
};

const TCPECHO: &str = env!("CARGO_BIN_EXE_tcpecho");

/// The exit status and the output; prints SKIP and returns nothing where no hosts can be made.
fn tested(args: &[&str]) -> Option<(Option<i32>, String)> {
    let output = lab(args);
    if output.status.code() == Some(77) {
        println!("SKIP {}", text(&output.stderr));
        return None;
    }
    Some((output.status.code(), text(&output.stdout) + &text(&output.stderr)))
}

fn all_right(role: Side, command: &str, family: &str) {
    let option = format!("--{role}");
    let args = ["test", &option, command, "--family", family, "--format", "json"];
    let Some((status, report)) = tested(&args) else { return };
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(schema::complaints("lab-test.json", &report), [""; 0]);
    let rows = report["trials"].as_array().unwrap();
    let wanted = trials(&[role]).count();
    assert_eq!(rows.len(), wanted * if family == "both" { 2 } else { 1 });
    let wrong: Vec<_> = rows.iter().filter(|row| row["verdict"] != "right").collect();
    assert!(wrong.is_empty() && status == Some(0), "{command}: {wrong:#?}");
}

fn our_client() -> String {
    format!("'{TCPECHO}' connect {{host}} {{port}}")
}

fn our_server(engine: &str) -> String {
    format!("'{TCPECHO}' serve --engine {engine} --port {{port}}")
}

#[test]
fn the_trials_make_exactly_the_steps_and_claims_of_their_texts() {
    let (client, server) = (&our_client(), &our_server("epoll"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            every_claim_holds_and_is_written(&["--client", client], 60, &[Side::Client]);
        });
        scope.spawn(|| {
            every_claim_holds_and_is_written(&["--server", server], 60, &[Side::Server]);
        });
    });
}

#[test]
fn our_client_and_our_server_behave_with_each_other() {
    let (client, server) = (our_client(), our_server("auto"));
    let options = ["--client", &client, "--server", &server, "--family", "both"];
    every_claim_holds_and_is_written(&options, 120, &Side::BOTH);
}

fn every_claim_holds_and_is_written(options: &[&str], at_least: usize, sides: &[Side]) {
    let args = [&["run", "all", "--jobs", "4", "--format", "ndjson"], options].concat();
    let Some((status, moments)) = tested(&args) else { return };
    schema::check_lines("lab-run.json", &moments);
    let (mut claims, mut step) = (0, String::new());
    let mut made = BTreeSet::new();
    for moment in moments.lines() {
        let moment: serde_json::Value = serde_json::from_str(moment).expect(moment);
        let name = moment["scenario"].as_str().unwrap();
        let sentence = || moment["text"].as_str().unwrap().to_string();
        match moment["what"].as_str().unwrap() {
            "step" if moment["place"] == "lab" => {
                step = sentence();
                made.insert((name.to_string(), step.clone(), None));
            }
            "claim" => {
                claims += 1;
                assert_eq!(moment["verdict"], "passed", "{options:?} {name}: {}", sentence());
                made.insert((name.to_string(), step.clone(), Some(sentence())));
            }
            _ => {}
        }
    }
    // A trial that this kernel cannot play makes none.
    let played: BTreeSet<&str> = made.iter().map(|(name, ..)| name.as_str()).collect();
    let texts = trials(sides).map(|trial| &trial.text);
    let texts = texts.filter(|text| played.contains(text.name));
    let declared: BTreeSet<_> = texts.flat_map(declared).collect();
    let differences: Vec<_> = declared.symmetric_difference(&made).collect();
    assert!(differences.is_empty(), "declared or made, not both: {differences:#?}");
    assert!(status == Some(0) && claims >= at_least, "{options:?}: {claims} claims");
}

/// The steps and claims of a text, each with its name and its step.
fn declared(text: &Text) -> Vec<(String, String, Option<String>)> {
    let row =
        |does: &str, claim: Option<&str>| (text.name.into(), does.into(), claim.map(Into::into));
    let steps = text.steps.iter().map(|step| row(step.does, None));
    steps.chain(text.claims().map(|(step, claim)| row(step.does, Some(claim)))).collect()
}

#[test]
fn our_programs_behave_in_every_trial() {
    let list = Command::new(TCPECHO).args(["serve", "--engine", "list"]).output().unwrap();
    let list = text(&list.stdout);
    std::thread::scope(|scope| {
        scope.spawn(|| all_right(Side::Client, &our_client(), "6"));
        for (engine, family) in
            [("iterative", "4"), ("fork", "6"), ("thread", "4"), ("epoll", "6"), ("uring", "4")]
        {
            let line = list.lines().find(|line| line.starts_with(engine)).unwrap();
            if line.contains("unavailable") {
                println!("SKIP {line}");
                continue;
            }
            scope.spawn(move || all_right(Side::Server, &our_server(engine), family));
        }
    });
}

/// Reads only the keyboard, does not exit when its input ends, and exits with 0 whatever happens.
const BAD: &str = "
import signal, socket, sys
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
try:
    for line in sys.stdin.buffer:
        peer.sendall(line)
        reply = peer.makefile('rb').readline()
        sys.stdout.buffer.write(reply)
        sys.stdout.buffer.flush()
    peer.shutdown(socket.SHUT_WR)
    signal.pause()
except OSError:
    pass
";

#[test]
fn a_bad_client_gets_its_verdict_and_expectations_pin_it() {
    let Some(bad) = Script::new("bad.py", BAD) else { return };
    let client = bad.as_client();
    let names = ["crash-and-reboot", "normal-startup", "refused"];
    let args = [&["test", "--client", &client][..], &names].concat();
    let Some((status, table)) = tested(&args) else { return };
    assert_eq!(status, Some(1), "{table}");
    let verdict = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_string()
    };
    // Python exits with 1 after its traceback for the refused connection.
    assert_eq!(names.map(verdict), ["silent", "hung", "right"], "{table}");
    assert!(table.contains("1 of 3 right"), "{table}");

    // A trial that hangs takes long; the expectations can do without.
    let known = Script::new("known", "crash-and-reboot silent # known\n").unwrap();
    let expect = ["--expect", known.path().to_str().unwrap()];
    let args = [&["test", "--client", &client, names[0], names[2]][..], &expect].concat();
    assert_eq!(tested(&args).unwrap().0, Some(0));
    std::fs::write(known.path(), "crash-and-reboot late\n").unwrap();
    let (status, table) = tested(&[&args[..], &["--format", "junit"]].concat()).unwrap();
    assert_eq!(status, Some(1), "{table}");
    assert!(table.contains("tests=\"2\" failures=\"1\" errors=\"0\""), "{table}");
    let failure = "<failure type=\"silent\" message=\"silent: expected: late;";
    assert!(table.contains("name=\"crash-and-reboot\"") && table.contains(failure), "{table}");
}

#[test]
fn a_fault_between_two_programs_is_a_failed_claim() {
    let Some(bad) = Script::new("bad-pair.py", BAD) else { return };
    let (client, server) = (bad.as_client(), our_server("auto"));
    let options = ["--client", &client, "--server", &server, "--format", "junit"];
    let args = [&["run", "crash-and-reboot"], &options[..]].concat();
    let Some((status, report)) = tested(&args) else { return };
    let wanted = "FAILED: the client exits with a status other than 0 (silent: it exited with 0)\"";
    assert!(status == Some(1) && report.contains(wanted), "{report}");
}

/// As on a busy machine: the client sees the end of its input long after the last reply, and then
/// sends FIN. The server must not have closed before.
#[test]
fn a_client_that_sees_the_end_of_its_input_late_is_right() {
    let text = "
import os, select, socket, sys, time
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
keyboard, quiet = 0, 0
while True:
    watched = [peer] if time.monotonic() < quiet or keyboard is None else [peer, keyboard]
    ready = select.select(watched, [], [], 0.05)[0]
    if peer in ready:
        reply = peer.recv(65536)
        if not reply:
            sys.exit(0 if keyboard is None else 4)
        os.write(1, reply)
    if keyboard in ready:
        typed = os.read(keyboard, 65536)
        if typed:
            peer.sendall(typed)
            quiet = time.monotonic() + 0.3
        else:
            keyboard = peer.shutdown(socket.SHUT_WR)
";
    let Some(script) = Script::new("late-end.py", text) else { return };
    let client = script.as_client();
    let names = ["backlog-full", "half-close", "short-counts", "segment-doubled"];
    let args = [&["test", "--client", &client][..], &names].concat();
    let Some((status, table)) = tested(&args) else { return };
    assert_eq!(status, Some(0), "{table}");
}

#[test]
fn a_client_killed_by_sigpipe_is_reported() {
    let text = "
import signal, socket, sys
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
for line in sys.stdin.buffer:
    peer.sendall(line)
    sys.stdout.buffer.write(peer.recv(100))
    sys.stdout.buffer.flush()
";
    let Some(script) = Script::new("sigpipe.py", text) else { return };
    let client = script.as_client();
    let args = ["test", "--client", &client, "sigpipe", "--format", "json"];
    let Some((status, report)) = tested(&args) else { return };
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let row = &report["trials"][0];
    assert_eq!((&row["verdict"], &row["signal"]), (&"killed".into(), &13.into()), "{row:#}");
    assert_eq!(status, Some(1));
}

#[test]
fn a_trial_is_drawn_like_any_scenario() {
    let client = our_client();
    let args = ["run", "normal-termination", "--client", &client];
    let Some((status, ladder)) = tested(&args) else { return };
    assert_eq!(status, Some(0), "{ladder}");
    for part in
        ["SYN seq=0", "> three", "✓ the program has written the three lines", "1 of 1 passed"]
    {
        assert!(ladder.contains(part), "{part}: {ladder}");
    }
}

#[test]
fn usage_errors_say_what_to_do() {
    for (args, wanted) in [
        (&["test"][..], "give a program:"),
        (&["test", "--client", "x {port}", "--server", "y {port}"], "cannot be used with"),
        (&["test", "--client", "nc somewhere"], "no {port} in 'nc somewhere'"),
        (&["test", "--server", "serve-on-8080"], "give the port that it uses with --port"),
        (&["run", "sigpipe", "--server", "serve-on-8080"], "--port"),
        (
            &["test", "--server", "serve-on-8080", "--port", "0"],
            "expected a whole number from 1 to 65535",
        ),
        (&["test", "--client", "nc 'x {port}"], "quote"),
        (
            &["test", "--client", "x {port}", "bind-privileged"],
            "not a trial for a client; tcpecho lab list",
        ),
        (
            &["run", "refused", "--client", "x {port}", "--server", "y {port}"],
            "not a trial for a client and a server together; tcpecho lab list",
        ),
        (
            &["run", "eintr-on-accept", "--server", "x {port}"],
            "not a trial for a server; tcpecho lab list",
        ),
        (&["test", "--server", "x {port}", "--expect", "/does/not/exist"], "No such file"),
    ] {
        let output = lab(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
    let Some((status, said)) =
        tested(&["test", "--server", "no-such-program {port}", "half-close"])
    else {
        return;
    };
    assert!(status == Some(2) && said.contains("ENOENT"), "{said}");
    let (status, said) = tested(&["test", "--server", "false {port}", "half-close"]).unwrap();
    assert!(status == Some(2) && said.contains("does not listen"), "{said}");
}

/// The lab goes to the port that the program has, and every trial holds there.
#[test]
fn a_program_with_a_port_of_its_own_is_tested_there() {
    let server = format!("'{TCPECHO}' serve --port 8080");
    let client = format!("'{TCPECHO}' connect {{host}} 8080");
    for (option, command) in [("--server", &server), ("--client", &client)] {
        let args = ["test", option, command, "--port", "8080", "--family", "both"];
        let args = [&args[..], &["normal-startup", "sigpipe", "half-close"]].concat();
        let Some((status, said)) = tested(&args) else { return };
        assert_eq!(status, Some(0), "{said}");
    }
    let (status, said) =
        tested(&["test", "--server", &server, "--port", "8081", "half-close"]).unwrap();
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("on port 8081: it still runs, and listens on port 8080"), "{said}");
}

#[test]
fn the_help_explains_every_verdict() {
    let help = text(&lab(&["test", "--help"]).stdout);
    for (fault, sentence) in Fault::ALL {
        let line = help.lines().find(|line| line.trim_start().starts_with(&format!("{fault} ")));
        assert!(line.is_some_and(|line| line.ends_with(sentence)), "{fault}: {line:?}");
    }
}

/// What it had to do has become impossible, so no trial waits for its limit.
#[test]
fn a_program_that_exits_at_once_is_judged_at_once() {
    for command in [["--client", "false {host} {port}"], ["--server", "false {port}"]] {
        let [option, program] = command;
        let args = ["test", option, program, "normal-startup", "--format", "json"];
        let Some((_, said)) = tested(&args) else { return };
        if option == "--server" {
            assert!(said.contains("does not listen"), "{said}");
            continue;
        }
        let all = ["test", option, program, "--format", "json"];
        let Some((status, report)) = tested(&all) else { return };
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let rows = report["trials"].as_array().unwrap();
        assert!(status == Some(1) && rows.len() > 20, "{report}");
        for row in rows {
            let took = row["duration_ms"].as_f64().unwrap();
            assert!(took < 10_000.0, "{took} ms: {row:#}");
            assert_ne!(row["verdict"], "hung", "{row:#}");
        }
    }
}

/// The parent exits, and its child opens the connection a second later: the program has not ended.
#[test]
fn a_child_that_continues_is_waited_for() {
    let Some(script) = Script::new(
        "goes-on.py",
        "import os, socket, sys, time\n\
         if os.fork(): sys.exit(0)\n\
         time.sleep(1)\n\
         s = socket.create_connection((sys.argv[1], sys.argv[2]))\n\
         for line in sys.stdin.buffer:\n\
         \x20   s.sendall(line)\n\
         \x20   sys.stdout.buffer.write(s.recv(100)); sys.stdout.flush()\n\
         s.shutdown(socket.SHUT_WR)\n\
         s.recv(1)\n",
    ) else {
        return;
    };
    let command = script.as_client();
    let args = ["run", "normal-termination", "--client", &command, "--format", "ndjson"];
    let Some((status, moments)) = tested(&args) else { return };
    assert_eq!(status, Some(0), "{moments}");
}

/// Of 100 MB of output, the lab keeps the first and the last part.
#[test]
fn endless_output_of_a_program_is_not_kept() {
    let flood =
        "sh -c ': {port}; head -c 100000000 /dev/zero | tr \"\\0\" x | fold -w 2000; exit 3'";
    let mut lab = Command::new(TCPECHO);
    lab.args(["lab", "test", "--client", flood, "refused", "--format", "json"]);
    let lab = lab.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let lab = lab.spawn().unwrap();
    let status = format!("/proc/{}/status", lab.id());
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sampler = std::thread::spawn(move || {
        let mut most = 0;
        let soon = std::time::Duration::from_millis(20);
        while stopped.recv_timeout(soon) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            most = most.max(kilobytes.unwrap_or(0));
        }
        most
    });
    let output = lab.wait_with_output().unwrap();
    drop(stop);
    let most: u64 = sampler.join().unwrap();
    if output.status.code() == Some(77) {
        return println!("SKIP {}", text(&output.stderr));
    }
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &report["trials"][0];
    assert!(most > 0 && most < 64 << 10, "{most} kB");
    assert_eq!(row["exit_status"], 3, "{row:#}");
    let notes = row["notes"].to_string();
    assert!(notes.contains("lines (") && notes.contains("were not kept"), "{row:#}");
}

/// A server that exits with 1 when a client resets the connection, this many seconds after it has
/// closed its sockets.
fn dies_of_a_reset(seconds: f64) -> String {
    format!(
        "
import socket, sys, time
listener = socket.socket()
listener.bind(('', int(sys.argv[1])))
listener.listen(5)
kept = []
try:
    while True:
        kept.append(listener.accept()[0])
        while line := kept[-1].recv(100):
            kept[-1].sendall(line)
        kept.pop().close()
except ConnectionResetError:
    for closed in [listener, *kept]:
        closed.close()
    time.sleep({seconds})
    raise
"
    )
}

/// A process that keeps a processor busy.
struct Busy(std::process::Child);

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lab sees the closed sockets before the exit, or the exit first, and the verdict is the same,
/// also on a busy machine.
#[test]
fn a_server_that_exits_died_whatever_the_lab_notices_first() {
    const DIES_IN: &[&str] = &[
        "abort-before-accept",
        "sigpipe",
        "client-host-crashes-and-returns",
        "middlebox-forgets-with-reset",
        "close-with-unread-data",
    ];
    let _busy = Busy(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
    for (seconds, times) in [(1.0, 1), (0.0, 3)] {
        let name = format!("dies-{seconds}.py");
        let Some(script) = Script::new(&name, &dies_of_a_reset(seconds)) else { break };
        let server = script.as_server();
        let args = ["test", "--server", &server, "--format", "json", "normal-startup"];
        let args = [&args, DIES_IN].concat();
        for _ in 0..times {
            let Some((_, report)) = tested(&args) else { break };
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            for row in report["trials"].as_array().unwrap() {
                if row["name"] == "normal-startup" {
                    assert_eq!(row["verdict"], "right", "{row:#}");
                    continue;
                }
                let (verdict, status) = (&row["verdict"], &row["exit_status"]);
                assert_eq!((verdict, status), (&"died".into(), &1.into()), "{row:#}");
            }
        }
    }
}

/// It has connected, and closes its connection a second before it exits.
#[test]
fn a_client_that_exits_early_has_quit_and_does_not_hang() {
    let text = "
import socket, sys, time
socket.create_connection((sys.argv[1], int(sys.argv[2]))).close()
time.sleep(1)
";
    let Some(script) = Script::new("exits-early.py", text) else { return };
    let client = script.as_client();
    let args = ["test", "--client", &client, "--format", "json", "server-process-killed"];
    let Some((_, report)) = tested(&args) else { return };
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let row = &report["trials"][0];
    assert_eq!((&row["verdict"], &row["exit_status"]), (&"quit".into(), &0.into()), "{row:#}");
}

/// The last object of each run says how it ended, and a run that fails writes an `error`.
#[test]
fn ndjson_says_why_a_run_failed() {
    let client = our_client();
    for (client, wanted, verdict, why) in [
        (client.as_str(), 0, "passed", ""),
        ("false {host} {port}", 1, "failed", "the program does not connect"),
        ("nosuchprog {host} {port}", 2, "broken", "No such file or directory (ENOENT)"),
    ] {
        let args = ["run", "normal-startup", "--client", client, "--format", "ndjson"];
        let Some((status, objects)) = tested(&args) else { return };
        assert_eq!(status, Some(wanted), "{objects}");
        schema::check_lines("lab-run.json", &objects);
        let objects: Vec<serde_json::Value> =
            objects.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let results: Vec<_> = objects.iter().filter(|one| one["what"] == "result").collect();
        let [result] = results[..] else { panic!("{results:#?}") };
        assert_eq!((&result["scenario"], &result["family"]), (&args[1].into(), &"IPv4".into()));
        assert_eq!(result["verdict"], verdict, "{result:#}");
        let claims = objects.iter().filter(|one| one["what"] == "claim").count();
        assert_eq!(result["claims"], claims, "{result:#}");
        let last = objects.last().unwrap();
        if wanted == 0 {
            assert!(result["why"].is_null() && last == result, "{last:#}");
            continue;
        }
        assert!(result["why"].as_str().unwrap().ends_with(why), "{result:#}");
        let message = last["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("normal-startup IPv4: ") && message.ends_with(why), "{last:#}");
        assert_eq!(last["exit_status"], wanted, "{last:#}");
    }
}
