//! What changes under a run: the server goes and the kernel joins a socket to itself, a name moves, the
//! generator itself is stopped, a system call is refused.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;

use super::{
    Ran, bench,
    common::{Serving, has, peers::until, process, program},
    count_of, ends, number, scratch,
};

/// A run that writes a line for each interval, read as it goes on.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .args(["--json-stream", "--interval", "100ms", "--warmup", "0", "-q"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The next interval in which something was answered; none if the run ends without.
    fn answers(&mut self) -> Option<Value> {
        for line in self.lines.by_ref() {
            let value: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if value["messages"].as_u64()? > 0 {
                return Some(value);
            }
        }
        None
    }

    /// The intervals that were still to come, the result, and the exit status.
    fn ends(mut self) -> (Vec<Value>, Value, Option<i32>) {
        let lines = self.lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        let mut lines: Vec<Value> = lines.collect();
        let result = lines.pop().expect("a result");
        (lines, result, self.child.wait().unwrap().code())
    }
}

#[test]
fn a_socket_joined_to_itself_is_no_server() {
    if !geteuid().is_root() || !has("unshare") || !has("nsenter") {
        eprintln!("SKIP a network namespace with a port range of its own needs root");
        return;
    }
    // Two ports: the server's and the client's.
    let range = |range: &str| format!("echo '{range}' > /proc/sys/net/ipv4/ip_local_port_range");
    let script = format!("ip link set lo up && {} && exec \"$@\"", range("40144 40145"));
    for driver in super::drivers() {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", &script, "sh", program()]);
        command.args(["bench", "-c", "1", "-d", "2500ms", "--driver", driver]);
        let mut running = Running::start(&mut command);
        running.answers().expect("answers");
        let port = listening_port(running.pid());
        // From now on only the server's own port can be chosen.
        let net = format!("--net=/proc/{}/ns/net", running.pid());
        let only = range(&format!("{port} {port}"));
        let narrowed = Command::new("nsenter").args([&net, "sh", "-c", &only]).status().unwrap();
        assert!(narrowed.success());
        let server = process::children(running.pid());
        assert_eq!(server.len(), 1);
        kill_process(server[0], Signal::KILL).unwrap();
        let (intervals, result, status) = running.ends();
        assert_eq!(status, Some(4), "{result:#}");
        assert!(count_of(&result, "refused") > 0, "{result:#}");
        assert!(
            result["errors"].to_string().contains("connected the socket to itself"),
            "{result:#}"
        );
        let last = intervals.last().unwrap();
        assert_eq!(last["messages"], 0, "it measures itself: {last:#}");
    }
}

/// The port of the one listener in that process' network.
fn listening_port(pid: Pid) -> u16 {
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let listener = table.lines().find(|line| line.split_whitespace().nth(3) == Some("0A"));
    let local = listener.unwrap().split_whitespace().nth(1).unwrap().split_once(':').unwrap();
    u16::from_str_radix(local.1, 16).unwrap()
}

#[test]
fn a_service_that_moves_is_found() {
    let first = Serving::start("epoll", "127.0.0.2:0".parse().unwrap(), &[]);
    let port = first.addr().port();
    let second = Serving::start("epoll", format!("127.0.0.3:{port}").parse().unwrap(), &[]);
    let hosts = scratch("hosts");
    let names = |address: &str| format!("{address} moving.test\n");
    fs::write(&hosts, names("127.0.0.2")).unwrap();
    let script = "mount --bind \"$1\" /etc/hosts || exit 77; shift; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(&hosts).arg(program());
    command.args(["bench", &format!("moving.test:{port}"), "-c", "2", "-d", "4"]);
    let mut running = Running::start(&mut command);
    if running.answers().is_none() {
        let status = running.child.wait().unwrap().code();
        assert!(matches!(status, Some(1 | 77)), "{status:?}");
        eprintln!("SKIP no mount namespace with an /etc/hosts of its own");
        return;
    }
    // The file itself is changed: it is mounted.
    fs::write(&hosts, names("127.0.0.3")).unwrap();
    first.dies();
    let (intervals, result, status) = running.ends();
    assert_eq!(status, Some(4), "{result:#}");
    let moved = format!("moving.test moved from 127.0.0.2:{port} to 127.0.0.3:{port}");
    assert!(result["notes"].to_string().contains(&moved), "{result:#}");
    let last = intervals.iter().rev().find(|one| one["messages"].as_u64() > Some(0));
    assert!(last.is_some_and(|one| number(one, "/from_s") > 1.0), "{intervals:#?}");
    drop(second);
    fs::remove_file(hosts).unwrap();
}

