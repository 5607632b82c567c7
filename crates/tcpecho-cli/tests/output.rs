//! What every verb does with its stdout, in every format: into a pipe that nobody reads, onto a full disk, for a reader
//! that sleeps, and through a pipe of one page. The exit status is the documented one, what arrives is whole, and JSON
//! parses to its end.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::{
    io::ioctl_fionread,
    pipe::fcntl_setpipe_size,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use serde_json::Value;

mod common;

use common::{
    process::{lives, state},
    program,
};

#[path = "common/schema.rs"]
mod schema;

/// What is still there then is killed, and its test fails. Nothing that is right takes a tenth of this.
const FAR_TOO_LONG: Duration = Duration::from_secs(240);

const PAGE: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Format {
    Text,
    /// One JSON value.
    Json,
    /// A JSON object in each line.
    Lines,
    Html,
    Xml,
}

/// A command line and what becomes of it when somebody reads it.
struct Row {
    args: String,
    format: Format,
    status: i32,
    /// Nothing but its output ends it.
    endless: bool,
}

fn row(format: Format, status: i32, args: impl Into<String>) -> Row {
    Row { args: args.into(), format, status, endless: false }
}

fn endless(format: Format, args: impl Into<String>) -> Row {
    Row { endless: true, ..row(format, 0, args) }
}

/// A listener that echoes whatever comes, for as long as the test lasts.
fn echo_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
    addr
}

/// A port that refuses.
fn deserted() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A listener that takes connections and never answers.
fn mute_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    std::mem::forget(listener);
    addr
}

fn rows() -> Vec<Row> {
    use Format::{Html, Json, Lines, Text, Xml};
    let (addr, nobody) = (echo_server(), deserted());
    let mut rows = vec![
        row(Text, 0, "--help"),
        row(Text, 0, "--version"),
        row(Text, 0, "serve --engine list"),
        row(Text, 0, "lab list"),
        row(Text, 0, "lab explain all"),
        row(Text, 0, "lab doctor"),
        row(Text, 0, format!("ping -c 3 -i 10ms {addr}")),
        row(Text, 0, format!("ping -q -c 3 -i 10ms --histogram {addr}")),
        row(Text, 1, format!("ping -c 1 {nobody}")),
        row(Json, 0, format!("ping --json -c 3 -i 10ms {addr}")),
        row(Json, 1, format!("ping --json -c 1 {nobody}")),
        row(Json, 3, "ping --json nosuch.invalid"),
        row(Json, 3, format!("ping --json -c 1 nosuch.invalid {addr}")),
        row(Json, 2, "ping --json -c x 127.0.0.1"),
        row(Json, 2, "ping --json --nonsense"),
        row(Json, 2, "ping --json --plot --nonsense 127.0.0.1"),
        row(Lines, 0, format!("ping --json-stream -c 3 -i 10ms {addr}")),
        row(Lines, 3, format!("ping --json-stream -c 1 nosuch.invalid {addr}")),
        row(Lines, 3, "ping --json-stream nosuch.invalid"),
        row(Text, 0, format!("ping --size-sweep=256 {addr}")),
        row(Lines, 0, format!("ping --json-stream --size-sweep=256 {addr}")),
        row(Lines, 3, format!("ping --json --size-sweep=64 nosuch.invalid {addr}")),
        row(Text, 0, format!("bench -q -n 200 {addr}")),
        row(Json, 0, format!("bench -q -n 200 --json {addr}")),
        row(Lines, 0, format!("bench -q -d 1 --interval 50ms --json-stream {addr}")),
        row(Json, 3, format!("bench -q -d 0.1 --json {nobody}")),
        row(Lines, 3, format!("bench -q -d 0.1 --json-stream {nobody}")),
        row(Json, 3, "bench --json nosuch.invalid"),
        row(Json, 2, "bench --json -W nonsense"),
        row(Json, 2, "bench --json --nonsense"),
        row(Text, 0, "bench -q -n 200 --rounds 1 --engines epoll,thread"),
        row(Json, 0, "bench -q -n 200 --rounds 1 --engines epoll,thread --json"),
        row(Json, 2, "bench report --json /nonexistent"),
        row(Json, 2, "bench report --json"),
        row(Json, 2, "lab test --format json"),
        row(Json, 2, "lab test --format=json --client false"),
        row(Lines, 2, "lab run --format ndjson nonsense"),
        row(Lines, 2, "lab run --format ndjson"),
        endless(Text, format!("ping -i 10ms {addr}")),
        endless(Lines, format!("ping --json-stream -i 10ms {addr}")),
        endless(Text, format!("ping --idle-sweep=10h {addr}")),
        endless(Lines, format!("bench -q -d 1h --interval 20ms --json-stream {addr}")),
    ];
    for verb in ["serve", "connect", "ping", "bench", "bench report", "lab", "lab run", "lab test"]
    {
        rows.push(row(Text, 0, format!("{verb} --help")));
        rows.push(row(Text, 0, format!("{verb} --version")));
    }
    if !lab_is_possible() {
        return rows;
    }
    let client = format!("'{} connect {{host}} {{port}}'", program());
    for (option, format) in [
        ("text", Text),
        ("markdown", Text),
        ("mermaid", Text),
        ("ndjson", Lines),
        ("html", Html),
        ("junit", Xml),
    ] {
        rows.push(row(format, 0, format!("lab run normal-startup --format {option}")));
    }
    for (option, format) in [("text", Text), ("markdown", Text), ("json", Json), ("junit", Xml)] {
        let test = format!("lab test normal-startup --format {option} --client {client}");
        rows.push(row(format, 0, test));
    }
    rows.push(row(Text, 0, "lab run normal-startup --slow"));
    rows.push(row(Text, 0, "lab run normal-startup normal-termination --jobs 1"));
    rows.push(row(Text, 0, "lab learn normal-startup --seed 1"));
    rows.push(row(Text, 0, "lab learn --from refused --seed 1"));
    rows
}

