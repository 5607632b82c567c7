//! The gallery: every fault on a port of its own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tcpecho::PRESETS;

use crate::common::{
    process::{descriptors, resident},
    server::refused,
    trace::{can_trace, tracing},
    *,
};
use crate::faults::ending_of_a_client;

/// A running gallery, and what it said when it was ready.
struct Gallery {
    child: Option<Child>,
    ready: Value,
}

impl Gallery {
    fn start(more: &[&str]) -> Self {
        Self::run(Command::new(program()), more)
    }

    /// Ready when it has said so.
    fn run(command: Command, more: &[&str]) -> Self {
        Self::reading(Stdio::null(), command, more)
    }

    fn reading(stdin: impl Into<Stdio>, mut command: Command, more: &[&str]) -> Self {
        let mut child = command
            .args(["serve", "--gallery", "--json"])
            .args(more)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        assert_eq!(crate::schema::complaints("gallery.json", &ready), [""; 0]);
        Gallery { child: Some(child), ready }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    fn rows(&self) -> &[Value] {
        self.ready["faults"].as_array().unwrap()
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let all = self.ready["addresses"].as_array().unwrap();
        all.iter().map(|ip| ip.as_str().unwrap().parse().unwrap()).collect()
    }

    fn port(&self, name: &str) -> u16 {
        let row = self.rows().iter().find(|row| row["name"] == name).unwrap();
        u16::try_from(row["port"].as_u64().unwrap()).unwrap()
    }

    /// The first of its ports, that of the page.
    fn first(&self) -> u16 {
        self.port("echo") - 1
    }

    /// SIGTERM; returns the exit status and the log.
    fn stops(self) -> (Option<i32>, String) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        self.ends()
    }

