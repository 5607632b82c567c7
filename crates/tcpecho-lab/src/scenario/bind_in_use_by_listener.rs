//! Which programs can share a port with a listener (UNP 4.4, 7.5).

use crate::side::{Family, Side};
use crate::stage::{Agent, Broken, PORT, Stage};

scenario! { stage;
    name: "bind-in-use-by-listener",
    group: Some(Group::Startup),
    title: "another server listens on the port",
    source: "UNP 4.4, 7.5, socket(7)",
    question: "A server listens on a port. Which other program can bind the same port?",
    book: &[
        (
            "Without an option, none can bind the same address, nor a specific address while the \
             server has the wildcard (EADDRINUSE). With SO_REUSEADDR several servers can share a \
             port if each binds a different address, the wildcard counting as one of them; but \
             some systems do not allow a specific address after the wildcard. The same address \
             and port can be shared only with SO_REUSEPORT.",
            &[Book("4.4"), Book("7.5")],
        ),
    ],
    kernel: &[
        (
            "Linux is one of the strict systems: while one of the sockets listens, the wildcard \
             conflicts with every specific address, in either order, with or without \
             SO_REUSEADDR.",
            &[
                Man("socket(7)"),
                Measured(
                    "the program cannot bind a specific address either, as on the strict systems of the book",
                ),
                Measured("the program cannot bind the wildcard address"),
            ],
        ),
        (
            "[::] includes IPv4 unless IPV6_V6ONLY is set.",
            &[
                Man("ipv6(7)"),
                Measured("the two wildcard addresses conflict, because [::] includes IPv4"),
                Measured("with IPV6_V6ONLY each program binds the wildcard address of its own family"),
            ],
        ),
        (
            "With SO_REUSEADDR on both, two sockets can bind the same address while neither \
             listens, but only one can listen. With SO_REUSEPORT on both, both can, if they \
             belong to the same user.",
            &[
                Measured("the second program binds the wildcard address, too"),
                Measured("the first program cannot listen any more"),
                Measured("with SO_REUSEPORT the second program can listen on that address as well"),
                Man("socket(7)"),
            ],
        ),
    ];

    step "a server listens on the wildcard address with SO_REUSEADDR; another program tries to \
          bind the port";
    let (any, own) = (stage.family().any(), Side::Server.address(stage.family()));
    let loopback = if stage.family() == Family::V4 { "127.0.0.1" } else { "::1" };
    let [any, own, loopback] = [any.to_string(), own.to_string(), loopback.into()]
        .map(|address: String| format!("bind {address} {PORT}"));
    let first = stage.listening(10)?;
    let second = fresh(stage)?;
    claim_is("the program cannot bind the wildcard address", &second.call(&any)?, "EADDRINUSE");
    claim_is("the program cannot bind the interface's address", &second.call(&own)?, "EADDRINUSE");
    claim_is(
        "the program cannot bind the loopback address",
        &second.call(&loopback)?, "EADDRINUSE",
    );

    step "the other program sets SO_REUSEADDR, as the server did";
    second.must("setsockopt reuseaddr on")?;
    claim_is(
        "the program still cannot bind the wildcard address",
        &second.call(&any)?, "EADDRINUSE",
    );
    claim_is(
        "the program cannot bind a specific address either, as on the strict systems of the book",
        &second.call(&own)?, "EADDRINUSE",
    );

    step "the server closes its socket; the other program binds the interface's address and listens";
    first.must("close")?;
    claim_is("the port is free at once", &second.call(&own)?, "ok");
    second.must("listen 10")?;

    step "a third program with SO_REUSEADDR tries to bind the port";
    let third = fresh(stage)?;
    third.must("setsockopt reuseaddr on")?;
    claim_is("the third program cannot bind the wildcard address", &third.call(&any)?, "EADDRINUSE");
    claim_is("the third program can bind the loopback address", &third.call(&loopback)?, "ok");
    claim_is("the third program can listen on the loopback address", &third.call("listen 10")?, "ok");
    second.must("close")?;
    third.must("close")?;

    step "two programs set SO_REUSEADDR and bind before either of them listens";
    let (first, second) = (fresh(stage)?, fresh(stage)?);
    first.must("setsockopt reuseaddr on")?;
    second.must("setsockopt reuseaddr on")?;
    claim_is("the first program binds the wildcard address", &first.call(&any)?, "ok");
    claim_is("the second program binds the wildcard address, too", &second.call(&any)?, "ok");
    claim_is("the second program can listen", &second.call("listen 10")?, "ok");
    claim_is("the first program cannot listen any more", &first.call("listen 10")?, "EADDRINUSE");
    first.must("close")?;
    second.must("close")?;

    step "two programs set SO_REUSEPORT";
    let (first, second) = (fresh(stage)?, fresh(stage)?);
    first.must("setsockopt reuseport on")?;
    second.must("setsockopt reuseport on")?;
    first.must(&any)?;
    first.must("listen 10")?;
    claim_is("with SO_REUSEPORT the second program binds the address that the first listens on", &second.call(&any)?, "ok");
    claim_is("with SO_REUSEPORT the second program can listen on that address as well", &second.call("listen 10")?, "ok");
    first.must("close")?;
    second.must("close")?;
    let (mine, other) = match stage.family() {
        Family::V4 => (Family::V4, Family::V6),
        Family::V6 => (Family::V6, Family::V4),
    };

    step "a server listens on the wildcard address of one family; another program binds that of \
          the other";
    let first = socket_of(stage, mine)?;
    let line = |family: Family| format!("bind {} {PORT}", family.any());
    first.must(&line(mine))?;
    first.must("listen 10")?;
    let second = socket_of(stage, other)?;
    claim_is(
        "the two wildcard addresses conflict, because [::] includes IPv4",
        &second.call(&line(other))?, "EADDRINUSE",
    );
    first.must("close")?;

    step "the same again, with IPV6_V6ONLY on the IPv6 socket";
    let (first, second) = (socket_of(stage, mine)?, socket_of(stage, other)?);
    let six = if mine == Family::V6 { &first } else { &second };
    six.must("setsockopt v6only on")?;
    first.must(&line(mine))?;
    first.must("listen 10")?;
    claim_is(
        "with IPV6_V6ONLY each program binds the wildcard address of its own family",
        &second.call(&line(other))?, "ok",
    );
    claim_is("with IPV6_V6ONLY both programs can listen", &second.call("listen 10")?, "ok");
}

/// A program in the server's host with an unbound socket.
fn fresh(stage: &Stage) -> Result<Agent, Broken> {
    socket_of(stage, stage.family())
}

fn socket_of(stage: &Stage, family: Family) -> Result<Agent, Broken> {
    let agent = stage.agent(Side::Server)?;
    agent.must(if family == Family::V4 { "socket 4" } else { "socket 6" })?;
    Ok(agent)
}
