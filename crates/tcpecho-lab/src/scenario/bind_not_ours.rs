//! Addresses that bind does not take (UNP 4.4).

use super::Scenario;
use crate::side::{Family, Side};
use crate::stage::{Actor, Broken, PORT, Played, Stage};
use crate::text::{Step, Text};

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "bind-not-ours",
        title: "an address of another host",
        source: "UNP 4.4",
        question: "What happens if a server binds an address that its host does not have?",
        book: "A process may bind a specific address, but it must belong to an interface of the \
               host.",
        kernel: "Otherwise bind fails with EADDRNOTAVAIL, unless net.ipv4.ip_nonlocal_bind (or \
                 net.ipv6's) allows it. A socket is bound once: a second bind is EINVAL. So is a \
                 link-local IPv6 address without its interface, because there may be one such \
                 network on each.",
        timers: &[],
        steps: &[
            Step {
                does: "a server binds the address of the client's host",
                claims: &[
                    "there is no such address here",
                ],
            },
            Step {
                does: "it binds its own host's address with the same socket",
                claims: &[
                    "a failed bind leaves the socket unbound: it works",
                ],
            },
            Step {
                does: "it binds the socket a second time",
                claims: &[
                    "a socket keeps its name",
                    "it is still the first one",
                ],
            },
            Step {
                does: "the operator allows addresses that are not there yet",
                claims: &[
                    "the address of the client's host is taken",
                    "even to listen",
                ],
            },
            Step {
                does: "a server binds a link-local IPv6 address without saying of which interface",
                claims: &[
                    "it is not even looked for",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    let family = stage.family();
    let own = format!("bind {} {PORT}", Side::Server.address(family));
    let clients = format!("bind {} {PORT}", Side::Client.address(family));

    stage.step("a server binds the address of the client's host");
    let server = fresh(stage)?;
    stage.claim_is("there is no such address here", &server.call(&clients)?, "EADDRNOTAVAIL");

    stage.step("it binds its own host's address with the same socket");
    stage.claim_is("a failed bind leaves the socket unbound: it works", &server.call(&own)?, "ok");

    stage.step("it binds the socket a second time");
    let other = format!("bind {} 8", Side::Server.address(family));
    stage.claim_is("a socket keeps its name", &server.call(&other)?, "EINVAL");
    let name = server.must("getsockname")?;
    stage.claim("it is still the first one", name.ends_with(&format!(":{PORT}")));
    server.must("close")?;

    stage.step("the operator allows addresses that are not there yet");
    let key = if family == Family::V4 { "ipv4" } else { "ipv6" };
    stage.two().server.set_sysctl(&format!("net.{key}.ip_nonlocal_bind"), "1")?;
    let server = fresh(stage)?;
    stage.claim_is("the address of the client's host is taken", &server.call(&clients)?, "ok");
    stage.claim_is("even to listen", &server.call("listen 10")?, "ok");
    server.must("close")?;

    stage.step("a server binds a link-local IPv6 address without saying of which interface");
    let server = stage.actor(Side::Server)?;
    server.must("socket 6")?;
    stage.claim_is("it is not even looked for", &server.call(&format!("bind fe80::1 {PORT}"))?, "EINVAL");
    Ok(())
}

/// A program in the server's host with a socket that is not bound.
fn fresh(stage: &Stage) -> Result<Actor, Broken> {
    let server = stage.actor(Side::Server)?;
    server.must(&format!("socket {}", stage.number()))?;
    Ok(server)
}
