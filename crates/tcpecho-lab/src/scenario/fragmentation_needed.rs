//! A router reports the largest packet it can forward (RFC 1191, RFC 8201).

use std::time::Duration;

use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;

scenario! { stage;
    name: "fragmentation-needed",
    group: Some(Group::Path),
    title: "a router reports that packets are too big",
    source: "UNP 2.11, RFC 1191, RFC 8201",
    question: "What does a program notice when a link on the path accepts only smaller \
               packets?",
    book: &[
        (
            "An IPv4 packet with the don't-fragment bit, or an IPv6 packet, that is too big for a \
             link is answered with an ICMP error.",
            &[Book("2.11")],
        ),
        (
            "The error contains the next-hop MTU, and TCP sends smaller segments: path MTU \
             discovery.",
            &[Rfc(1191, "4"), Rfc(8201, "4")],
        ),
    ],
    kernel: &[
        (
            "The same, and at once: on the ICMP message the kernel cuts the data in flight to the \
             new size and retransmits it, without waiting for a timer. The program notices \
             nothing.",
            &[
                Measured("the router reports that a packet is too big"),
                Measured("no timer expired"),
                Measured("the server reads everything"),
            ],
        ),
        (
            "It stores the MTU with the route to the destination, so that new connections use it, \
             too.",
            &[Measured("no packet is too big: the route has kept the MTU")],
        ),
    ];

    step "the client sends 5000 bytes, and a router on the path forwards packets up to 1400 bytes";
    // No timer expires; retransmissions are caused by the ICMP message.
    stage.two().client.set_rto_min(Duration::from_secs(30))?;
    let long = Matcher::any_tcp().longer_than(MTU);
    stage.wire_rule(Rule::answer(long.clone(), IcmpError::TooBig(MTU as u32)));
    let (client, server) = stage.connected()?;
    client.must(&format!("send {BYTES} bytes"))?;
    claim_packet("the router reports that a packet is too big", &Matcher::icmp().from_server());
    let pieces = server.receive_all(BYTES)?;
    claim_is("the server reads everything", &pieces.iter().sum::<usize>().to_string(), "5000");
    let timeouts = stage.two().client.counter("TcpExt.TCPTimeouts")?;
    claim_is("no timer expired", &timeouts.to_string(), "0");

    step "the client connects again and sends as much";
    let before = stage.count(&long);
    let client = stage.joined(&server)?;
    client.must(&format!("send {BYTES} bytes"))?;
    server.receive_all(BYTES)?;
    claim("no packet is too big: the route has kept the MTU", stage.count(&long) == before);
}

const BYTES: usize = 5000;
const MTU: usize = 1400;
