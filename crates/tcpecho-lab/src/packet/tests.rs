use proptest::prelude::*;

use super::*;
use crate::Side;

fn ends(v6: bool) -> (SocketAddr, SocketAddr) {
    let (client, server) = if v6 {
        ("[2001:db8::1]:5000", "[2001:db8::2]:7")
    } else {
        ("192.0.2.1:5000", "198.51.100.2:7")
    };
    (client.parse().unwrap(), server.parse().unwrap())
}

fn made(v6: bool, flags: Flags, seq: u32, ack: u32, payload: &[u8]) -> Packet {
    let (client, server) = ends(v6);
    let made =
        Segment { seq, ack, flags, window: 100, payload: payload.to_vec(), ..Segment::default() };
    Packet::parse(&segment(client, server, &made)).unwrap()
}

#[test]
fn built_packets_are_parsed_and_have_correct_checksums() {
    for v6 in [false, true] {
        let packet = made(v6, Flags::PSH | Flags::ACK, 7, 9, b"odd");
        assert_eq!(packet.ends(), Some(ends(v6)));
        assert_eq!((packet.payload(), packet.tcp().unwrap().end()), (&b"odd"[..], 10));
        assert!(are_right(packet.bytes()));
        for position in 0..packet.bytes().len() {
            let mut hurt = packet.bytes().to_vec();
            hurt[position] ^= 1;
            // The IPv6 header has no checksum: its flow label, traffic class and hop limit are not
            // protected, and with an unknown next header the checksum's place is unknown.
            let unprotected = v6 && matches!(position, 0..=3 | 6 | 7);
            assert!(unprotected || !are_right(&hurt), "byte {position}");
        }
        let mut bytes = packet.bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 0x55;
        repair(&mut bytes);
        assert!(are_right(&bytes));
    }
}

#[test]
fn a_built_segment_has_its_options() {
    let (client, server) = ends(false);
    // Timestamps, RFC 7323 3.2; ten bytes are padded to twelve.
    let options = [8, 10, 0, 0, 0, 7, 0, 0, 0, 9].to_vec();
    let flags = Flags::PSH | Flags::ACK;
    let made = Segment { flags, payload: b"odd".to_vec(), options, ..Segment::default() };
    let packet = Packet::parse(&segment(client, server, &made)).unwrap();
    assert_eq!(packet.tcp().unwrap().timestamps, Some((7, 9)));
    assert_eq!(packet.payload(), b"odd");
    assert!(are_right(packet.bytes()));
    let options = vec![1; 60];
    let longest = segment(client, server, &Segment { options, ..Segment::default() });
    assert_eq!(longest.len(), 20 + 60);
}

#[test]
fn a_conversation_in_lines() {
    let mut flows = Flows::default();
    let (client, server) = ends(false);
    assert_eq!(flows.line(&made(false, Flags::SYN, 1000, 0, b"")), "SYN seq=0 win=100");
    let answer = Segment {
        seq: u32::MAX,
        ack: 1001,
        flags: Flags::SYN | Flags::ACK,
        window: 5,
        ..Segment::default()
    };
    let answer = Packet::parse(&segment(server, client, &answer)).unwrap();
    assert_eq!(flows.line(&answer), "SYN-ACK seq=0 ack=1 win=5");
    let data = made(false, Flags::PSH | Flags::ACK, 1001, 0, b"hello");
    assert_eq!(flows.line(&data), "PSH-ACK seq=1 ack=1 win=100 len=5");
    let reset = Packet::parse(&reset_sender(&data).unwrap()).unwrap();
    assert_eq!(flows.line(&reset), "RST-ACK seq=1 ack=6");
    let reset = Packet::parse(&reset_receiver(&data).unwrap()).unwrap();
    assert_eq!(flows.line(&reset), "RST-ACK seq=6 ack=1");
    let router = "203.0.113.1".parse().unwrap();
    let error = icmp_error(router, &data, IcmpError::TooBig(600)).unwrap();
    let error = Packet::parse(&error).unwrap();
    assert_eq!(flows.line(&error), "ICMP packet too big, mtu 600 about seq=1");
    assert!(are_right(error.bytes()));
}

