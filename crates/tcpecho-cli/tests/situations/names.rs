//! The name.

use tcpecho_lab::{
    Family, Matcher, Rule, Side,
    stage::{Broken, PORT},
};

use super::{Scene, Situation};

/// Only /etc/hosts is asked.
const FILES: &str = "hosts: files\n";

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
            let server = Side::Server.address(Family::V4);
            let resolver = format!("nameserver {server}\noptions timeout:1 attempts:1\n");
            let etc =
                scene.with_etc(&[("nsswitch.conf", "hosts: dns\n"), ("resolv.conf", &resolver)])?;
            scene.stage.wire_rule(Rule::drop(Matcher::any()));
            scene.connects_to("somebody.test", None, &etc)
        },
    },
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
    debug_assert_eq!(PORT, 7);
    scene.connects_to("both.test", None, &etc)?;
    server.must("0: accept")?;
    scene.echoes(&server, "hello")?;
    scene.now();
    server.must("1: close")?;
    scene.keeps(server);
    Ok(())
}
