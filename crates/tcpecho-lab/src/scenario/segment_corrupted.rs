//! What the checksum detects, and what it does not (RFC 9293 3.1).

use std::time::Duration;

use crate::impairment::{Action, Matcher, Rule};
use crate::timeline::Verdict;

scenario! { stage;
    name: "segment-corrupted",
    group: Some(Group::Data),
    title: "a bit flips on the path",
    source: "UNP 2.4, RFC 9293 3.1, RFC 1071",
    question: "Can wrong data arrive over TCP?",
    book: &[
        (
            "TCP retransmits what is not acknowledged.",
            &[Book("2.4")],
        ),
        (
            "Every segment has a checksum, a 16-bit sum, which the receiver must check.",
            &[Rfc(9293, "3.1"), Rfc(1071, "1")],
        ),
        (
            "Routers forward the checksum as it is, and a NAT only adjusts it by what it has \
             changed: damage stays visible.",
            &[Rfc(3022, "4.2")],
        ),
    ],
    kernel: &[
        (
            "The same. A segment whose checksum is wrong is counted (Tcp InCsumErrors) and \
             dropped silently, and the sender retransmits it.",
            &[
                Measured("the server's kernel counts a wrong checksum"),
                Measured("the segment was retransmitted"),
                Measured("no RST was sent"),
            ],
        ),
        (
            "A device that computes it anew from the data that it holds (a proxy, a network card \
             with offloading, a middlebox that rewrites segments) hides what broke inside it: the \
             data arrives with a correct checksum.",
            &[
                Measured("the server reads wrong data without an error"),
                Measured("no further checksum error is counted"),
            ],
        ),
    ];

    step "a bit of a segment flips on the wire; the minimum RTO is 200 ms";
    stage.two().client.set_rto_min(Duration::from_millis(200))?;
    let (client, server) = stage.connected()?;
    let message = Matcher::data().from_client().containing("hello");
    stage.wire_rule(Rule::new(message.clone(), Action::Corrupt).once());
    client.must("send hello")?;
    let read = server.call("recv 100")?;
    claim_is("the server reads the correct data", &read, "ok 5 hello");
    let corrupted = stage.any_verdict(Verdict::Corrupted);
    claim("the data was damaged when it first arrived", corrupted);
    claim("the segment was retransmitted", stage.count(&message) >= 2);
    let errors = stage.two().server.counter("Tcp.InCsumErrors")?;
    claim_is("the server's kernel counts a wrong checksum", &errors.to_string(), "1");
    claim("no RST was sent", stage.count(&Matcher::rst()) == 0);

    step "a bit flips inside a middlebox, which then computes the checksum of the damaged segment";
    let message = Matcher::data().from_client().containing("money");
    stage.wire_rule(Rule::new(message, Action::CorruptUnnoticed).once());
    client.must("send money: 9")?;
    let read = server.call("recv 100")?;
    claim_is("the server reads wrong data without an error", &read, "ok 8 money: 8");
    let errors = stage.two().server.counter("Tcp.InCsumErrors")?;
    claim_is("no further checksum error is counted", &errors.to_string(), "1");
}
