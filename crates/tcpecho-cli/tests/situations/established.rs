//! An established connection, and what ends it.

use tcpecho_lab::{
    Action, Family, IcmpError, Matcher, Rule,
    stage::{Broken, PATIENCE},
};

use super::{Scene, Situation};

const V4: Family = Family::V4;
const V6: Family = Family::V6;

macro_rules! broken {
    ($name:literal, $family:ident, $case:literal, $ending:literal, $options:expr, $within:literal, $what:literal, $play:expr) => {
        Situation {
            name: $name,
            what: $what,
            family: $family,
            case: $case,
            ending: $ending,
            status: 4,
            options: $options,
            within: $within,
            play: $play,
        }
    };
}

pub(super) const SITUATIONS: &[Situation] = &[
    broken!(
        "closed-while-idle",
        V4,
        "closed-while-idle",
        "closed-early",
        &[],
        5,
        "the server closes while the user types nothing",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            scene.now();
            server.must("close")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "server-killed",
        V6,
        "closed-while-idle",
        "closed-early",
        &[],
        5,
        "the server's process is killed while the user types nothing",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            scene.now();
            server.program().kill();
            Ok(())
        }
    ),
    broken!(
        "closed-midway",
        V4,
        "closed-early",
        "closed-early",
        &[],
        5,
        "the server closes while bytes are owed",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            scene.types("0123456789")?;
            server.receive_all(10)?;
            server.must("send 01234")?;
            scene.now();
            server.must("close")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "fin-then-rst",
        V4,
        "fin-then-rst",
        "closed-early",
        &[],
        5,
        "the server closes, and what was on its way to it is answered with RST",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            let late = scene.stage.keep(Matcher::data().from_client());
            scene.types("late")?;
            scene.stage.two().wire.wait_for(&Matcher::data().containing("late"), 0, PATIENCE)?;
            scene.client()?.stop()?;
            server.must("close")?;
            scene.stage.two().wire.wait_delivered(&Matcher::fin().from_server(), 0, PATIENCE)?;
            scene.stage.let_go(&late)?;
            scene.stage.two().wire.wait_delivered(&Matcher::rst().from_server(), 0, PATIENCE)?;
            scene.now();
            scene.client()?.go_on()?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "closed-with-unread-data",
        V4,
        "reset-by-process",
        "reset",
        &[],
        5,
        "the server closes with unread bytes, which makes it an RST",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            scene.types("hello")?;
            server.must("peek 5")?;
            acknowledged(scene)?;
            scene.now();
            server.must("close")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "reset-while-idle",
        V6,
        "reset-by-process",
        "reset",
        &[],
        5,
        "the server resets (SO_LINGER 0) while the user types nothing",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            acknowledged(scene)?;
            scene.now();
            server.must("setsockopt linger 0")?;
            server.must("close")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "reset-at-once",
        V4,
        "reset-at-once",
        "reset",
        &[],
        5,
        "the server resets right after accept",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            scene.now();
            server.must("setsockopt linger 0")?;
            server.must("close")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "server-rebooted",
        V4,
        "connection-unknown",
        "reset",
        &[],
        5,
        "the server's host crashed and is up again, and the user types",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            scene.stage.two_mut().server.reboot()?;
            let again = scene.stage.listening(10)?;
            scene.now();
            scene.types("hello?")?;
            scene.keeps(again);
            Ok(())
        }
    ),
    broken!(
        "middlebox-resets",
        V4,
        "connection-unknown",
        "reset",
        &[],
        5,
        "a middlebox has forgotten the connection and answers with RST",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            let data = Matcher::data().from_client();
            scene.stage.wire_rule(Rule::new(data.containing("hello?"), Action::ResetSender));
            // What goes on to the server is not acknowledged in time either.
            scene.stage.wire_rule(Rule::drop(Matcher::ack().from_server()));
            scene.now();
            scene.types("hello?")?;
            scene.keeps(server);
            Ok(())
        }
    ),
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
            scene.stage.two().client.set_sysctl("net.ipv4.tcp_rto_min_us", "20000")?;
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
    Situation {
        name: "byte-changed",
        what: "something on the way changes a byte and makes the checksum right again",
        family: V4,
        case: "altered",
        ending: "mismatch",
        status: 1,
        options: &[],
        within: 5,
        play: |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            let data = Matcher::data().from_server();
            scene.stage.wire_rule(Rule::new(data, Action::CorruptUnnoticed));
            scene.types("again")?;
            server.receive_all(5)?;
            scene.now();
            server.must("send again")?;
            scene.keeps(server);
            Ok(())
        },
    },
    Situation {
        name: "no-echo",
        what: "the server is no echo server",
        family: V4,
        case: "no-echo",
        ending: "mismatch",
        status: 1,
        options: &[],
        within: 5,
        play: |scene| {
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            scene.now();
            server.must("send 220 welcome")?;
            scene.keeps(server);
            Ok(())
        },
    },
];

/// The client's kernel sends again after 20 ms and not after a second, and gives up soon.
fn impatient(scene: &Scene<'_>) -> Result<(), Broken> {
    let client = &scene.stage.two().client;
    client.set_sysctl("net.ipv4.tcp_rto_min_us", "20000")?;
    client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    Ok(())
}

/// All that the client has sent is acknowledged.
fn acknowledged(scene: &Scene<'_>) -> Result<(), Broken> {
    let host = &scene.stage.two().client;
    host.wait_for_socket(scene.stage.family(), "nothing unacknowledged", PATIENCE, |socket| {
        socket.remote.port() == tcpecho_lab::stage::PORT && socket.wqueue == 0
    })?;
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
