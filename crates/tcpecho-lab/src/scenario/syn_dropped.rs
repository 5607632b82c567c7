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
    book: "The SYN is retransmitted several times, each time after a longer wait. 4.4BSD gives \
           up after 75 seconds, and connect fails with ETIMEDOUT.",
    kernel: "The same error. Since Linux 6.5 the first net.ipv4.tcp_syn_linear_timeouts (4) waits \
             are 1 second each; then they are 1, 2, 4 … seconds, and net.ipv4.tcp_syn_retries (6) \
             retransmissions follow: 131 seconds in all, 127 on older kernels. Here these \
             settings are 0 and 1, which makes 3 seconds.",
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
        "it took all the waits, 1 and 2 seconds",
        {
        took >= waits && took < waits * 2 + Duration::from_secs(30)
    },
    );
    let syns: Vec<u32> =
        stage.packets().iter().filter_map(|seen| Some(seen.packet.tcp()?.seq)).collect();
    claim("no other packet was sent", syns.len() == stage.count(&Matcher::syn()));
    claim("the SYN was sent twice", syns.len() == 2 || stage.is_in_real_time());
    claim("both are the same SYN", syns.windows(2).all(|two| two[0] == two[1]));
    let knows = stage.two().server.sockets(stage.family()).len();
    claim("the server's host has no socket except its listening one", knows == 1);
}
