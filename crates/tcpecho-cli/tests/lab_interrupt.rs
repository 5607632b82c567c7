//! What a signal leaves of `tcpecho lab run` and `tcpecho lab test`: everything that was seen, and
//! no process.

#[path = "common/process.rs"]
#[allow(dead_code, reason = "every test program uses its own part of it")]
mod process;
#[path = "common/schema.rs"]
mod schema;
#[path = "common/lab.rs"]
mod support;

use std::{
    fs,
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use process::{children, lives};
use rustix::process::{Pid, Signal, kill_process};
use support::text;
use tcpecho_os::signal::{Disposition, dispose};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running `tcpecho lab`, and the processes in its hosts.
struct Playing {
    lab: Child,
    hosts: Vec<Pid>,
}

impl Playing {
    /// Starts it, and returns when a program with this word in its command line runs in a host;
    /// prints SKIP and returns nothing where no hosts can be made.
    fn start(args: &[&str], program: &str) -> Option<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
        command.arg("lab").args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A shell starts background commands with SIGINT ignored, which is inherited and respected.
        for signal in [Signal::INT, Signal::HUP] {
            dispose(signal.as_raw(), Disposition::Default).unwrap();
        }
        let mut lab = command.process_group(0).spawn().unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            let inside = descendants(Pid::from_child(&lab));
            let runs = |pid: &Pid| arguments(*pid).split('\0').any(|word| word == program);
            if inside.iter().any(runs) {
                return Some(Playing { lab, hosts: inside });
            }
            if lab.try_wait().unwrap().is_some() {
                let output = lab.wait_with_output().unwrap();
                let said = text(&output.stderr);
                assert_eq!(output.status.code(), Some(77), "{said}");
                println!("SKIP {said}");
                return None;
            }
            assert!(Instant::now() < end, "no {program} in a host");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Its output when this signal ends it and it says so.
    fn gets(self, signal: Signal) -> Output {
        let output = self.ends_by(signal);
        let name = if signal == Signal::TERM { "SIGTERM" } else { "SIGINT" };
        let said = text(&output.stderr);
        assert!(said.contains(&format!("interrupted by {name}")), "{said}");
        output
    }

    /// Its output when this signal ends it; after its exit, everything in its hosts has ended, too.
    fn ends_by(self, signal: Signal) -> Output {
        kill_process(Pid::from_child(&self.lab), signal).unwrap();
        let output = self.lab.wait_with_output().unwrap();
        let left: Vec<_> = self.hosts.iter().filter(|pid| lives(**pid)).collect();
        assert!(left.is_empty(), "still there: {left:?}");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(128 + signal.as_raw()), "{said}");
        output
    }
}