/// Whether there can be hosts; SKIP if not.
fn lab_is_possible() -> bool {
    let doctor = Command::new(program()).args(["lab", "doctor"]).output().unwrap();
    if !doctor.status.success() {
        println!("SKIP the lab: {}", String::from_utf8_lossy(&doctor.stdout).trim());
    }
    doctor.status.success()
}

/// A running command, killed if it does not end.
struct Running {
    child: Child,
    errors: thread::JoinHandle<String>,
    _alive: mpsc::Sender<()>,
    args: String,
}

struct Ended {
    status: Option<i32>,
    said: String,
}

fn start(args: &str, stdout: impl Into<Stdio>) -> Running {
    // The command is dropped here: it holds the writing end of the pipe.
    run(Command::new(program()).args(shell_words::split(args).unwrap()), args, stdout)
}

fn run(command: &mut Command, args: &str, stdout: impl Into<Stdio>) -> Running {
    command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A copy of the writing end would keep the reader from seeing the end.
    command.stdout(Stdio::null());
    let (alive, gone) = mpsc::channel::<()>();
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    thread::spawn(move || {
        if gone.recv_timeout(FAR_TOO_LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
    });
    let mut stderr = child.stderr.take().unwrap();
    let errors = thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stderr.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    Running { child, errors, _alive: alive, args: args.into() }
}

impl Running {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn ends(mut self) -> Ended {
        let status = self.child.wait().unwrap();
        let said = self.errors.join().unwrap();
        assert!(status.code().is_some(), "{}: {status}, did not end; {said}", self.args);
        Ended { status: status.code(), said }
    }
}

fn small_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    fcntl_setpipe_size(&writer, PAGE).unwrap();
    (reader, writer)
}

