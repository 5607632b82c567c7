//! What comes back, and what it is called.

use std::{
    io::{Read, Write},
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    common::{Serving, families, peers::deserted, somewhere},
    support::*,
};

const QUICK: &[&str] = &["-c", "3", "-i", "0.02"];

#[test]
fn without_an_address_it_starts_a_server() {
    let ended = ping(QUICK);
    ended.with(0).shows("64 bytes from 127.0.0.1: ").shows("seq=1 time=").shows("seq=3 time=");
    ended
        .shows(" rtt=")
        .shows(" ms kernel: srtt ")
        .shows(" ms minrtt ")
        .shows("jitter ")
        .shows(", retransmits ");
    ended.shows("3 probes transmitted, 3 received, 0% loss, time ");
    ended.shows("time min/avg/max/mdev = ").shows("time p50/p90/p99/max = ");
    assert_eq!(ended.stderr, Vec::<String>::new());
}

#[test]
fn every_size_over_both_families() {
    for at in families() {
        let server = Serving::start("epoll", at, &[]);
        for size in ["1", "31", "32", "1k", "300k"] {
            let ended = ping_to(server.addr(), &[QUICK, &["-s", size]].concat());
            ended.with(0).shows("3 probes transmitted, 3 received, 0% loss");
        }
    }
}

#[test]
fn a_changed_byte_is_corrupted() {
    let addr = answering(|number, probe| {
        let mut answer = probe.to_vec();
        answer[40] ^= u8::from(number == 2);
        Some(answer)
    });
    let ended = ping_to(addr, QUICK);
    ended.with(1).shows("seq=2 corrupted: byte 40 ").hides("seq=2 time=").shows("seq=3 time=");
    ended.shows("3 probes transmitted, 2 received, 1 corrupted, 33.333% loss");
}

#[test]
fn an_answer_twice_is_doubled() {
    let addr = answering(|number, probe| Some(probe.repeat(1 + usize::from(number == 2))));
    let ended = ping_to(addr, QUICK);
    ended.with(1).shows("seq=2 time=").shows("seq=2 doubled").shows("seq=3 time=");
    ended.shows("3 received, +1 doubled, 0% loss");
}

#[test]
fn a_changed_copy_of_an_answer_is_no_success() {
    let addr = answering(|number, probe| {
        let mut answer = probe.repeat(1 + usize::from(number == 2));
        if number == 2 {
            answer[64 + 40] ^= 1;
        }
        Some(answer)
    });
    let ended = ping_to(addr, QUICK);
    ended.with(1).shows("seq=2 time=").shows("seq=2 corrupted: byte 40 ");
    ended.shows("3 received, +1 doubled, 0% loss");
}

#[test]
fn a_large_probe_is_timed_from_its_first_byte_on() {
    const HELD: Duration = Duration::from_millis(500);
    for clock in ["auto", "user"] {
        // More than any send buffer takes: the last byte is sent when the server reads again.
        let addr = server(|mut stream| {
            let mut buffer = vec![0; 64 << 10];
            stream.peek(&mut [0]).unwrap();
            thread::sleep(HELD);
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
        });
        let args = ["-c", "1", "-s", "16M", "-W", "60", "--json-stream", "--timestamps", clock];
        let events = ping_to(addr, &args).with(0).objects();
        let answer = events.iter().find(|event| event["event"] == "answered").unwrap();
        let [rtt, time] = ["rtt_us", "time_us"].map(|name| answer[name].as_f64().unwrap());
        assert!(rtt >= HELD.as_micros() as f64 && rtt <= time, "{clock}: {answer}");
    }
}

#[test]
fn the_advice_about_foreign_bytes_names_no_option_of_another_verb() {
    let addr = answering(|_, _| Some(b"220 mail.example ESMTP\r\n".to_vec()));
    let ended = ping_to(addr, &[QUICK, &["-W", "0.2"]].concat());
    ended.with(1).says("tcpecho: mismatch").says("  try:   check the address and the port");
    assert!(!ended.stderr.iter().any(|line| line.contains("--")), "{ended:#?}");
}

