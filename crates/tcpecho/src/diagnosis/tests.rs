//! Every row by an example of its own, and what keeps neighbouring rows apart.

use std::{collections::HashSet, net::IpAddr, time::Duration};

use crate::Errno;
use tcpecho_os::{
    error_queue::{Origin, QueuedError},
    tcp_info::TcpInfo,
    tcp_state::TcpState,
};

use super::*;
use crate::{
    NoAddress,
    evidence::{Phase, Route, Towards},
};

const PEER: &str = "198.51.100.20:7";
const OURS: &str = "192.0.2.10";
const ROUTER: &str = "203.0.113.1";

fn failed(op: &'static str, errno: Errno) -> Symptom {
    Error::at(op, PEER.parse().unwrap(), errno).into()
}

fn unresolved(why: NoAddress) -> Symptom {
    Symptom::Unresolved(ResolveError { host: "h".into(), reason: "so".into(), why })
}

/// Evidence of an attempt that left a route and nothing else.
fn evidence(phase: Phase) -> Evidence {
    Evidence {
        phase,
        peer: Some(PEER.parse().unwrap()),
        route: Some(Route::Source(OURS.parse().unwrap())),
        echo: true,
        ..Evidence::default()
    }
}

fn connect_to(peer: &str, errno: Errno) -> (Symptom, Evidence) {
    let peer = peer.parse().unwrap();
    let symptom = Error::at("connect", peer, errno).into();
    (symptom, Evidence { peer: Some(peer), ..evidence(Phase::Connect) })
}

fn routed(errno: Errno) -> Evidence {
    Evidence { route: Some(Route::None(errno)), ..evidence(Phase::Connect) }
}

fn icmp(kind: u8, code: u8, errno: Errno, from: &str) -> (Symptom, Evidence) {
    let offender: IpAddr = from.parse().unwrap();
    let origin = if offender.is_ipv4() { Origin::Icmp } else { Origin::Icmp6 };
    let error =
        QueuedError { errno: errno.into(), origin, kind, code, info: 0, offender: Some(offender) };
    let evidence = Evidence { routers: vec![error], ..evidence(Phase::Connect) };
    (failed("connect", errno), evidence)
}

/// A connection on which `written` bytes were sent and `acknowledged` of them were.
fn talk(state: TcpState, written: u64, acknowledged: u64, change: fn(&mut TcpInfo)) -> Evidence {
    let mut tcp = tcp_info();
    tcp.state = state;
    tcp.bytes_acked = Some(acknowledged + 1);
    tcp.snd_wnd = Some(65536);
    tcp.segs_in = Some(1);
    tcp.snd_mss = 1448;
    tcp.delivered = Some(2);
    (tcp.rto_us, tcp.rtt_us, tcp.rttvar_us) = (200_000, 1000, 500);
    tcp.last_ack_recv_ms = 5000;
    change(&mut tcp);
    Evidence {
        tcp: Some(tcp),
        written,
        received: acknowledged,
        returned: acknowledged,
        queued: Some((written - acknowledged) as u32),
        ..evidence(Phase::Receive)
    }
}

/// What a socket of this test tells, with all that matters overwritten.
fn tcp_info() -> TcpInfo {
    let fd = crate::client::new_socket(PEER.parse().unwrap()).unwrap();
    tcpecho_os::tcp_info::tcp_info(fd).unwrap()
}

/// A connection with a closed window, `unanswered` window probes and the last acknowledgement `ago_ms`.
fn probed(unanswered: u8, backoff: u8, ago_ms: u32) -> Evidence {
    let mut evidence = talk(TcpState::Established, 9, 4, |tcp| tcp.snd_wnd = Some(0));
    if let Some(tcp) = &mut evidence.tcp {
        (tcp.probes, tcp.backoff, tcp.last_ack_recv_ms) = (unanswered, backoff, ago_ms);
    }
    evidence
}

const SILENCE: Symptom = Symptom::Silence(Duration::from_secs(30));