/// A conversation, as the wire sees it: what each segment is called after the one before.
#[test]
fn segments_are_named_by_the_segments_before_them() {
    let mut talk = Talk::default();
    talk.says(Side::Client, "S", 0, 0, 100, 0, &[], "SYN seq=0 win=100");
    talk.says(Side::Client, "S", 0, 0, 100, 0, &[], "SYN seq=0 win=100, retransmission");
    talk.says(Side::Server, "SA", 0, 1, 90, 0, &[], "SYN-ACK seq=0 ack=1 win=90");
    talk.says(Side::Server, "SA", 0, 1, 90, 0, &[], "SYN-ACK seq=0 ack=1 win=90, retransmission");
    talk.says(Side::Client, "A", 1, 1, 100, 0, &[], "ACK seq=1 ack=1 win=100");
    // A keepalive probe before any data, and its answer.
    talk.says(Side::Client, "A", 0, 1, 100, 0, &[], "ACK seq=0 ack=1 win=100, probe");
    // The first window in the unit of the connection: not comparable with that of the SYN-ACK.
    talk.says(Side::Server, "A", 1, 1, 95, 0, &[], "ACK seq=1 ack=1 win=95");
    talk.says(Side::Client, "A", 1, 1, 100, 3, &[], "ACK seq=1 ack=1 win=100 len=3");
    talk.says(Side::Client, "A", 4, 1, 100, 3, &[], "ACK seq=4 ack=1 win=100 len=3");
    let duplicate = "ACK seq=1 ack=1 win=95 sack=4-7, duplicate ACK";
    talk.says(Side::Server, "A", 1, 1, 95, 0, &[(4, 7)], duplicate);
    // The same block again tells nothing new, and says nothing about the window.
    talk.says(Side::Server, "A", 1, 1, 96, 0, &[(4, 7)], "ACK seq=1 ack=1 win=96 sack=4-7");
    let again = "ACK seq=1 ack=1 win=100 len=3, retransmission";
    talk.says(Side::Client, "A", 1, 1, 100, 3, &[], again);
    talk.says(Side::Server, "A", 1, 7, 96, 0, &[], "ACK seq=1 ack=7 win=96");
    // Nothing is outstanding: no duplicate ACK (RFC 5681 2).
    talk.says(Side::Server, "A", 1, 7, 96, 0, &[], "ACK seq=1 ack=7 win=96");
    talk.says(Side::Server, "A", 1, 7, 96, 0, &[(1, 4)], "ACK seq=1 ack=7 win=96 dsack=1-4");
    talk.says(Side::Client, "A", 7, 1, 100, 5, &[], "ACK seq=7 ack=1 win=100 len=5");
    talk.says(Side::Server, "A", 1, 7, 96, 0, &[], "ACK seq=1 ack=7 win=96, duplicate ACK");
    talk.says(Side::Server, "A", 1, 12, 0, 0, &[], "ACK seq=1 ack=12 win=0, zero window");
    talk.says(Side::Client, "A", 11, 1, 100, 0, &[], "ACK seq=11 ack=1 win=100, probe");
    talk.says(Side::Server, "A", 1, 12, 50, 0, &[], "ACK seq=1 ack=12 win=50, window update");
    let partly = "FIN-ACK seq=7 ack=1 win=100 len=5, partly retransmission";
    talk.says(Side::Client, "FA", 7, 1, 100, 5, &[], partly);
    let again = "FIN-ACK seq=12 ack=1 win=100, retransmission";
    talk.says(Side::Client, "FA", 12, 1, 100, 0, &[], again);
    talk.says(Side::Client, "RA", 13, 1, 0, 0, &[], "RST-ACK seq=13 ack=1");
}