/// Waits until it has ended, or sleeps with no room left in the pipe for what it has to write.
fn wait_until_stuck(running: &Running, reader: &PipeReader) {
    let mut before = 0;
    loop {
        let waiting = ioctl_fionread(reader).unwrap();
        let asleep = state(running.pid()) == Some('S');
        if !lives(running.pid()) || (asleep && waiting > 0 && waiting == before) {
            return;
        }
        before = if asleep { waiting } else { 0 };
        thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until it neither runs nor wants to: it waits for its reader and for nothing else.
fn wait_until_at_rest(pid: Pid) {
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status", pid = pid.as_raw_pid()));
        status
            .unwrap_or_default()
            .lines()
            .filter(|line| line.contains("ctxt_switches"))
            .collect::<String>()
    };
    let mut before = String::new();
    wait_for(|| {
        let now = switches();
        let is_at_rest = state(pid) == Some('S') && now == before;
        before = now;
        thread::sleep(Duration::from_millis(500));
        is_at_rest && state(pid) == Some('S') && switches() == before
    });
}

fn wait_for(mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < FAR_TOO_LONG, "it never came");
        thread::sleep(Duration::from_millis(10));
    }
}

fn process_threads(pid: Pid) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_pid()));
    tasks.map_or(0, Iterator::count)
}

fn read_all(mut reader: impl Read) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

/// Whole, and in its format.
fn check(row: &Row, text: &str) {
    let args = &row.args;
    assert!(!text.is_empty(), "{args}: nothing was written");
    assert!(text.ends_with('\n'), "{args}: the last line is cut: {text}");
    match row.format {
        Format::Text => {}
        Format::Json => {
            let value: Value =
                serde_json::from_str(text).unwrap_or_else(|why| panic!("{args}: {why}: {text}"));
            check_failure(row, &value);
        }
        Format::Lines => {
            for line in text.lines() {
                let value: Value = serde_json::from_str(line)
                    .unwrap_or_else(|why| panic!("{args}: {why}: {line}"));
                check_failure(row, &value);
            }
        }
        Format::Html => assert!(text.trim_end().ends_with("</html>"), "{args}: {text}"),
        Format::Xml => assert!(text.trim_end().ends_with("</testsuite>"), "{args}: {text}"),
    }
}

/// Output that is not a result has an error object of the same form for every verb. An event of ping has other fields, too.
fn check_failure(row: &Row, value: &Value) {
    if value.get("error").is_some() && value.get("event").is_none() {
        assert_eq!(schema::complaints("failure.json", value), [""; 0], "{}", row.args);
        assert_eq!(value["exit_status"], row.status, "{}: {value}", row.args);
    }
}

#[test]
fn what_is_read_is_whole() {
    for row in rows().iter().filter(|row| !row.endless) {
        let (reader, writer) = small_pipe();
        let running = start(&row.args, writer);
        let text = read_all(reader);
        let ended = running.ends();
        assert_eq!(ended.status, Some(row.status), "{}: {}", row.args, ended.said);
        check(row, &text);
        // The failure is in the object, and in nothing else.
        if matches!(row.format, Format::Json | Format::Lines) && row.status != 0 {
            assert_eq!(ended.said, "", "{}", row.args);
        }
    }
}

#[test]
fn a_reader_that_sleeps_gets_all_of_it() {
    for row in rows().iter().filter(|row| !row.endless) {
        let (reader, writer) = small_pipe();
        let running = start(&row.args, writer);
        wait_until_stuck(&running, &reader);
        let text = read_all(reader);
        let ended = running.ends();
        assert_eq!(ended.status, Some(row.status), "{}: {}", row.args, ended.said);
        check(row, &text);
    }
}

#[test]
fn a_full_disk_is_exit_status_2() {
    for row in rows() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ended = start(&row.args, full).ends();
        assert_eq!(ended.status, Some(2), "{}: {}", row.args, ended.said);
        let told = "write to stdout: No space left on device (ENOSPC)";
        assert!(ended.said.contains(told), "{}: {}", row.args, ended.said);
    }
}

