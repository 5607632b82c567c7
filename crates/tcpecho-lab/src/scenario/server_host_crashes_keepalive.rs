//! The server's host crashes while the connection is idle (UNP 5.14, 7.5, RFC 9293 3.8.4).

use std::time::{Duration, Instant};

use crate::impairment::Matcher;
use crate::packet::Flags;
use crate::pace::Timer;
use crate::side::Side;
use crate::stage::PATIENCE;
use crate::timeline::Verdict;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "server-host-crashes-keepalive",
    group: Some(Group::Failures),
    title: "the host crashes, and the client has SO_KEEPALIVE",
    source: "UNP 5.14, 7.5, RFC 9293 3.8.4",
    question: "The server's host crashes while the connection is idle. Does the client ever \
               notice?",
    book: &[
        (
            "No, unless it sends something.",
            &[Book("5.14")],
        ),
        (
            "With SO_KEEPALIVE its TCP sends a keepalive probe after two hours of silence. If \
             eight more probes, 75 seconds apart, are not answered either, the socket gets \
             ETIMEDOUT.",
            &[Book("7.5")],
        ),
    ],
    kernel: &[
        (
            "The same times, unless TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT or the sysctls \
             net.ipv4.tcp_keepalive_* say otherwise; here 1 s, 1 s and one probe.",
            &[
                Man("tcp(7)"),
                Sysctl("net.ipv4.tcp_keepalive_time"),
                Measured("recv fails after the idle time and the probe interval, one second each"),
            ],
        ),
        (
            "A keepalive probe is an empty ACK with sequence number SND.NXT - 1, which the peer \
             has already acknowledged.",
            &[
                Rfc(9293, "3.8.4"),
                Measured("one keepalive probe was sent: an ACK without data"),
                Measured("the probe's sequence number is SND.NXT - 1"),
            ],
        ),
        (
            "At the end an RST is sent, unlike after unacknowledged data.",
            &[Measured("after the probe an RST is sent, which never arrives"), Lab("server-host-crashes")],
        ),
    ],
    timers: &[Timer::Keepalive];

    step "two idle clients are connected";
    let (first, server) = stage.connected()?;
    let second = stage.joined(&server)?;
    let (asking, silent) = (port_of(&first.must("getsockname")?), port_of(&second.must("getsockname")?));

    step "the server's host loses power";
    stage.two_mut().server.power_off();
    second.begin("recv 100")?;

    step "the first client sets SO_KEEPALIVE and waits for data";
    let begun = Instant::now();
    let asks = stage.shorten(Side::Client, Timer::Keepalive, &[1, 1, 1])?;
    first.must("setsockopt keepalive on")?;
    let outcome = first.call("recv 100")?;
    let took = begun.elapsed();
    claim_is("the first client's recv fails with ETIMEDOUT", &outcome, "ETIMEDOUT");
    // Idle since its handshake, which was a moment before.
    claim(
        "recv fails after the idle time and the probe interval, one second each",
        {
        took + Duration::from_secs(1) >= asks * 9 / 10 && took < asks * 2 + Duration::from_secs(30)
    },
    );
    stage.two().wire.wait_for(&Matcher::rst(), 0, PATIENCE)?;
    let lost: Vec<_> = stage
        .packets()
        .into_iter()
        .filter(|seen| seen.verdict == Verdict::HostOff)
        .filter_map(|seen| seen.packet.tcp().cloned())
        .collect();
    let (last, probes) = lost.split_last().map_or((None, &[][..]), |(rst, probes)| (Some(rst), probes));
    let one = probes.len() == 1 || (stage.is_in_real_time() && !probes.is_empty());
    claim(
        "one keepalive probe was sent: an ACK without data",
        {
        one && probes.iter().all(|tcp| tcp.is_bare_ack() && tcp.source_port == asking)
    },
    );
    claim(
        "after the probe an RST is sent, which never arrives",
        {
        last.is_some_and(|tcp| tcp.flags.has(Flags::RST) && tcp.source_port == asking)
    },
    );
    // The RST has the sequence number of the next new byte.
    claim(
        "the probe's sequence number is SND.NXT - 1",
        {
        last.is_some_and(|rst| probes.iter().all(|probe| probe.seq == rst.seq.wrapping_sub(1)))
    },
    );

    step "the second client has no SO_KEEPALIVE";
    let its = Matcher::any_tcp().port(silent);
    claim("the second client has sent nothing since its handshake", stage.count(&its) == 3);
    claim_state("the second client is ESTABLISHED", Side::Client, TcpState::Established);
    let answers = second.program().lines().len();
    claim("the second client still waits in recv", answers == 3);
}

/// The port in `ok ADDRESS:PORT`.
fn port_of(answer: &str) -> u16 {
    answer.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default()
}
