//! The name.

use std::{net::UdpSocket, thread};

use tcpecho_lab::{
    Failed, Family, Matcher, Rule, Side,
    stage::{Broken, PATIENCE},
};

use super::{Scene, Situation};

/// Only /etc/hosts is asked.
const FILES: &str = "hosts: files\n";

/// A name server in the server's host gives an answer with these flags and nothing in it.
macro_rules! asked {
    ($name:literal, $flags:expr, $case:literal, $what:literal) => {
        Situation {
            name: $name,
            what: $what,
            family: Family::V4,
            case: $case,
            ending: "resolve-failed",
            status: 3,
            options: &[],
            within: 8,
            play: |scene| {
                name_server(scene, $flags)?;
                let etc = asks_server(scene)?;
                scene.connects_to("somebody.test", None, &etc)
            },
        }
    };
}

pub(super) const SITUATIONS: &[Situation] = &[
    Situation {
        name: "no-such-name",
        what: "the name does not exist",
        family: Family::V4,
        case: "no-such-name",
        ending: "resolve-failed",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let etc = scene.with_etc(&[("nsswitch.conf", FILES)])?;
            scene.connects_to("nobody.test", None, &etc)
        },
    },
    Situation {
        name: "no-name-server",
        what: "the name server does not answer",
        family: Family::V4,
        case: "resolver-unanswered",
        ending: "resolve-failed",
        status: 3,
        options: &[],
        within: 8,
        play: |scene| {
            let etc = asks_server(scene)?;
            scene.stage.wire_rule(Rule::drop(Matcher::any()));
            scene.connects_to("somebody.test", None, &etc)
        },
    },
    asked!(
        "name-server-says-no-such-name",
        [0x81, 0x83],
        "no-such-name",
        "the name server says that there is no such name"
    ),
    asked!(
        "name-server-says-no-address",
        [0x81, 0x80],
        "name-without-address",
        "the name server knows the name and has no address for it"
    ),
    asked!(
        "name-server-fails",
        [0x81, 0x82],
        "resolver-unanswered",
        "the name server says that it cannot tell"
    ),
    Situation {
        name: "other-family",
        what: "the name has an IPv6 address only, and the source address asked for is of IPv4",
        family: Family::V4,
        case: "other-family",
        ending: "resolve-failed",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let hosts = format!("{} six.test\n", Side::Server.address(Family::V6));
            let etc = scene.with_etc(&[("nsswitch.conf", FILES), ("hosts", &hosts)])?;
            let ours = Side::Client.address(Family::V4).to_string();
            scene.connects_to("six.test", Some(&ours), &etc)
        },
    },
    Situation {
        name: "refused-on-every-address",
        what: "the name has two addresses, and both refuse",
        family: Family::V4,
        case: "nobody-listens",
        ending: "refused",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let etc = both(scene)?;
            scene.connects_to("both.test", None, &etc)
        },
    },
    Situation {
        name: "refused-and-no-ipv6",
        what: "the name has two addresses: IPv4 refuses, and the client's host has no IPv6",
        family: Family::V4,
        case: "nobody-listens",
        ending: "refused",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let etc = both(scene)?;
            scene.stage.two().client.set_sysctl("net.ipv6.conf.all.disable_ipv6", "1")?;
            scene.connects_to("both.test", None, &etc)
        },
    },
    Situation {
        name: "refused-then-reached",
        what: "the name has two addresses: IPv6 refuses, IPv4 answers and closes",
        family: Family::V4,
        case: "closed-while-idle",
        ending: "closed-early",
        status: 4,
        options: &[],
        within: 5,
        play: |scene| reached_by_ipv4(scene, None),
    },
    Situation {
        name: "silent-then-reached",
        what: "the name has two addresses: IPv6 is silent, IPv4 answers and closes",
        family: Family::V4,
        case: "closed-while-idle",
        ending: "closed-early",
        status: 4,
        options: &[],
        within: 5,
        play: |scene| {
            let v6 = Matcher::syn().matching("IPv6", |_, packet| {
                packet.ends().is_some_and(|(from, _)| from.is_ipv6())
            });
            reached_by_ipv4(scene, Some(Rule::drop(v6)))
        },
    },
];

/// The server's host is the only name server.
fn asks_server(scene: &mut Scene<'_>) -> Result<Vec<String>, Broken> {
    let server = Side::Server.address(Family::V4);
    let resolver = format!("nameserver {server}\noptions timeout:1 attempts:1\n");
    scene.with_etc(&[("nsswitch.conf", "hosts: dns\n"), ("resolv.conf", &resolver)])
}

/// Answers every question until nobody has asked for a while (RFC 1035 4.1).
fn name_server(scene: &Scene<'_>, flags: [u8; 2]) -> Result<(), Broken> {
    let at = (Side::Server.address(Family::V4), 53);
    let socket = scene.stage.two().server.run(|| UdpSocket::bind(at))?;
    let socket = socket.map_err(|error| Broken::from(Failed::at_io("bind port 53")(error)))?;
    let _ = socket.set_read_timeout(Some(PATIENCE));
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            // The header, the name's labels to the empty one, type and class; what follows is left out.
            let name = question[12..length].iter().position(|&byte| byte == 0).unwrap_or(0);
            let end = length.min(12 + name + 5);
            question[2..4].copy_from_slice(&flags);
            question[6..12].fill(0);
            let _ = socket.send_to(&question[..end], from);
        }
    });
    Ok(())
}

/// The server's two addresses under one name, IPv6 first as RFC 6724 has it.
fn both(scene: &mut Scene<'_>) -> Result<Vec<String>, Broken> {
    let [v4, v6] = Family::BOTH.map(|family| Side::Server.address(family));
    let hosts = format!("{v6} both.test\n{v4} both.test\n");
    scene.with_etc(&[("nsswitch.conf", FILES), ("hosts", &hosts)])
}

fn reached_by_ipv4(scene: &mut Scene<'_>, rule: Option<Rule>) -> Result<(), Broken> {
    if let Some(rule) = rule {
        scene.stage.wire_rule(rule);
    }
    let server = scene.stage.listening(10)?;
    let etc = both(scene)?;
    scene.connects_to("both.test", None, &etc)?;
    server.must("0: accept")?;
    scene.echoes(&server, "hello")?;
    scene.now();
    server.must("1: close")?;
    scene.keeps(server);
    Ok(())
}
