//! Long packets vanish without a word (RFC 2923, RFC 4821).

use std::time::Duration;

use super::Scenario;
use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::{PATIENCE, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "mtu-black-hole",
        title: "long packets vanish on the way",
        source: "UNP 2.11, RFC 2923, RFC 4821",
        question: "Why does a connection come about, answer short requests, and hang with long \
                   ones?",
        book: "A router that cannot pass a packet on, and may not cut it to pieces, tells the \
               sender with an ICMP message; TCP then sends shorter segments. The book has no word \
               for a path on which the message is lost.",
        kernel: "Without the message the same long segments are sent again and again. With \
                 tcp_mtu_probing=1 Linux suspects the path after a few timeouts (tcp_retries1) and \
                 tries segments of tcp_base_mss, 1024 bytes.",
        timers: &[],
        steps: &[
            Step {
                does: "a router on the way loses all packets longer than 1400 bytes and says \
                       nothing",
                claims: &[
                    "the client is connected",
                    "a short message arrives",
                ],
            },
            Step {
                does: "the client sends a long message",
                claims: &[
                    "send works: it only fills the buffer",
                    "what is lost is sent again and again, and lost again",
                    "there is nothing to read",
                ],
            },
            Step {
                does: "the client's kernel is told to suspect the path (tcp_mtu_probing)",
                claims: &[
                    "the server reads the whole message",
                    "what was lost arrived in segments of 1024 bytes at most",
                ],
            },
        ],
    },
    play,
};

const BYTES: usize = 5000;

fn play(stage: &mut Stage) -> Played {
    stage.step("a router on the way loses all packets longer than 1400 bytes and says nothing");
    let client_host = &stage.two().client;
    client_host.set_sysctl("net.ipv4.tcp_mtu_probing", "0")?;
    client_host.set_sysctl("net.ipv4.tcp_retries1", "1")?;
    client_host.set_rto_min(Duration::from_millis(20))?;
    let long = Matcher::any_tcp().longer_than(1400);
    stage.wire_rule(Rule::drop(long.clone()));
    let (client, server) = stage.connected()?;
    stage.claim_state("the client is connected", Side::Client, TcpState::Established);
    client.must("send hello")?;
    let read = server.call("recv 100")?;
    stage.claim_is("a short message arrives", &read, "ok 5 hello");

    stage.step("the client sends a long message");
    let sent = client.call(&format!("send {BYTES} bytes"))?;
    stage.claim_is("send works: it only fills the buffer", &sent, "ok 5000");
    let lost = stage.two().wire.wait_for(&long, 0, PATIENCE)?;
    let seq = lost.packet.tcp().map(|tcp| tcp.seq);
    let first = Matcher::data().from_client().matching("with the lost number", move |_, packet| {
        packet.tcp().map(|tcp| tcp.seq) == seq
    });
    let mut mark = 0;
    for _ in 0..3 {
        stage.two().wire.wait_for(&first, mark, PATIENCE)?;
        mark = stage.two().timeline.mark();
    }
    let arrived = stage.packets().iter().any(|seen| {
        seen.verdict.has_arrived() && first.matches(seen.from, &seen.packet)
    });
    stage.claim("what is lost is sent again and again, and lost again", !arrived);
    server.must("nonblocking on")?;
    stage.claim_is("there is nothing to read", &server.call("recv 100")?, "EAGAIN");

    stage.step("the client's kernel is told to suspect the path (tcp_mtu_probing)");
    stage.two().client.set_sysctl("net.ipv4.tcp_mtu_probing", "1")?;
    server.must("nonblocking off")?;
    let pieces = server.receive_all(BYTES)?;
    let all = pieces.iter().sum::<usize>().to_string();
    stage.claim_is("the server reads the whole message", &all, "5000");
    let short = first.matching("of 1024 bytes at most", |_, packet| packet.payload().len() <= 1024);
    stage.claim_packet("what was lost arrived in segments of 1024 bytes at most", &short);
    Ok(())
}
