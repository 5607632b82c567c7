//! Both ends send a FIN before they have received the other's (RFC 9293 3.6, figure 13).

use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::PATIENCE;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "simultaneous-close",
    group: Some(Group::Closing),
    title: "both ends close at the same time",
    source: "UNP 2.6, 2.7, RFC 9293 3.6",
    question: "Which end is in TIME_WAIT when both close at the same time?",
    book: &[
        (
            "The end that closes actively goes to TIME_WAIT.",
            &[Book("2.7")],
        ),
        (
            "When the FINs cross, both ends are active: both go from FIN_WAIT_1 to CLOSING and \
             then to TIME_WAIT.",
            &[Book("2.6"), Rfc(9293, "3.6")],
        ),
    ],
    kernel: &[
        (
            "The same.",
            &[
                Measured("the client is in CLOSING"),
                Measured("the server is in CLOSING"),
                Measured("the client is in TIME_WAIT"),
                Measured("the server is in TIME_WAIT"),
            ],
        ),
    ];

    step "both ends shut down their direction, and the wire holds the FINs";
    let (client, server) = stage.connected()?;
    stage.wire_rule(Rule::hold(Matcher::fin()));
    for (agent, side) in [(&client, Side::Client), (&server, Side::Server)] {
        // Not close: the kernel would remove a socket without an owner before a busy machine
        // continues.
        agent.must("shutdown wr")?;
        stage.two().wire.wait_for(&Matcher::fin().from(side), 0, PATIENCE)?;
    };
    claim_state("the client is in FIN_WAIT_1", Side::Client, TcpState::FinWait1);
    claim_state("the server is in FIN_WAIT_1", Side::Server, TcpState::FinWait1);

    step "the FINs are released, and the wire holds the acknowledgments";
    let mark = stage.two().timeline.mark();
    stage.wire_rule(Rule::hold(Matcher::ack()));
    stage.two().wire.release_all(&Matcher::fin());
    for side in Side::BOTH {
        stage.two().wire.wait_for(&Matcher::ack().from(side), mark, PATIENCE)?;
    };
    claim_state("the client is in CLOSING", Side::Client, TcpState::Closing);
    claim_state("the server is in CLOSING", Side::Server, TcpState::Closing);
    claim_is("the client reads end of file", &client.call("recv 100")?, "ok 0");
    claim_is("the server reads end of file", &server.call("recv 100")?, "ok 0");

    step "the acknowledgments are released";
    stage.two().wire.release_all(&Matcher::ack());
    claim_state("the client is in TIME_WAIT", Side::Client, TcpState::TimeWait);
    claim_state("the server is in TIME_WAIT", Side::Server, TcpState::TimeWait);
}