#[test]
fn no_answer_is_lost_after_the_timeout() {
    let addr = answering(|number, probe| Some(probe.repeat(usize::from(number != 2))));
    let ended = ping_to(addr, &[QUICK, &["-W", "1"]].concat());
    ended.with(0).shows("seq=3 time=");
    ended.shows(
        "seq=2 lost: no answer within 1s, but acknowledged: probably the server did not answer, or",
    );
    ended.shows(", 1 lost, 33.333% loss");
}

#[test]
fn an_answer_that_is_not_complete_is_counted_and_explained() {
    let server = || {
        let mut open = Vec::new();
        server(move |mut stream| {
            let mut probe = [0; 64];
            stream.read_exact(&mut probe).unwrap();
            for byte in &probe[..20] {
                stream.write_all(&[*byte]).unwrap();
            }
            open.push(stream);
        })
    };
    for how in [&[][..], &["--reconnect"]] {
        let args = [how, &["-c", "1", "-W", "500ms"]].concat();
        let ended = ping_to(server(), &args);
        ended.with(1).shows("seq=1 lost: only 20 of 64 bytes came back within 500ms");
        ended
            .says("20 of 64 bytes had come back")
            .says("  means: probably the server answers slowly");
        let args = [how, &["-c", "1", "-W", "500ms", "--json-stream"]].concat();
        let events = ping_to(server(), &args).with(1).objects();
        let lost = events.iter().find(|event| event["event"] == "lost").unwrap();
        assert_eq!(lost["returned_bytes"], 20, "{lost}");
        let report = &events.last().unwrap()["targets"][0];
        assert_eq!(report["diagnosis"]["case"], "partly-answered", "{report}");
    }
}

#[test]
fn the_first_byte_that_differs_is_named() {
    let addr = answering(|_, probe| {
        let mut answer = probe.to_vec();
        answer[22..]
            .iter_mut()
            .for_each(|byte| *byte ^= 0x20 * u8::from(byte.is_ascii_lowercase()));
        answer[22] ^= 1;
        Some(answer)
    });
    let ended = ping_to(addr, QUICK);
    ended.with(1).shows("seq=1 corrupted: byte 22 ").shows("3 corrupted, 100% loss");
    ended.says(
        "3 probes came back changed: in seq=1, byte 22 is the first that is wrong or missing",
    );
    ended.says("  means: a byte came back changed, missing, duplicated or extra");
    assert!(!ended.stderr.iter().any(|line| line.contains("nothing had been sent")), "{ended:#?}");
}

#[test]
fn an_answer_without_its_first_bytes_is_corrupted_and_not_foreign() {
    for missing in [1, 8, 30] {
        let addr = answering(move |_, probe| Some(probe[missing..].to_vec()));
        let ended = ping_to(addr, QUICK);
        ended.with(1).shows("seq=1 corrupted: byte 0 ").shows("seq=3 corrupted: byte 0 ");
        ended.shows("3 probes transmitted, 0 received, 3 corrupted, 100% loss").hides("foreign");
        ended.says("  means: a byte came back changed, missing, duplicated or extra");
    }
}

#[test]
fn a_short_answer_of_nobody_is_foreign() {
    for how in [&[][..], &["--reconnect"]] {
        let addr = answering(|_, _| Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()));
        let args = [how, &["-c", "1", "-W", "200ms"]].concat();
        let ended = ping_to(addr, &args);
        ended.with(1).shows("+28 bytes foreign").says("28 bytes came that belong to no probe");
        ended.says("  means: probably the server is not an echo server");
    }
}

#[test]
fn bytes_of_nobody_are_foreign() {
    let addr = answering(|number, probe| {
        let greeting: &[u8] = if number == 1 { b"220 hello\r\n" } else { b"" };
        Some([greeting, probe].concat())
    });
    let ended = ping_to(addr, QUICK);
    ended.with(1).shows("foreign: 11 bytes that belong to no probe").shows("seq=1 time=");
    ended.shows("3 received, +11 bytes foreign, 0% loss");
}

#[test]
fn a_slow_answer_is_late() {
    let addr = answering(|number, probe| {
        if number == 2 {
            thread::sleep(Duration::from_millis(700));
        }
        Some(probe.to_vec())
    });
    let ended = ping_to(addr, &["-c", "4", "-i", "0.5", "-W", "200ms"]);
    ended.shows("seq=2 lost: no answer within 200ms").shows("ms late rtt=");
    ended.shows(" late, ");
}