#[test]
fn a_descriptor_that_cannot_be_written_is_exit_status_2() {
    for row in rows() {
        let ended = start(&row.args, File::open("/dev/null").unwrap()).ends();
        assert_eq!(ended.status, Some(2), "{}: {}", row.args, ended.said);
        let told = "write to stdout: Bad file descriptor (EBADF)";
        assert!(ended.said.contains(told), "{}: {}", row.args, ended.said);
    }
}

/// As after `>&-` in a shell.
#[test]
fn a_closed_stdout_is_exit_status_2() {
    for row in rows() {
        let args = shell_words::split(&row.args).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec \"$@\" >&-", "sh", program()]).args(args);
        let ended = run(&mut command, &row.args, Stdio::null()).ends();
        assert_eq!(ended.status, Some(2), "{}: {}", row.args, ended.said);
        let told = "write to stdout: Bad file descriptor (EBADF)";
        assert!(ended.said.contains(told), "{}: {}", row.args, ended.said);
    }
}

#[test]
fn without_a_reader_it_ends_quietly() {
    let mut rows = rows();
    // They write nothing until they are over.
    let addr = echo_server();
    rows.push(endless(Format::Text, format!("bench -q -d 1h {addr}")));
    rows.push(endless(Format::Json, format!("bench -q -d 1h --json {addr}")));
    rows.push(endless(Format::Text, "bench -q -d 1h --engines epoll,thread"));
    rows.push(endless(Format::Json, format!("ping --json {addr}")));
    rows.push(endless(Format::Text, format!("ping -q {addr}")));
    rows.push(endless(Format::Text, format!("connect --timeout 0 {}", mute_server())));
    if lab_is_possible() {
        rows.push(endless(Format::Text, "lab run all --real-time"));
        rows.push(endless(Format::Text, "lab run all --real-time --jobs 1"));
        rows.push(endless(Format::Html, "lab run all --real-time --format html"));
    }
    for row in rows {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let ended = start(&row.args, writer).ends();
        // A verb that ends before it comes to a verdict has none.
        assert!(
            [Some(0), Some(row.status)].contains(&ended.status),
            "{}: {:?}: {}",
            row.args,
            ended.status,
            ended.said
        );
        assert!(!ended.said.contains("write to stdout"), "{}: {}", row.args, ended.said);
    }
}

/// As head(1) does.
#[test]
fn a_reader_that_leaves_after_a_line_ends_it() {
    for row in rows().iter().filter(|row| row.endless) {
        let (reader, writer) = io::pipe().unwrap();
        let running = start(&row.args, writer);
        let mut line = String::new();
        let mut reader = BufReader::new(reader);
        reader.read_line(&mut line).unwrap();
        drop(reader);
        let ended = running.ends();
        assert_eq!(ended.status, Some(0), "{}: {}", row.args, ended.said);
        assert_eq!(ended.said, "", "{}", row.args);
    }
}

/// More than any buffer holds.
#[test]
fn a_report_on_hundreds_of_targets_is_whole() {
    let addr = echo_server();
    let targets = |count: usize| vec![addr.as_str(); count].join(" ");
    let run = |args: &str| {
        let (reader, writer) = small_pipe();
        let running = start(args, writer);
        wait_until_stuck(&running, &reader);
        let text = read_all(reader);
        assert_eq!(running.ends().status, Some(0), "{text}");
        text
    };
    let report: Value =
        serde_json::from_str(&run(&format!("ping --json -c 1 {}", targets(400)))).unwrap();
    assert_eq!(report["targets"].as_array().unwrap().len(), 400);
    let text = run(&format!("ping -q -c 1 {}", targets(1000)));
    assert_eq!(text.lines().filter(|line| line.contains("transmitted")).count(), 1000);
}

