//! Standard output and standard error may be closed, full or never drained: serving neither stops nor slows, and no line
//! ever gets into a client's stream.

use std::{
    io::{BufRead, BufReader},
    net::{Shutdown, SocketAddr},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::common::{
    process::descriptors,
    server::{after, bare, full_pipe},
    trace::{call_for_a_thread, can_trace, traced},
    *,
};

/// Two sessions and a request for the counters, so that there is something to say; each client gets its own bytes only.
fn serves_its_clients_only_their_bytes(server: &Serving, addr: SocketAddr) {
    let mut first = connect(addr);
    echoes(&mut first, b"first");
    server.gets(Signal::USR1);
    echoes(&mut first, b"and again");
    first.shutdown(Shutdown::Write).unwrap();
    sees_the_end(&mut first);
    for _ in 0..3 {
        visits(addr);
    }
    exchange(&connect(addr), 3 * MIB);
}

fn run_so(setting: &str, engine: &str) -> (Serving, SocketAddr) {
    Serving::run_unheard(after(setting, engine, &[]).stdout(Stdio::null()))
}

#[test]
fn standard_output_closed() {
    for engine in engines() {
        let (server, addr) = run_so("exec >&-", engine);
        serves_its_clients_only_their_bytes(&server, addr);
        server.says_times("ending=finished", 5);
        server.stops().with(0);
    }
}

#[test]
fn standard_error_closed() {
    for engine in engines() {
        let server = Serving::run(&mut after("exec 2>&-", engine, &[]));
        serves_its_clients_only_their_bytes(&server, server.addr());
        assert_eq!(server.stops().with(0).log, [""; 0]);
    }
}

#[test]
fn all_three_closed() {
    for engine in engines() {
        let (server, addr) = run_so("exec <&- >&- 2>&-", engine);
        let mut held = connect(addr);
        if engine != "iterative" {
            echoes(&mut held, b"here");
        }
        let first_three: Vec<_> =
            descriptors(server.pid()).into_iter().filter(|(number, _)| *number < 3).collect();
        assert_eq!(first_three.len(), 3);
        assert!(first_three.iter().all(|(_, link)| link == "/dev/null"), "{first_three:?}");
        drop(held);
        serves_its_clients_only_their_bytes(&server, addr);
        server.stops().with(0);
    }
}

#[test]
fn a_reader_of_standard_output_that_left() {
    for engine in engines() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (server, addr) = Serving::run_unheard(bare(engine).stdout(writer));
        serves_its_clients_only_their_bytes(&server, addr);
        server.stops().with(0);
    }
}

#[test]
fn a_reader_of_standard_error_that_left() {
    for engine in engines() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut server = Serving::run_with(bare(engine).stdout(Stdio::piped()).stderr(writer));
        server.next_line();
        serves_its_clients_only_their_bytes(&server, server.addr());
        server.stops().with(0);
    }
}

#[test]
fn standard_output_full_and_never_drained() {
    for engine in engines() {
        let (_reader, writer) = full_pipe();
        let (server, addr) = Serving::run_unheard(bare(engine).stdout(writer));
        serves_its_clients_only_their_bytes(&server, addr);
        // Its last words may hold it up for a moment only.
        server.stops().with(0).within(AT_ONCE);
    }
}

/// More than a log keeps: an object takes more than 100 bytes, and 256 KiB of them wait.
const SESSIONS: usize = 3000;

#[test]
fn a_slow_reader_of_the_json_log_sees_nothing_but_json() {
    let (reader, writer) = full_pipe();
    let mut command = bare("epoll");
    command.args(["--log", "json"]).stdout(Stdio::piped()).stderr(writer);
    let mut server = Serving::run_with(&mut command);
    server.next_line();
    // It holds the other end of the pipe.
    drop(command);
    sessions(server.addr(), SESSIONS);
    let lines = thread::spawn(move || {
        let lines = BufReader::new(reader).lines().map(Result::unwrap);
        // What the pipe was full of is not the log's.
        lines.map(|line| line.trim_start_matches('#').to_owned()).collect::<Vec<_>>()
    });
    // What is lost is told as soon as there is room, and not only before the next line.
    server.stops().with(0);
    let lines: Vec<Value> = lines
        .join()
        .unwrap()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let events = |name: &str| lines.iter().filter(|line| line["event"] == name).collect::<Vec<_>>();
    let lost: u64 = events("lines-lost").iter().map(|line| line["lines"].as_u64().unwrap()).sum();
    assert!(lost > 0);
    // The sessions, and that it drains and its counters, whichever of them were lost.
    let told = (lines.len() - events("lines-lost").len()) as u64;
    assert_eq!(told + lost, SESSIONS as u64 + 2);
    assert!(events("lines-lost").iter().all(|line| line["time"].is_string()));
}

#[test]
fn a_log_without_a_thread_is_written_all_the_same() {
    if !can_trace() {
        return;
    }
    // The thread of the log is the first that is started.
    let inject = format!("inject={}:error=EAGAIN:when=1", call_for_a_thread());
    for form in ["text", "json"] {
        let trace = ["-e", "trace=clone,clone3", "-e", inject.as_str()];
        let (server, log) = traced(&trace, "epoll", &["--log", form]);
        visits(server.addr());
        server.says("finished");
        assert_eq!(log.calls().iter().filter(|call| call.injected()).count(), 1);
        server.stops().with(0).says("counters");
    }
}

#[test]
fn a_ready_line_that_stdout_does_not_take_is_on_stderr() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (server, addr) = Serving::run_unheard(bare("epoll").stdout(full));
    server.says(&format!("(ENOSPC); listening on {addr} engine=epoll"));
    visits(addr);
    server.stops().with(0);
}

#[test]
fn a_ready_line_for_a_closed_stdout_is_on_stderr_whatever_the_log() {
    for log in ["text", "json", "off"] {
        let mut command = after("exec >&-", "epoll", &["--log", log]);
        let (server, addr) = Serving::run_unheard(command.stdout(Stdio::null()));
        let said = server.says(&format!("(EBADF); listening on {addr} engine=epoll"));
        assert!(said.contains("write to stdout: "), "{said}");
        assert!(log != "json" || serde_json::from_str::<Value>(&said).is_ok(), "{said}");
        visits(addr);
        server.stops().with(0);
    }
}

/// The time that so many sessions take, one after the other.
fn sessions(addr: SocketAddr, count: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        visits(addr);
    }
    start.elapsed()
}

#[test]
fn standard_error_full_and_never_drained() {
    for engine in engines() {
        // More lines than the log keeps for a reader: 2,500 are enough, and starting things takes time without optimisation.
        let part = if ["fork", "thread"].contains(&engine) { 500 } else { 1000 };
        let (_reader, writer) = full_pipe();
        let mut server = Serving::run_with(bare(engine).stdout(Stdio::piped()).stderr(writer));
        server.next_line();
        let times: Vec<_> = (0..5).map(|_| sessions(server.addr(), part)).collect();
        // All parts after the first together, as the machine may have something else to do during one.
        let later: Duration = times[1..].iter().sum();
        assert!(later < 16 * times[0] + Duration::from_secs(4), "{times:?}");
        server.stops().with(0).within(AT_ONCE);
    }
}
