//! Looking for limits.

use std::{io::Read, io::Write, time::Duration};

use rustix::process::Signal;

use crate::{
    common::{Serving, peers::reset, somewhere},
    support::*,
};

/// The number of milliseconds after this text, in the last line that has it. A step of a sweep takes longer than asked for
/// where the machine does not let the prober run, and then says so: only the least is known.
fn milliseconds(lines: &[String], text: &str) -> u64 {
    let after = lines.iter().rev().find_map(|line| line.split_once(text)).map(|(_, after)| after);
    let after = after.unwrap_or_else(|| panic!("no {text:?} in {lines:#?}"));
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number after {text:?} in {lines:#?}"))
}

#[test]
fn an_idle_limit_that_ends_with_fin() {
    let server = Serving::start("epoll", somewhere(), &["--idle-timeout", "1500ms"]);
    let ended = ping_to(server.addr(), &["--idle-sweep=10s"]);
    ended.with(1).shows(" ms: closed-early after ");
    assert!(milliseconds(&ended.stdout, "an idle connection is ended by FIN after ") >= 1400);
}

#[test]
fn an_idle_limit_that_ends_with_rst() {
    let addr = server(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => stream.write_all(&buffer[..count]).unwrap(),
                Err(_) => return reset(stream),
            }
        }
    });
    let ended = ping_to(addr, &["--idle-sweep=5s", "--json"]);
    let sweep = ended.with(1).object();
    assert_eq!((&sweep["how"], &sweep["sweep"]), (&"RST".into(), &"idle".into()), "{sweep}");
    assert!(sweep["dead_us"].as_f64().unwrap() > 100_000.0, "{sweep}");
}

#[test]
fn no_idle_limit_up_to_the_longest() {
    let ended = ping(&["--idle-sweep=300ms"]);
    ended.with(0).shows(" ms, the longest tried");
    assert!(milliseconds(&ended.stdout, "an idle connection is alive after ") >= 300);
}

/// What a sweep would ignore is refused.
#[test]
fn options_without_a_meaning_for_a_sweep_are_refused() {
    for sweep in ["--idle-sweep=100ms", "--size-sweep=100"] {
        for (option, name) in
            [(&["-c", "2"][..], "--count"), (&["-i", "5"], "--interval"), (&["-D"], "-D")]
        {
            let ended = ping(&[&[sweep], option].concat());
            ended.with(2).says("cannot be used with").says(name);
        }
    }
}

#[test]
fn every_size_passes_on_loopback() {
    let ended = ping(&["--size-sweep=10k"]);
    ended.with(0).shows("64 bytes: passes, time=").shows("10240 bytes pass, the most tried");
}

#[test]
fn a_server_that_echoes_only_so_much() {
    // It closes when there is more than a hundred bytes in one read.
    let addr = server(|mut stream| {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..=100) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    });
    let ended = ping_to(addr, &["--size-sweep=1k"]);
    ended.with(1).shows("at most 100 bytes pass").shows("101 bytes: does not pass: ");
}

#[test]
fn nothing_can_be_swept_where_nothing_answers() {
    let mute = answering(|_, _| Some(Vec::new()));
    let ended = ping_to(mute, &["--idle-sweep=1s", "-W", "200ms"]);
    ended.with(1).shows("cannot search for a limit: no answer, but acknowledged");
    let ended = ping_to(mute, &["--size-sweep=64", "-W", "50ms"]);
    ended.with(1).shows("at most 0 bytes pass");
}

#[test]
fn an_answer_twice_is_no_success() {
    for sweep in ["--size-sweep=64", "--idle-sweep=100ms"] {
        let addr = answering(|_, probe| Some(probe.repeat(2)));
        ping_to(addr, &[sweep]).with(1).shows("the answer differs from the probe");
    }
}

#[test]
fn an_interrupted_sweep_reports_what_it_has_proven() {
    let server = Serving::start("epoll", somewhere(), &[]);
    for (signal, name, status) in [(Signal::INT, "SIGINT", 130), (Signal::TERM, "SIGTERM", 143)] {
        // The first step takes a second, and each of the next twice as long.
        let pinging = Pinging::of(server.addr(), &["--idle-sweep=1h"]);
        pinging.sees(" ms: alive");
        pinging.gets(signal);
        let ended = pinging.ends();
        ended
            .with(status)
            .shows(&format!("interrupted ({name}); so far: "))
            .shows("the longest tried");
        let proven = milliseconds(&ended.stdout, "so far: an idle connection is alive after ");
        let steps: Vec<String> =
            ended.stdout.iter().filter(|line| line.contains(" ms: alive")).cloned().collect();
        assert_eq!(proven, milliseconds(&steps, "idle "), "{ended:#?}");
        assert!(proven >= 1000, "{ended:#?}");
        let pinging = Pinging::of(server.addr(), &["--idle-sweep=1h", "--json-stream"]);
        pinging.sees("\"holds\":true");
        pinging.gets(signal);
        let objects = pinging.ends().with(status).objects();
        let sweep = objects.last().unwrap();
        assert_eq!(sweep["interrupted_by"], name, "{sweep}");
        assert!(sweep["alive_us"].as_f64().unwrap() >= 1e6, "{sweep}");
        assert_eq!(sweep["exit_status"], status, "{sweep}");
    }
}

#[test]
fn an_interrupted_size_sweep_reports_its_bounds() {
    // It answers no more than 150 bytes.
    let addr = || {
        let mut open = Vec::new();
        server(move |mut stream| {
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer) {
                Ok(count @ 1..=150) => stream.write_all(&buffer[..count]).unwrap(),
                _ => open.push(stream),
            }
        })
    };
    let pinging = Pinging::of(addr(), &["--size-sweep=1k", "-W", "1s", "--json-stream"]);
    pinging.sees("\"size_bytes\":256,\"holds\":false");
    pinging.gets(Signal::INT);
    let objects = pinging.ends().with(130).objects();
    let sweep = objects.last().unwrap();
    let bounds = ["passes_bytes", "fails_bytes"].map(|name| sweep[name].as_u64().unwrap());
    assert!(bounds[0] >= 128 && bounds[0] <= 150 && bounds[1] <= 256, "{sweep}");
    let pinging = Pinging::of(addr(), &["--size-sweep=1k", "-W", "1s"]);
    pinging.sees("256 bytes: does not pass");
    pinging.gets(Signal::INT);
    pinging.ends().with(130).shows("interrupted (SIGINT); so far: ").shows(" bytes do not");
}

#[test]
fn a_deadline_leaves_what_is_proven() {
    // The first step takes a second. The limit ends the second, which takes two, or another one.
    let ended = ping(&["--idle-sweep=1h", "-w", "2.9", "--json"]);
    let sweep = ended.with(1).object();
    assert_eq!((&sweep["interrupted_by"], &sweep["how"]), (&"deadline".into(), &().into()));
    assert!(sweep["alive_us"].as_f64().unwrap() >= 1e6, "{sweep}");
}