/// The example of each row.
#[allow(clippy::too_many_lines, reason = "a table")]
fn example(word: &str) -> (Symptom, Evidence) {
    use TcpState::{Close, CloseWait, Established, FinWait2};
    let connect = |errno| (failed("connect", errno), evidence(Phase::Connect));
    let bind = |source: &str, errno| {
        (Error::at("bind", source.parse().unwrap(), errno).into(), evidence(Phase::Bind))
    };
    match word {
        "no-such-name" => (unresolved(NoAddress::NoName), evidence(Phase::Resolve)),
        "name-without-address" => (unresolved(NoAddress::NoAddress), evidence(Phase::Resolve)),
        "other-family" => (unresolved(NoAddress::OtherFamily), evidence(Phase::Resolve)),
        "address-of-wrong-family" => (unresolved(NoAddress::WrongFamily), evidence(Phase::Resolve)),
        "interface-unknown" => (unresolved(NoAddress::NoInterface), evidence(Phase::Resolve)),
        "resolver-unanswered" => (unresolved(NoAddress::Unanswered), evidence(Phase::Resolve)),
        "no-descriptors" => {
            let limited = Evidence { descriptor_limit: Some(4), ..evidence(Phase::Socket) };
            (failed("socket", Errno::EMFILE), limited)
        }
        "no-descriptors-anywhere" => (failed("socket", Errno::ENFILE), evidence(Phase::Socket)),
        "no-memory" => (failed("socket", Errno::ENOBUFS), evidence(Phase::Socket)),
        "no-such-family" => (failed("socket", Errno::EAFNOSUPPORT), evidence(Phase::Socket)),
        "socket-forbidden" => (failed("socket", Errno::EACCES), evidence(Phase::Socket)),
        "no-such-device" => (failed("setsockopt", Errno::ENODEV), evidence(Phase::Socket)),
        "option-forbidden" => (failed("setsockopt", Errno::EPERM), evidence(Phase::Socket)),
        "option-out-of-range" => (failed("setsockopt", Errno::EINVAL), evidence(Phase::Socket)),
        "option-unknown" => (failed("setsockopt", Errno::ENOPROTOOPT), evidence(Phase::Socket)),
        "no-such-source" => bind("192.0.2.9:0", Errno::EADDRNOTAVAIL),
        "source-ports-exhausted" => bind("192.0.2.10:0", Errno::EADDRINUSE),
        "source-taken" => bind("192.0.2.10:99", Errno::EADDRINUSE),
        "source-refused" => bind("192.0.2.10:0", Errno::EPERM),
        "source-forbidden" => bind("192.0.2.10:99", Errno::EACCES),
        "source-lacks-interface" => bind("[fe80::1]:0", Errno::EINVAL),
        "source-of-no-interface" => bind("[fe80::1%9]:0", Errno::ENODEV),
        "source-multicast" => bind("[ff02::1]:0", Errno::EINVAL),
        "joined-to-itself" => {
            let local = Some(PEER.parse().unwrap());
            (connect(Errno::ECONNREFUSED).0, Evidence { local, ..evidence(Phase::Connect) })
        }
        "multicast-address" => connect_to("224.0.0.1:7", Errno::ENETUNREACH),
        "broadcast-address" => connect_to("255.255.255.255:7", Errno::ENETUNREACH),
        "lacks-interface" => connect_to("[fe80::9]:7", Errno::EINVAL),
        "no-such-interface" => {
            let (symptom, mut evidence) = connect_to("[fe80::9%9]:7", Errno::ENETUNREACH);
            evidence.stack.scope_exists = Some(false);
            (symptom, evidence)
        }
        "loopback-source" => {
            let source = Some("127.0.0.1".parse().unwrap());
            (connect(Errno::EINVAL).0, Evidence { source, ..evidence(Phase::Connect) })
        }
        "other-family-source" => {
            let (symptom, mut evidence) =
                connect_to("[::ffff:198.51.100.20]:7", Errno::ENETUNREACH);
            evidence.source = Some("::1".parse().unwrap());
            (symptom, evidence)
        }
        "no-ipv6" => {
            let (symptom, mut evidence) = connect_to("[::1]:7", Errno::EADDRNOTAVAIL);
            evidence.stack.v6_addresses = Some(0);
            (symptom, evidence)
        }
        "loopback-down" => {
            let (symptom, mut evidence) = connect_to("127.0.0.1:7", Errno::ETIMEDOUT);
            evidence.stack.loopback_up = Some(false);
            (symptom, evidence)
        }
        "no-source-address" => (connect(Errno::EADDRNOTAVAIL).0, routed(Errno::EADDRNOTAVAIL)),
        "pair-taken" => {
            let local = Some("192.0.2.10:40000".parse().unwrap());
            (connect(Errno::EADDRNOTAVAIL).0, Evidence { local, ..evidence(Phase::Connect) })
        }
        "ports-exhausted" => {
            let mut full = evidence(Phase::Connect);
            full.kernel.port_range = Some((50000, 50003));
            full.towards = Some(Towards { sockets: 4, time_wait: 1, or_more: false });
            (connect(Errno::EADDRNOTAVAIL).0, full)
        }
        "no-free-port" => connect(Errno::EADDRNOTAVAIL),
        "no-route" => (connect(Errno::ENETUNREACH).0, routed(Errno::ENETUNREACH)),
        "unreachable-route" => (connect(Errno::EHOSTUNREACH).0, routed(Errno::EHOSTUNREACH)),
        "prohibit-route" => (connect(Errno::EACCES).0, routed(Errno::EACCES)),
        "blackhole-route" => (connect(Errno::EINVAL).0, routed(Errno::EINVAL)),
        "interface-down" => connect(Errno::ENETDOWN),
        "interface-gone" => connect(Errno::ENODEV),
        "interrupted" => connect(Errno::EINTR),
        "neighbour-silent" => icmp(3, 1, Errno::EHOSTUNREACH, OURS),
        "own-firewall" => icmp(3, 3, Errno::ECONNREFUSED, OURS),
        "prohibited" => icmp(3, 13, Errno::EHOSTUNREACH, ROUTER),
        "port-rejected" => icmp(3, 3, Errno::ECONNREFUSED, ROUTER),
        "no-tcp" => icmp(3, 2, Errno::ENOPROTOOPT, ROUTER),
        "network-unreachable" => icmp(3, 0, Errno::ENETUNREACH, ROUTER),
        "host-unreachable" => icmp(3, 1, Errno::EHOSTUNREACH, ROUTER),
        "routing-loop" => icmp(11, 0, Errno::EHOSTUNREACH, ROUTER),
        "malformed" => icmp(12, 0, Errno::EPROTO, ROUTER),
        "own-rule" => connect(Errno::EPERM),
        "refused-by-rule" => connect(Errno::EACCES),
        "nobody-listens-here" | "rejected-here" => {
            let (symptom, mut evidence) = connect_to("127.0.0.1:7", Errno::ECONNREFUSED);
            evidence.stack.listens = Some(word == "rejected-here");
            (symptom, evidence)
        }
        "nobody-listens" => connect(Errno::ECONNREFUSED),
        "own-firewall-drops" => {
            let own_drops = Some(1);
            (connect(Errno::ETIMEDOUT).0, Evidence { own_drops, ..evidence(Phase::Connect) })
        }
        "no-answer" => connect(Errno::ETIMEDOUT),
        "reset-in-handshake" => connect(Errno::ECONNRESET),
        "route-lost" => {
            let gone = Evidence { phase: Phase::Receive, ..routed(Errno::ENETUNREACH) };
            (failed("recv", Errno::EHOSTUNREACH), gone)
        }
        "turned-back-network" => (failed("recv", Errno::ENETUNREACH), evidence(Phase::Receive)),
        "turned-back-by-rule" => (failed("recv", Errno::EACCES), evidence(Phase::Receive)),
        "turned-back" => (failed("recv", Errno::EHOSTUNREACH), evidence(Phase::Receive)),
        "rejected-port" => (failed("send", Errno::ECONNREFUSED), evidence(Phase::Send)),
        "fin-then-rst" => (Symptom::EndOfFile, talk(Close, 4, 4, |_| ())),
        "closed-while-idle" => (Symptom::EndOfFile, talk(CloseWait, 4, 4, |_| ())),
        "closed-early" => (Symptom::EndOfFile, talk(CloseWait, 9, 4, |_| ())),
        "never-accepted" => {
            (failed("recv", Errno::ECONNRESET), talk(Close, 4, 0, |tcp| tcp.total_retrans = 2))
        }
        "reset-at-once" => (failed("recv", Errno::ECONNRESET), talk(Close, 0, 0, |_| ())),
        "connection-unknown" => {
            let rebooted = talk(Close, 9, 4, |tcp| tcp.last_data_sent_ms = 20);
            (failed("recv", Errno::ECONNRESET), rebooted)
        }
        "reset-by-process" => (failed("recv", Errno::ECONNRESET), talk(Close, 4, 4, |_| ())),
        "broken-pipe" => (failed("send", Errno::EPIPE), talk(Close, 4, 4, |_| ())),
        "never-accepted-silent" => (SILENCE, talk(Established, 4, 0, |tcp| tcp.segs_in = Some(2))),
        "does-not-close" => {
            let whole = talk(FinWait2, 4, 4, |_| ());
            (SILENCE, Evidence { fin_sent: true, ..whole })
        }
        "still-open" => {
            let whole = talk(FinWait2, 4, 4, |_| ());
            (SILENCE, Evidence { fin_sent: true, echo: false, ..whole })
        }
        "silent-after-fin" => {
            let late = talk(Close, 4, 4, |_| ());
            (failed("send", Errno::ETIMEDOUT), Evidence { peer_fin: true, ..late })
        }
        "keepalive-timeout" => (failed("recv", Errno::ETIMEDOUT), talk(Close, 4, 4, |_| ())),
        "window-closed" => (SILENCE, talk(Established, 9, 4, |tcp| tcp.snd_wnd = Some(0))),
        "window-closed-silent" => (SILENCE, probed(3, 3, 2000)),
        "large-packets-lost" => {
            (failed("recv", Errno::ETIMEDOUT), talk(Close, 3000, 4, |tcp| tcp.snd_mss = 1448))
        }
        "path-cut" => (SILENCE, talk(Established, 9, 4, |tcp| tcp.retransmits = 3)),
        "probes-unanswered" => {
            let hangs = talk(Established, 4, 4, |tcp| tcp.probes = 2);
            (SILENCE, Evidence { returned: 0, ..hangs })
        }
        "answer-lost" => {
            let hangs = talk(Established, 4, 4, |tcp| tcp.rcv_ooopack = Some(3));
            (SILENCE, Evidence { returned: 0, ..hangs })
        }
        "waits-for-newline" => {
            let hangs = talk(Established, 4, 4, |_| ());
            (SILENCE, Evidence { returned: 0, unfinished_line: true, ..hangs })
        }
        "partly-answered" => {
            let slow = talk(Established, 9, 9, |_| ());
            (SILENCE, Evidence { returned: 4, received: 4, partial_answer: true, ..slow })
        }
        "not-served" => {
            let hangs = talk(Established, 4, 4, |_| ());
            (SILENCE, Evidence { returned: 0, received: 0, ..hangs })
        }
        "server-hangs" => {
            let hangs = talk(Established, 4, 4, |_| ());
            (SILENCE, Evidence { returned: 0, ..hangs })
        }
        "not-acknowledged-yet" => (SILENCE, talk(Established, 9, 4, |_| ())),
        "host-unreachable-unexplained" => connect(Errno::EHOSTDOWN),
        "network-unreachable-unexplained" => connect(Errno::ENETUNREACH),
        "local-error" => connect(Errno::EISCONN),
        "no-echo" => different(0),
        "altered" => different(3),
        _ => panic!("no example of {word}"),
    }
}

