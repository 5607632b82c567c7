//! What keeps a client from sending anything at all.

use std::os::fd::AsFd;

use tcpecho_lab::{
    Family, Side,
    stage::{Broken, PORT},
};
use tcpecho_lab_os::link::{Links, Route};

use super::{Scene, Situation};

pub(super) const SITUATIONS: &[Situation] = &[
    Situation {
        name: "no-route",
        what: "the client's link is down, so there is no route",
        family: Family::V4,
        case: "no-route",
        ending: "network-unreachable",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            scene.stage.two().client.run(|| {
                let links = Links::open()?;
                links.set_up(links.index("wire0")?, false)
            })??;
            scene.connects()
        },
    },
    Situation {
        name: "unreachable-route",
        what: "a route of the client's says unreachable",
        family: Family::V4,
        case: "unreachable-route",
        ending: "host-unreachable",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| routed(scene, Route::Unreachable),
    },
    Situation {
        name: "prohibit-route",
        what: "a route of the client's forbids",
        family: Family::V4,
        case: "prohibit-route",
        ending: "forbidden",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| routed(scene, Route::Prohibit),
    },
    Situation {
        name: "blackhole-route",
        what: "a route of the client's is a black hole",
        family: Family::V4,
        case: "blackhole-route",
        ending: "forbidden",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| routed(scene, Route::Blackhole),
    },
    Situation {
        name: "neighbour-silent",
        what: "an address on the client's own link that nobody has",
        family: Family::V4,
        case: "neighbour-silent",
        ending: "host-unreachable",
        status: 3,
        options: &[],
        within: 8,
        play: |scene| {
            let (client, server) = (&scene.stage.two().client, &scene.stage.two().server);
            if let Some(other) = server.netns() {
                client.run(|| Links::open()?.add_veth("lan0", "lan1", other.as_fd()))??;
            }
            server.run(|| {
                Links::open().and_then(|links| links.set_up(links.index("lan1")?, true))
            })??;
            client.run(|| {
                let links = Links::open()?;
                let lan = links.index("lan0")?;
                links.add_address(lan, [203, 0, 113, 1].into(), 24)?;
                links.set_up(lan, true)
            })??;
            // ARP asks three times, a second apart.
            client.set_sysctl("net.ipv4.neigh.lan0.retrans_time_ms", "100")?;
            scene.connects_to("203.0.113.9", None, &[])
        },
    },
    Situation {
        name: "no-local-port",
        what: "every local port towards the server is taken",
        family: Family::V4,
        case: "ports-exhausted",
        ending: "no-local-port",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let client = &scene.stage.two().client;
            client.set_sysctl("net.ipv4.ip_local_port_range", "50000 50001")?;
            let server = scene.stage.listening(10)?;
            let others = scene.stage.client()?;
            others.must(&scene.stage.connect_line())?;
            others.must("socket 4")?;
            others.must(&scene.stage.connect_line())?;
            scene.connects()?;
            scene.keeps(server);
            scene.keeps(others);
            Ok(())
        },
    },
    Situation {
        name: "ports-reserved",
        what: "every local port is reserved",
        family: Family::V4,
        case: "no-free-port",
        ending: "no-local-port",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let client = &scene.stage.two().client;
            client.set_sysctl("net.ipv4.ip_local_port_range", "50000 50001")?;
            client.set_sysctl("net.ipv4.ip_local_reserved_ports", "50000-50001")?;
            scene.connects()
        },
    },
    Situation {
        name: "loopback-source",
        what: "the source address asked for is a loopback address, and the server another host",
        family: Family::V4,
        case: "loopback-source",
        ending: "bad-address",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let host = Side::Server.address(Family::V4).to_string();
            scene.connects_to(&host, Some("127.0.0.1"), &[])
        },
    },
    Situation {
        name: "no-ipv6",
        what: "the client's host has IPv6 switched off",
        family: Family::V6,
        case: "no-ipv6",
        ending: "network-unreachable",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            scene.stage.two().client.set_sysctl("net.ipv6.conf.all.disable_ipv6", "1")?;
            scene.connects_to("::1", None, &[])
        },
    },
    Situation {
        name: "link-local-without-interface",
        what: "a link-local address without its interface",
        family: Family::V6,
        case: "lacks-interface",
        ending: "bad-address",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| scene.connects_to("fe80::1", None, &[]),
    },
    Situation {
        name: "address-of-wrong-family",
        what: "an IPv6 address, and only IPv4 is allowed",
        family: Family::V4,
        case: "address-of-wrong-family",
        ending: "bad-address",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let host = Side::Server.address(Family::V6).to_string();
            scene.connects_to(&host, None, &[])
        },
    },
    Situation {
        name: "unknown-interface",
        what: "a link-local address with the name of an interface that does not exist",
        family: Family::V6,
        case: "interface-unknown",
        ending: "bad-address",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| scene.connects_to("fe80::1%nosuch0", None, &[]),
    },
    Situation {
        name: "broadcast",
        what: "the broadcast address of all links",
        family: Family::V4,
        case: "broadcast-address",
        ending: "bad-address",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| scene.connects_to("255.255.255.255", None, &[]),
    },
    Situation {
        name: "loopback-down",
        what: "the loopback interface of the client's host is down",
        family: Family::V4,
        case: "loopback-down",
        ending: "network-unreachable",
        status: 3,
        options: &["-w", "500ms"],
        within: 5,
        play: |scene| {
            scene.stage.two().client.run(|| {
                let links = Links::open()?;
                links.set_up(links.index("lo")?, false)
            })??;
            scene.connects_to("127.0.0.1", None, &[])
        },
    },
    Situation {
        name: "no-such-source",
        what: "the source address asked for is not of the client's host",
        family: Family::V4,
        case: "no-such-source",
        ending: "no-local-port",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let server = scene.stage.listening(10)?;
            let host = Side::Server.address(Family::V4).to_string();
            scene.connects_to(&host, Some("203.0.113.77"), &[])?;
            scene.keeps(server);
            Ok(())
        },
    },
    Situation {
        name: "source-port-taken",
        what: "the source port asked for already has a connection to the server",
        family: Family::V4,
        case: "pair-taken",
        ending: "no-local-port",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let server = scene.stage.listening(10)?;
            let other = scene.stage.client()?;
            other.must("setsockopt reuseaddr on")?;
            let ours = Side::Client.address(Family::V4);
            other.must(&format!("bind {ours} 40000"))?;
            other.must(&scene.stage.connect_line())?;
            let host = Side::Server.address(Family::V4).to_string();
            scene.connects_to(&host, Some(&format!("{ours}:40000")), &[])?;
            scene.keeps(server);
            scene.keeps(other);
            Ok(())
        },
    },
    Situation {
        name: "source-port-listens",
        what: "the source port asked for is that of a listener on the client's host",
        family: Family::V4,
        case: "source-taken",
        ending: "no-local-port",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let other = scene.stage.client()?;
            let ours = Side::Client.address(Family::V4);
            other.must(&format!("bind {ours} 40000"))?;
            other.must("listen 1")?;
            let host = Side::Server.address(Family::V4).to_string();
            scene.connects_to(&host, Some(&format!("{ours}:40000")), &[])?;
            scene.keeps(other);
            Ok(())
        },
    },
    Situation {
        name: "source-port-privileged",
        what: "an ordinary user asks for a source port below 1024",
        family: Family::V4,
        case: "source-forbidden",
        ending: "forbidden",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let ours = Side::Client.address(Family::V4);
            let host = Side::Server.address(Family::V4).to_string();
            scene.is_ordinary();
            scene.connects_to(&host, Some(&format!("{ours}:99")), &[])
        },
    },
    Situation {
        name: "no-descriptors",
        what: "the client has as many descriptors as it may",
        family: Family::V4,
        case: "no-descriptors",
        ending: "limit",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let server = scene.stage.listening(10)?;
            let limit = format!("ulimit -n {}; exec \"$@\"", scene.descriptors()?);
            let shell = ["sh", "-c", &limit, "sh"].map(String::from);
            let host = Side::Server.address(Family::V4).to_string();
            scene.connects_to(&host, None, &shell)?;
            scene.keeps(server);
            Ok(())
        },
    },
    Situation {
        name: "joined-to-itself",
        what: "a port of the client's own host where nobody listens, and the kernel meets itself there",
        family: Family::V4,
        case: "joined-to-itself",
        ending: "refused",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let client = &scene.stage.two().client;
            client.set_sysctl("net.ipv4.ip_unprivileged_port_start", "0")?;
            client.set_sysctl("net.ipv4.ip_local_port_range", &format!("{PORT} {PORT}"))?;
            scene.connects_to("127.0.0.1", None, &[])
        },
    },
];

fn routed(scene: &mut Scene<'_>, route: Route) -> Result<(), Broken> {
    let server = Side::Server.address(Family::V4);
    scene.stage.two().client.run(|| Links::open()?.add_route(server, 32, route))??;
    scene.connects()
}
