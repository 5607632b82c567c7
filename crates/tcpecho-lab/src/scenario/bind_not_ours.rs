//! Addresses that bind rejects (UNP 4.4).

use crate::side::{Family, Side};
use crate::stage::{Agent, Broken, PORT, Stage};

scenario! { stage;
    name: "bind-not-ours",
    group: Some(Group::Startup),
    title: "the address belongs to another host",
    source: "UNP 4.4, ip(7), ipv6(7)",
    question: "What happens when a server binds an address that its host does not have?",
    book: &[
        (
            "A process may bind a specific address, but the address must belong to an interface \
             of the host.",
            &[Book("4.4")],
        ),
    ],
    kernel: &[
        (
            "bind fails with EADDRNOTAVAIL, unless net.ipv4.ip_nonlocal_bind (or its IPv6 \
             counterpart) or the socket option IP_FREEBIND allows it.",
            &[
                Man("bind(2)"),
                Man("ip(7)"),
                Sysctl("net.ipv4.ip_nonlocal_bind"),
                Measured("bind fails: the address is not available here"),
                Measured("the server can bind the address of the client's host"),
            ],
        ),
        (
            "A socket can be bound once: a second bind returns EINVAL.",
            &[Man("bind(2)"), Measured("bind fails: the socket already has an address")],
        ),
        (
            "bind of a link-local IPv6 address without an interface returns EINVAL, too: such an \
             address means something on one link only.",
            &[
                Man("ipv6(7)"),
                Rfc(4007, "4"),
                Measured("bind fails before it looks for the address"),
            ],
        ),
    ];

    step "a server binds the address of the client's host";
    let family = stage.family();
    let own = format!("bind {} {PORT}", Side::Server.address(family));
    let clients = format!("bind {} {PORT}", Side::Client.address(family));
    let server = fresh(stage)?;
    claim_is(
        "bind fails: the address is not available here",
        &server.call(&clients)?, "EADDRNOTAVAIL",
    );

    step "the server binds an address of its own host with the same socket";
    claim_is("bind works: the failed call left the socket unbound", &server.call(&own)?, "ok");

    step "the server binds the socket a second time";
    let other = format!("bind {} 8", Side::Server.address(family));
    claim_is("bind fails: the socket already has an address", &server.call(&other)?, "EINVAL");
    let name = server.must("getsockname")?;
    claim("the address has not changed", name.ends_with(&format!(":{PORT}")));
    server.must("close")?;

    step "the administrator allows addresses that are not local";
    let key = if family == Family::V4 { "ipv4" } else { "ipv6" };
    stage.two().server.set_sysctl(&format!("net.{key}.ip_nonlocal_bind"), "1")?;
    let server = fresh(stage)?;
    claim_is("the server can bind the address of the client's host", &server.call(&clients)?, "ok");
    claim_is("the server can listen on the address of the client's host", &server.call("listen 10")?, "ok");
    server.must("close")?;

    step "a server binds a link-local IPv6 address without an interface";
    let server = stage.agent(Side::Server)?;
    server.must("socket 6")?;
    claim_is(
        "bind fails before it looks for the address",
        &server.call(&format!("bind fe80::1 {PORT}"))?, "EINVAL",
    );
}

/// A program in the server's host with an unbound socket.
fn fresh(stage: &Stage) -> Result<Agent, Broken> {
    let server = stage.agent(Side::Server)?;
    server.must(&format!("socket {}", stage.number()))?;
    Ok(server)
}