fn different(offset: u64) -> (Symptom, Evidence) {
    (Symptom::Different { words: "x for y".into(), offset }, evidence(Phase::Receive))
}

#[test]
fn every_row_is_found_by_its_example() {
    for case in CASES {
        let (symptom, evidence) = example(case.word);
        let diagnosis = Diagnosis::of(&symptom, &evidence);
        assert_eq!((diagnosis.case, diagnosis.ending), (case.word, case.ending), "{symptom:?}");
        assert_eq!(diagnosis.cause.starts_with("probably "), !case.certain);
        for text in [&diagnosis.seen, &diagnosis.cause, &diagnosis.advice] {
            assert!(!text.is_empty() && !text.contains(['{', '}']), "{text}");
            assert!(!text.ends_with('.'), "{text}");
        }
    }
}

#[test]
fn words_are_told_apart_and_kebab() {
    let words: HashSet<&str> = CASES.iter().map(|case| case.word).collect();
    assert_eq!(words.len(), CASES.len());
    assert!(words.iter().all(|word| {
        word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }));
}

/// Every code of RFC 792, 1122, 1812 and 4443, with the errno that Linux makes of it.
#[test]
fn every_icmp_code_has_a_case_of_its_kind() {
    use Errno as E;
    let (v4, v6) = (ROUTER, "2001:db8:ffff::1");
    for (kind, code, errno, from, case) in [
        (3, 0, E::ENETUNREACH, v4, "network-unreachable"),
        (3, 1, E::EHOSTUNREACH, v4, "host-unreachable"),
        (3, 2, E::ENOPROTOOPT, v4, "no-tcp"),
        (3, 3, E::ECONNREFUSED, v4, "port-rejected"),
        (3, 5, E::EOPNOTSUPP, v4, "host-unreachable"),
        (3, 6, E::ENETUNREACH, v4, "network-unreachable"),
        (3, 7, E::EHOSTDOWN, v4, "host-unreachable"),
        (3, 8, E::ENONET, v4, "host-unreachable"),
        (3, 9, E::ENETUNREACH, v4, "prohibited"),
        (3, 10, E::EHOSTUNREACH, v4, "prohibited"),
        (3, 11, E::ENETUNREACH, v4, "network-unreachable"),
        (3, 12, E::EHOSTUNREACH, v4, "host-unreachable"),
        (3, 13, E::EHOSTUNREACH, v4, "prohibited"),
        (3, 14, E::EHOSTUNREACH, v4, "prohibited"),
        (3, 15, E::EHOSTUNREACH, v4, "prohibited"),
        (11, 0, E::EHOSTUNREACH, v4, "routing-loop"),
        (12, 0, E::EPROTO, v4, "malformed"),
        (1, 0, E::ENETUNREACH, v6, "network-unreachable"),
        (1, 1, E::EACCES, v6, "prohibited"),
        (1, 2, E::EHOSTUNREACH, v6, "host-unreachable"),
        (1, 3, E::EHOSTUNREACH, v6, "host-unreachable"),
        (1, 4, E::ECONNREFUSED, v6, "port-rejected"),
        (1, 5, E::EACCES, v6, "prohibited"),
        (1, 6, E::EACCES, v6, "prohibited"),
        (3, 0, E::EHOSTUNREACH, v6, "routing-loop"),
        (4, 0, E::EPROTO, v6, "malformed"),
        (4, 1, E::EPROTO, v6, "malformed"),
    ] {
        let (symptom, evidence) = icmp(kind, code, errno, from);
        let diagnosis = Diagnosis::of(&symptom, &evidence);
        assert_eq!(diagnosis.case, case, "{kind}/{code} from {from}");
        let protocol = if from == v6 { "ICMPv6 " } else { "ICMP " };
        let (_, told) = diagnosis.seen.split_once(protocol).expect(&diagnosis.seen);
        let (name, _) = told.split_once(&format!(" ({kind}/{code}) came from {from}")).expect(told);
        assert!(name.len() > 5 && !name.contains("error"), "{name}");
    }
}

