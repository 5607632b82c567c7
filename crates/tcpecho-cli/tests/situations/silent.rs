//! An established connection on which nothing comes back any more, or a router's word.

use std::time::Duration;

use tcpecho_lab::{Family, IcmpError, Matcher, Rule, stage::Broken};

use super::{Scene, Situation, broken, established::acknowledged};

const V4: Family = Family::V4;
const V6: Family = Family::V6;

pub(super) const SITUATIONS: &[Situation] = &[
    broken!(
        "path-cut",
        V4,
        "path-cut",
        "gave-up",
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
        "gave-up",
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
        "gave-up",
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
        "keepalive-lost",
        V4,
        "keepalive-lost",
        "keepalive-lost",
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
        "gave-up",
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
        "server-does-not-read",
        V4,
        "window-closed",
        "gave-up",
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
        "gave-up",
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