#[test]
fn a_server_that_stands_still_is_late_and_goes_on() {
    let server = Serving::start("epoll", somewhere(), &[]);
    let pinging = Pinging::of(server.addr(), &["-i", "0.05", "-W", "300ms"]);
    pinging.sees("seq=2 time=");
    server.gets(Signal::STOP);
    let lost = pinging.sees("lost: no answer within 300ms");
    assert!(
        lost.contains(
            "acknowledged: probably the server did not answer, or the answer was slow or lost"
        ),
        "{lost}"
    );
    server.gets(Signal::CONT);
    pinging.sees("ms late rtt=");
    pinging.gets(Signal::INT);
    pinging.ends().with(0).hides("connection lost");
}

#[test]
fn nobody_listens() {
    let (_held, addr) = deserted(somewhere());
    let ended = ping_to(addr, QUICK);
    ended.with(1);
    // What was seen stands in the explanation, and only there.
    assert!(ended.stdout.contains(&format!("no connection: refused ({addr})")), "{ended:#?}");
    ended.says(&format!("  seen:  connect {addr}: Connection refused (ECONNREFUSED) after "));
    // The first was due when the attempt failed, the others before the next one.
    ended.shows("seq=1 lost: refused").shows("seq=3 lost: no-connection: due before the next ");
    ended.shows("3 probes transmitted, 0 received, 3 lost, 100% loss");
    ended
        .says("tcpecho: refused")
        .says("  means: nobody listens on that port of this host")
        .says("  try:   ");
    // The same again is not told again.
    assert_eq!(ended.stderr.iter().filter(|line| *line == "tcpecho: refused").count(), 1);
}

#[test]
fn a_server_that_does_not_answer_is_not_flooded() {
    let (_held, addr) = deserted(somewhere());
    for pace in ["-f", "-A", "-i0"] {
        for how in [&[][..], &["--connect"], &["--reconnect"]] {
            let ended = ping_to(addr, &[&[pace, "-w", "0.1", "--json"], how].concat());
            let transmitted = ended.with(1).object()["targets"][0]["transmitted"].as_u64().unwrap();
            assert!((1..1000).contains(&transmitted), "{pace} {how:?}: {transmitted}");
        }
    }
}

#[test]
fn a_handshake_may_be_the_probe_and_a_refusal_is_no_answer() {
    let (_held, nobody) = deserted(somewhere());
    let ended = ping_to(nobody, &[QUICK, &["--connect"]].concat());
    ended.with(1).shows("seq=1 refused: RST came in ").shows("0 received, 3 refused, 100% loss");

    let server = Serving::start("epoll", somewhere(), &[]);
    let ended = ping_to(server.addr(), &[QUICK, &["--connect"]].concat());
    ended.with(0).shows("connected to 127.0.0.1:").shows("3 received, 0% loss");
    ended.shows("3 connections, connect min/avg/max = ");
    server.says_times(" bytes=0 ", 3);
}

#[test]
fn each_probe_may_have_a_connection_of_its_own() {
    let server = Serving::start("epoll", somewhere(), &[]);
    let ended = ping_to(server.addr(), &[QUICK, &["--reconnect"]].concat());
    ended.with(0).shows("seq=3 time=").shows(" connect=").shows("3 received, 0% loss");
    server.says_times("ending=finished bytes=64 ", 3);
}

#[test]
fn several_targets_each_have_their_own() {
    let (_held, nobody) = deserted(somewhere());
    let (one, two) =
        (Serving::start("epoll", somewhere(), &[]), Serving::start("epoll", somewhere(), &[]));
    let [one, two, nobody] = [one.addr(), two.addr(), nobody].map(|addr| addr.to_string());
    ping(&[QUICK, &[&one, &two]].concat())
        .with(0)
        .shows(&format!("from {one}: seq=3"))
        .shows(&format!("from {two}: seq=3"));
    let ended = ping(&[QUICK, &[&one, &nobody]].concat());
    ended.with(1).shows(&format!("from {one}: seq=3")).shows(&format!("{nobody}: seq=3 lost"));
    ended.shows(&format!("--- {one} tcpecho ping")).shows(&format!("--- {nobody} tcpecho ping"));
}
