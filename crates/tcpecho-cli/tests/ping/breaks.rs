//! Connections that break, and what comes after.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    common::{
        Serving,
        peers::{reset, until},
        somewhere,
    },
    support::*,
};

#[test]
fn a_server_that_closes_is_told_and_connected_to_again() {
    // The third probe of each connection gets FIN for an answer.
    let addr = answering(|number, probe| (number < 3).then(|| probe.to_vec()));
    let ended = ping_to(addr, &["-c", "5", "-i", "0.3"]);
    ended.with(0).shows("connection lost: closed-early");
    ended.shows("seq=3 lost: closed-early").shows("connected to 127.0.0.1:").shows("seq=5 time=");
    ended.shows(" lost from seq=3 on").shows("5 probes transmitted, ");
    ended.shows("2 connections, 1 broke").shows("1 outage, ");
    ended.says("tcpecho: closed-early").says("  means: the peer sent FIN");
    ended.says("  seen:  recv 127.0.0.1:");
}

#[test]
fn a_reset_is_told() {
    let mut first = true;
    let addr = server(move |mut stream| {
        let mut probe = [0; 64];
        while std::io::Read::read_exact(&mut stream, &mut probe).is_ok() {
            if std::mem::take(&mut first) {
                return reset(stream);
            }
            if std::io::Write::write_all(&mut stream, &probe).is_err() {
                return;
            }
        }
    });
    let ended = ping_to(addr, &["-c", "3", "-i", "0.2"]);
    ended.with(0).shows("connection lost: reset").shows("seq=1 lost: reset");
    ended.shows("seq=3 time=").says("tcpecho: reset");
}

#[test]
fn a_server_that_comes_back_ends_the_outage() {
    let server = Serving::start("epoll", somewhere(), &[]);
    let addr = server.addr();
    let pinging = Pinging::of(addr, &["-i", "0.05"]);
    pinging.sees("seq=2 time=");
    server.dies();
    pinging.sees("connection lost: ");
    pinging.sees(" lost: no-connection");
    let _server = Serving::start("epoll", addr, &[]);
    pinging.sees("again in ");
    let outage = pinging.sees("outage of ");
    assert!(outage.contains("lost from seq="), "{outage}");
    pinging.gets(Signal::INT);
    // A connection to the dying server may have come about in between.
    pinging.ends().with(0).shows("1 outage, ").shows(" connections, ");
}

#[test]
fn an_outage_that_lasts_until_the_end_is_among_the_outages() {
    // The second probe gets FIN for an answer, and then nobody listens any more.
    let once = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            drop(listener);
            let mut probe = [0; 64];
            stream.read_exact(&mut probe).unwrap();
            stream.write_all(&probe).unwrap();
            stream.read_exact(&mut probe).unwrap();
        });
        addr
    };
    let args = ["-c", "6", "-i", "0.05"];
    let ended = ping_to(once(), &args);
    ended.with(0).shows(" ms, 5 probes lost from seq=2 on, until the end of the run");
    ended.shows("1 outage, ").shows(" ms, has not ended");
    let events = ping_to(once(), &[&args[..], &["--json-stream"]].concat()).with(0).objects();
    let outage = events.iter().find(|event| event["event"] == "outage").unwrap();
    assert_eq!((&outage["lost"], &outage["end_unix_us"]), (&5.into(), &Value::Null), "{outage}");
    let target = &events.last().unwrap()["targets"][0];
    assert_eq!((&target["outages"], &target["outage_us"]), (&1.into(), &outage["outage_us"]));
    assert_eq!(target["unended_outage_us"], outage["outage_us"]);
    // The time of four intervals, from the second probe to the sixth.
    assert!(outage["outage_us"].as_f64().unwrap() >= 4.0 * 50e3, "{outage}");
}

#[test]
fn an_outage_that_is_over_says_when() {
    let addr = answering(|number, probe| (number < 2).then(|| probe.to_vec()));
    let ended = ping_to(addr, &["-c", "3", "-i", "0.2", "--json-stream"]);
    let events = ended.with(0).objects();
    let outage = events.iter().find(|event| event["event"] == "outage").unwrap();
    let [at, end] = ["at_unix_us", "end_unix_us"].map(|name| outage[name].as_f64().unwrap());
    assert!(end <= at && at - end < 60e6, "{outage}");
    assert_eq!(events.last().unwrap()["targets"][0]["unended_outage_us"], Value::Null);
}

#[test]
fn a_signal_ends_it_with_the_summary() {
    for (signal, status) in [(Signal::INT, 0), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let pinging = Pinging::start(&["-i", "0.05"]);
        pinging.sees("seq=2 time=");
        pinging.gets(signal);
        pinging.ends().with(status).shows(", 0% loss, time ");
    }
}

#[test]
fn the_summary_so_far_does_not_end_it() {
    let pinging = Pinging::start(&["-i", "0.05"]);
    pinging.sees("seq=2 time=");
    pinging.gets(Signal::QUIT);
    pinging.says("probes transmitted, ");
    let seen = pinging.says("time p50/p90/p99/max = ");
    assert!(seen.ends_with(" ms"), "{seen}");
    pinging.sees("seq=20 time=");
    pinging.gets(Signal::INT);
    pinging.ends().with(0);
}

#[test]
fn a_reader_that_sleeps_delays_no_probe_and_learns_what_it_missed() {
    let (pinging, mut stdout) = Pinging::start_unread(&["-i", "50us"]);
    // Signals are its own from now on.
    stdout.read_exact(&mut [0; 4]).unwrap();
    let sent = || {
        pinging.gets(Signal::QUIT);
        let line = pinging.says_last(" probes transmitted, ");
        line.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
    };
    // More than a pipe and what the prober keeps can hold.
    until(|| sent() > 7000);
    pinging.gets(Signal::INT);
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    pinging.ends().with(0);
    assert!(text.contains(" lines lost: they came faster than they were read\n"));
    assert!(text.contains(", 0% loss, time "), "{}", &text[text.len() - 1000..]);
}

#[test]
fn a_reader_that_has_had_enough_ends_it_quietly() {
    let (pinging, stdout) = Pinging::start_unread(&["-i", "0.01"]);
    drop(stdout);
    let ended = pinging.ends();
    ended.with(0);
    assert_eq!(ended.stderr, Vec::<String>::new());
}