/// Live events do not wait for their reader; the object that stands for them counts those that are missing.
#[test]
fn lost_events_are_counted_in_the_format() {
    let addr = echo_server();
    let (reader, writer) = small_pipe();
    // An event of each is a line of about 300 bytes, and 256 KiB of them may wait.
    let count = 4000;
    let running = start(&format!("ping --json-stream -f -c {count} {addr}"), writer);
    wait_until_stuck(&running, &reader);
    let text = read_all(reader);
    assert_eq!(running.ends().status, Some(0));
    let objects: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events = |name: &str| objects.iter().filter(|object| object["event"] == name).count();
    let lost: u64 = objects
        .iter()
        .filter(|object| object["event"] == "lines-lost")
        .map(|object| object["lines"].as_u64().unwrap())
        .sum();
    assert!(lost > 0, "nothing was lost");
    // Each probe has one event; one more is the connection's.
    let seen = events("answered") + events("late") + events("connected");
    assert_eq!(seen as u64 + lost, count + 1);
    assert_eq!(objects.last().unwrap()["event"], "report");
}

/// Rows that nobody reads do not hold the run up: a signal ends it, and the result comes after the rows.
#[test]
fn a_reader_that_sleeps_does_not_hold_a_run_up() {
    let addr = echo_server();
    let (reader, writer) = small_pipe();
    let running = start(&format!("bench -q -d 1h --interval 5ms --json-stream {addr}"), writer);
    let threads = || process_threads(running.pid());
    wait_for(|| ioctl_fionread(&reader).unwrap() > 0);
    // Meanwhile there are more rows than a page holds; a machine that is too busy for that proves nothing.
    thread::sleep(Duration::from_secs(1));
    assert!(threads() > 1);
    rustix::process::kill_process(running.pid(), Signal::INT).unwrap();
    wait_for(|| threads() <= 1);
    let text = read_all(reader);
    assert_eq!(running.ends().status, Some(128 + 2));
    let objects: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (result, rows) = objects.split_last().unwrap();
    assert_eq!(result["result"]["interrupted_by"], "SIGINT");
    let lost: u64 = rows.iter().filter_map(|row| row["lines"].as_u64()).sum();
    let seen = rows.iter().filter(|row| row.get("from_s").is_some()).count() as u64;
    assert_eq!(seen + lost, result["intervals"].as_array().unwrap().len() as u64);
}

#[test]
fn a_second_signal_ends_the_wait_for_a_reader() {
    let addr = echo_server();
    let (reader, writer) = small_pipe();
    let targets = vec![addr.as_str(); 100].join(" ");
    let running = start(&format!("ping --json -c 1 {targets}"), writer);
    wait_until_stuck(&running, &reader);
    for _ in 0..2 {
        // Two of a kind that are pending at the same time are one.
        wait_for(|| !has_pending_signal(running.pid()));
        rustix::process::kill_process(running.pid(), Signal::TERM).unwrap();
    }
    let ended = running.ends();
    assert_eq!(ended.status, Some(128 + 15));
    assert!(
        ended.said.contains("SIGTERM ended the wait for the reader: the last "),
        "{}",
        ended.said
    );
    drop(reader);
}

/// The run is over by then, so neither result nor exit status change.
#[test]
fn a_first_signal_does_not_cut_off_a_report() {
    let addr = echo_server();
    let targets = vec![addr.as_str(); 100].join(" ");
    for args in [
        format!("bench -q -d 300ms --json-stream --interval 1ms {addr}"),
        format!("bench -q -d 300ms --json --interval 1ms {addr}"),
        format!("ping -i 0 -c 3000 --json-stream {addr}"),
        format!("ping --json -c 1 {targets}"),
    ] {
        let (reader, writer) = small_pipe();
        let running = start(&args, writer);
        wait_until_stuck(&running, &reader);
        wait_until_at_rest(running.pid());
        rustix::process::kill_process(running.pid(), Signal::TERM).unwrap();
        wait_for(|| !has_pending_signal(running.pid()));
        let text = read_all(reader);
        let ended = running.ends();
        assert_eq!(ended.status, Some(0), "{args}: {}", ended.said);
        let last: Value = if args.contains("--json-stream") {
            let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
            lines.unwrap().pop().unwrap()
        } else {
            serde_json::from_str(&text).unwrap()
        };
        let is_report = last.get("result").is_some() || last.get("targets").is_some();
        assert!(is_report, "{args}: {last}");
    }
}