fn descendants(pid: Pid) -> Vec<Pid> {
    children(pid).into_iter().flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

fn arguments(pid: Pid) -> String {
    text(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default())
}

/// Takes a quarter of an hour with the kernel's own timers.
const LONG: &str = "server-host-crashes";

#[test]
fn text_has_the_ladder_so_far_and_the_total() {
    // Drawn live, or afterwards.
    for names in [&[LONG][..], &[LONG, LONG]] {
        for signal in [Signal::TERM, Signal::INT] {
            let args = [&["run", "--real-time", "--jobs", "2"], names].concat();
            let Some(playing) = Playing::start(&args, "agent") else { return };
            let shown = text(&playing.gets(signal).stdout);
            for part in ["== a client and a server exchange data", "INTERRUPTED: ", "(--seed 0)\n"]
            {
                assert!(shown.contains(part), "missing {part:?} in:\n{shown}");
            }
        }
    }
}

#[test]
fn machine_readable_formats_mark_interrupted_runs() {
    for signal in [Signal::TERM, Signal::INT] {
        let args = |format| ["run", LONG, "all", "--real-time", "--jobs", "1", "--format", format];
        let Some(playing) = Playing::start(&args("ndjson"), "agent") else { return };
        let shown = text(&playing.gets(signal).stdout);
        schema::check_lines("lab-run.json", &shown);
        let objects: Vec<serde_json::Value> =
            shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |what: &str| objects.iter().filter(|object| object["what"] == what).count();
        assert!(of("step") > 0 && of("interrupted") == 1, "{shown}");
        let others = tcpecho_lab::scenario::SCENARIOS.len();
        assert_eq!(of("not-begun"), others, "{shown}");
        assert!(
            objects
                .iter()
                .any(|object| object["what"] == "interrupted" && object["scenario"] == LONG)
        );

        let playing = Playing::start(&args("junit"), "agent").unwrap();
        let shown = text(&playing.gets(signal).stdout);
        let error = "<error type=\"interrupted\" message=\"INTERRUPTED: ";
        assert!(shown.contains(error) && shown.contains("</testsuite>"), "{shown}");
        assert!(shown.contains("<skipped message=\"INTERRUPTED: before it began\"/>"), "{shown}");
    }
}

#[test]
fn a_capture_has_the_packets_so_far() {
    let file =
        std::env::temp_dir().join(format!("tcpecho-interrupted-{}.pcapng", std::process::id()));
    let args = ["run", LONG, "--real-time", "--pcapng", file.to_str().unwrap()];
    let Some(playing) = Playing::start(&args, "agent") else { return };
    playing.gets(Signal::TERM);
    assert!(fs::metadata(&file).unwrap().len() > 0);
    fs::remove_file(&file).unwrap();
}

#[test]
fn the_table_of_verdicts_has_the_trials_so_far() {
    let args = ["test", "--client", "sleep 1000{port}", "--jobs", "1", "--format", "json"];
    let Some(playing) = Playing::start(&args, "sleep") else { return };
    let shown = text(&playing.gets(Signal::TERM).stdout);
    let table: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(schema::complaints("lab-test.json", &table), [""; 0]);
    let trials = table["trials"].as_array().unwrap();
    assert_eq!(trials.last().unwrap()["verdict"], "interrupted", "{shown}");
    assert!(trials.len() < table["of"].as_u64().unwrap() as usize, "{shown}");
}

/// The first process of a host has the lab's own command line.
#[test]
fn hosts_that_are_being_made_end_too() {
    for _ in 0..10 {
        let args = ["run", "all", "--format", "ndjson"];
        let Some(playing) = Playing::start(&args, "run") else { return };
        playing.gets(Signal::TERM);
    }
}

#[test]
fn an_interrupted_site_is_not_written_and_its_directory_goes() {
    let dir = std::env::temp_dir().join(format!("tcpecho-site-{}", std::process::id()));
    let name = dir.to_str().unwrap();
    for signal in [Signal::INT, Signal::TERM] {
        let Some(playing) = Playing::start(&["site", name, "--jobs", "1"], "agent") else { return };
        assert!(dir.is_dir());
        let said = text(&playing.gets(signal).stderr);
        assert!(said.contains(&format!("nothing was written to {name}")), "{said}");
        assert!(!dir.exists());
    }
}

/// The whole run has ended before its first step is shown: only what was shown counts.
#[test]
fn a_run_shown_step_by_step_counts_the_claims_that_were_shown() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
    command.args(["lab", "run", "half-close", "--slow"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    dispose(Signal::INT.as_raw(), Disposition::Default).unwrap();
    let mut lab = command.spawn().unwrap();
    let mut said = lab.stderr.take().unwrap();
    lab.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let mut seen = Vec::new();
    while text(&seen).matches("[Enter]").count() < 2 {
        let mut bytes = [0; 4096];
        let count = said.read(&mut bytes).unwrap();
        if count == 0 {
            assert_eq!(lab.wait().unwrap().code(), Some(77), "{}", text(&seen));
            return println!("SKIP {}", text(&seen));
        }
        seen.extend(&bytes[..count]);
    }
    kill_process(Pid::from_child(&lab), Signal::INT).unwrap();
    // Its stdin stays open: the end of the input would show the rest.
    let stdin = lab.stdin.take();
    let output = lab.wait_with_output().unwrap();
    drop(stdin);
    let shown = text(&output.stdout);
    let claims = shown.matches('\u{2713}').count();
    let wanted = format!("INTERRUPTED: {claims} claims passed so far");
    assert!(claims > 0 && shown.contains(&wanted), "{wanted:?} is missing in:\n{shown}");
    assert_eq!(output.status.code(), Some(130));
}

/// The first scenario takes seconds, and no question was asked.
#[test]
fn a_course_says_how_to_go_on() {
    for signal in [Signal::INT, Signal::TERM] {
        let args = ["learn", "--from", "zero-window"];
        let Some(playing) = Playing::start(&args, "agent") else { return };
        let shown = text(&playing.ends_by(signal).stdout);
        let command = "tcpecho lab learn --from zero-window";
        assert!(shown.ends_with(&format!("\n0 of 0 right; to go on: {command}\n")), "{shown}");
    }
}
