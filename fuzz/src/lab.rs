//! What the lab reads: rules, its shell's lines, command lines, expectations, and packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tcpecho_cli::fuzzing::{self, Line};
use tcpecho_lab::{
    Family, Flags, IcmpError, Matcher, Packet, Rule, Side,
    packet::{self as packets, Flows, Segment, layers},
    trial::CommandLine,
};

use crate::{accepted, check_sentence, text};

/// A rule, or the packets of one: what is written is read as the same.
pub fn rule(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Some(rule) = accepted(text.parse::<Rule>(), text.len()) {
        let written = rule.to_string();
        check_sentence(&written, text.len());
        assert_eq!(written.parse::<Rule>().map(|rule| rule.to_string()), Ok(written));
    }
    let Some(matcher) = accepted(text.parse::<Matcher>(), text.len()) else { return };
    let written = matcher.to_string();
    check_sentence(&written, text.len());
    let again: Matcher = written.parse().unwrap_or_else(|error| panic!("{written:?}: {error}"));
    assert_eq!(again.to_string(), written);
    for packet in some_packets() {
        for side in Side::BOTH {
            assert_eq!(matcher.matches(side, &packet), again.matches(side, &packet), "{written}");
        }
    }
}

fn some_packets() -> Vec<Packet> {
    let v4 = |host| SocketAddr::from((Ipv4Addr::new(192, 0, 2, host), 7));
    let v6 = |host| SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host), 7));
    let segments = [
        (Flags::SYN, &b""[..]),
        (Flags::SYN | Flags::ACK, b""),
        (Flags::ACK, b""),
        (Flags::ACK, b"a \"b\"\\\n"),
        (Flags::RST, b""),
        (Flags::FIN | Flags::ACK, b"x"),
    ];
    let mut all = Vec::new();
    for (flags, payload) in segments {
        let segment = Segment { flags, payload: payload.to_vec(), ..Segment::default() };
        all.push(packets::segment(v4(1), v4(2), &segment));
        all.push(packets::segment(v6(1), v6(2), &segment));
    }
    all.iter().map(|bytes| Packet::parse(bytes).expect("a packet of our own")).collect()
}

/// A script for the lab's shell, line by line.
pub fn shell(data: &[u8]) {
    let Some(text) = text(data) else { return };
    for line in text.lines() {
        match accepted(fuzzing::shell_line(line), line.len()) {
            Some(Line::Rule(written)) => {
                check_sentence(&written, line.len());
                assert_eq!(fuzzing::shell_line(&written), Ok(Line::Rule(written.clone())));
            }
            // Blanks around a line mean nothing.
            Some(other) => assert_eq!(fuzzing::shell_line(&format!(" {line}\t")), Ok(other)),
            None => {}
        }
    }
}

/// The command line of somebody's program.
pub fn command(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Some(command) = accepted(CommandLine::parse(text), text.len()) else { return };
    for family in [Family::V4, Family::V6] {
        let words = command.words(family, 7);
        assert!(!words.is_empty());
        let length: usize = words.iter().map(String::len).sum();
        // `{any}` is replaced by 40 bytes at most.
        assert!(length <= 32 + 10 * text.len(), "{length} bytes");
        if words[0] != "/bin/sh" {
            // Nothing that only a shell could do is left in a text without quotes.
            let plain = !text.contains(['\'', '"', '\\']);
            assert!(!plain || !text.contains(['|', '&', ';', '<', '>', '$', '`']), "{words:?}");
        }
    }
}

/// A file of expected verdicts.
pub fn expectations(data: &[u8]) {
    const KNOWN: [&str; 3] = ["refused", "half-close", "backlog-full"];
    let Some(text) = text(data) else { return };
    let Some(all) = accepted(fuzzing::expectations(text, &KNOWN), text.len()) else { return };
    assert_eq!(all.len(), KNOWN.len());
    let lines: String = all.iter().map(|(name, verdict)| format!("{name} {verdict}\n")).collect();
    assert_eq!(fuzzing::expectations(&lines, &KNOWN), Ok(all));
}

/// A packet, and whatever the wire makes of it.
pub fn packet(data: &[u8]) {
    let Some(packet) = accepted(Packet::parse(data), data.len()) else { return };
    assert_eq!(packet.bytes(), data);
    let payload = packet.payload();
    assert_eq!(payload.len(), packet.tcp().map_or(0, |tcp| tcp.payload));
    assert!(packet.tcp().is_none_or(|tcp| tcp.sack.len() <= 5), "more SACK blocks than fit");
    let mut flows = Flows::default();
    for _ in 0..2 {
        let line = flows.line(&packet);
        check_sentence(&line, 0);
    }
    let _ = packet.is_noise();
    for layer in layers(&packet) {
        for (name, value) in layer.fields {
            check_sentence(name, 1);
            assert!(value.chars().all(|letter| !letter.is_control()), "{name}: {value:?}");
        }
    }

    let mut repaired = data.to_vec();
    packets::repair(&mut repaired);
    assert!(packets::are_right(&repaired), "wrong checksums after the repair");
    let repaired = Packet::parse(&repaired).expect("a repaired packet");
    assert_eq!((repaired.source, repaired.destination), (packet.source, packet.destination));

    for made in [packets::reset_receiver(&packet), packets::reset_sender(&packet)] {
        assert_eq!(made.is_some(), packet.tcp().is_some());
        let Some(made) = made else { continue };
        assert!(packets::are_right(&made));
        let reset = Packet::parse(&made).expect("a reset of our own");
        assert!(reset.tcp().is_some_and(|tcp| tcp.flags.has(Flags::RST) && tcp.payload == 0));
    }
    let router = match packet.source {
        IpAddr::V4(_) => IpAddr::from([192, 0, 2, 1]),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
    };
    for error in [IcmpError::HostUnreachable, IcmpError::TooBig(1280), IcmpError::SourceQuench] {
        let Some(made) = packets::icmp_error(router, &packet, error) else { continue };
        assert!(made.len() <= if packet.source.is_ipv4() { 576 } else { 1280 });
        assert!(packets::are_right(&made));
        let answer = Packet::parse(&made).expect("an error of our own");
        let icmp = answer.icmp().expect("an ICMP message");
        assert!(icmp.is_error());
        if let Some(tcp) = packet.tcp() {
            let quoted = (tcp.source_port, tcp.destination_port, tcp.seq);
            assert_eq!(icmp.about, Some(quoted));
        }
        check_sentence(&flows.line(&answer), 0);
    }
}