/// A signal during a step ends the sweep after the line of this step.
#[test]
fn a_signal_while_a_step_is_written_ends_the_sweep() {
    let addr = echo_server();
    let (reader, writer) = small_pipe();
    // So that the pipe has no room for the first line.
    (&writer).write_all(&vec![b' '; PAGE]).unwrap();
    let running = start(&format!("ping --size-sweep=16M --json-stream {addr}"), writer);
    wait_until_stuck(&running, &reader);
    rustix::process::kill_process(running.pid(), Signal::TERM).unwrap();
    wait_for(|| !has_pending_signal(running.pid()));
    let text = read_all(reader);
    assert_eq!(running.ends().status, Some(128 + 15));
    let objects: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line.trim()).unwrap()).collect();
    assert_eq!(objects.last().unwrap()["interrupted_by"], "SIGTERM", "{objects:?}");
}

/// Whether a signal waits to be read by it.
fn has_pending_signal(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid()));
    let status = status.unwrap_or_default();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    pending.is_some_and(|mask| mask.trim().bytes().any(|digit| digit != b'0'))
}

/// A file that is cut short is no success.
#[test]
fn a_file_on_a_full_disk_is_exit_status_2() {
    let addr = echo_server();
    let folder = std::env::temp_dir().join(format!("tcpecho-output-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let result = folder.join("result.json");
    let result = result.to_str().unwrap();
    let made = start(&format!("bench -q -n 200 --json {addr}"), File::create(result).unwrap());
    assert_eq!(made.ends().status, Some(0));
    let mut rows = vec![
        format!("bench -q -n 200 --html /dev/full {addr}"),
        format!("bench -q -n 200 --json --html /dev/full {addr}"),
        format!("bench -q -n 200 --rounds 1 --engines epoll,thread --html /dev/full"),
        format!("bench -q -d 1 --interval 50ms --hdr /dev/full {addr}"),
        format!("bench report --html /dev/full {result}"),
    ];
    if lab_is_possible() {
        rows.push("lab run normal-startup --pcapng /dev/full".into());
    }
    for args in rows {
        let ended = start(&args, Stdio::null()).ends();
        assert_eq!(ended.status, Some(2), "{args}: {}", ended.said);
        assert!(
            ended.said.contains("/dev/full: No space left on device"),
            "{args}: {}",
            ended.said
        );
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// With --json, `connect` says everything on stderr, and as one object: stdout is the conversation's.
#[test]
fn connect_says_what_is_wrong_as_an_object() {
    for (args, schema, status) in [
        (format!("connect --json {}", deserted()), "connect.json", 3),
        ("connect --json nosuch.invalid".into(), "connect.json", 3),
        ("connect --json --nonsense".into(), "failure.json", 2),
        ("connect --json 1:2:3".into(), "failure.json", 2),
    ] {
        let ended = start(&args, Stdio::null()).ends();
        assert_eq!(ended.status, Some(status), "{args}: {}", ended.said);
        let object: Value = serde_json::from_str(&ended.said).unwrap();
        assert_eq!(schema::complaints(schema, &object), [""; 0], "{args}");
        assert_eq!(object["exit_status"], status, "{args}");
        assert!(object["error"]["message"].is_string(), "{args}: {object}");
    }
}

/// The object is the result: a script that does not get it must not take the run for a success.
#[test]
fn an_object_of_connect_that_cannot_be_written_is_exit_status_2() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut connect = Command::new(program());
    connect.args(["connect", "--json"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(full);
    assert_eq!(connect.status().unwrap().code(), Some(2));
}
