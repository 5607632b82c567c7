//! A router answers the SYN with an ICMP error (UNP 4.3, A.6, RFC 9293 3.9.2.2).

use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::side::Family;
use crate::stage::{Broken, PATIENCE, Stage};
use crate::timeline::PacketMoment;

use IcmpError::{HostUnreachable, NetworkUnreachable, PortUnreachable, Prohibited, TimeExceeded};

scenario! { stage;
    name: "unreachable-during-connect",
    group: Some(Group::Path),
    title: "a router answers the SYN with an ICMP error",
    source: "UNP 4.3, A.6, RFC 9293 3.9.2.2",
    question: "A router answers the client's SYN with an ICMP error. What does connect return, \
               and when?",
    book: &[
        (
            "Destination unreachable is a soft error: the kernel saves it and keeps sending SYNs. \
             Only after the time for connect, 75 seconds in 4.4BSD, does connect fail, with \
             EHOSTUNREACH or ENETUNREACH instead of ETIMEDOUT.",
            &[Book("4.3"), Book("A.6")],
        ),
    ],
    kernel: &[
        (
            "Each of these errors except fragmentation needed is hard during connect: connect \
             fails at once, after one SYN, with an errno for each code.",
            &[
                Code("tcp_v4_err", "net/ipv4/tcp_ipv4.c"),
                Measured("each rarer code has its errno"),
                Measured("no connect sends a SYN after the ICMP error"),
            ],
        ),
        (
            "The error is soft only if it arrives while the kernel still holds the socket's lock, \
             as from a local firewall.",
            &[
                Code("tcp_v4_err", "net/ipv4/tcp_ipv4.c"),
                Code("tcp_v6_err", "net/ipv6/tcp_ipv6.c"),
            ],
        ),
    ];

    step "the client connects several times; a router answers each SYN with another error";
    let v4 = stage.family() == Family::V4;
    let _server = stage.listening(10)?;
    stage.wire_rule(Rule::hold(Matcher::syn()));
    let said = refused(stage, NetworkUnreachable)?;
    claim_is("network unreachable is ENETUNREACH", &said, "ENETUNREACH");
    let said = refused(stage, HostUnreachable)?;
    claim_is("host unreachable is EHOSTUNREACH", &said, "EHOSTUNREACH");
    let said = refused(stage, PortUnreachable)?;
    claim_is("port unreachable is ECONNREFUSED, as an RST is", &said, "ECONNREFUSED");
    let said = refused(stage, TimeExceeded)?;
    claim_is("time exceeded (a routing loop) is EHOSTUNREACH", &said, "EHOSTUNREACH");
    let said = refused(stage, Prohibited)?;
    let wanted = if v4 { "EHOSTUNREACH" } else { "EACCES" };
    claim_is("administratively prohibited is EHOSTUNREACH, in IPv6 EACCES", &said, wanted);

    step "the router answers with the rarer codes";
    let table = if v4 { V4 } else { V6 };
    let (mut said, mut wanted) = (Vec::new(), Vec::new());
    for ((kind, code), errno) in table {
        said.push(refused(stage, IcmpError::Exact { kind: *kind, code: *code })?);
        wanted.push(*errno);
    };
    claim_is("each rarer code has its errno", &said.join(" "), &wanted.join(" "));
    // One connect after the other: a SYN that is retransmitted after the error would come between
    // those of later ones.
    let mut ports: Vec<u16> = stage.packets().iter().filter_map(port_of_syn).collect();
    ports.dedup();
    claim("no connect sends a SYN after the ICMP error", ports.len() == 5 + table.len());
}

/// The codes of type 3 (destination unreachable) and others, with the errno of each.
const V4: &[((u8, u8), &str)] = &[
    ((3, 2), "ENOPROTOOPT"),
    ((3, 5), "EOPNOTSUPP"),
    ((3, 6), "ENETUNREACH"),
    ((3, 7), "EHOSTDOWN"),
    ((3, 8), "ENONET"),
    ((3, 9), "ENETUNREACH"),
    ((3, 10), "EHOSTUNREACH"),
    ((3, 11), "ENETUNREACH"),
    ((3, 12), "EHOSTUNREACH"),
    ((3, 14), "EHOSTUNREACH"),
    ((3, 15), "EHOSTUNREACH"),
    ((12, 0), "EPROTO"),
];

/// The same for `ICMPv6`, where destination unreachable is type 1.
const V6: &[((u8, u8), &str)] = &[
    ((1, 2), "EHOSTUNREACH"),
    ((1, 5), "EACCES"),
    ((1, 6), "EACCES"),
    ((4, 0), "EPROTO"),
    ((4, 1), "EPROTO"),
];

fn port_of_syn(seen: &PacketMoment) -> Option<u16> {
    let is_syn = Matcher::syn().matches(seen.from, &seen.packet);
    seen.packet.tcp().filter(|_| is_syn).map(|tcp| tcp.source_port)
}

/// The result of connect if its SYN is answered with this error. The error arrives while the client
/// sleeps in connect: it is hard then.
fn refused(stage: &Stage, error: IcmpError) -> Result<String, Broken> {
    let client = stage.client()?;
    let mark = stage.two().timeline.mark();
    client.begin(&stage.connect_line())?;
    stage.two().wire.wait_for(&Matcher::syn(), mark, PATIENCE)?;
    client.program().wait_asleep(PATIENCE)?;
    stage.two().wire.answer(&Matcher::syn(), error);
    client.outcome()
}
