//! Who may share a port with a listener (UNP 4.4, 7.5).

use super::Scenario;
use crate::side::{Family, Side};
use crate::stage::{Actor, Broken, PORT, Played, Stage};
use crate::text::{Step, Text};

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "bind-in-use-by-listener",
        title: "the port belongs to another server",
        source: "UNP 4.4, 7.5",
        question: "A server listens on a port; which other program may bind the same port?",
        book: "Without an option none may (EADDRINUSE). With SO_REUSEADDR several servers may \
               share a port if each binds another address, the wildcard counting as one of them; \
               the very same address and port only with SO_REUSEPORT.",
        kernel: "Stricter: while one of them listens, the wildcard excludes every specific address \
                 and is excluded by it, SO_REUSEADDR or not. [::] includes IPv4 unless IPV6_V6ONLY \
                 is set. With SO_REUSEADDR two may bind the same, but only one can listen. With \
                 SO_REUSEPORT on both, both can.",
        timers: &[],
        steps: &[
            Step {
                does: "a server listens on the wildcard address, SO_REUSEADDR set; another program \
                       wants the port",
                claims: &[
                    "it does not get the wildcard address",
                    "nor the address of the interface",
                    "nor the loopback address",
                ],
            },
            Step {
                does: "the other program sets SO_REUSEADDR, as the first has",
                claims: &[
                    "it still does not get the wildcard address",
                    "nor, unlike in the book, a specific one",
                ],
            },
            Step {
                does: "the first server closes its socket, and the second binds the address of the \
                       interface and listens",
                claims: &[
                    "the port is free at once",
                ],
            },
            Step {
                does: "a third program wants the port, SO_REUSEADDR set",
                claims: &[
                    "it does not get the wildcard address",
                    "it gets the loopback address",
                    "and may listen there",
                ],
            },
            Step {
                does: "two programs set SO_REUSEADDR and bind before either listens",
                claims: &[
                    "the first gets the wildcard address",
                    "the second gets it, too",
                    "the second may listen",
                    "now the first may not",
                ],
            },
            Step {
                does: "two programs set SO_REUSEPORT",
                claims: &[
                    "the second gets the address the first listens on",
                    "and may listen there as well",
                ],
            },
            Step {
                does: "a server listens on the wildcard address of one family, another program \
                       wants that of the other",
                claims: &[
                    "[::] means IPv4, too: they collide",
                ],
            },
            Step {
                does: "the same again, but whoever has the IPv6 socket sets IPV6_V6ONLY",
                claims: &[
                    "each gets the wildcard address of its family",
                    "and both listen",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    let (any, own) = (stage.family().any(), Side::Server.address(stage.family()));
    let loopback = if stage.family() == Family::V4 { "127.0.0.1" } else { "::1" };
    let [any, own, loopback] = [any.to_string(), own.to_string(), loopback.into()]
        .map(|address: String| format!("bind {address} {PORT}"));

    stage.step("a server listens on the wildcard address, SO_REUSEADDR set; another program wants the port");
    let first = stage.listening(10)?;
    let second = fresh(stage)?;
    stage.claim_is("it does not get the wildcard address", &second.call(&any)?, "EADDRINUSE");
    stage.claim_is("nor the address of the interface", &second.call(&own)?, "EADDRINUSE");
    stage.claim_is("nor the loopback address", &second.call(&loopback)?, "EADDRINUSE");

    stage.step("the other program sets SO_REUSEADDR, as the first has");
    second.must("setsockopt reuseaddr on")?;
    stage.claim_is("it still does not get the wildcard address", &second.call(&any)?, "EADDRINUSE");
    stage.claim_is("nor, unlike in the book, a specific one", &second.call(&own)?, "EADDRINUSE");

    stage.step("the first server closes its socket, and the second binds the address of the interface and listens");
    first.must("close")?;
    stage.claim_is("the port is free at once", &second.call(&own)?, "ok");
    second.must("listen 10")?;

    stage.step("a third program wants the port, SO_REUSEADDR set");
    let third = fresh(stage)?;
    third.must("setsockopt reuseaddr on")?;
    stage.claim_is("it does not get the wildcard address", &third.call(&any)?, "EADDRINUSE");
    stage.claim_is("it gets the loopback address", &third.call(&loopback)?, "ok");
    stage.claim_is("and may listen there", &third.call("listen 10")?, "ok");
    second.must("close")?;
    third.must("close")?;

    stage.step("two programs set SO_REUSEADDR and bind before either listens");
    let (first, second) = (fresh(stage)?, fresh(stage)?);
    first.must("setsockopt reuseaddr on")?;
    second.must("setsockopt reuseaddr on")?;
    stage.claim_is("the first gets the wildcard address", &first.call(&any)?, "ok");
    stage.claim_is("the second gets it, too", &second.call(&any)?, "ok");
    stage.claim_is("the second may listen", &second.call("listen 10")?, "ok");
    stage.claim_is("now the first may not", &first.call("listen 10")?, "EADDRINUSE");
    first.must("close")?;
    second.must("close")?;

    stage.step("two programs set SO_REUSEPORT");
    let (first, second) = (fresh(stage)?, fresh(stage)?);
    first.must("setsockopt reuseport on")?;
    second.must("setsockopt reuseport on")?;
    first.must(&any)?;
    first.must("listen 10")?;
    stage.claim_is("the second gets the address the first listens on", &second.call(&any)?, "ok");
    stage.claim_is("and may listen there as well", &second.call("listen 10")?, "ok");
    first.must("close")?;
    second.must("close")?;

    both_families(stage)
}

fn both_families(stage: &mut Stage) -> Played {
    let (mine, other) = match stage.family() {
        Family::V4 => (Family::V4, Family::V6),
        Family::V6 => (Family::V6, Family::V4),
    };
    stage.step("a server listens on the wildcard address of one family, another program wants that of the other");
    let first = socket_of(stage, mine)?;
    let line = |family: Family| format!("bind {} {PORT}", family.any());
    first.must(&line(mine))?;
    first.must("listen 10")?;
    let second = socket_of(stage, other)?;
    stage.claim_is("[::] means IPv4, too: they collide", &second.call(&line(other))?, "EADDRINUSE");
    first.must("close")?;

    stage.step("the same again, but whoever has the IPv6 socket sets IPV6_V6ONLY");
    let (first, second) = (socket_of(stage, mine)?, socket_of(stage, other)?);
    let six = if mine == Family::V6 { &first } else { &second };
    six.must("setsockopt v6only on")?;
    first.must(&line(mine))?;
    first.must("listen 10")?;
    stage.claim_is("each gets the wildcard address of its family", &second.call(&line(other))?, "ok");
    stage.claim_is("and both listen", &second.call("listen 10")?, "ok");
    Ok(())
}

/// A program in the server's host with a socket that is not bound.
fn fresh(stage: &Stage) -> Result<Actor, Broken> {
    socket_of(stage, stage.family())
}

fn socket_of(stage: &Stage, family: Family) -> Result<Actor, Broken> {
    let actor = stage.actor(Side::Server)?;
    actor.must(if family == Family::V4 { "socket 4" } else { "socket 6" })?;
    Ok(actor)
}
