//! Ports that need a privilege (UNP 2.9).

use crate::side::Side;
use crate::stage::{Agent, Broken, PORT, Stage};

const START: &str = "net.ipv4.ip_unprivileged_port_start";

scenario! { stage;
    name: "bind-privileged",
    group: Some(Group::Startup),
    title: "the port is below 1024",
    source: "UNP 2.9, ip(7), capabilities(7)",
    question: "Who can bind a well-known port, such as port 7 of the echo service?",
    book: &[
        (
            "Only an appropriately privileged process can bind a port below 1024, a reserved \
             port.",
            &[Book("2.9")],
        ),
    ],
    kernel: &[
        (
            "A process with CAP_NET_BIND_SERVICE can; others get EACCES.",
            &[
                Man("capabilities(7)"),
                Man("ip(7)"),
                Measured("bind works"),
                Measured("bind fails with EACCES"),
            ],
        ),
        (
            "The first unprivileged port is a setting of the network namespace, \
             net.ipv4.ip_unprivileged_port_start, which also applies to IPv6.",
            &[
                Sysctl("net.ipv4.ip_unprivileged_port_start"),
                Measured("the unprivileged program can bind the port"),
                Measured("bind of port 6 still fails"),
            ],
        ),
    ];

    step "a program without the privilege binds the port of the echo service";
    stage.two().server.set_sysctl(START, "1024")?;
    let ordinary = stage.ordinary_agent(Side::Server)?;
    claim_is("bind fails with EACCES", &bind(stage, &ordinary, PORT)?, "EACCES");

    step "the program tries the last port below 1024 and the first one above";
    claim_is("bind of port 1023 fails as well", &bind(stage, &ordinary, 1023)?, "EACCES");
    claim_is("bind of port 1024 works", &bind(stage, &ordinary, 1024)?, "ok");

    step "a program with the privilege binds the port of the echo service";
    let privileged = stage.agent(Side::Server)?;
    claim_is("bind works", &bind(stage, &privileged, PORT)?, "ok");

    step "the unprivileged program binds the port that is now in use";
    let again = bind(stage, &ordinary, PORT)?;
    claim_is(
        "the privilege is checked first: bind fails with EACCES, not EADDRINUSE",
        &again, "EACCES",
    );
    privileged.must("close")?;

    step "the administrator makes port 7 the first unprivileged port";
    stage.two().server.set_sysctl(START, &PORT.to_string())?;
    claim_is("the unprivileged program can bind the port", &bind(stage, &ordinary, PORT)?, "ok");
    claim_is("the unprivileged program can listen on the port", &ordinary.call("listen 10")?, "ok");
    claim_is("bind of port 6 still fails", &bind(stage, &ordinary, PORT - 1)?, "EACCES");
}

/// The result of bind on a new socket.
fn bind(stage: &Stage, agent: &Agent, port: u16) -> Result<String, Broken> {
    agent.must(&format!("socket {}", stage.number()))?;
    agent.call(&format!("bind {} {port}", stage.family().any()))
}
