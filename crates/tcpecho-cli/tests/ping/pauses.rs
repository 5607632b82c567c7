//! This program itself does not run for a while: that is not the server's fault.

use std::{
    io::Read,
    process::{ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    common::{Serving, has, peers::until, program, somewhere, together},
    support::*,
};

const PAUSE: Duration = Duration::from_millis(2500);

#[test]
fn a_stopped_prober_does_not_blame_the_server() {
    let server = Serving::start("epoll", somewhere(), &[]);
    let modes = ["-i0.05", "-f", "--connect", "--reconnect"];
    together(modes.into_iter(), |mode| {
        let pinging = Pinging::of(server.addr(), &[mode, "-W", "2s", "--json-stream"]);
        pinging.sees("\"seq\":3");
        pinging.gets(Signal::STOP);
        thread::sleep(PAUSE);
        pinging.gets(Signal::CONT);
        pinging.sees("\"event\":\"paused\"");
        pinging.gets(Signal::INT);
        let events = pinging.ends().with(0).objects();
        let report = events.last().unwrap();
        let target = &report["targets"][0];
        assert!(report["pauses"].as_u64() >= Some(1), "{report}");
        assert!(report["paused_us"].as_f64() >= Some(1e6), "{report}");
        for name in ["lost", "late"] {
            assert_eq!(target[name], 0, "{mode}: {report}");
        }
        // Neither what was under way nor what was due meanwhile took so long.
        assert!(target["time"]["max_us"].as_f64() < Some(2e6), "{mode}: {report}");
        let answered = target["received"].as_u64().unwrap();
        let timed = target["time"]["count"].as_u64().unwrap();
        assert_eq!(target["untimed"].as_u64(), Some(answered - timed), "{report}");
    });
}

#[test]
fn a_pause_is_named_in_text() {
    let server = Serving::start("epoll", somewhere(), &[]);
    let pinging = Pinging::of(server.addr(), &["-i", "0.05"]);
    pinging.sees("seq=3 time=");
    pinging.gets(Signal::STOP);
    thread::sleep(PAUSE);
    pinging.gets(Signal::CONT);
    pinging.sees(": probes under way are not timed");
    pinging.gets(Signal::INT);
    pinging.ends().with(0).shows("this program itself did not run for ");
}

#[test]
fn a_stop_that_no_timer_noticed_is_told_by_sigcont() {
    // The next probe is due in a minute: nothing is late.
    let answer_now = std::sync::Arc::new((std::sync::Mutex::new(false), std::sync::Condvar::new()));
    let told = std::sync::Arc::clone(&answer_now);
    let addr = answering(move |_, probe| {
        let (now, changed) = &*told;
        drop(changed.wait_while(now.lock().unwrap(), |now| !*now).unwrap());
        Some(probe.to_vec())
    });
    let pinging = Pinging::of(addr, &["-i", "60", "-W", "60", "-c", "1", "--json-stream"]);
    pinging.sees("\"connected\"");
    pinging.gets(Signal::STOP);
    thread::sleep(PAUSE);
    *answer_now.0.lock().unwrap() = true;
    answer_now.1.notify_all();
    thread::sleep(PAUSE);
    pinging.gets(Signal::CONT);
    let events = pinging.ends().with(0).objects();
    let report = events.last().unwrap();
    assert_eq!(report["pauses"], 1, "{report}");
    assert_eq!(
        (&report["targets"][0]["untimed"], &report["targets"][0]["time"]),
        (&1.into(), &().into())
    );
}

/// What is written to a terminal.
struct Screen {
    stdout: ChildStdout,
    /// What came after the text that was seen last.
    rest: String,
}

impl Screen {
    fn shows(&mut self, text: &str) -> &mut Self {
        let mut buffer = [0; 4096];
        loop {
            if let Some(at) = self.rest.find(text) {
                self.rest.drain(..at + text.len());
                return self;
            }
            let count = self.stdout.read(&mut buffer).unwrap();
            assert!(count > 0, "no {text:?} in {:?}", self.rest);
            self.rest.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }
}

/// A shell with job control in a terminal that script(1) makes; the prober is stopped as Ctrl-Z does, and continued by `fg`.
#[test]
fn ctrl_z_gives_the_screen_back_and_fg_draws_it_again() {
    if !has("script") || !has("bash") {
        return;
    }
    let server = Serving::start("epoll", somewhere(), &[]);
    let file = std::env::temp_dir().join(format!("tcpecho-ping-pid-{}", std::process::id()));
    let (pid_file, ping) = (file.display(), program());
    let line = format!(
        "bash -c 'set -m; bash -c \"echo \\$\\$ > {pid_file}; exec {ping} ping --plot -i 0.05 {}\"; echo GIVEN BACK; fg > /dev/null'",
        server.addr()
    );
    let mut script = Command::new("timeout");
    script.args(["--foreground", "-s", "KILL", "60", "script", "-qec", &line, "/dev/null"]);
    let mut child = script.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut screen = Screen { stdout: child.stdout.take().unwrap(), rest: String::new() };
    let mut pid = None;
    until(|| {
        pid = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        pid.is_some()
    });
    let pid = Pid::from_raw(pid.unwrap()).unwrap();
    let answered = "probes, 0% loss, min ";
    screen.shows("\x1b[?1049h").shows(answered);
    kill_process(pid, Signal::TSTP).unwrap();
    screen.shows("\x1b[?1049l").shows("GIVEN BACK").shows("\x1b[?1049h").shows(answered);
    kill_process(pid, Signal::INT).unwrap();
    screen.shows("\x1b[?1049l").shows("probes transmitted, ");
    let _ = std::fs::remove_file(&file);
    child.wait().unwrap();
}

/// In a terminal that script(1) makes, which is stderr too: the summary so far stands below the graph, and probing goes on.
#[test]
fn ctrl_backslash_shows_the_summary_below_a_plot() {
    if !has("script") {
        return;
    }
    let server = Serving::start("epoll", somewhere(), &[]);
    let name = format!("tcpecho-ping-quit-{}", std::process::id());
    let file = std::env::temp_dir().join(name);
    let (pid_file, ping, addr) = (file.display(), program(), server.addr());
    let line = format!("sh -c 'echo $$ > {pid_file}; exec {ping} ping --plot -i 0.05 {addr}'");
    let mut script = Command::new("timeout");
    script.args(["--foreground", "-s", "KILL", "60", "script", "-qec", &line, "/dev/null"]);
    let mut child = script.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut screen = Screen { stdout: child.stdout.take().unwrap(), rest: String::new() };
    screen.shows("probes, 0% loss, min ");
    let text = std::fs::read_to_string(&file).unwrap();
    let pid = Pid::from_raw(text.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::QUIT).unwrap();
    screen.shows("tcpecho ping statistics").shows("time p50/p90/p99/max = ");
    screen.shows("probes, 0% loss, min ");
    kill_process(pid, Signal::INT).unwrap();
    screen.shows("\x1b[?1049l").shows("probes transmitted, ");
    let _ = std::fs::remove_file(&file);
    child.wait().unwrap();
}

/// The stop comes inside a turn that looks at its signals before it has noticed: what is due meanwhile is due later.
#[test]
fn a_stop_within_a_turn_postpones_what_is_due() {
    if !has("strace") {
        return println!("SKIP: strace is not installed");
    }
    let server = Serving::start("epoll", somewhere(), &[]);
    let mut stopping = Command::new("strace");
    // With -D the tracer is a child, and the traced program what was started here.
    stopping.args(["-D", "-q", "-o", "/dev/null", "-e", "trace=sendto"]);
    stopping.args(["-e", "inject=sendto:signal=SIGSTOP:when=40"]).arg(program());
    stopping.args(["ping", "-f", "-W", "2s", "--json-stream", &server.addr().to_string()]);
    stopping.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let pinging = Pinging::run(stopping);
    until(|| pinging.is_stopped());
    thread::sleep(PAUSE);
    pinging.gets(Signal::CONT);
    pinging.sees("\"event\":\"paused\"");
    pinging.sees("\"seq\":100");
    pinging.gets(Signal::INT);
    let events = pinging.ends().with(0).objects();
    let report = events.last().unwrap();
    let target = &report["targets"][0];
    assert_eq!(report["pauses"], 1, "{report}");
    for name in ["lost", "late"] {
        assert_eq!(target[name], 0, "{report}");
    }
    assert!(target["time"]["max_us"].as_f64() < Some(1e6), "{report}");
}