/// After a SYN with another sequence number, nothing is known of the connection.
#[test]
fn a_new_connection_between_the_same_ends_is_not_mistaken_for_the_old_one() {
    let mut talk = Talk::default();
    talk.says(Side::Client, "S", 0, 0, 100, 0, &[], "SYN seq=0 win=100");
    talk.says(Side::Server, "SA", 0, 1, 90, 0, &[], "SYN-ACK seq=0 ack=1 win=90");
    talk.says(Side::Client, "A", 1, 1, 100, 9, &[], "ACK seq=1 ack=1 win=100 len=9");
    talk.says(Side::Server, "A", 1, 1, 90, 0, &[], "ACK seq=1 ack=1 win=90");
    talk.begins = [77_777, u32::MAX - 2];
    // The old connection is still known: only the answer tells.
    talk.says(Side::Client, "S", 0, 0, 100, 0, &[], "SYN seq=76777 win=100");
    talk.says(Side::Server, "SA", 0, 1, 90, 0, &[], "SYN-ACK seq=0 ack=1 win=90");
    talk.says(Side::Client, "A", 1, 1, 100, 9, &[], "ACK seq=1 ack=1 win=100 len=9");
    talk.says(Side::Server, "A", 1, 1, 90, 0, &[], "ACK seq=1 ack=1 win=90");
    talk.says(Side::Server, "A", 1, 1, 90, 9, &[], "ACK seq=1 ack=1 win=90 len=9");
    let again = "ACK seq=1 ack=1 win=90 len=9, retransmission";
    talk.says(Side::Server, "A", 1, 1, 90, 9, &[], again);
}

/// A forged SYN does not change the numbers of the connection that it meets; the segments of a
/// connection that opens count from its own SYN.
#[test]
fn numbers_are_relative_to_the_connection_that_exists() {
    let mut flows = Flows::default();
    let (client, server) = ends(false);
    let packet = |from_client: bool, flags, seq, ack, options: &[u8]| {
        let made = Segment { seq, ack, flags, options: options.to_vec(), ..Segment::default() };
        let (source, destination) = if from_client { (client, server) } else { (server, client) };
        Packet::parse(&segment(source, destination, &made)).unwrap()
    };
    let stamp = |value: u8| [8, 10, 0, 0, 0, value, 0, 0, 0, 0];
    let (syn, ack, fin) = (Flags::SYN, Flags::ACK, Flags::FIN | Flags::ACK);
    let syn_ack = syn | ack;
    assert_eq!(flows.sent(&packet(true, syn, 500, 0, &stamp(50))), "SYN seq=0 win=0 ts");
    let answer = packet(false, syn_ack, 9000, 501, &stamp(1));
    assert_eq!(flows.sent(&answer), "SYN-ACK seq=0 ack=1 win=0 ts");
    let plain = |flows: &mut Flows, seq, wanted: &str| {
        let line = flows.sent(&packet(true, ack, seq, 9001, &[]));
        assert_eq!(line.split(" win").next(), Some(wanted));
    };
    plain(&mut flows, 501, "ACK seq=1 ack=1");
    for (seq, shown) in [(1501, 1001), (u32::MAX, -501), (400, -100)] {
        let forged = packet(true, syn, seq, 0, &[]);
        assert_eq!(flows.line(&forged), format!("SYN seq={shown} win=0"));
        plain(&mut flows, 501, "ACK seq=1 ack=1");
    }
    let old = packet(true, ack, 501, 9001, &stamp(40));
    assert_eq!(flows.line(&old), "ACK seq=1 ack=1 win=0 old ts");
    // Both ends close: in TIME_WAIT, an older SYN belongs to the old connection.
    flows.sent(&packet(false, fin, 9001, 501, &stamp(2)));
    flows.sent(&packet(true, fin, 501, 9002, &stamp(60)));
    for (seq, options, shown) in [
        (400, &[][..], "SYN seq=-100 win=0"),
        (900, &stamp(59), "SYN seq=400 win=0 ts"),
        (900, &stamp(61), "SYN seq=0 win=0 ts"),
    ] {
        assert_eq!(flows.line(&packet(true, syn, seq, 0, options)), shown);
    }
    let reset = Flags::RST | Flags::ACK;
    assert_eq!(flows.sent(&packet(false, reset, 0, 901, &[])), "RST-ACK seq=0 ack=1");
    assert_eq!(flows.sent(&packet(true, syn, 7, 0, &[])), "SYN seq=0 win=0");
}

#[test]
fn numbers_do_not_wrap_after_four_gigabytes() {
    let mut flows = Flows::default();
    flows.sent(&made(false, Flags::SYN, 0, 0, b""));
    for step in 1..=10_u32 {
        let line = flows.sent(&made(false, Flags::ACK, step.wrapping_mul(1 << 29), 1, b""));
        let seq = u64::from(step) << 29;
        assert!(line.starts_with(&format!("ACK seq={seq} ack=1")), "{line}");
    }
}

