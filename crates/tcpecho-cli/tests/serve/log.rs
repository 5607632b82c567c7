//! The log: a line for each session with its ending, in words or JSON, and the limits that end sessions.

use std::{
    io::Write,
    net::{Shutdown, SocketAddr},
    time::{Duration, Instant},
};

use rustix::{net::sockopt::set_socket_linger, process::Signal};
use serde_json::Value;

use crate::common::*;

#[test]
fn a_session_is_one_line_of_words() {
    for (engine, at) in everywhere() {
        let server = Serving::start(engine, at, &[]);
        let mut stream = server.connects();
        let peer = stream.local_addr().unwrap();
        echoes(&mut stream, b"twelve bytes");
        stream.shutdown(Shutdown::Write).unwrap();
        sees_the_end(&mut stream);
        let line = server.says("session ");
        let expected = format!(" session peer={peer} ending=finished bytes=12 duration=");
        assert!(line.contains(&expected) && line.ends_with('s'), "{line}");
        let ended = server.stops();
        ended.with(0).says("draining because of SIGTERM").says("counters accepted=1 active=0");
        assert_eq!(ended.log.iter().filter(|line| line.contains("session ")).count(), 1);
    }
}

#[test]
fn every_line_of_the_json_log_is_an_object() {
    for (engine, at) in everywhere() {
        let server = Serving::start(engine, at, &["--log", "json", "--workers", "2"]);
        for _ in 0..3 {
            visits(server.addr());
        }
        let stream = server.connects();
        let peer = stream.local_addr().unwrap().to_string();
        set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        drop(stream);
        server.says_times("\"session\"", 4);
        server.gets(Signal::USR1);
        server.says("\"counters\"");
        let ended = server.stops();
        crate::schema::check_lines("serve-log.json", &ended.log.join("\n"));
        let lines: Vec<Value> =
            ended.with(0).log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(|line| line["time"].as_str().unwrap().ends_with('Z')));
        let of = |event| lines.iter().filter(move |line| line["event"] == event);
        let finished = of("session").filter(|line| line["ending"] == "finished");
        assert!(finished.clone().all(|line| line["bytes"] == 5 && line["duration_us"].is_u64()));
        assert_eq!(finished.count(), 3);
        let reset: Vec<_> = of("session").filter(|line| line["ending"] == "reset").collect();
        assert_eq!((reset.len(), reset[0]["peer"].as_str()), (1, Some(peer.as_str())));
        assert_eq!(reset[0]["error"], "recv: Connection reset by peer (ECONNRESET)");
        let last = of("counters").next_back().unwrap();
        assert_eq!((&last["accepted"], &last["active"]), (&4.into(), &0.into()));
        assert_eq!((&last["bytes"], &last["endings"]["finished"]), (&15.into(), &3.into()));
        assert_eq!(of("draining").next().unwrap()["cause"], "SIGTERM");
    }
}

#[test]
fn off_is_silent() {
    for engine in engines() {
        let server = Serving::start(engine, somewhere(), &["--log", "off"]);
        visits(server.addr());
        server.gets(Signal::USR1);
        visits(server.addr());
        assert_eq!(server.stops().with(0).log, [""; 0]);
    }
}

#[test]
fn no_more_connections_at_a_time_than_asked_for() {
    for (engine, at) in everywhere() {
        // The second client of an iterative server waits for the first to leave instead.
        if engine == "iterative" {
            continue;
        }
        let server = Serving::start(engine, at, &["-m", "2", "--workers", "2"]);
        let (mut first, mut second) = (server.connects(), server.connects());
        echoes(&mut first, b"one");
        echoes(&mut second, b"two");
        assert!(!answers(&mut server.connects()));
        server.says("ending=limit bytes=0");
        echoes(&mut first, b"still here");
        drop(second);
        server.says("ending=finished");
        visits(server.addr());
        drop(first);
        server.says_times("ending=finished", 3);
        server.stops().says("accepted=4 active=0 refused=1");
    }
}

#[test]
fn connections_on_which_nothing_moves_end() {
    together(everywhere(), |(engine, at)| {
        let server = Serving::start(engine, at, &["--idle-timeout", "300ms"]);
        let mut quiet = server.connects();
        let start = Instant::now();
        echoes(&mut quiet, b"and now silence");
        sees_the_end(&mut quiet);
        let took = start.elapsed();
        assert!(took > Duration::from_millis(250) && took < AT_ONCE, "{took:?}");
        drop(quiet);
        server.says("ending=idle bytes=15");
    });
}

/// On a machine that holds the client up for longer than the limit, the limit grows.
#[test]
fn connections_on_which_something_moves_stay() {
    together(everywhere(), |(engine, at)| {
        let limits = (0..6).map(|n| Duration::from_millis(400 << n));
        let stayed = limits.into_iter().any(|limit| is_busy_enough(engine, at, limit));
        assert!(stayed, "this machine never lets a client be busy");
    });
}

/// Talks for twice the limit; `false` if it was itself silent for so long that the connection may have ended.
fn is_busy_enough(engine: &str, at: SocketAddr, limit: Duration) -> bool {
    let millis = format!("{}ms", limit.as_millis());
    let server = Serving::start(engine, at, &["--idle-timeout", &millis]);
    let mut last = Instant::now();
    let mut busy = server.connects();
    for _ in 0..8 {
        let begun = Instant::now();
        let moves = answers(&mut busy);
        if last.elapsed() >= limit {
            return false;
        }
        assert!(
            moves,
            "ended though {:?} had passed of {limit:?}: {:#?}",
            last.elapsed(),
            server.log()
        );
        last = begun;
        std::thread::sleep(limit / 4);
    }
    true
}

#[test]
fn a_reader_that_stalls_is_idle_too() {
    together(engines(), |engine| {
        let server = Serving::start(engine, somewhere(), &["--idle-timeout", "1s"]);
        // What it was owed can never come back whole, so it sees RST.
        blast_until_reset(&server.connects());
        assert!(server.says("session ").contains("ending=idle"));
        visits(server.addr());
    });
}

#[test]
fn nothing_that_a_peer_sends_stands_in_the_log() {
    for engine in engines() {
        let server = Serving::start(engine, somewhere(), &[]);
        let mut stream = server.connects();
        echoes(&mut stream, b"\x1b[31mINTRUDER\n2026-01-01T00:00:00Z session peer=INTRUDER\n");
        stream.write_all(b"INTRUDER").unwrap();
        drop(stream);
        server.says("session ");
        let log = server.stops().log.join("\n");
        assert!(!log.contains("INTRUDER") && !log.contains('\x1b'), "{log}");
    }
}
