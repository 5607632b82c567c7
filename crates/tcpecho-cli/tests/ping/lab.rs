//! Between the two hosts of the laboratory, on a wire that loses what it is told to lose. SKIP where there can be none.

use std::{
    thread,
    time::{Duration, Instant},
};

use tcpecho_lab::{Exit, Family, IcmpError, Matcher, Options, Program, Rule, TwoHosts};

use crate::common::program;

const PATIENCE: Duration = Duration::from_secs(30);

struct Lab {
    two: TwoHosts,
    _server: Program,
    at: String,
}

impl Lab {
    fn new() -> Option<Lab> {
        let two = match TwoHosts::new(&Options { watch_states: false, ..Options::default() }) {
            Ok(two) => two,
            Err(failed) => {
                eprintln!("SKIP: {failed}");
                return None;
            }
        };
        let at = format!("{}:7", two.server.address(Family::V4));
        let server =
            two.server.program([program(), "serve", "-l", &at, "--engine", "epoll"]).unwrap();
        server.wait_for_line("ready", PATIENCE, |line| line.starts_with("listening")).unwrap();
        Some(Lab { two, _server: server, at })
    }

    fn ping(&self, args: &[&str]) -> Program {
        let command = [&[program(), "ping"], args, &[self.at.as_str()]].concat();
        self.two.client.program(command).unwrap()
    }
}

fn line(program: &Program, text: &str) -> String {
    let found = program.wait_for_line(text, PATIENCE, |line| line.contains(text));
    found.unwrap_or_else(|failed| panic!("{failed}\n{:#?}", program.lines()))
}

/// A line that may have come before the ones that were waited for: the two outputs keep no order.
fn told(program: &Program, text: &str) -> String {
    let start = Instant::now();
    loop {
        let lines = program.lines();
        if let Some((_, line)) = lines.iter().find(|(_, line)| line.contains(text)) {
            return line.clone();
        }
        assert!(start.elapsed() < PATIENCE, "no {text:?} in {lines:#?}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn one_lost_segment_is_one_retransmission_beside_the_probe() {
    let Some(lab) = Lab::new() else { return };
    lab.two.wire.add(Rule::drop(Matcher::syn()).once().because("lost"));
    let pinging = lab.ping(&["-c", "3", "-i", "0.3", "-W", "20"]);
    let connected = line(&pinging, "connected to ");
    assert!(connected.contains(" ms retrans=1, "), "{connected}");
    let first = line(&pinging, "seq=1 time=");
    assert!(!first.contains("retrans="), "{first}");
    lab.two.wire.add(Rule::drop(Matcher::data().from_client()).once().because("lost"));
    let second = line(&pinging, "seq=2 time=");
    // One, unless the host is so slow that its kernel loses patience once more.
    assert!(second.contains(" retrans="), "{second}");
    line(&pinging, "3 probes transmitted, 3 received, 0% loss");
    let total = line(&pinging, ", retransmits ");
    assert!(!total.ends_with(" 0"), "{total}");
    assert_eq!(pinging.wait(PATIENCE).unwrap().1, Exit::Exited(0));
}

#[test]
fn a_cut_path_is_given_up_and_the_outage_measured() {
    let Some(lab) = Lab::new() else { return };
    let pinging = lab.ping(&["-i", "0.1", "-W", "500ms"]);
    line(&pinging, "seq=2 time=");
    lab.two.wire.cut();
    let lost = line(&pinging, " lost: no answer within 500ms");
    assert!(
        lost.contains("not acknowledged: the probe or the answer is lost, or the host is down"),
        "{lost}"
    );
    line(&pinging, "connection lost: timed-out");
    let seen = told(&pinging, " of ours are not acknowledged; ");
    for part in ["  seen:  ", "(ETIMEDOUT); ", " bytes had come back; "] {
        assert!(seen.contains(part), "{seen}");
    }
    assert!(seen.contains(" retransmission"), "{seen}");
    told(&pinging, "  means: probably the peer's host is down, the path is cut, or a NAT ");
    lab.two.wire.mend();
    line(&pinging, "again in ");
    line(&pinging, "outage of ");
    drop(pinging);
}

#[test]
fn a_firewall_that_forbids_is_named() {
    let Some(lab) = Lab::new() else { return };
    let prohibited = Rule::answer(Matcher::syn(), IcmpError::Prohibited);
    lab.two.wire.add(prohibited.because("forbidden"));
    let router = Family::V4.router();
    for how in ["-i0.1", "--connect", "--reconnect"] {
        let pinging = lab.ping(&["-c", "1", how]);
        line(&pinging, "no connection: forbidden (");
        line(&pinging, "seq=1 lost: forbidden");
        let means = told(&pinging, "  means: ");
        assert!(means.contains(&format!("a rule at {router} rejects the connection")), "{means}");
        assert_eq!(pinging.wait(PATIENCE).unwrap().1, Exit::Exited(1));
    }
}

#[test]
fn a_rejected_port_is_no_answer_of_the_peer() {
    let Some(lab) = Lab::new() else { return };
    lab.two.wire.add(Rule::answer(Matcher::syn(), IcmpError::PortUnreachable));
    let pinging = lab.ping(&["-c", "1", "--connect"]);
    line(&pinging, "seq=1 lost: refused");
    told(&pinging, "TCP itself would answer with RST");
    assert_eq!(pinging.wait(PATIENCE).unwrap().1, Exit::Exited(1));
}

#[test]
fn the_size_that_the_path_loses_is_found() {
    let Some(lab) = Lab::new() else { return };
    lab.two.client.set_sysctl("net.ipv4.tcp_mtu_probing", "0").unwrap();
    // 1400 bytes pass, 52 of them headers with timestamps.
    lab.two.wire.add(Rule::drop(Matcher::any_tcp().longer_than(1400).from_client()));
    let pinging = lab.ping(&["--size-sweep=1500", "-W", "1"]);
    let last = line(&pinging, "at most ");
    let expected =
        "at most 1348 bytes pass (in one packet of 1400 bytes): longer probes are not acknowledged";
    assert!(last.ends_with(expected), "{last}\n{:#?}", pinging.lines());
    assert_eq!(pinging.wait(PATIENCE).unwrap().1, Exit::Exited(1));
}

#[test]
fn a_middlebox_that_forgets_silently_is_found() {
    let Some(lab) = Lab::new() else { return };
    // Each connection is forgotten 200 ms after its last packet.
    let last = std::sync::Mutex::new(std::collections::HashMap::new());
    let forgotten =
        Matcher::any_tcp().matching("of a forgotten connection", move |from, packet| {
            let Some(tcp) = packet.tcp() else { return false };
            let port = if from == tcpecho_lab::Side::Client {
                tcp.source_port
            } else {
                tcp.destination_port
            };
            let (mut last, now) = (last.lock().unwrap(), std::time::Instant::now());
            let seen = *last.entry(port).or_insert(now);
            if now - seen > Duration::from_millis(200) {
                return true;
            }
            last.insert(port, now);
            false
        });
    lab.two.wire.add(Rule::drop(forgotten));
    let pinging = lab.ping(&["--idle-sweep=2s", "-W", "500ms"]);
    let last = line(&pinging, "an idle connection is alive after ");
    assert!(last.ends_with(" ms: silent"), "{last}\n{:#?}", pinging.lines());
    let number = |word: &str| -> f64 {
        let rest = last.split_once(word).unwrap().1;
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    let (alive, dead) = (number("alive after "), number("dead after "));
    assert!(alive < dead && dead <= 1000.0, "{last}");
    assert_eq!(pinging.wait(PATIENCE).unwrap().1, Exit::Exited(1));
}
