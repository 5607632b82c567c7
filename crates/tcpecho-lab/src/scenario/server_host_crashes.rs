//! The server's host crashes, and the client's retransmissions get no answer (UNP 5.14, RFC 6298 5).

use std::time::{Duration, Instant};

use crate::impairment::Matcher;
use crate::pace::Timer;
use crate::side::Side;
use crate::timeline::{PacketMoment, Verdict};
use tcpecho_os::tcp_state::TcpState;
use tcpecho_os::tcp_timer::RTO_MAX;

scenario! { stage;
    name: "server-host-crashes",
    group: Some(Group::Failures),
    title: "the server's host crashes",
    source: "UNP 5.14, RFC 6298 5",
    question: "The server's host loses power while a client waits for a reply. What does the \
               client see, and when?",
    book: &[
        (
            "write succeeds, and the client blocks in read. Its TCP retransmits the data, in \
             Berkeley-derived kernels 12 times in about 9 minutes, and gives up: read fails with \
             ETIMEDOUT, or with EHOSTUNREACH or ENETUNREACH if a router sent an ICMP error.",
            &[Book("5.14")],
        ),
    ],
    kernel: &[
        (
            "The same, after 15 minutes or more. net.ipv4.tcp_retries2 is not a number of packets \
             but a time, computed as if the first RTO were 200 ms; it is 1 here instead of 15, \
             and the minimum RTO is 20 ms.",
            &[
                Sysctl("net.ipv4.tcp_retries2"),
                Code("retransmits_timed_out", "net/ipv4/tcp_timer.c"),
                Measured("recv fails no earlier than tcp_retries2 allows"),
            ],
        ),
        (
            "No RST is sent at the end. After the error, read returns 0 and write fails with \
             EPIPE.",
            &[
                Measured("no RST is sent"),
                Measured("the next recv returns end of file"),
                Measured("send fails with EPIPE"),
            ],
        ),
    ],
    timers: &[Timer::Retransmission];

    step "a client and a server exchange data; the retransmission timeout of the client's kernel \
          is short";
    stage.two().client.set_rto_min(Duration::from_millis(20))?;
    let tries = stage.shorten(Side::Client, Timer::Retransmission, &[1])?;
    let (client, server) = stage.connected()?;
    client.must("send one")?;
    claim_is("the server reads what the client sent", &server.call("recv 100")?, "ok 3 one");
    server.must("send one")?;
    claim_is("the client reads the echo", &client.call("recv 100")?, "ok 3 one");

    step "the server's host loses power";
    stage.two_mut().server.power_off();
    claim_state("the client is still ESTABLISHED", Side::Client, TcpState::Established);

    step "the client sends and waits for a reply";
    let begun = Instant::now();
    claim_is("send succeeds: the kernel has taken the bytes", &client.call("send two")?, "ok 3");
    claim_is("recv fails with ETIMEDOUT", &client.call("recv 100")?, "ETIMEDOUT");
    let took = begun.elapsed();
    claim("recv fails no earlier than tcp_retries2 allows", took >= tries);

    step "the packets that were sent before recv failed";
    let packets = stage.packets();
    // A busy machine may have retransmitted packets that were sent before.
    let before = Matcher::data().containing("one");
    let is_after = |seen: &&PacketMoment| !before.matches(seen.from, &seen.packet);
    let lost = packets.iter().filter(|seen| seen.verdict == Verdict::HostOff).filter(is_after);
    let sent: Vec<_> = lost.filter_map(|seen| seen.packet.tcp()).filter(|tcp| tcp.payload > 0).collect();
    claim(
        "every data segment has the same three bytes",
        {
        stage.count(&Matcher::data().containing("two")) == sent.len()
    },
    );
    claim(
        "every data segment has the same sequence number",
        sent.windows(2).all(|two| two[0].seq == two[1].seq),
    );
    // The number depends on the measured round trip, which may be long on a busy machine.
    claim("the segment was sent at least twice", sent.len() >= 2);
    let clock: Vec<u32> = sent.iter().filter_map(|tcp| Some(tcp.timestamps?.0)).collect();
    claim("the waits add up to at least 1 + 2 + 4 … times the minimum RTO", waits_double(&clock));

    step "the program continues to use the dead connection";
    claim_is("the next recv returns end of file", &client.call("recv 100")?, "ok 0");
    claim_is("send fails with EPIPE", &client.call("send three")?, "EPIPE");
    claim("no RST is sent", stage.count(&Matcher::rst()) == 0);
}

/// The minimum RTO of the client's host.
const FIRST_WAIT: Duration = Duration::from_millis(20);

/// In milliseconds of the sender's own clock, which a busy machine does not delay: the waits add up
/// to at least 1 + 2 + 4 … times the first.
fn waits_double(clock: &[u32]) -> bool {
    let (Some(first), Some(last)) = (clock.first(), clock.last()) else { return false };
    let waits = (0..clock.len() - 1).map(|nth| FIRST_WAIT * (1 << nth.min(16)));
    let whole: Duration = waits.map(|wait| wait.min(RTO_MAX)).sum();
    Duration::from_millis(last.wrapping_sub(*first).into()) >= whole
}
