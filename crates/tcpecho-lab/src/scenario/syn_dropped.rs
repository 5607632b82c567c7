//! Nothing answers the SYN: the kernel retransmits it and gives up (UNP 4.3, RFC 6298 2).

use std::time::{Duration, Instant};

use crate::impairment::{Matcher, Rule};
use crate::pace::Timer;
use crate::side::Side;
use crate::stage::PATIENCE;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "syn-dropped",
    group: Some(Group::Startup),
    title: "nothing answers the SYN",
    source: "UNP 4.3, RFC 6298 2",
    question: "How long does connect try when no answer arrives?",
    book: &[
        (
            "The SYN is retransmitted several times, each time after a longer wait. 4.4BSD gives \
             up after 75 seconds, and connect fails with ETIMEDOUT.",
            &[Book("4.3")],
        ),
    ],
    kernel: &[
        (
            "The same error. The waits double from the initial RTO of one second: 1, 2, 4 …; \
             net.ipv4.tcp_syn_retries (6) SYNs follow the first, and connect fails after 127 \
             seconds. Here it is 1: one more SYN, 3 seconds.",
            &[
                Rfc(6298, "2"),
                Sysctl("net.ipv4.tcp_syn_retries"),
                Measured("connect fails with ETIMEDOUT"),
                Measured("connect took all the waits, 1 and 2 seconds"),
                Measured("the SYN was sent twice"),
            ],
        ),
        (
            "Since Linux 6.5 net.ipv4.tcp_syn_linear_timeouts (4) adds that many waits of one \
             second: 1, 1, 1, 1, and then 1, 2, 4 …, which makes ten more SYNs and 131 seconds. \
             The lab sets it to 0.",
            &[
                Sysctl("net.ipv4.tcp_syn_linear_timeouts"),
                Measured("the wait between two SYNs does not double (since Linux 6.5)"),
            ],
        ),
        (
            "The kernel also gives up when a timer expires after the time that doubled waits \
             alone would take: with one retry that is 3 seconds, even with four waits of one \
             second.",
            &[
                Code("tcp_write_timeout", "net/ipv4/tcp_timer.c"),
                Measured("connect fails with ETIMEDOUT after 3 seconds again"),
            ],
        ),
    ],
    timers: &[Timer::Syn];

    step "the server listens, and the wire drops every SYN";
    let waits = stage.shorten(Side::Client, Timer::Syn, &[1, 0])?;
    let _server = stage.listening(10)?;
    stage.wire_rule(Rule::drop(Matcher::syn()));

    step "the client connects";
    let client = stage.client()?;
    let begun = Instant::now();
    client.begin(&stage.connect_line())?;
    stage.two().wire.wait_for(&Matcher::syn(), 0, PATIENCE)?;
    claim_state("the client is in SYN_SENT", Side::Client, TcpState::SynSent);

    step "no answer arrives, and the kernel retransmits the SYN";
    claim_is("connect fails with ETIMEDOUT", &client.outcome()?, "ETIMEDOUT");
    let took = begun.elapsed();
    claim(
        "connect took all the waits, 1 and 2 seconds",
        {
        took >= waits && took < waits * 2 + Duration::from_secs(30)
    },
    );
    let syns: Vec<u32> =
        stage.packets().iter().filter_map(|seen| Some(seen.packet.tcp()?.seq)).collect();
    claim("no other packet was sent", syns.len() == stage.count(&Matcher::syn()));
    claim("the SYN was sent twice", syns.len() == 2 || stage.is_in_real_time());
    claim("both SYNs have the same sequence number", syns.windows(2).all(|two| two[0] == two[1]));
    let knows = stage.two().server.sockets(stage.family()).len();
    claim("the server's host has no socket except its listening one", knows == 1);

    step "the same with one retry and four waits of one second (tcp_syn_linear_timeouts)";
    let has_linear = stage.two().client.sysctl(LINEAR).is_ok();
    stage.two().client.set_sysctl("net.ipv4.tcp_syn_retries", "1")?;
    if has_linear {
        stage.two().client.set_sysctl(LINEAR, "4")?;
    };
    let before = stage.count(&Matcher::syn());
    let client = stage.client()?;
    let begun = Instant::now();
    let outcome = client.call(&stage.connect_line())?;
    let took = begun.elapsed();
    let syns = stage.count(&Matcher::syn()) - before;
    // In the three seconds in which doubled waits send two.
    claim(
        "the wait between two SYNs does not double (since Linux 6.5)",
        syns == if has_linear { 3 } else { 2 },
    );
    claim_is("connect fails with ETIMEDOUT after 3 seconds again", &outcome, "ETIMEDOUT");
    claim("connect took three waits of one second", took >= Duration::from_secs(3));
}

/// Since Linux 6.5.
const LINEAR: &str = "net.ipv4.tcp_syn_linear_timeouts";
