//! Real firewalls, of the client's own host and of the server's, where nft(8) is installed.

use tcpecho_lab::{
    Exit, Failed, Family, Side,
    stage::{Broken, PATIENCE, PORT},
};

use super::{Scene, Situation};

macro_rules! rule {
    ($name:literal, $side:ident, $hook:literal, $verdict:literal, $case:literal, $ending:literal, $options:expr, $what:literal) => {
        Situation {
            name: $name,
            what: $what,
            family: Family::V4,
            case: $case,
            ending: $ending,
            status: 3,
            options: $options,
            within: 6,
            play: |scene| {
                let server = scene.stage.listening(10)?;
                filter(scene, Side::$side, $hook, $verdict)?;
                scene.connects()?;
                scene.keeps(server);
                Ok(())
            },
        }
    };
}

pub(super) const SITUATIONS: &[Situation] = &[
    rule!(
        "nft-own-drop",
        Client,
        "output",
        "drop",
        "own-firewall-drops",
        "connect-timeout",
        &["-w", "2s"],
        "the firewall of the client's own host drops the SYN"
    ),
    rule!(
        "nft-own-reject",
        Client,
        "output",
        "reject with icmp type port-unreachable",
        "own-firewall",
        "forbidden",
        &[],
        "the firewall of the client's own host rejects the SYN with ICMP"
    ),
    rule!(
        "nft-own-reject-by-rule",
        Client,
        "output",
        "reject with icmp type admin-prohibited",
        "own-firewall",
        "forbidden",
        &[],
        "the same, and says that it is forbidden"
    ),
    Situation {
        name: "nft-own-reset",
        what: "somebody listens on the client's own host, and its firewall answers with RST",
        family: Family::V4,
        case: "rejected-here",
        ending: "refused",
        status: 3,
        options: &[],
        within: 5,
        play: |scene| {
            let here = scene.stage.client()?;
            here.must(&format!("bind 127.0.0.1 {PORT}"))?;
            here.must("listen 1")?;
            filter(scene, Side::Client, "input", "reject with tcp reset")?;
            scene.connects_to("127.0.0.1", None, &[])?;
            scene.keeps(here);
            Ok(())
        },
    },
    rule!(
        "nft-server-reject",
        Server,
        "input",
        "reject with icmp type port-unreachable",
        "port-rejected",
        "refused",
        &[],
        "the firewall of the server's host rejects the SYN with ICMP"
    ),
    rule!(
        "nft-server-reject-by-rule",
        Server,
        "input",
        "reject with icmp type admin-prohibited",
        "prohibited",
        "forbidden",
        &[],
        "the same, and says that it is forbidden"
    ),
    rule!(
        "nft-server-reset",
        Server,
        "input",
        "reject with tcp reset",
        "nobody-listens",
        "refused",
        &[],
        "the firewall of the server's host answers with RST, as if nobody listened"
    ),
    rule!(
        "nft-server-drop",
        Server,
        "input",
        "drop",
        "no-answer",
        "connect-timeout",
        &["-w", "1500ms"],
        "the firewall of the server's host drops the SYN"
    ),
];

/// One rule for what goes to the server's port.
fn filter(scene: &Scene<'_>, side: Side, hook: &str, verdict: &str) -> Result<(), Broken> {
    let rules = format!(
        "add table inet t; add chain inet t c {{ type filter hook {hook} priority 0; }}; \
         add rule inet t c tcp dport {PORT} {verdict}"
    );
    let nft = scene.stage.two().host(side).program(["nft", &rules])?;
    if nft.wait(PATIENCE)?.1 == Exit::Exited(0) {
        return Ok(());
    }
    let said = nft.lines().into_iter().map(|(_, line)| line).collect::<Vec<_>>().join(" ");
    let errno = rustix::io::Errno::NOTSUP;
    Err(Failed { operation: format!("nft: {said}").into(), errno }.into())
}
