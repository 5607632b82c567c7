//! The congestion window limits a new connection, and grows (RFC 5681 3.1, RFC 6928).

use std::time::Duration;

use crate::impairment::{Matcher, Rule};
use crate::stage::{Agent, Broken, PATIENCE, Stage};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "slow-start",
    group: Some(Group::Data),
    title: "a new connection sends ten segments and waits",
    source: "RFC 5681 3.1, 3.2, RFC 6928 2, tcp(7): TCP_INFO",
    question: "The receiver's window has room for 40 segments, and the client writes 40. Why do only ten \
               leave at once?",
    book: &[
        (
            "A sender has a congestion window besides the receiver's window, and the smaller one \
             limits what is in flight. It begins with up to ten segments.",
            &[Rfc(5681, "3.1"), Rfc(6928, "2")],
        ),
        (
            "In slow start it grows with each acknowledgment, so that it about doubles in each \
             round trip, until it reaches the slow start threshold or a segment is lost.",
            &[Rfc(5681, "3.1"), Rfc(5681, "3.2")],
        ),
    ],
    kernel: &[
        (
            "The congestion window begins with ten segments. For every segment that is \
             acknowledged it grows by one in slow start, so that it doubles in a round trip.",
            &[
                Code("tcp_slow_start", "net/ipv4/tcp_cong.c"),
                Measured("the congestion window is ten segments"),
                Measured("ten segments are unacknowledged"),
                Measured("the congestion window is 20 segments"),
                Measured("20 segments are unacknowledged"),
            ],
        ),
        (
            "A lost segment ends that: the slow start threshold becomes half of the window \
             (Reno).",
            &[
                Code("tcp_reno_ssthresh", "net/ipv4/tcp_cong.c"),
                Measured("the slow start threshold is about half of the window"),
            ],
        ),
    ];

    step "a client writes 40 segments, and the wire holds every ACK";
    stage.two().set_sysctl("net.ipv4.tcp_slow_start_after_idle", "0")?;
    // No retransmission timer expires while ACKs are held.
    stage.two().client.set_rto_min(Duration::from_secs(30))?;
    let (client, server) = stage.connected()?;
    client.must("setsockopt sndbuf 200000")?;
    claim("the congestion window is ten segments", value(&client, "cwnd")? == 10);
    let mss = value(&client, "mss")?;
    let acks = Matcher::ack().from_server();
    let mark = stage.two().timeline.mark();
    let holds = stage.two().wire.add(Rule::hold(acks.clone()));
    server.begin(&format!("drain {}", 40 * mss))?;
    let taken = client.call(&format!("send {} lines", 40 * mss))?;
    claim_is("send returns when the send buffer has taken everything", &taken, &format!("ok {}", 40 * mss));
    sent(stage, 10 * mss)?;
    claim("ten segments are unacknowledged", value(&client, "unacked")? == 10);

    step "the wire releases the ACKs of these ten segments, and holds the later ones";
    let syn = stage.two().wire.wait_delivered(&Matcher::syn().from_client(), 0, PATIENCE)?;
    let begin = syn.packet.tcp().map(crate::packet::Tcp::end).unwrap_or_default();
    let all_ten = begin.wrapping_add(10 * mss as u32);
    let last = acks.clone().matching("of ten segments", move |_, packet| {
        packet.tcp().is_some_and(|tcp| tcp.ack == all_ten)
    });
    stage.two().wire.wait_for(&last, mark, PATIENCE)?;
    stage.two().wire.release_all(&acks);
    sent(stage, 30 * mss)?;
    claim("the congestion window is 20 segments", value(&client, "cwnd")? == 20);
    claim("20 segments are unacknowledged", value(&client, "unacked")? == 20);

    step "the wire releases the other ACKs";
    stage.two().wire.remove(holds);
    stage.two().wire.release_all(&acks);
    claim("the server has received everything, in order", server.outcome()?.ends_with("right"));
    // The window grows until the last ACK has arrived.
    stage.two().client.wait_for_socket(stage.family(), "all acknowledged", PATIENCE, |socket| {
        socket.state == TcpState::Established && socket.wqueue == 0
    })?;
    let grown = value(&client, "cwnd")?;
    claim("the congestion window has grown beyond 20 segments", grown > 20);

    step "the client writes 20 segments more, and the first of them is lost";
    let first = Matcher::data().from_client();
    stage.wire_rule(Rule::drop(first).once().because("lost"));
    server.begin(&format!("drain {}", 20 * mss))?;
    client.must(&format!("send {} lines", 20 * mss))?;
    claim("the server has received everything all the same", server.outcome()?.ends_with("right"));
    let halved = value(&client, "ssthresh")?;
    let half = grown * 2 / 5..=grown * 3 / 5;
    claim("the slow start threshold is about half of the window", half.contains(&halved));
}

/// A number of `getsockopt info`.
pub(super) fn value(agent: &Agent, name: &str) -> Result<u64, Broken> {
    let info = agent.must("getsockopt info")?;
    let word = info.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let digits = word.map(|word| word.trim_end_matches("us"));
    digits.and_then(|word| word.parse().ok()).ok_or_else(|| Broken::new(format!("no {name} in: {info}")))
}

/// Waits until the client has sent this many bytes.
fn sent(stage: &Stage, bytes: u64) -> Result<(), Broken> {
    let data = Matcher::data().from_client();
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let packets = stage.packets();
        let ours = packets.iter().filter(|seen| data.matches(seen.from, &seen.packet));
        if ours.map(|seen| seen.packet.payload().len() as u64).sum::<u64>() >= bytes {
            return Ok(());
        }
        if std::time::Instant::now() > end {
            return Err(Broken::new("the client has not sent ten segments"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