/// RFC 9293 3.1, RFC 7323 2.2, RFC 2018 2, RFC 7413 4.1.1.
#[test]
fn the_options_of_a_handshake_are_shown_and_windows_are_scaled() {
    let (client, server) = ends(false);
    let line = |flows: &mut Flows, back: bool, flags, options: &[u8]| {
        let made = Segment { flags, window: 502, options: options.to_vec(), ..Segment::default() };
        let (from, to) = if back { (server, client) } else { (client, server) };
        flows.sent(&Packet::parse(&segment(from, to, &made)).unwrap())
    };
    let all = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    let (syn, syn_ack) = (Flags::SYN, Flags::SYN | Flags::ACK);
    let mut flows = Flows::default();
    let asks = [&all[..], &[34, 2]].concat();
    let shown = "SYN seq=0 win=502 mss=1460 ws=7 sack ts fo=request";
    assert_eq!(line(&mut flows, false, syn, &asks), shown);
    let gives = [&all[..], &[34, 6, 1, 2, 3, 4]].concat();
    let made = Segment { flags: syn_ack, ack: 1, options: gives, ..Segment::default() };
    let answer = Packet::parse(&segment(server, client, &made)).unwrap();
    let shown = "SYN-ACK seq=0 ack=1 win=0 mss=1460 ws=7 sack ts fo=cookie";
    assert_eq!(flows.sent(&answer), shown);
    assert!(line(&mut flows, false, Flags::ACK, &[]).contains(" win=64256"));
    // Only one end scales: none does.
    let mut flows = Flows::default();
    line(&mut flows, false, syn, &all);
    line(&mut flows, true, syn_ack, &[]);
    assert!(line(&mut flows, false, Flags::ACK, &[]).contains(" win=502"));
    let urgent = Flags::URG | Flags::ACK;
    assert!(line(&mut flows, false, urgent, &[]).contains(" urg=0"));
}

struct Talk {
    flows: Flows,
    /// The first sequence number of client and server.
    begins: [u32; 2],
}

impl Default for Talk {
    fn default() -> Self {
        Talk { flows: Flows::default(), begins: [1000, u32::MAX] }
    }
}

impl Talk {
    #[allow(clippy::too_many_arguments, reason = "the fields of a segment, in their order")]
    fn says(
        &mut self,
        from: Side,
        letters: &str,
        seq: u32,
        ack: u32,
        window: u16,
        length: usize,
        sack: &[(u32, u32)],
        line: &str,
    ) {
        let (own, peer) = (self.begins[from.index()], self.begins[from.other().index()]);
        let (client, server) = ends(false);
        let (source, destination) =
            if from == Side::Client { (client, server) } else { (server, client) };
        let flags = letters.chars().fold(Flags::default(), |flags, letter| {
            flags
                | match letter {
                    'S' => Flags::SYN,
                    'A' => Flags::ACK,
                    'F' => Flags::FIN,
                    _ => Flags::RST,
                }
        });
        let (seq, ack) = (own.wrapping_add(seq), peer.wrapping_add(ack));
        let segment =
            Segment { seq, ack, flags, window, payload: vec![b'x'; length], ..Segment::default() };
        let bytes = super::segment(source, destination, &segment);
        let mut packet = Packet::parse(&bytes).unwrap();
        if let Transport::Tcp(tcp) = &mut packet.transport {
            let edge = |edge: u32| peer.wrapping_add(edge);
            tcp.sack = sack.iter().map(|block| (edge(block.0), edge(block.1))).collect();
        }
        assert_eq!(self.flows.sent(&packet), line);
    }
}

