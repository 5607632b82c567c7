//! The handshake: what answers the SYN.

use tcpecho_lab::{
    Family, IcmpError, Matcher, Rule,
    stage::{Broken, PATIENCE},
};

use super::{Scene, Situation};

const V4: Family = Family::V4;
const V6: Family = Family::V6;

/// A router, or the server's own firewall, answers the SYN with that ICMP error.
macro_rules! icmp {
    ($name:literal, $family:ident, $kind:literal, $code:literal, $case:literal, $ending:literal) => {
        Situation {
            name: $name,
            what: concat!("a router answers the SYN with ICMP ", $kind, "/", $code),
            family: $family,
            case: $case,
            ending: $ending,
            status: 3,
            options: &[],
            within: 5,
            play: |scene| answered(scene, $kind, $code),
        }
    };
}

pub(super) const SITUATIONS: &[Situation] = &[
    Situation {
        name: "refused",
        what: "nobody listens on that port",
        family: V4,
        case: "nobody-listens",
        ending: "refused",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| scene.connects(),
    },
    Situation {
        name: "refused-ipv6",
        what: "nobody listens on that port, over IPv6",
        family: V6,
        case: "nobody-listens",
        ending: "refused",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| scene.connects(),
    },
    Situation {
        name: "refused-here",
        what: "nobody listens on that port of the client's own host",
        family: V4,
        case: "nobody-listens-here",
        ending: "refused",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| scene.connects_to("127.0.0.1", None, &[]),
    },
    icmp!("icmp-network-unreachable", V4, 3, 0, "network-unreachable", "network-unreachable"),
    icmp!("icmp-host-unreachable", V4, 3, 1, "host-unreachable", "host-unreachable"),
    icmp!("icmp-protocol-unreachable", V4, 3, 2, "no-tcp", "host-unreachable"),
    icmp!("icmp-port-unreachable", V4, 3, 3, "port-rejected", "refused"),
    icmp!("icmp-network-prohibited", V4, 3, 9, "prohibited", "forbidden"),
    icmp!("icmp-host-prohibited", V4, 3, 10, "prohibited", "forbidden"),
    icmp!("icmp-prohibited", V4, 3, 13, "prohibited", "forbidden"),
    icmp!("icmp-time-exceeded", V4, 11, 0, "routing-loop", "host-unreachable"),
    icmp!("icmp-parameter-problem", V4, 12, 0, "malformed", "host-unreachable"),
    icmp!("icmpv6-no-route", V6, 1, 0, "network-unreachable", "network-unreachable"),
    icmp!("icmpv6-prohibited", V6, 1, 1, "prohibited", "forbidden"),
    icmp!("icmpv6-address-unreachable", V6, 1, 3, "host-unreachable", "host-unreachable"),
    icmp!("icmpv6-port-unreachable", V6, 1, 4, "port-rejected", "refused"),
    icmp!("icmpv6-policy", V6, 1, 5, "prohibited", "forbidden"),
    Situation {
        name: "syn-dropped",
        what: "a firewall drops the SYN silently",
        family: V4,
        case: "no-answer",
        ending: "connect-timeout",
        status: 3,
        options: &[],
        within: 12,
        play: |scene| {
            scene.stage.wire_rule(Rule::drop(Matcher::syn()));
            scene.connects()
        },
    },
    Situation {
        name: "syn-dropped-deadline",
        what: "the same, and the client's own deadline comes first",
        family: V6,
        case: "no-answer",
        ending: "connect-timeout",
        status: 3,
        options: &["-w", "500ms"],
        within: 5,
        play: |scene| {
            scene.stage.wire_rule(Rule::drop(Matcher::syn()));
            scene.connects()
        },
    },
    Situation {
        name: "server-host-off",
        what: "the server's host is off",
        family: V4,
        case: "no-answer",
        ending: "connect-timeout",
        status: 3,
        options: &["-w", "1500ms"],
        within: 5,
        play: |scene| {
            scene.stage.two_mut().server.power_off();
            scene.connects()
        },
    },
    Situation {
        name: "accept-queue-full",
        what: "the server's accept queue is full when the SYN comes",
        family: V4,
        case: "no-answer",
        ending: "connect-timeout",
        status: 3,
        options: &["-w", "1500ms"],
        within: 5,
        play: |scene| {
            let (server, other) = (scene.stage.listening(0)?, scene.stage.client()?);
            other.must(&scene.stage.connect_line())?;
            scene.stage.wait_for_queue(1)?;
            scene.connects()?;
            scene.keeps(server);
            scene.keeps(other);
            Ok(())
        },
    },
    Situation {
        name: "accept-queue-full-later",
        what: "the server's accept queue is full when the handshake's last packet comes",
        family: V4,
        case: "never-accepted-silent",
        ending: "timed-out",
        status: 4,
        options: &["--timeout", "3s"],
        within: 10,
        play: |scene| {
            scene.stage.two().server.set_sysctl("net.ipv4.tcp_synack_retries", "5")?;
            overtaken(scene)?;
            scene.types("hello")
        },
    },
    Situation {
        name: "accept-queue-forgets",
        what: "the same, and the server's kernel gives the handshake up",
        family: V4,
        case: "never-accepted",
        ending: "reset",
        status: 4,
        options: &[],
        within: 12,
        play: |scene| {
            let retries = "net.ipv4.tcp_synack_retries";
            scene.stage.two().server.set_sysctl(retries, "5")?;
            overtaken(scene)?;
            scene.types("hello")?;
            // Not before the client has sent; the kernel looks at the setting whenever its timer expires.
            let hello = Matcher::data().from_client().containing("hello");
            scene.stage.two().wire.wait_for(&hello, 0, PATIENCE)?;
            Ok(scene.stage.two().server.set_sysctl(retries, "1")?)
        },
    },
    Situation {
        name: "abort-on-overflow",
        what: "the same, and the server's kernel is set to answer with RST",
        family: V4,
        case: "reset-at-once",
        ending: "reset",
        status: 4,
        options: &[],
        within: 5,
        play: |scene| {
            scene.stage.two().server.set_sysctl("net.ipv4.tcp_abort_on_overflow", "1")?;
            overtaken(scene)
        },
    },
];