    fn ends(mut self) -> (Option<i32>, String) {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

impl Drop for Gallery {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn every_row_does_on_every_address_what_it_promises() {
    let gallery = Gallery::start(&[]);
    let ports: Vec<u64> = gallery.rows().iter().map(|row| row["port"].as_u64().unwrap()).collect();
    assert!(ports.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ports:?}");
    let names = gallery.rows().iter().map(|row| row["name"].as_str().unwrap());
    assert!(names.eq(std::iter::once("echo").chain(PRESETS.iter().map(|preset| preset.name))));
    let mut all = Vec::new();
    for ip in gallery.addresses() {
        all.extend((0..gallery.rows().len()).map(|place| (ip, place)));
    }
    together(all.into_iter(), |(ip, place)| {
        let row = &gallery.rows()[place];
        let addr = SocketAddr::new(ip, gallery.port(row["name"].as_str().unwrap()));
        assert_eq!(ending_of_a_client(addr), row["ending"], "{addr} {row}");
    });
    let (status, log) = gallery.stops();
    assert_eq!(status, Some(0), "{log}");
    for preset in PRESETS {
        let is_held = ["never-accept", "backlog-full", "refuse"].contains(&preset.name);
        let session = format!("session row={} peer=", preset.name);
        assert_eq!(log.contains(&session), !is_held, "{}: {log}", preset.name);
    }
    assert!(log.contains("session row=echo peer=") && log.contains("counters row=echo "), "{log}");
}

#[test]
fn every_engine_serves_the_gallery() {
    together(engines(), |engine| {
        let gallery = Gallery::start(&["--engine", engine, "-l", "127.0.0.1:0", "--log", "json"]);
        assert_eq!(gallery.addresses(), [IpAddr::from([127, 0, 0, 1])]);
        let mut stream = connect(SocketAddr::from(([127, 0, 0, 1], gallery.port("echo"))));
        echoes(&mut stream, b"hello");
        stream.shutdown(Shutdown::Write).unwrap();
        sees_the_end(&mut stream);
        let reset = ending_of_a_client(SocketAddr::from(([127, 0, 0, 1], gallery.port("drop"))));
        assert_eq!(reset, "mismatch", "{engine}");
        let (status, log) = gallery.stops();
        assert_eq!(status, Some(0), "{engine}: {log}");
        crate::schema::check_lines("serve-log.json", &log);
        let lines: Vec<Value> =
            log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let sum = lines.iter().rfind(|line| line["event"] == "counters").unwrap();
        assert_eq!((&sum["accepted"], sum.get("row")), (&2.into(), None), "{engine}: {log}");
        let echo = lines.iter().find(|line| line["event"] == "counters" && line["row"] == "echo");
        assert_eq!(echo.unwrap()["bytes"], 5, "{engine}: {log}");
    });
}

/// A port is given back when a drain begins, also that of the page and those of listeners that nobody serves.
/// `--until-eof`: the program that started it, and has the other end of its stdin, was killed.
#[test]
fn the_gallery_ends_with_the_program_that_started_it() {
    let (reader, writer) = std::io::pipe().unwrap();
    let gallery = Gallery::reading(reader, Command::new(program()), &["--until-eof"]);
    let mut starter = Command::new("sleep").arg("1000").stdout(writer).spawn().unwrap();
    starter.kill().unwrap();
    starter.wait().unwrap();
    let (status, log) = gallery.ends();
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("draining because of end of stdin"), "{log}");
}

#[test]
fn all_ports_are_free_when_it_has_ended() {
    let gallery = Gallery::start(&[]);
    let (first, addresses) = (gallery.first(), gallery.addresses());
    let all = first..=first + gallery.rows().len() as u16;
    assert!(all.clone().all(|port| TcpListener::bind((addresses[0], port)).is_err()));
    assert_eq!(gallery.stops().0, Some(0));
    for ip in addresses {
        for port in all.clone() {
            TcpListener::bind((ip, port)).unwrap_or_else(|error| panic!("{ip} {port}: {error}"));
        }
    }
}

#[test]
fn a_port_of_the_range_that_is_taken_is_named() {
    let gallery = Gallery::start(&["-l", "127.0.0.1:0"]);
    let (first, taken) = (gallery.first(), gallery.port("drip"));
    drop(gallery);
    let _other = TcpListener::bind(("127.0.0.1", taken)).unwrap();
    let at = format!("127.0.0.1:{first}");
    let last = usize::from(first) + PRESETS.len() + 1;
    let ended = refused(&["--gallery", "-l", &at]);
    ended.with(2).says(&format!("bind 127.0.0.1:{taken}: Address already in use (EADDRINUSE)"));
    ended.says(&format!("needs all ports from {first} to {last}"));
    // Who holds it.
    ended.says(&format!("held by PID {}", std::process::id()));
    // The port of the page is one of them.
    let page = refused(&["--gallery", "-l", &format!("127.0.0.1:{taken}")]);
    page.with(2).says(&format!("needs all ports from {taken} to "));
    let output =
        Command::new(program()).args(["serve", "--gallery", "--json", "-l", &at]).output().unwrap();
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(crate::schema::complaints("failure.json", &object), [""; 0]);
    assert_eq!(object["error"]["errno"], "EADDRINUSE", "{object}");
    // Nothing is left of the servers that had been started.
    TcpListener::bind(("127.0.0.1", first)).unwrap();
    TcpListener::bind(("127.0.0.1", first + 1)).unwrap();
}

#[test]
fn what_the_gallery_cannot_do_is_refused() {
    for (args, words) in [
        (
            &["--fault", "reset"][..],
            "--gallery cannot be used with --fault (TCPECHO_FAULT): it has",
        ),
        (&["--fault-when", "2"], "--gallery cannot be used with --fault-when"),
        (&["--calls"], "--gallery cannot be used with --calls"),
        (&["-l", "127.0.0.1:1", "-l", "[::1]:2"], "1 and 2 differ"),
    ] {
        refused(&[&["--gallery"], args].concat()).with(2).says(words);
    }
    let output = Command::new(program())
        .args(["serve", "--gallery", "-l", "127.0.0.1:65520"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    for words in ["65520 to 65544", "choose a first port of at most 65511"] {
        assert!(said.contains(words), "{said}");
    }
    // No call has failed.
    assert!(output.status.code() == Some(2) && !said.contains("EOVERFLOW"), "{said}");
    let output = Command::new(program()).args(["serve", "--json"]).output().unwrap();
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(object["error"]["message"].as_str().unwrap().contains("--gallery"), "{object}");
}

#[test]
fn the_table_has_every_row_and_fits() {
    let mut child = Command::new(program())
        .args(["serve", "--gallery"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut table = Vec::new();
    while !table.last().is_some_and(|line: &String| line.contains("refuse")) {
        table.push(lines.next().unwrap().unwrap());
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    table.extend(lines.map(Result::unwrap));
    child.wait().unwrap();
    // A terminal may have room for the last lines alone.
    assert_eq!(table.pop().as_ref(), table.get(1), "{table:#?}");
    assert!(table[0].starts_with("gallery on ") && table[1].contains("http://"), "{table:#?}");
    for (line, preset) in table[4..].iter().zip(PRESETS) {
        assert!(line.contains(preset.example) && line.contains(preset.sentence), "{line}");
    }
}

#[test]
fn a_reader_that_has_left_costs_one_line_on_stderr() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = Command::new(program())
        .args(["serve", "--gallery", "--until-eof"])
        .stdin(Stdio::piped())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let told: Vec<&str> = said.lines().filter(|line| line.contains("write to stdout")).collect();
    assert_eq!(told.len(), 1, "{said}");
    assert!(told[0].contains("Broken pipe (EPIPE); gallery on "), "{said}");
}

#[test]
fn an_address_that_is_given_twice_is_one() {
    let gallery = Gallery::start(&["-l", "127.0.0.1:0", "-l", "localhost:0", "-l", "127.0.0.1:0"]);
    let addresses = gallery.addresses();
    let first = addresses.iter().filter(|ip| **ip == IpAddr::from([127, 0, 0, 1])).count();
    assert_eq!(first, 1, "{addresses:?}");
}

/// The same seed changes the same bit.
#[test]
fn one_seed_is_that_of_all_rows() {
    let changed = |seed: &str| {
        let gallery = Gallery::start(&["--seed", seed, "-l", "127.0.0.1:0"]);
        assert_eq!(gallery.ready["seed"].to_string(), seed);
        let mut stream = connect(SocketAddr::from(([127, 0, 0, 1], gallery.port("corrupt"))));
        stream.write_all(b"0123456789").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert_ne!(back, b"0123456789");
        back
    };
    assert_eq!(changed("7"), changed("7"));
}

#[test]
fn the_limit_of_connections_is_that_of_each_row() {
    let gallery = Gallery::start(&["--max-connections", "1", "-l", "127.0.0.1:0"]);
    let at = |name| SocketAddr::from(([127, 0, 0, 1], gallery.port(name)));
    let mut first = connect(at("echo"));
    echoes(&mut first, b"hello");
    let mut second = connect(at("echo"));
    sees_the_end(&mut second);
    let mut other = connect(at("rate"));
    echoes(&mut other, b"hello");
}

/// A thread for each row, and one each for the page, the log and the signals; a few kilobytes each.
#[test]
fn an_idle_gallery_is_cheap_and_makes_no_system_calls() {
    let gallery = Gallery::start(&["--engine", "epoll"]);
    let pid = gallery.pid();
    let threads = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_pid())).unwrap().count();
    assert!(threads <= gallery.rows().len() + 3, "{threads} threads");
    let (open, memory) = (descriptors(pid).len(), resident(pid));
    assert!(open < 300, "{open} descriptors");
    assert!(memory < 64 << 20, "{memory} bytes");
    drop(gallery);
    if !can_trace() {
        return;
    }
    let (command, log) = tracing(&[]);
    let gallery = Gallery::run(command, &["--engine", "epoll"]);
    let mut stream = connect(SocketAddr::from(([127, 0, 0, 1], gallery.port("delay"))));
    echoes(&mut stream, b"hello");
    let quiet = log.is_quiet_for(std::time::Duration::from_millis(1500));
    assert!(quiet && !log.calls().is_empty(), "{:#?}", log.calls());
}

#[test]
fn few_descriptors_are_enough_for_a_gallery() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 1024; exec \"$0\" \"$@\""]).arg(program());
    let gallery = Gallery::run(command, &[]);
    let stopped = gallery.stops();
    assert!(stopped.0 == Some(0) && stopped.1.contains(" for each row of the gallery at a time"));
}

/// Returns the response to a request, as it came.
fn asked(addr: SocketAddr, request: &str) -> String {
    let mut stream = connect(addr);
    stream
        .write_all(format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn the_page_is_served_on_the_first_port_of_every_address() {
    let gallery = Gallery::start(&["--seed", "3"]);
    for ip in gallery.addresses() {
        let addr = SocketAddr::new(ip, gallery.first());
        let page = asked(addr, "GET /");
        assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("text/html"), "{page}");
        let json = asked(addr, "GET /gallery.json");
        let (_, body) = json.split_once("\r\n\r\n").unwrap();
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), gallery.ready);
        for (request, wanted) in [
            ("GET /faults/drip", "location: /#drip\r\n"),
            ("GET /faults/nothing", "HTTP/1.1 404 "),
            ("POST /", "HTTP/1.1 405 "),
            ("HEAD /", "HTTP/1.1 200 "),
        ] {
            let response = asked(addr, request);
            assert!(response.contains(wanted), "{request}: {response}");
        }
    }
    let index = gallery.ready["index"].as_str().unwrap();
    assert_eq!(index, format!("http://127.0.0.1:{}/", gallery.first()));
}