/// RFC 9293 3.1, RFC 7323 2 and 3, RFC 2018 3.
#[test]
fn options_are_read_in_any_order_up_to_one_that_makes_no_sense() {
    let read = |options: &[u8]| {
        let mut header = vec![0; 20];
        header[12] = (((20 + options.len()) / 4) << 4) as u8;
        header.extend(options);
        Tcp::parse(&header).unwrap()
    };
    let none = read(&[]);
    assert_eq!((none.mss, none.window_scale, none.timestamps), (None, None, None));
    assert_eq!(none.sack, []);

    let mss = [2, 4, 5, 180];
    let scale = [3, 3, 7];
    let stamps = [8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let sack = [5, 18, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6];
    let (end, nop) = ([0], [1]);
    let unknown = [254, 3, 9];
    let all = read(&[&nop[..], &nop, &stamps, &nop, &scale, &mss, &sack, &nop, &end].concat());
    assert_eq!((all.mss, all.window_scale), (Some(1460), Some(7)));
    assert_eq!((all.timestamps, all.sack), (Some((1, 2)), vec![(3, 4), (5, 6)]));
    let behind = read(&[&unknown[..], &nop, &mss].concat());
    assert_eq!(behind.mss, Some(1460));

    for cut in [&[0, 0, 0, 0][..], &[3, 0, 0, 0], &[3, 1, 0, 0], &[3, 200, 0, 0]] {
        assert_eq!(read(&[cut, &mss].concat()).mss, None, "{cut:?}");
    }
    // Of the right kind, and of a length that no such option has.
    for odd in [&[2, 3, 5, 1][..], &[3, 4, 7, 7], &[8, 4, 0, 0], &[5, 4, 0, 0]] {
        let odd = read(odd);
        assert_eq!((odd.mss, odd.window_scale, odd.timestamps), (None, None, None));
        assert_eq!(odd.sack, []);
    }
}

#[test]
fn flags_add_up_and_have_names() {
    let both = Flags::SYN | Flags::ACK;
    assert_eq!(both | Flags::SYN, both);
    assert!(both.has(Flags::SYN) && both.has(Flags::ACK) && both.has(both));
    assert!(!both.has(Flags::FIN) && !both.has(Flags::SYN | Flags::FIN));
    assert_eq!(both.to_string(), "SYN-ACK");
    assert_eq!(Flags(0).to_string(), "no flags");
    let all = (0..8).fold(Flags(0), |flags, bit| flags | Flags(1 << bit));
    assert_eq!(all.to_string(), "FIN-SYN-RST-PSH-URG-ECE-CWR-ACK");
}

#[test]
fn errors_have_the_family_s_numbers() {
    let packet = made(true, Flags::SYN, 1, 0, b"");
    let router = "2001:db8:ffff::1".parse().unwrap();
    let error = icmp_error(router, &packet, IcmpError::HostUnreachable).unwrap();
    let error = Packet::parse(&error).unwrap();
    let icmp = error.icmp().unwrap();
    assert_eq!((icmp.kind, icmp.code, icmp.about), (1, 3, Some((5000, 7, 1))));
    assert!(are_right(error.bytes()));
    assert_eq!(icmp_error(router, &packet, IcmpError::SourceQuench), None);
}

#[test]
fn truncated_packets_are_reported_not_parsed() {
    for v6 in [false, true] {
        let packet = made(v6, Flags::SYN, 1, 0, b"payload");
        for length in 0..packet.bytes().len() {
            assert!(Packet::parse(&packet.bytes()[..length]).is_err());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    #[test]
    fn no_change_of_a_packet_makes_it_panic(
        v6: bool,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        keep: prop::sample::Index,
    ) {
        let mut bytes = made(v6, Flags::SYN | Flags::ACK, 1, 2, &[0; 40]).bytes().to_vec();
        for (position, byte) in changes {
            let position = position.index(bytes.len());
            bytes[position] = byte;
        }
        check(&bytes);
        check(&bytes[..keep.index(bytes.len())]);
        let router = if v6 { "::1" } else { "1.1.1.1" };
        if let Ok(packet) = Packet::parse(&bytes) {
            let error = icmp_error(router.parse().unwrap(), &packet, IcmpError::TimeExceeded);
            check(&error.unwrap());
        }
    }
}

fn check(bytes: &[u8]) {
    let _ = are_right(bytes);
    repair(&mut bytes.to_vec());
    if let Ok(packet) = Packet::parse(bytes) {
        Flows::default().line(&packet);
        let _ =
            (packet.payload(), packet.is_noise(), reset_sender(&packet), reset_receiver(&packet));
    }
}

fn field(layers: &[Layer], layer: &str, name: &str) -> Option<String> {
    let layer = layers.iter().find(|one| one.name == layer)?;
    layer.fields.iter().find(|(one, _)| *one == name).map(|(_, value)| value.clone())
}

#[test]
fn every_header_field_has_a_name_and_a_value() {
    for v6 in [false, true] {
        let packet = made(v6, Flags::PSH | Flags::ACK, 7, 9, b"a\x1b\n");
        let shown = layers(&packet);
        let names: Vec<&str> = shown.iter().map(|layer| layer.name).collect();
        assert_eq!(names, [if v6 { "IPv6" } else { "IPv4" }, "TCP", "Payload"]);
        // RFC 791 3.1 and RFC 8200 3; RFC 9293 3.1.
        assert_eq!((shown[0].fields.len(), shown[1].fields.len()), (if v6 { 9 } else { 13 }, 10));
        for (name, value) in [
            ("source port", "5000"),
            ("destination port", "7"),
            ("sequence number", "7"),
            ("acknowledgment number", "9"),
            ("data offset", "20 bytes"),
            ("control bits", "PSH-ACK"),
            ("window", "100, not scaled"),
            ("urgent pointer", "0"),
        ] {
            assert_eq!(field(&shown, "TCP", name).as_deref(), Some(value), "{name}");
        }
        assert!(field(&shown, "TCP", "checksum").unwrap().ends_with(", right"));
        assert_eq!(field(&shown, "Payload", "text").as_deref(), Some("a\\x1b\\n"));
        let mut hurt = packet.bytes().to_vec();
        *hurt.last_mut().unwrap() ^= 1;
        let hurt = layers(&Packet::parse(&hurt).unwrap());
        assert!(field(&hurt, "TCP", "checksum").unwrap().ends_with(", wrong"));
    }
}

#[test]
fn options_are_in_their_order_and_an_invalid_one_ends_them() {
    let with = |options: &[u8]| {
        let (client, server) = ends(false);
        let plain = Segment { flags: Flags::SYN, ..Segment::default() };
        let mut bytes = segment(client, server, &plain);
        bytes.extend_from_slice(options);
        bytes[32] = ((20 + options.len()) / 4) as u8 * 16;
        bytes[2..4].copy_from_slice(&((40 + options.len()) as u16).to_be_bytes());
        repair(&mut bytes);
        let shown = layers(&Packet::parse(&bytes).unwrap());
        let options = shown.into_iter().find(|layer| layer.name == "TCP options");
        options.map(|layer| layer.fields).unwrap_or_default()
    };
    let known = with(&[2, 4, 5, 180, 4, 2, 1, 3, 3, 7, 254, 2]);
    let shown: Vec<String> = known.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        shown,
        [
            "maximum segment size=1460 bytes",
            "SACK permitted=yes",
            "no operation=",
            "window scale=shift by 7",
            "other option=kind 254: "
        ]
    );
    assert_eq!(with(&[5, 10, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0])[0].1, "1-9");
    for invalid in [[1, 2, 0, 0], [1, 2, 1, 0], [1, 8, 99, 0]] {
        let shown = with(&invalid);
        assert_eq!((shown.len(), shown[1].0), (2, "invalid"), "{shown:?}");
    }
    assert_eq!(with(&[]), []);
}

proptest! {
    #[test]
    fn no_packet_makes_its_fields_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        first in prop::sample::select(vec![0x45_u8, 0x4f, 0x60]),
        protocol in prop::sample::select(vec![1_u8, 6, 58, 17]),
    ) {
        let mut bytes = bytes;
        if let Some(byte) = bytes.first_mut() {
            *byte = first;
        }
        let at = if first == 0x60 { 6 } else { 9 };
        if let Some(byte) = bytes.get_mut(at) {
            *byte = protocol;
        }
        let length = bytes.len() as u16;
        let (at, length) = if first == 0x60 { (4, length.saturating_sub(40)) } else { (2, length) };
        if let Some(place) = bytes.get_mut(at..at + 2) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            prop_assert!(layers(&packet).len() > 1);
        }
    }
}