fn answered(scene: &mut Scene<'_>, kind: u8, code: u8) -> Result<(), Broken> {
    // Held until the client sleeps: an error that comes while it is in the call would be a soft one.
    scene.stage.wire_rule(Rule::hold(Matcher::syn()));
    scene.connects()?;
    scene.stage.two().wire.wait_for(&Matcher::syn(), 0, PATIENCE)?;
    scene.client()?.wait_asleep(PATIENCE)?;
    scene.now();
    scene.stage.two().wire.answer(&Matcher::syn(), IcmpError::Exact { kind, code });
    Ok(())
}

/// The client's handshake ends for itself, and while its last packet is on its way others take the last place.
fn overtaken(scene: &mut Scene<'_>) -> Result<(), Broken> {
    let server = scene.stage.listening(1)?;
    let held = Matcher::ack().from_client();
    let first = scene.stage.client()?;
    first.must(&scene.stage.connect_line())?;
    scene.stage.wait_for_queue(1)?;
    let mark = scene.stage.two().timeline.mark();
    let rule = scene.stage.two().wire.add(Rule::hold(held.clone()));
    scene.connects()?;
    let ours = scene.stage.two().wire.wait_for(&held, mark, PATIENCE)?;
    let late = scene.stage.client()?;
    late.must(&scene.stage.connect_line())?;
    let late_port = late.port()?;
    let of_late = held.clone().port(late_port);
    scene.stage.two().wire.wait_for(&of_late, mark, PATIENCE)?;
    scene.stage.two().wire.remove(rule);
    scene.stage.two().wire.release_all(&of_late);
    scene.stage.wait_for_queue(2)?;
    // It knows that it is connected, so the RST is not one in the handshake.
    scene.client()?.wait_asleep(PATIENCE)?;
    scene.now();
    scene.stage.two().wire.release(ours.number);
    scene.keeps(server);
    scene.keeps(first);
    scene.keeps(late);
    Ok(())
}
