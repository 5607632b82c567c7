//! A segment that arrives twice is delivered once (RFC 9293 3.4, RFC 2883).

use crate::impairment::{Action, Matcher, Rule};
use crate::timeline::Verdict;

scenario! { stage;
    name: "segment-doubled",
    group: Some(Group::Data),
    title: "a segment arrives twice",
    source: "UNP 2.4, RFC 2883",
    question: "Does a program read data twice when the network delivers it twice?",
    book: &[
        (
            "TCP numbers every byte, and the receiver discards data that it already has.",
            &[Book("2.4")],
        ),
    ],
    kernel: &[
        (
            "The same, and the receiver reports it to the sender: an acknowledgment with a SACK \
             block below its acknowledgment number (D-SACK).",
            &[
                Rfc(2883, "4"),
                Measured("the server's kernel reports the duplicate with a D-SACK"),
                Measured("the server's kernel counts the D-SACK"),
            ],
        ),
    ];

    step "the client sends a segment, and the wire delivers it twice";
    let (client, server) = stage.connected()?;
    stage.wire_rule(Rule::new(Matcher::data().from_client(), Action::Duplicate).once());
    client.must("send once")?;
    let below = Matcher::ack().from_server().matching("with D-SACK", |_, packet| {
        packet.tcp().is_some_and(|tcp| {
            tcp.sack.first().is_some_and(|(_, right)| tcp.ack.wrapping_sub(*right) < 1 << 31)
        })
    });
    claim_packet("the server's kernel reports the duplicate with a D-SACK", &below);
    claim("the segment was sent once and arrived twice", stage.any_verdict(Verdict::Duplicated));
    let told = stage.two().server.counter("TcpExt.TCPDSACKOldSent")?;
    claim("the server's kernel counts the D-SACK", told >= 1);

    step "the client sends another segment, and the server reads";
    claim_is("the server reads the first segment", &server.call("recv 100")?, "ok 4 once");
    client.must("send another")?;
    claim_is(
        "the next bytes are those of the other segment",
        &server.call("recv 100")?, "ok 7 another",
    );
}