/// It stays nameless, and its numbers say what it is.
#[test]
fn an_icmp_error_of_no_row_is_told_by_its_numbers() {
    for (from, protocol) in [(ROUTER, "ICMP"), ("2001:db8::1", "ICMPv6")] {
        let (symptom, evidence) = icmp(77, 6, Errno::EHOSTUNREACH, from);
        let seen = Diagnosis::of(&symptom, &evidence).seen;
        assert!(seen.contains(&format!(" {protocol} error (77/6) came from {from}")), "{seen}");
    }
}

/// RFC 9293 3.10.7.4: an end of file and then a reset, or nothing after the end of file.
#[test]
fn a_reset_after_the_fin_is_told_where_there_was_one() {
    let told = |symptom: Symptom, state, send_error| {
        let evidence = Evidence { send_error, ..talk(state, 9, 4, |_| ()) };
        Diagnosis::of(&symptom, &evidence).seen.contains("RST came after the FIN")
    };
    assert!(told(Symptom::EndOfFile, TcpState::Close, None));
    assert!(told(Symptom::EndOfFile, TcpState::CloseWait, Some(Errno::EPIPE)));
    assert!(!told(Symptom::EndOfFile, TcpState::CloseWait, None));
    assert!(!told(failed("recv", Errno::ECONNRESET), TcpState::Close, None));
}

