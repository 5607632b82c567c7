//! One end waits for a FIN that never comes: FIN_WAIT_2 without a process, and CLOSE_WAIT with one (tcp(7)).

use std::time::{Duration, Instant};

use crate::impairment::Matcher;
use crate::pace::Timer;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "orphaned-fin-wait-2",
    group: Some(Group::Closing),
    title: "a client has closed, and the server never does",
    source: "UNP 2.6, RFC 9293 3.6, tcp(7)",
    question: "A server forgets to close its connections. What becomes of both ends?",
    book: &[
        (
            "The client's end waits in FIN_WAIT_2 for the server's FIN, the server's in \
             CLOSE_WAIT for the server's close.",
            &[Book("2.6"), Rfc(9293, "3.6")],
        ),
    ],
    kernel: &[
        (
            "The kernel drops the client's end after tcp_fin_timeout, 60 seconds by default, if \
             no process has it any more. It waits for at least 3.5 times the retransmission \
             timeout.",
            &[
                Sysctl("net.ipv4.tcp_fin_timeout"),
                Code("tcp_fin_time", "include/net/tcp.h"),
                Measured("the client's kernel drops the client's end"),
                Measured("the kernel has waited for tcp_fin_timeout or longer"),
                Measured("the client's kernel has sent no RST"),
            ],
        ),
        (
            "CLOSE_WAIT has no time limit: it is a leak in the program. What the server sends \
             later is answered with RST.",
            &[
                Measured("the server's end is still in CLOSE_WAIT"),
                Measured("the line is answered with RST"),
                Measured("the next send fails"),
            ],
        ),
    ],
    timers: &[Timer::FinWait2];

    step "the client closes; tcp_fin_timeout is one second, and the retransmission timeout is short";
    let limit = stage.shorten(Side::Client, Timer::FinWait2, &[1])?;
    stage.two().client.set_rto_min(Duration::from_millis(20))?;
    let (client, server) = stage.connected()?;
    let port = client.port()?;
    let begun = Instant::now();
    client.must("close")?;
    claim_state("the client's end is in FIN_WAIT_2", Side::Client, TcpState::FinWait2);
    claim_state("the server's end is in CLOSE_WAIT", Side::Server, TcpState::CloseWait);

    step "the server does nothing";
    claim_none_left("the client's kernel drops the client's end", Side::Client, port);
    claim("the kernel has waited for tcp_fin_timeout or longer", begun.elapsed() >= limit);
    claim("the client's kernel has sent no RST", stage.count(&Matcher::rst()) == 0);
    claim_state("the server's end is still in CLOSE_WAIT", Side::Server, TcpState::CloseWait);

    step "the server sends a line";
    server.must("sigpipe ignore")?;
    claim_is("send succeeds", &server.call("send late")?, "ok 4");
    claim_packet("the line is answered with RST", &Matcher::rst().from_client());
    claim_is("the next send fails", &server.call("send later")?, "EPIPE");
}
