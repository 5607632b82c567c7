//! An established connection on which nothing comes back any more, or a router's word.

use std::time::Duration;

use tcpecho_lab::{
    Family, IcmpError, Matcher, Rule,
    stage::{Broken, PATIENCE},
};
use tcpecho_lab_os::link::Links;

use super::{Scene, Situation, broken, established::acknowledged};

const V4: Family = Family::V4;
const V6: Family = Family::V6;

pub(super) const SITUATIONS: &[Situation] = &[
    broken!(
        "path-cut",
        V4,
        "path-cut",
        "timed-out",
        &["--user-timeout", "500ms"],
        8,
        "the path is cut, and the user types",
        |scene| {
            let server = scene.stage.listening(10)?;
            impatient(scene)?;
            scene.talks(&server)?;
            scene.stage.two().wire.cut();
            scene.now();
            scene.types("hello?")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "path-cut-own-deadline",
        V6,
        "path-cut",
        "timed-out",
        &["--timeout", "1s", "--user-timeout", "off"],
        8,
        "the same, the kernel having its usual patience of a quarter of an hour",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.stage.two().client.set_rto_min(Duration::from_millis(20))?;
            scene.talks(&server)?;
            scene.stage.two().wire.cut();
            scene.now();
            scene.types("hello?")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "server-host-crashes",
        V4,
        "path-cut",
        "timed-out",
        &["--user-timeout", "500ms"],
        8,
        "the server's host loses power, and the user types",
        |scene| {
            let server = scene.stage.listening(10)?;
            impatient(scene)?;
            scene.talks(&server)?;
            scene.stage.two_mut().server.power_off();
            scene.now();
            scene.types("hello?")?;
            drop(server);
            Ok(())
        }
    ),
    broken!(
        "keepalive-timeout",
        V4,
        "keepalive-timeout",
        "keepalive-timeout",
        &["--keepalive", "1s,1s,1", "--user-timeout", "off"],
        8,
        "the path is cut while the user types nothing",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            acknowledged(scene)?;
            scene.stage.two().wire.cut();
            scene.now();
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "icmp-while-established",
        V4,
        "turned-back",
        "host-unreachable",
        &[],
        6,
        "a router says host unreachable while the connection lives",
        |scene| answered(scene, IcmpError::HostUnreachable)
    ),
    broken!(
        "icmp-prohibited-while-established",
        V4,
        "turned-back",
        "host-unreachable",
        &[],
        6,
        "a firewall starts to reject the connection while it lives",
        |scene| answered(scene, IcmpError::Prohibited)
    ),
    broken!(
        "icmpv6-no-route-while-established",
        V6,
        "turned-back-network",
        "network-unreachable",
        &[],
        6,
        "a router loses its route while the connection lives, over IPv6",
        |scene| answered(scene, IcmpError::NetworkUnreachable)
    ),
    broken!(
        "icmp-port-while-established",
        V4,
        "rejected-port",
        "host-unreachable",
        &[],
        6,
        "a firewall starts to answer with port unreachable while the connection lives",
        |scene| answered(scene, IcmpError::PortUnreachable)
    ),
    broken!(
        "icmpv6-prohibited-while-established",
        V6,
        "turned-back-by-rule",
        "forbidden",
        &[],
        6,
        "a firewall starts to reject the connection while it lives, over IPv6",
        |scene| answered(scene, IcmpError::Prohibited)
    ),
    broken!(
        "server-hangs",
        V4,
        "server-hangs",
        "timed-out",
        &["--timeout", "1s"],
        8,
        "the server's process is stopped: its kernel takes the bytes and nobody answers",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            server.program().stop()?;
            scene.now();
            scene.types("hello?")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "server-host-crashes-after-its-last-ack",
        V4,
        "probes-unanswered",
        "timed-out",
        &["--keepalive", "1s,1s,9", "--user-timeout", "off", "--timeout", "3s"],
        10,
        "the server's kernel has acknowledged everything, and then its host loses power",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            server.program().stop()?;
            scene.types("hello?\n")?;
            let data = Matcher::data().from_client().containing("hello?");
            scene.stage.two().wire.wait_delivered(&data, 0, PATIENCE)?;
            acknowledged(scene)?;
            scene.stage.two_mut().server.power_off();
            scene.now();
            drop(server);
            Ok(())
        }
    ),
    broken!(
        "server-busy-with-another",
        V4,
        "not-served",
        "timed-out",
        &["--timeout", "1s"],
        8,
        "the server serves one client after the other, and another one is served",
        |scene| {
            let (server, other) = (scene.stage.listening(10)?, scene.stage.client()?);
            other.must(&scene.stage.connect_line())?;
            server.must("accept")?;
            scene.connects()?;
            scene.types("hello?\n")?;
            scene.now();
            scene.keeps(server);
            scene.keeps(other);
            Ok(())
        }
    ),
    broken!(
        "server-waits-for-newline",
        V6,
        "waits-for-newline",
        "timed-out",
        &["--timeout", "1s"],
        8,
        "the server answers whole lines, and what was typed is the beginning of one",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            scene.types("hello\nwor")?;
            server.receive_all(9)?;
            server.must("line hello")?;
            scene.now();
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "large-answers-lost",
        V4,
        "answer-lost",
        "timed-out",
        &["--timeout", "2s"],
        10,
        "what the server sends in packets longer than 1400 bytes vanishes on the way back",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            let large = Matcher::data().from_server().longer_than(1400);
            scene.stage.wire_rule(Rule::drop(large));
            scene.types(&"z".repeat(5000))?;
            server.receive_all(5000)?;
            scene.now();
            server.must("send 5000 bytes")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "server-does-not-close",
        V4,
        "does-not-close",
        "timed-out",
        &["--timeout", "1s"],
        8,
        "every byte came back, and the server does not close after the client's FIN",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            scene.client()?.close_input();
            scene.now();
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "server-still-open",
        V6,
        "still-open",
        "timed-out",
        &["--no-check", "--timeout", "1s"],
        8,
        "a server that need not echo says nothing after the client's FIN",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            scene.types("work")?;
            scene.client()?.close_input();
            scene.now();
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "server-closes-and-input-goes-on",
        V4,
        "fin-then-rst",
        "closed-early",
        &["--no-check", "--keepalive", "1s,1s,9", "--user-timeout", "off"],
        10,
        "a server that need not echo closes, the client's input gives nothing, and the server's kernel forgets the connection",
        |scene| {
            scene.stage.two().server.set_sysctl("net.ipv4.tcp_fin_timeout", "1")?;
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            server.must("send bye")?;
            scene.now();
            server.must("close")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "server-closes-and-its-host-crashes",
        V4,
        "silent-after-fin",
        "closed-early",
        &["--no-check", "--keepalive", "1s,1s,1", "--user-timeout", "off"],
        8,
        "a server that need not echo closes, the client's input gives nothing, and the server's host loses power",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            server.must("send bye")?;
            server.must("close")?;
            scene.stage.two().wire.wait_delivered(&Matcher::fin().from_server(), 0, PATIENCE)?;
            scene.stage.two_mut().server.power_off();
            scene.now();
            drop(server);
            Ok(())
        }
    ),
    broken!(
        "server-host-crashes-with-its-window-closed",
        V4,
        "window-closed-silent",
        "timed-out",
        &["--timeout", "3s"],
        12,
        "the server does not read, its window closes, and then its host loses power",
        |scene| {
            let server = scene.stage.listening(10)?;
            server.must("setsockopt rcvbuf 4096")?;
            scene.meets(&server)?;
            scene.types(&"x".repeat(40_000))?;
            let closed = Matcher::ack().from_server().matching("a closed window", |_, packet| {
                packet.tcp().is_some_and(|tcp| tcp.window == 0)
            });
            scene.stage.two().wire.wait_delivered(&closed, 0, PATIENCE)?;
            scene.stage.two_mut().server.power_off();
            scene.now();
            drop(server);
            Ok(())
        }
    ),
    broken!(
        "large-packets-lost-from-the-first",
        V4,
        "large-packets-lost",
        "timed-out",
        &["--timeout", "2s"],
        10,
        "packets longer than 1400 bytes vanish on the way, and all that is sent is 60 kB at once",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.stage.wire_rule(Rule::drop(Matcher::any_tcp().longer_than(1400)));
            scene.meets(&server)?;
            scene.now();
            scene.types(&"y".repeat(60_000))?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "route-lost",
        V4,
        "route-lost",
        "network-unreachable",
        &["--user-timeout", "500ms"],
        8,
        "the client's link goes down, and the user types",
        |scene| {
            let server = scene.stage.listening(10)?;
            impatient(scene)?;
            scene.talks(&server)?;
            scene.stage.two().client.run(|| {
                let links = Links::open()?;
                links.set_up(links.index("wire0")?, false)
            })??;
            scene.now();
            scene.types("hello?")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "too-little-time",
        V4,
        "not-acknowledged-yet",
        "timed-out",
        &["--timeout", "20ms"],
        5,
        "the path is cut, and the client's own limit comes before the first retransmission",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            scene.stage.two().wire.cut();
            scene.now();
            scene.types("hello?")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "server-does-not-read",
        V4,
        "window-closed",
        "timed-out",
        &["--timeout", "1s"],
        10,
        "the server does not read, and its window closes",
        |scene| {
            let server = scene.stage.listening(10)?;
            server.must("setsockopt rcvbuf 4096")?;
            scene.meets(&server)?;
            scene.types(&"x".repeat(40_000))?;
            scene.now();
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "large-packets-lost",
        V4,
        "large-packets-lost",
        "timed-out",
        &["--timeout", "2s"],
        10,
        "packets longer than 1400 bytes vanish on the way",
        |scene| {
            let server = scene.stage.listening(10)?;
            impatient(scene)?;
            scene.talks(&server)?;
            scene.stage.wire_rule(Rule::drop(Matcher::any_tcp().longer_than(1400)));
            scene.now();
            scene.types(&"y".repeat(5000))?;
            scene.keeps(server);
            Ok(())
        }
    ),
];

/// The client's kernel sends again after 20 ms and not after a second, and gives up soon.
fn impatient(scene: &Scene<'_>) -> Result<(), Broken> {
    let client = &scene.stage.two().client;
    client.set_rto_min(Duration::from_millis(20))?;
    client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    Ok(())
}

/// From now on a router answers what the client sends.
fn answered(scene: &mut Scene<'_>, error: IcmpError) -> Result<(), Broken> {
    let server = scene.stage.listening(10)?;
    impatient(scene)?;
    scene.talks(&server)?;
    scene.stage.wire_rule(Rule::answer(Matcher::any_tcp().from_client(), error));
    scene.now();
    scene.types("hello?")?;
    scene.keeps(server);
    Ok(())
}