#[test]
fn a_router_s_old_word_does_not_explain_another_errno() {
    let (_, evidence) = icmp(3, 1, Errno::EHOSTUNREACH, ROUTER);
    let diagnosis = Diagnosis::of(&failed("connect", Errno::ECONNREFUSED), &evidence);
    assert_eq!(diagnosis.case, "nobody-listens");
    // But a wait that ended without another word is explained by it.
    let diagnosis = Diagnosis::of(&failed("connect", Errno::ETIMEDOUT), &evidence);
    assert_eq!(diagnosis.case, "host-unreachable");
}

#[test]
fn an_errno_without_evidence_keeps_the_ending_of_the_table_of_endings() {
    for (phase, errno, ending) in [
        (Phase::Connect, Errno::EHOSTUNREACH, Ending::HostUnreachable),
        (Phase::Connect, Errno::ENONET, Ending::HostUnreachable),
        (Phase::Connect, Errno::ENETUNREACH, Ending::NetworkUnreachable),
        (Phase::Connect, Errno::EINTR, Ending::Interrupted),
        (Phase::Receive, Errno::ENOTCONN, Ending::LocalError),
    ] {
        let op = if phase == Phase::Connect { "connect" } else { "recv" };
        let bare = Evidence { phase, peer: PEER.parse().ok(), ..Evidence::default() };
        let diagnosis = Diagnosis::of(&failed(op, errno), &bare);
        assert_eq!(diagnosis.ending, ending);
        assert!(!diagnosis.advice.contains(['{', '}']), "{}", diagnosis.advice);
        // An errno alone is no certainty, whatever it usually means.
        assert!(!diagnosis.certain || errno == Errno::EINTR, "{errno:?}");
    }
}

