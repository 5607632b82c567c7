//! A sender has closed, and its peer never reads the rest (RFC 9293 3.8.6.1, ip-sysctl).

use std::time::{Duration, Instant};

use super::zero_window_user_timeout::full;
use crate::impairment::{Matcher, Rule};
use crate::pace::Timer;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "zero-window-orphaned",
    group: Some(Group::Closing),
    title: "the sender has closed, and the receiver never reads",
    source: "UNP 7.5, RFC 9293 3.8.6.1, tcp(7)",
    question: "A client has written more than the server's window takes, and exits. How long does its \
               kernel keep the rest for a server that does not read?",
    book: &[
        (
            "close returns at once, and the kernel tries to send what is left.",
            &[Book("4.9"), Book("7.5")],
        ),
    ],
    kernel: &[
        (
            "The kernel tries as long as probes are answered, until the interval between them has \
             reached its longest, 120 seconds unless tcp_rto_max_ms says otherwise. Then it gives \
             up, if it has sent as many probes as tcp_orphan_retries says.",
            &[
                Code("tcp_probe_timer", "net/ipv4/tcp_timer.c"),
                Sysctl("net.ipv4.tcp_orphan_retries"),
                Sysctl("net.ipv4.tcp_rto_max_ms"),
                Measured("the client's kernel probes the window"),
                Measured("the client's kernel gives the connection up"),
                Measured("the client's kernel has tried for the longest interval or longer"),
            ],
        ),
        (
            "With the defaults that takes minutes, in which the kernel needs memory for each such \
             connection.",
            &[Sysctl("net.ipv4.tcp_orphan_retries")],
        ),
    ],
    timers: &[Timer::OrphanedProbes];

    step "a client sends more than the server's window takes and exits; the longest interval between \
          probes is one second, and tcp_orphan_retries is 1";
    stage.two().client.set_rto_min(Duration::from_millis(200))?;
    let tries = stage.shorten(Side::Client, Timer::OrphanedProbes, &[1000, 1])?;
    let server = stage.listening(10)?;
    server.must("setsockopt rcvbuf 4096")?;
    let begun = Instant::now();
    let client = full(stage, &server)?;
    let port = client.port()?;
    // An answer that a busy machine delivers after the end would be answered with an RST, which would
    // end the server's connection.
    let late = Matcher::rst().from_client();
    stage.wire_rule(Rule::drop(late).because("the answer to the last probe was late"));
    let mark = stage.two().timeline.mark();
    claim_is("close returns at once", &client.call("close")?, "ok");
    client.end()?;
    claim_state("the client's end is in FIN_WAIT_1, without a process", Side::Client, TcpState::FinWait1);

    step "the server does not read";
    claim_packet_since("the client's kernel probes the window", mark, &Matcher::ack().from_client());
    claim_none_left("the client's kernel gives the connection up", Side::Client, port);
    claim("the client's kernel has tried for the longest interval or longer", begun.elapsed() >= tries);
    claim_state("the server's end is ESTABLISHED", Side::Server, TcpState::Established);
    let received = server.receive_all(1)?;
    claim("the server can still read what has arrived", received.iter().sum::<usize>() > 0);
}
