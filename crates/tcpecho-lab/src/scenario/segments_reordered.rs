//! Data that arrives out of order waits for the missing data (RFC 9293 3.10.7.4, RFC 2018, RFC 8985).

use std::time::Duration;

use crate::impairment::{Matcher, Rule};
use crate::stage::PATIENCE;

scenario! { stage;
    name: "segments-reordered",
    group: Some(Group::Data),
    title: "the second segment arrives first",
    source: "UNP 2.4, RFC 2018, RFC 8985",
    question: "Does a program read data in the order of arrival or in the order of sending?",
    book: &[
        (
            "TCP sorts segments by their sequence numbers before it passes data to the \
             application.",
            &[Book("2.4")],
        ),
    ],
    kernel: &[
        (
            "The same: the early segment is acknowledged with SACK and stays unreadable until the \
             gap is filled.",
            &[
                Rfc(2018, "4"),
                Measured("the server's kernel acknowledges the second segment with SACK"),
                Measured("the server has nothing to read yet"),
            ],
        ),
        (
            "The sender cannot tell a late segment from a lost one: RACK retransmits it after a \
             fraction of the RTT.",
            &[
                Rfc(8985, "6.2"),
                Sysctl("net.ipv4.tcp_recovery"),
                Measured("the client's kernel considers the first segment lost and retransmits it"),
            ],
        ),
    ];

    step "the client sends two segments, and the wire holds the first";
    // No timer expires; retransmissions are caused by the SACK of the server's kernel.
    stage.two().client.set_rto_min(Duration::from_secs(30))?;
    let (client, server) = stage.connected()?;
    client.must("setsockopt nodelay on")?;
    let first = Matcher::data().from_client().containing("first");
    stage.wire_rule(Rule::hold(first.clone()));
    client.must("send first, ")?;
    stage.two().wire.wait_for(&first, 0, PATIENCE)?;
    let mark = stage.two().timeline.mark();
    client.must("send second")?;
    claim_packet("the second segment arrives", &Matcher::data().from_client().containing("second"));
    let early = Matcher::ack().from_server().matching("with SACK", |_, packet| {
        packet.tcp().is_some_and(|tcp| !tcp.sack.is_empty())
    });
    claim_packet("the server's kernel acknowledges the second segment with SACK", &early);
    let again = stage.two().wire.wait_for(&first, mark, PATIENCE);
    claim("the client's kernel considers the first segment lost and retransmits it", again.is_ok());
    server.must("nonblocking on")?;
    let nothing = server.call("recv 100")?;
    claim_is("the server has nothing to read yet", &nothing, "EAGAIN");

    step "the first segment is released";
    stage.two().wire.release_all(&first);
    claim_packet("the first segment arrives", &first);
    let read = server.call("recv 100")?;
    claim_is("both segments are read in the order of sending", &read, "ok 13 first, second");
    let none = server.call("recv 100")?;
    claim_is("the data that arrived twice is read once", &none, "EAGAIN");
}