/// Only what has an errno of its own in the kernel's table counts: ICMP 3/8 is about a host, with its name and without it.
#[test]
fn an_icmp_error_has_one_ending_whether_the_queue_tells_of_it_or_not() {
    for (code, errno) in [
        (0, Errno::ENETUNREACH),
        (1, Errno::EHOSTUNREACH),
        (5, Errno::EOPNOTSUPP),
        (6, Errno::ENETUNREACH),
        (7, Errno::EHOSTDOWN),
        (8, Errno::ENONET),
        (11, Errno::ENETUNREACH),
        (12, Errno::EHOSTUNREACH),
    ] {
        let (symptom, told) = icmp(3, code, errno, ROUTER);
        let queue = Diagnosis::of(&symptom, &told).ending;
        assert_eq!(queue, Ending::of_connect(errno), "3/{code}");
        assert_eq!(queue, Ending::of_established(errno), "3/{code}");
    }
}

#[test]
fn our_fin_is_not_a_byte() {
    let seen = |queued, fin_sent| {
        let evidence =
            Evidence { queued: Some(queued), fin_sent, ..talk(TcpState::FinWait1, 9, 4, |_| ()) };
        Diagnosis::of(&SILENCE, &evidence).seen
    };
    assert!(seen(5, false).contains("; 5 bytes of ours are not acknowledged;"));
    assert!(seen(6, true).contains("; 5 bytes of ours and our FIN are not acknowledged;"));
    assert!(seen(1, true).contains("; our FIN is not acknowledged;"));
    assert!(!seen(0, true).contains("acknowledged"));
}

/// Full-sized segments that were acknowledged before say that large packets pass.
#[test]
fn what_was_acknowledged_decides_between_a_cut_and_lost_large_packets() {
    let case = |written, acknowledged, delivered| {
        let mut evidence =
            talk(TcpState::Established, written, acknowledged, |tcp| tcp.retransmits = 3);
        if let Some(tcp) = &mut evidence.tcp {
            (tcp.delivered, tcp.unacked) = (Some(delivered), 2);
        }
        Diagnosis::of(&SILENCE, &evidence).case
    };
    assert_eq!(case(2896, 0, 1), "large-packets-lost", "nothing but the handshake");
    assert_eq!(
        case(5000 + 2896, 5000, 1001),
        "large-packets-lost",
        "a thousand lines of five bytes"
    );
    assert_eq!(case(14480 + 2896, 14480, 11), "path-cut", "ten full segments");
    assert_eq!(case(10, 0, 1), "path-cut", "small ones are outstanding");
}

