//! A zero window lasts for ever only as long as nobody limits it (RFC 9293 3.8.6.1, 3.9.1, tcp(7)).

use std::time::{Duration, Instant};

use crate::impairment::Matcher;
use crate::stage::{Agent, Broken, Stage};

scenario! { stage;
    name: "zero-window-user-timeout",
    group: Some(Group::Data),
    title: "the receiver does not read, and the sender sets a limit",
    source: "RFC 9293 3.8.6.1, 3.9.1, tcp(7)",
    question: "The receiver answers every window probe and never reads. Is there anything that ends \
               the connection?",
    book: &[
        (
            "A zero window alone ends no connection: as long as the receiver acknowledges the \
             probes, the sender must let it stay open.",
            &[Rfc(9293, "3.8.6.1")],
        ),
        (
            "TCP has a user timeout for data that is not delivered.",
            &[Rfc(9293, "3.9.1")],
        ),
    ],
    kernel: &[
        (
            "TCP_USER_TIMEOUT also limits the time in which a probed window stays closed: then a \
             call of the sender fails with ETIMEDOUT, although every probe was answered. The \
             kernel checks the limit when the next probe is due, so the call fails somewhat later.",
            &[
                Man("tcp(7)"),
                Code("tcp_probe_timer", "net/ipv4/tcp_timer.c"),
                Measured("recv fails with ETIMEDOUT"),
                Measured("recv fails half a second after the client had begun to send, or later"),
                Measured("window probes were sent"),
                Measured("the window probes were answered with a window of 0"),
            ],
        ),
    ];

    step "a client with TCP_USER_TIMEOUT of half a second sends more than the server's window takes";
    stage.two().client.set_rto_min(Duration::from_millis(20))?;
    let server = stage.listening(10)?;
    server.must("setsockopt rcvbuf 4096")?;
    let begun = Instant::now();
    let client = full_with(stage, &server, |client| client.must("setsockopt user_timeout 500"))?;
    claim_is("recv fails with ETIMEDOUT", &client.call("recv 1")?, "ETIMEDOUT");
    claim(
        "recv fails half a second after the client had begun to send, or later",
        begun.elapsed() >= Duration::from_millis(500),
    );
    let probes = Matcher::ack().from_client().port(stage.port());
    claim("window probes were sent", stage.count(&probes) > 1);
    let zero = zero_window();
    claim("the window probes were answered with a window of 0", stage.count(&zero) > 1);
}

/// A client of a server that does not read, with the server's window closed and the client's buffer full.
pub(super) fn full(stage: &Stage, server: &Agent) -> Result<Agent, Broken> {
    full_with(stage, server, |_| Ok(String::new()))
}

/// The same, with this call after connect and before the client sends.
fn full_with(
    stage: &Stage,
    server: &Agent,
    call: impl FnOnce(&Agent) -> Result<String, Broken>,
) -> Result<Agent, Broken> {
    let client = stage.client()?;
    client.must("setsockopt sndbuf 8192")?;
    client.must(&stage.connect_line())?;
    server.must("0: accept")?;
    call(&client)?;
    client.must("stuff 40000")?;
    Ok(client)
}

fn zero_window() -> Matcher {
    Matcher::any_tcp().from_server().matching("with window 0", |_, packet| {
        packet.tcp().is_some_and(|tcp| tcp.window == 0)
    })
}