#[test]
fn its_own_pauses_are_not_the_servers() {
    for work in ["rr", "crr", "rr -R 500"] {
        let mut command = Command::new(program());
        command.args(["bench", "-c", "4", "-d", "3", "--timeout", "700ms", "-W"]);
        command.args(work.split(' '));
        let mut running = Running::start(&mut command);
        running.answers().expect("answers");
        kill_process(running.pid(), Signal::STOP).unwrap();
        until(|| process::state(running.pid()) == Some('T'));
        // This is how long it is stopped; longer than a server may take.
        thread::sleep(Duration::from_millis(1500));
        kill_process(running.pid(), Signal::CONT).unwrap();
        let (_, result, status) = running.ends();
        assert_eq!(status, Some(0), "{work}: {result:#}");
        let of = |path: &str| number(&result, path);
        assert!(of("/client/pauses/count") >= 1.0, "{result:#}");
        let stopped = of("/client/pauses/stopped_ns") / 1e9;
        // The timer that was late ran for up to a quarter of a second itself.
        assert!(stopped > 1.2, "{result:#}");
        assert!(of("/result/seconds") < 3.1 - stopped, "{result:#}");
        assert!(of("/latency/service/max_ns") < 1.2e9, "{work}: {result:#}");
        assert!(result["notes"].to_string().contains("this program did not run for"), "{result:#}");
        let excluded = of("/client/messages_across_pauses");
        let answered = of("/result/messages") + of("/result/messages_late");
        assert_eq!(of("/latency/service/count") + excluded, answered, "{work}: {result:#}");
    }
}

/// Runs it where this call is refused.
fn refused(call: &str, args: &str) -> Option<Ran> {
    if !has("strace") {
        eprintln!("SKIP no strace to refuse a system call with");
        return None;
    }
    let inject = format!("inject={call}:error=EPERM");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-q", "-o", "/dev/null", "--seccomp-bpf", "-e"])
        .arg(format!("trace={call}"));
    command.args(["-e", &inject, program(), "bench"]).args(args.split(' '));
    Some(ends(&mut command))
}

#[test]
fn where_processors_cannot_be_chosen_it_runs_on_any() {
    let Some(ran) = refused("sched_setaffinity", "-d 0.5 -c 2 --json") else { return };
    let result = ran.with(0).json();
    if thread::available_parallelism().unwrap().get() > 1 {
        let notes = result["notes"].to_string();
        for side in ["the server may run on any", "the generator's threads may run on any"] {
            assert!(notes.contains(side), "{side}: {result:#}");
        }
        assert!(notes.contains("sched_setaffinity: "), "{result:#}");
    }
    // Where it was asked for it is an error.
    refused("sched_setaffinity", "-d 0.5 --cpu 0").unwrap().with(2).says("sched_setaffinity");
    refused("sched_getaffinity", "-d 0.5 -c 2").unwrap().with(0);
}

#[test]
fn its_server_is_not_configured_by_the_environment() {
    let mut command = Command::new(program());
    command.args(["bench", "-c", "4", "-n", "100", "-q"]);
    command.env("TCPECHO_PORT", "tcp://10.96.0.12:9877").env("TCPECHO_MAX_CONNECTIONS", "1");
    command.env("TCPECHO_LISTEN", "192.0.2.1:1").env("TCPECHO_ENGINE", "nonsense");
    ends(&mut command).with(0).says("every byte came back");
}

#[test]
fn a_start_is_what_date_prints_and_one_in_the_past_is_said() {
    let past = "2024-02-29T23:59:59+01:00";
    let ran = bench(&format!("-c 1 -n 20 --json --start-at {past}"));
    ran.with(0).says("2024-02-29T22:59:59Z is past: the run begins at once");
    assert!(ran.json()["notes"].to_string().contains("--start-at: "), "{}", ran.out);
    let date = Command::new("date").args(["-Iseconds", "-d", "now + 2 seconds"]).output().unwrap();
    let soon = String::from_utf8(date.stdout).unwrap();
    let ran = bench(&format!("-c 1 -n 20 --warmup 0 --json --start-at {}", soon.trim()));
    assert!(ran.with(0).json()["started"].is_string());
    bench("-n 1 --start-at 2024-02-30T00:00:00Z").with(2).says("is not a time");
}