/// A kernel answers at most one window probe in half a second (net.ipv4.tcp_invalid_ratelimit). With a retransmission
/// timeout of 200 ms, probes go out 0.2, 0.6, 1.4 and 3.0 s after the last acknowledgement, and later ones are further apart
/// after an answer.
#[test]
fn an_unanswered_window_probe_does_not_mean_a_dead_peer() {
    let case = |unanswered, backoff, ago_ms| {
        Diagnosis::of(&SILENCE, &probed(unanswered, backoff, ago_ms)).case
    };
    for (unanswered, backoff, ago_ms) in [
        // The peer does not answer the first one, and the second is on its way.
        (1, 1, 500),
        (1, 2, 800),
        (2, 2, 620),
        // One of those that were due may be lost.
        (2, 2, 1300),
        (1, 3, 1000),
        (1, 6, 20_000),
        // The third one was sent a moment ago.
        (3, 3, 1450),
    ] {
        let told = (unanswered, backoff, ago_ms);
        assert_eq!(case(unanswered, backoff, ago_ms), "window-closed", "{told:?}");
        let seen = Diagnosis::of(&SILENCE, &probed(unanswered, backoff, ago_ms)).seen;
        assert!(seen.contains("not answered (a kernel may answer one in 0.5 s)"), "{seen}");
    }
    for (unanswered, backoff, ago_ms) in
        [(3, 3, 1700), (2, 4, 2700), (4, 4, 3300), (15, 15, 99_999)]
    {
        let told = (unanswered, backoff, ago_ms);
        assert_eq!(case(unanswered, backoff, ago_ms), "window-closed-silent", "{told:?}");
    }
}

/// The limit of the client may come just when the first probe was sent.
#[test]
fn a_keepalive_probe_counts_once_its_answer_is_late() {
    let case = |probes, ago_ms, idle| {
        let mut hangs = talk(TcpState::Established, 4, 4, |_| ());
        if let Some(tcp) = &mut hangs.tcp {
            (tcp.probes, tcp.last_ack_recv_ms) = (probes, ago_ms);
        }
        let second = Duration::from_secs(1);
        let keepalive = crate::Keepalive { idle: second * idle, interval: second, count: 9 };
        let diagnosis =
            Diagnosis::of(&SILENCE, &Evidence { returned: 0, keepalive: Some(keepalive), ..hangs });
        let told = diagnosis.seen.contains("not answered");
        assert_eq!(told, diagnosis.case == "probes-unanswered", "{}", diagnosis.seen);
        diagnosis.case
    };
    assert_eq!(case(1, 3010, 3), "server-hangs");
    assert_eq!(case(1, 3210, 3), "probes-unanswered");
    assert_eq!(case(2, 4010, 3), "probes-unanswered");
}

/// A host does not reboot, and a NAT does not forget, within a moment of an acknowledgement.
#[test]
fn a_reset_soon_after_an_acknowledgement_comes_from_one_that_knows_the_connection() {
    let case = |elapsed_ms, written, acknowledged, quiet_ms: u32| {
        let mut evidence = talk(TcpState::Close, written, acknowledged, |_| ());
        (evidence.received, evidence.returned) = (0, 0);
        evidence.elapsed = Duration::from_millis(elapsed_ms);
        if let Some(tcp) = &mut evidence.tcp {
            // The RST came 20 ms after what was sent last.
            (tcp.last_ack_recv_ms, tcp.last_data_sent_ms) = (20 + quiet_ms, 20);
        }
        Diagnosis::of(&failed("recv", Errno::ECONNRESET), &evidence).case
    };
    assert_eq!(case(0, 6, 0, 0), "reset-at-once");
    assert_eq!(case(0, 6, 3, 0), "reset-by-process");
    assert_eq!(case(60_000, 6, 3, 199), "reset-by-process");
    assert_eq!(case(60_000, 6, 3, 200), "connection-unknown");
    // Typed a minute after the handshake.
    assert_eq!(case(60_000, 6, 0, 60_000), "connection-unknown");
    assert_eq!(case(2900, 0, 0, 2900), "reset-at-once");
    assert_eq!(case(3000, 0, 0, 3000), "reset-by-process");
    // It was served, or was idle for long.
    assert_eq!(case(60_000, 0, 0, 60_000), "reset-by-process");
}

