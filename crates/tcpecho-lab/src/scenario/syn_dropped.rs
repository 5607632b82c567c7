//! Nothing answers the SYN: the kernel repeats it and gives up (UNP 4.3, RFC 6298 2).

use std::time::{Duration, Instant};

use super::Scenario;
use crate::impairment::{Matcher, Rule};
use crate::pace::Timer;
use crate::side::Side;
use crate::stage::{PATIENCE, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "syn-dropped",
        title: "nothing answers the SYN",
        source: "UNP 4.3, RFC 6298 2",
        question: "How long does connect try when no answer comes at all?",
        book: "The SYN is sent again after a while, and again, each wait longer than the one \
               before; 4.4BSD gives up after 75 seconds, and connect fails with ETIMEDOUT.",
        kernel: "Also ETIMEDOUT. The waits are 1, 2, 4 … seconds; net.ipv4.tcp_syn_retries says \
                 how many SYNs follow the first. Here it is 1 instead of the usual 6, which makes \
                 3 seconds of more than two minutes.",
        timers: &[Timer::Syn],
        steps: &[
            Step {
                does: "the server listens, but the wire loses every SYN",
                claims: &[],
            },
            Step {
                does: "the client connects",
                claims: &[
                    "it waits in SYN_SENT",
                ],
            },
            Step {
                does: "nothing comes, and the kernel tries again",
                claims: &[
                    "connect fails with ETIMEDOUT",
                    "it took all the waits, 1 and 2 seconds",
                    "nothing else was sent meanwhile",
                    "it was sent twice",
                    "each is the same SYN",
                    "the server's host knows of nothing but its listener",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("the server listens, but the wire loses every SYN");
    let waits = stage.shorten(Side::Client, Timer::Syn, &[1, 0])?;
    let _server = stage.listening(10)?;
    stage.wire_rule(Rule::drop(Matcher::syn()));

    stage.step("the client connects");
    let client = stage.client()?;
    let begun = Instant::now();
    client.begin(&stage.connect_line())?;
    stage.two().wire.wait_for(&Matcher::syn(), 0, PATIENCE)?;
    stage.claim_state("it waits in SYN_SENT", Side::Client, TcpState::SynSent);

    stage.step("nothing comes, and the kernel tries again");
    stage.claim_is("connect fails with ETIMEDOUT", &client.outcome()?, "ETIMEDOUT");
    let took = begun.elapsed();
    stage.claim("it took all the waits, 1 and 2 seconds", {
        took >= waits && took < waits * 2 + Duration::from_secs(30)
    });
    let syns: Vec<u32> =
        stage.packets().iter().filter_map(|seen| Some(seen.packet.tcp()?.seq)).collect();
    stage.claim("nothing else was sent meanwhile", syns.len() == stage.count(&Matcher::syn()));
    stage.claim("it was sent twice", syns.len() == 2 || stage.is_in_real_time());
    stage.claim("each is the same SYN", syns.windows(2).all(|two| two[0] == two[1]));
    let knows = stage.two().server.sockets(stage.family()).len();
    stage.claim("the server's host knows of nothing but its listener", knows == 1);
    Ok(())
}
