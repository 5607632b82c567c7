//! Keepalive probes keep a middlebox's entry alive (RFC 5382 5, RFC 1122 4.2.3.6).

use std::time::Duration;

use crate::impairment::{Matcher, Rule};
use crate::pace::Timer;
use crate::side::Side;
use crate::stage::{Broken, Stage};
use crate::timeline::What;

scenario! { stage;
    name: "keepalive-through-middlebox",
    group: Some(Group::Path),
    title: "keepalive below a middlebox's limit",
    source: "UNP 7.5, RFC 5382 5, RFC 9293 3.8.4, tcp(7)",
    question: "A middlebox forgets connections that are idle for too long. Does SO_KEEPALIVE help?",
    book: &[
        (
            "Keepalive detects a host that is gone.",
            &[Book("7.5")],
        ),
        (
            "A NAT may forget an idle connection, but it must keep it for 2 hours and 4 minutes.",
            &[Rfc(5382, "5")],
        ),
    ],
    kernel: &[
        (
            "It does if TCP_KEEPIDLE is below the middlebox's limit: each probe and its answer \
             are packets of the connection.",
            &[
                Man("tcp(7)"),
                Measured("the client with keepalive has sent a keepalive probe"),
                Measured("the server reads what the client with keepalive sent"),
                Measured("recv of the client without keepalive fails with ETIMEDOUT"),
            ],
        ),
        (
            "The default of two hours is enough for a NAT that follows RFC 5382, and for no \
             middlebox that forgets earlier.",
            &[Sysctl("net.ipv4.tcp_keepalive_time"), Rfc(5382, "5")],
        ),
    ],
    timers: &[Timer::Retransmission];

    step "two clients are connected through a middlebox that forgets after two and a half seconds; \
          one of them has SO_KEEPALIVE with an interval of one second";
    stage.two().client.set_rto_min(Duration::from_millis(20))?;
    stage.shorten(Side::Client, Timer::Retransmission, &[1])?;
    let (plain, server) = stage.connected()?;
    let kept = stage.joined(&server)?;
    kept.must("setsockopt keepalive 1 1 9")?;
    let [plain_port, kept_port] = [plain.port()?, kept.port()?];

    step "both are idle until the middlebox has forgotten one of them";
    let forgotten = first_idle(stage, [plain_port, kept_port])?;
    claim("the connection without keepalive is forgotten", forgotten == plain_port);
    let probes = stage.count(&Matcher::ack().from_client().port(kept_port));
    // The handshake has an ACK, too.
    claim("the client with keepalive has sent a keepalive probe", probes >= 2);
    let gone = Rule::drop(Matcher::any_tcp().port(forgotten));
    stage.wire_rule(gone.because("no such connection"));

    step "both send a line";
    claim_is("send of the client with keepalive succeeds", &kept.call("send hello")?, "ok 5");
    claim_is("the server reads what the client with keepalive sent", &server.call("2: recv 100")?, "ok 5 hello");
    plain.must("send hello")?;
    claim_is("recv of the client without keepalive fails with ETIMEDOUT", &plain.call("recv 100")?, "ETIMEDOUT");
}

/// The middlebox's limit.
const LIMIT: Duration = Duration::from_millis(2500);

/// Waits until no packet of one of these ports has passed for [`LIMIT`]; returns the port.
fn first_idle(stage: &Stage, ports: [u16; 2]) -> Result<u16, Broken> {
    let mut last = ports.map(|port| (port, stage.two().timeline.elapsed()));
    loop {
        for moment in stage.two().timeline.since(0) {
            let What::Packet(seen) = &moment.what else { continue };
            for (port, at) in &mut last {
                if Matcher::any_tcp().port(*port).matches(seen.from, &seen.packet) {
                    *at = moment.at.max(*at);
                }
            }
        }
        let now = stage.two().timeline.elapsed();
        if let Some((port, _)) = last.iter().find(|(_, at)| now.saturating_sub(*at) >= LIMIT) {
            return Ok(*port);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
