//! The last ACK of a close is lost: the first reason for TIME_WAIT (UNP 2.7, RFC 9293 3.6).

use std::time::Duration;

use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::timeline::Verdict;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "last-ack-lost",
    group: Some(Group::Closing),
    title: "the last ACK of a close is lost",
    source: "UNP 2.7, RFC 9293 3.6, 3.10.7.4",
    question: "The last ACK of a connection is lost. Who notices, and who can still answer?",
    book: &[
        (
            "The end that closed first stays in TIME_WAIT because the last ACK may be lost: the \
             other end then sends its FIN again, and only an end that still knows the connection \
             can send the ACK again. Without TIME_WAIT the answer would be an RST, which the \
             other end would take for an error.",
            &[Book("2.7")],
        ),
    ],
    kernel: &[
        (
            "The same. The server's kernel sends its FIN again when its retransmission timer \
             expires, and the client's kernel answers from TIME_WAIT, although the client's \
             program has exited.",
            &[
                Rfc(9293, "3.10.7.4"),
                Measured("the client's ACK answers a FIN that was sent again"),
                Measured("the client's kernel sends an ACK from TIME_WAIT"),
                Measured("the server's end is closed"),
            ],
        ),
    ];

    step "the client closes, and the server reads end of file";
    stage.two().server.set_rto_min(Duration::from_millis(20))?;
    let (client, server) = stage.connected()?;
    client.must("close")?;
    claim_is("the server reads end of file", &server.call("recv 100")?, "ok 0");
    client.end()?;

    step "the server closes, and the wire drops the client's ACK";
    let mark = stage.two().timeline.mark();
    let last = Matcher::ack().from_client();
    stage.wire_rule(Rule::drop(last.clone()).once().because("lost"));
    // A busy machine retransmits the FIN more than once, and an ACK that finds no connection any more
    // is answered with RST: one ACK passes.
    stage.wire_rule(Rule::drop(last.clone()).after(1).because("one has passed"));
    server.must("close")?;
    claim_packet("the server's kernel sends a FIN", &Matcher::fin().from_server());
    claim_state("the client's end is in TIME_WAIT", Side::Client, TcpState::TimeWait);
    claim_state("the server's end is in LAST_ACK", Side::Server, TcpState::LastAck);

    step "the server's kernel retransmits";
    claim_packet_since("the client's kernel sends an ACK from TIME_WAIT", mark, &last);
    let fins = stage.count(&Matcher::fin().from_server());
    claim("the client's ACK answers a FIN that was sent again", fins >= 2 && stage.any_verdict(Verdict::Dropped));
    claim_none_left("the server's end is closed", Side::Server, stage.port());
    claim_state("the client's end is still in TIME_WAIT", Side::Client, TcpState::TimeWait);
    claim("no RST is sent", stage.count(&Matcher::rst()) == 0);
}
