//! Servers that do what no echo server does: every probe has its fate, whatever that is, and a run without an answer says
//! why.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    net::{SendFlags, send},
    process::Signal,
};
use serde_json::Value;

use crate::{
    common::{
        AT_ONCE, Serving,
        peers::{deserted, full, reset},
        somewhere, together,
    },
    support::*,
};

/// A server, and what has to live as long as it.
type Hostile = (SocketAddr, Option<(OwnedFd, Option<TcpStream>)>);

/// One that deals with each connection in a thread of its own.
fn each(serve: impl Fn(TcpStream) + Send + Clone + 'static) -> Hostile {
    let addr = server(move |stream| {
        let serve = serve.clone();
        thread::spawn(move || serve(stream));
    });
    (addr, None)
}

/// Answers with what becomes of each read, until that is nothing.
fn reading(
    answer: impl Fn(usize, &[u8]) -> Vec<u8> + Send + Clone + 'static,
) -> impl Fn(TcpStream) + Send + Clone {
    move |mut stream| {
        let mut buffer = [0; 4096];
        for number in 1.. {
            let Ok(count @ 1..) = stream.read(&mut buffer) else { return };
            let answer = answer(number, &buffer[..count]);
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

fn read_all(mut stream: TcpStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

const HOSTILE: [&str; 16] = [
    "honest",
    "refuses",
    "no answer to SYN",
    "accepts and is silent",
    "closes at once",
    "resets at once",
    "closes after a probe",
    "resets after a probe",
    "half of each answer",
    "twice",
    "a changed byte",
    "foreign bytes",
    "marks",
    "an urgent byte",
    "half-closed",
    "every other one",
];

fn hostile(name: &str) -> Hostile {
    match name {
        "honest" => each(reading(|_, probe| probe.to_vec())),
        "refuses" => {
            let (held, addr) = deserted(somewhere());
            (addr, Some((held, None)))
        }
        "no answer to SYN" => {
            let (held, addr, first) = full(somewhere());
            (addr, Some((held, Some(first))))
        }
        "accepts and is silent" => each(read_all),
        "closes at once" => each(drop),
        "resets at once" => each(reset),
        "closes after a probe" => each(|mut stream| drop(stream.read(&mut [0; 64]))),
        "resets after a probe" => each(|mut stream| {
            let _ = stream.read(&mut [0; 64]);
            reset(stream);
        }),
        "half of each answer" => each(reading(|_, probe| probe[..probe.len() / 2].to_vec())),
        "twice" => each(reading(|_, probe| probe.repeat(2))),
        "a changed byte" => each(reading(|_, probe| {
            let mut answer = probe.to_vec();
            answer[probe.len() - 1] ^= 1;
            answer
        })),
        "foreign bytes" => each(reading(|_, _| vec![b'?'; 100])),
        "marks" => each(reading(|_, probe| probe[..probe.len().min(8)].repeat(500))),
        "an urgent byte" => each(|mut stream| {
            let mut probe = [0; 64];
            while stream.read_exact(&mut probe).is_ok() {
                let _ = stream.write_all(&probe);
                let _ = send(&stream, b"!", SendFlags::OOB | SendFlags::NOSIGNAL);
            }
        }),
        "half-closed" => each(|stream| {
            let _ = stream.shutdown(Shutdown::Write);
            read_all(stream);
        }),
        "every other one" => each(reading(|number, probe| probe.repeat(number % 2))),
        other => panic!("{other}"),
    }
}

fn count(target: &Value, name: &str) -> u64 {
    target[name].as_u64().unwrap_or_else(|| panic!("{name} in {target}"))
}

/// Whatever was sent is answered, lost or under way, in each way of counting; and why, where nothing was answered.
fn adds_up(report: &Value, what: &str) {
    let target = &report["targets"][0];
    let parts = ["received", "late", "refused", "corrupted", "lost", "under_way"];
    let sum: u64 = parts.iter().map(|name| count(target, name)).sum();
    assert_eq!(count(target, "transmitted"), sum, "{what}: {report}");
    if sum == 0 {
        // The limit or the signal came before the first probe was due, on a host that is so busy. Nothing was measured,
        // which is not a success. With a count and no limit there is no reason for it.
        assert_ne!(report["exit_status"], 0, "{what}: {report}");
        assert!(report["settings"]["count"].is_null(), "{what}: {report}");
        return;
    }
    let answered = count(target, "received") + count(target, "late");
    if ["corrupted", "doubled", "foreign_bytes"].iter().any(|name| count(target, name) > 0) {
        assert_eq!(report["exit_status"], 1, "{what}: {report}");
    }
    assert_eq!(target["diagnosis"].is_null(), answered > 0, "{what}: {report}");
    if answered == 0 {
        assert_eq!(target["loss_percent"], 100.0, "{what}: {report}");
        assert_ne!(report["exit_status"], 0, "{what}: {report}");
        assert_eq!(count(target, "under_way"), 0, "{what}: {report}");
    }
}

#[test]
fn every_probe_has_its_fate_in_every_mode() {
    let modes = ["-i0.02", "-A", "-f", "--connect", "--reconnect"];
    // By count, by deadline, and by signal.
    let ends = [&["-c", "6", "-W", "150ms"][..], &["-w", "0.3"], &[]];
    together(HOSTILE.into_iter(), |name| {
        for mode in modes {
            for end in ends {
                let what = format!("{name} {mode} {end:?}");
                let (addr, _held) = hostile(name);
                let pinging = Pinging::of(addr, &[&[mode, "--json"], end].concat());
                if end.is_empty() {
                    pinging.catches_signals();
                    thread::sleep(Duration::from_millis(100));
                    pinging.gets(Signal::INT);
                }
                let ended = pinging.ends();
                adds_up(&ended.object(), &what);
                let events = ping_events(addr, &[&[mode, "-w0.2"], &["-W", "100ms"][..]].concat());
                adds_up_in_stream(&events, &what);
            }
        }
    });
}

fn ping_events(addr: SocketAddr, args: &[&str]) -> Vec<Value> {
    ping_to(addr, &[args, &["--json-stream"]].concat()).objects()
}

/// The report counts what the events told.
fn adds_up_in_stream(events: &[Value], what: &str) {
    let told = |name: &str| events.iter().filter(|event| event["event"] == *name).count() as u64;
    if told("output-lost") > 0 {
        return;
    }
    let report = events.last().unwrap();
    adds_up(report, what);
    let target = &report["targets"][0];
    let (late, lost) = (count(target, "late"), count(target, "lost"));
    assert_eq!(told("answered"), count(target, "received"), "{what}: {report}");
    assert_eq!(told("refused"), count(target, "refused"), "{what}: {report}");
    // What was lost may come late.
    let told_lost = told("lost");
    assert!(
        (lost..=lost + late + count(target, "corrupted")).contains(&told_lost),
        "{what}: {told_lost} {report}"
    );
}

#[test]
fn a_dead_address_is_lost_and_explained() {
    let (_held, dead, _first) = full(somewhere());
    for how in [&[][..], &["--connect"], &["--reconnect"]] {
        let ended = ping_to(dead, &[&["-c", "1", "-w", "0.5"], how].concat());
        ended.with(1).shows("1 probes transmitted, 0 received, 1 lost, 100% loss");
        ended.shows("seq=1 lost: connect-timeout").says("tcpecho: connect-timeout");
        ended.says("  means: probably a firewall drops the SYN, ").says("  try:   ");

        let pinging = Pinging::of(dead, how);
        pinging.catches_signals();
        pinging.gets(Signal::TERM);
        let ended = pinging.ends();
        ended
            .with(143)
            .shows(" 0 received, ")
            .shows(", 100% loss")
            .says("tcpecho: connect-timeout");

        let ended = ping_to(dead, &[&["-c", "1", "-w", "0.5", "--json"], how].concat());
        let target = &ended.with(1).object()["targets"][0];
        assert_eq!(
            (&target["lost"], &target["diagnosis"]["case"]),
            (&1.into(), &"no-answer".into())
        );
    }
}

#[test]
fn a_silent_server_is_explained_as_connect_does() {
    for how in [&[][..], &["--reconnect"]] {
        let silent = answering(|_, _| Some(Vec::new()));
        let ended = ping_to(silent, &[&["-c", "1", "-w", "0.3"], how].concat());
        ended.with(1).shows("1 probes transmitted, 0 received, 1 lost, 100% loss");
        ended
            .says("tcpecho: timed-out")
            .says("no byte moved for ")
            .says("  means: probably the server's program has not accepted this connection yet ");
        let ended =
            ping_to(silent, &[&["-c", "2", "-i", "0.02", "-W", "100ms", "--json"], how].concat());
        let report = ended.with(1).object();
        assert_eq!(report["targets"][0]["lost"], 2, "{report}");
        assert!(report["targets"][0]["error"]["message"].is_string(), "{report}");
    }
}

#[test]
fn what_is_under_way_at_the_end_is_not_lost_while_others_are_answered() {
    // The third answer takes longer than any other did, and never comes.
    let addr = answering(|number, probe| Some(probe.repeat(usize::from(number < 3))));
    let pinging = Pinging::of(addr, &["-i", "0.1", "-W", "60", "--json-stream"]);
    pinging.sees("\"seq\":2");
    thread::sleep(Duration::from_millis(600));
    pinging.gets(Signal::INT);
    let events = pinging.ends().with(0).objects();
    let target = &events.last().unwrap()["targets"][0];
    assert_eq!(target["received"], 2, "{target}");
    assert!(count(target, "lost") >= 1, "{target}");
    assert_eq!(
        events.iter().filter(|event| event["why"] == "silence").count() as u64,
        count(target, "lost")
    );
}

#[test]
fn marks_without_end_cost_no_more_than_other_bytes_and_keep_no_signal_waiting() {
    // The first eight bytes of the probe, over and over.
    let (addr, _) = each(|mut stream| {
        let mut mark = [0; 8];
        if stream.read_exact(&mut mark).is_ok() {
            let mut reader = stream.try_clone().unwrap();
            thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            let marks = mark.repeat(1 << 17);
            while stream.write_all(&marks).is_ok() {}
        }
    });
    let pinging = Pinging::of(addr, &["-s", "16M", "-W", "1s"]);
    pinging.sees("foreign: ");
    let start = Instant::now();
    pinging.gets(Signal::INT);
    let ended = pinging.ends();
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    ended.with(1).shows("bytes foreign, 100% loss").says("tcpecho: mismatch");
}

#[test]
fn a_server_that_talks_does_not_keep_others_from_being_probed() {
    let (talker, _) = each(|mut stream| while stream.write_all(&[b'?'; 8192]).is_ok() {});
    let server = Serving::start("epoll", somewhere(), &[]);
    let addrs = [talker, server.addr()].map(|addr| addr.to_string());
    let pinging = Pinging::start(&["-i", "0.05", &addrs[0], &addrs[1]]);
    pinging.sees(&format!("from {}: seq=5 time=", addrs[1]));
    pinging.gets(Signal::INT);
    pinging.ends().with(1).shows("bytes foreign, 100% loss");
}

#[test]
fn an_urgent_byte_of_nobody_is_foreign() {
    let (addr, _held) = hostile("an urgent byte");
    for how in [&[][..], &["--reconnect"]] {
        let ended = ping_to(addr, &[&["-c", "3", "-i", "0.05"], how].concat());
        if how.is_empty() {
            ended.with(1).shows("foreign: 1 byte").shows("seq=3 time=");
        } else {
            ended.shows("3 received");
        }
    }
}

#[test]
fn a_socket_joined_to_itself_is_no_answer() {
    // An address of this test's own, so that nobody takes the port once it is free.
    let addr =
        std::net::TcpListener::bind("127.9.8.6:0").unwrap().local_addr().unwrap().to_string();
    for how in [&[][..], &["--connect"], &["--reconnect"]] {
        let ended = ping(&[&["-c", "2", "-i", "0.05", "-I", &addr, &addr], how].concat());
        ended.with(1).shows(" 0 received, ").says("the kernel connected the socket to itself");
    }
}

#[test]
fn descriptors_are_raised_and_counted() {
    let server = Serving::start("epoll", somewhere(), &[]);
    let target = server.addr().to_string();
    let with_limit = |limit: &str, targets: usize| {
        let mut command = std::process::Command::new("sh");
        let script = format!("ulimit {limit} && exec \"$@\"");
        command.args(["-c", &script, "sh", crate::common::program(), "ping", "-c", "1", "-q"]);
        command.args(std::iter::repeat_n(&target, targets));
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        Pinging::run(command).ends()
    };
    let ended = with_limit("-Sn 64", 100);
    assert_eq!(ended.with(0).count("1 received, 0% loss"), 100);
    let ended = with_limit("-n 64", 100);
    ended
        .with(2)
        .says("100 targets need ")
        .says("descriptors, and this process may have 64: raise the hard limit");
    // Few connections at a time are enough.
    let mut command = std::process::Command::new("sh");
    let script = "ulimit -n 48 && exec \"$@\"";
    command.args([
        "-c",
        script,
        "sh",
        crate::common::program(),
        "ping",
        "-c",
        "300",
        "-i",
        "1ms",
        "--reconnect",
        "-q",
    ]);
    command.arg(&target).stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    Pinging::run(command).ends().with(0).shows("300 received, 0% loss");
}