#[test]
fn the_attempt_that_tells_most_stands_for_all() {
    let attempt = |peer: &str, errno, stack: fn(&mut Evidence)| {
        let (addr, mut known) = (peer.parse().unwrap(), Evidence::default());
        stack(&mut known);
        crate::Attempt::of(addr, Error::at("connect", addr, errno), Duration::ZERO, known)
    };
    let refused = attempt("127.0.0.1:7", Errno::ECONNREFUSED, |_| ());
    let silent = attempt(PEER, Errno::ETIMEDOUT, |_| ());
    let no_ipv6 = attempt("[::1]:7", Errno::EADDRNOTAVAIL, |known| {
        known.stack.v6_addresses = Some(0);
    });
    let full = attempt(PEER, Errno::EADDRNOTAVAIL, |_| ());
    assert_eq!(no_ipv6.diagnosis.case, "no-ipv6");
    for (attempts, ending) in [
        (vec![&refused, &no_ipv6], Ending::Refused),
        (vec![&no_ipv6, &refused], Ending::Refused),
        (vec![&silent, &no_ipv6], Ending::ConnectTimeout),
        (vec![&refused, &silent], Ending::Refused),
        (vec![&full, &no_ipv6], Ending::NoLocalPort),
        (vec![&no_ipv6], Ending::NetworkUnreachable),
    ] {
        let attempts: Vec<_> = attempts.into_iter().cloned().collect();
        let most = crate::Attempt::most_informative(&attempts);
        assert_eq!(most.map(|attempt| attempt.ending), Some(ending));
    }
    assert!(crate::Attempt::most_informative(&[]).is_none());
}

#[test]
fn numbers_are_filled_in() {
    let (symptom, towards) = example("ports-exhausted");
    let diagnosis = Diagnosis::of(&symptom, &towards);
    let ports = "(50000 to 50003, 4 ports; 4 sockets go there, 1 in TIME_WAIT)";
    assert!(diagnosis.cause.contains(ports), "{}", diagnosis.cause);
}

#[test]
fn the_kernel_s_own_limit_is_reported_beside_ours() {
    let mut late = talk(TcpState::SynSent, 0, 0, |tcp| tcp.total_retrans = 3);
    late.phase = Phase::Connect;
    late.deadline = Some(Duration::from_secs(10));
    late.kernel.syn_retries = Some(6);
    late.kernel.syn_linear_timeouts = Some(4);
    let diagnosis = Diagnosis::of(&failed("connect", Errno::ETIMEDOUT), &late);
    let told = "4 SYNs were sent; the kernel would have waited 131 s";
    assert!(diagnosis.seen.ends_with(told), "{}", diagnosis.seen);
}

#[test]
fn a_measured_time_is_rounded_and_nothing_sent_is_not_a_fraction() {
    let silence = Symptom::Silence(Duration::from_nanos(998_353_581));
    let seen = Diagnosis::of(&silence, &talk(TcpState::Established, 9, 4, |_| {})).seen;
    assert!(seen.contains(": no byte moved for 998.4ms; 4 of 9 bytes had come back; "), "{seen}");
    let reset = failed("recv", Errno::ECONNRESET);
    let seen = Diagnosis::of(&reset, &talk(TcpState::Close, 0, 0, |_| {})).seen;
    assert!(seen.ends_with("(ECONNRESET); nothing had been sent"), "{seen}");
    let fin_sent =
        Evidence { fin_sent: true, queued: Some(1), ..talk(TcpState::Close, 0, 0, |_| {}) };
    let seen = Diagnosis::of(&reset, &fin_sent).seen;
    assert!(seen.contains("; nothing but our FIN had been sent; our FIN is not ack"), "{seen}");
}

#[test]
fn no_advice_names_an_option_of_a_program() {
    let rows = CASES.iter().map(|case| (case.word, case.advice));
    let endings = crate::ending::ENDINGS.iter().map(|row| (row.word, row.advice));
    for (word, advice) in rows.chain(endings) {
        assert!(!advice.contains("--"), "{word}: {advice}");
    }
}
