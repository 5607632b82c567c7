//! close waits for the peer's acknowledgment (UNP 7.5, socket(7)).

use std::time::{Duration, Instant};

use crate::impairment::{Matcher, Rule};
use crate::stage::PATIENCE;

scenario! { stage;
    name: "linger-with-time",
    group: Some(Group::Closing),
    title: "close waits with SO_LINGER above zero",
    source: "UNP 7.5, socket(7)",
    question: "Does close with SO_LINGER and a time above zero say whether the peer has received the data?",
    book: &[
        (
            "close returns when all data and the FIN are acknowledged, or fails with EWOULDBLOCK \
             when the time is over, and discards what is left. An acknowledgment only says that \
             the peer's kernel has the data, not that the application has read it.",
            &[Book("7.5")],
        ),
    ],
    kernel: &[
        (
            "close waits, but it returns 0 in both cases: it does not tell that the time was \
             over.",
            &[
                Man("socket(7)"),
                Measured("close has not returned"),
                Measured("close returns 0, as if everything had been acknowledged"),
                Measured("close has waited for a second or longer"),
            ],
        ),
        (
            "What is left is sent in the background, as without SO_LINGER.",
            &[
                Measured("the kernel retransmits after close has returned"),
                Measured("no RST was sent"),
                Code("tcp_close", "net/ipv4/tcp.c"),
            ],
        ),
        (
            "shutdown with SHUT_WR and a read until end of file tells more.",
            &[Lab("lingering-close")],
        ),
    ];

    step "a client sends a line with SO_LINGER of ten seconds; the wire holds every ACK of the server";
    let (client, server) = stage.connected()?;
    client.must("setsockopt linger 10")?;
    let held = stage.hold(Matcher::any_tcp().from_server());
    client.must("send hello")?;
    let before = client.program().lines().len();
    client.begin("close")?;
    stage.two().wire.wait_delivered(&Matcher::fin().from_client(), 0, PATIENCE)?;
    client.program().wait_asleep(PATIENCE)?;
    claim("close has not returned", client.program().lines().len() == before);

    step "the wire releases the ACKs; the server has read nothing";
    stage.release_all(&held)?;
    claim_is("close returns 0", &client.outcome()?, "ok");
    claim_is("the data is in the server's kernel", &server.call("recv 100")?, "ok 5 hello");
    server.must("close")?;

    step "another client does the same with SO_LINGER of one second, and the wire drops every ACK of the server";
    let other = stage.joined(&server)?;
    other.must("setsockopt linger 1")?;
    let port = other.port()?;
    let lost = Matcher::any_tcp().from_server().port(port);
    stage.wire_rule(Rule::drop(lost).because("no ACK comes"));
    other.must("send hello")?;
    let begun = Instant::now();
    claim_is("close returns 0, as if everything had been acknowledged", &other.call("close")?, "ok");
    claim("close has waited for a second or longer", begun.elapsed() >= Duration::from_secs(1));
    let mark = stage.two().timeline.mark();
    let again = Matcher::data().from_client().port(port);
    claim_packet_since("the kernel retransmits after close has returned", mark, &again);
    claim("no RST was sent", stage.count(&Matcher::rst()) == 0);
}
