//! A byte stream has no records: one recv does not return one send (UNP 3.9).

use crate::impairment::{Matcher, Rule};
use crate::stage::{PATIENCE, count};

scenario! { stage;
    name: "short-counts",
    group: Some(Group::Data),
    title: "messages arrive in pieces or together",
    source: "UNP 3.9",
    question: "Does one recv return the data of one send?",
    book: &[
        (
            "read and write on a stream socket may transfer fewer bytes than requested, and this \
             is not an error; the kernel's buffers may have reached a limit. readn and writen \
             repeat the call until everything is transferred.",
            &[Book("3.9")],
        ),
    ],
    kernel: &[
        (
            "The same. A blocking send waits until it has taken everything, unless a signal or a \
             timeout ends it; a non-blocking one takes as much as fits and fails with EAGAIN when \
             nothing fits.",
            &[
                Man("send(2)"),
                Man("signal(7)"),
                Man("socket(7)"),
                Measured("one send takes all 4000 bytes"),
                Measured("one send takes a part of the bytes without an error"),
                Measured("when nothing fits any more, send fails with EAGAIN"),
            ],
        ),
        (
            "recv returns the data in the receive buffer: part of a message, or several messages.",
            &[
                Measured("one recv returns a part of the bytes without an error"),
                Measured("one recv returns both messages together"),
            ],
        ),
    ];

    step "the client sends 4000 bytes with one send; the wire holds all but the first segment";
    let (client, server) = stage.connected()?;
    let data = Matcher::data().from_client();
    stage.wire_rule(Rule::hold(data.clone()).after(1));
    let sent = client.call(&format!("send {MESSAGE} bytes"))?;
    claim_is("one send takes all 4000 bytes", &sent, "ok 4000");
    let part = count(&server.must(&format!("recv {MESSAGE}"))?);
    claim("one recv returns a part of the bytes without an error", (1..MESSAGE).contains(&part));

    step "the other segments are released";
    stage.two().wire.clear();
    stage.two().wire.release_all(&Matcher::any());
    let rest = server.receive_all(MESSAGE - part)?;
    let whole = part + rest.iter().sum::<usize>();
    claim_is("further calls of recv return the rest", &whole.to_string(), "4000");

    step "the client sends two messages, and the server reads when both have arrived";
    client.must("setsockopt nodelay on")?;
    for word in ["one", "two"] {
        client.must(&format!("send {word}"))?;
        stage.two().wire.wait_delivered(&data.clone().containing(word), 0, PATIENCE)?;
    };
    let both = server.call("recv 100")?;
    claim_is("one recv returns both messages together", &both, "ok 6 onetwo");

    step "a client with small buffers sends 1000000 bytes without blocking, and the server does \
          not read";
    server.must("0: setsockopt rcvbuf 4096")?;
    let client = stage.client()?;
    client.must("setsockopt sndbuf 8192")?;
    client.must(&stage.connect_line())?;
    server.must("0: accept")?;
    client.must("nonblocking on")?;
    let flood = format!("send {FLOOD} bytes");
    let mut sent = count(&client.must(&flood)?);
    claim("one send takes a part of the bytes without an error", (1..FLOOD).contains(&sent));
    let refused = loop {
        match client.call(&flood)? {
            taken if taken.starts_with("ok") => sent += count(&taken),
            refused => break refused,
        }
    };
    claim_is("when nothing fits any more, send fails with EAGAIN", &refused, "EAGAIN");

    step "the server reads";
    server.receive_all(sent)?;
    server.must("nonblocking on")?;
    let more = server.call("recv 100")?;
    claim_is("the server reads exactly as many bytes as the send calls reported", &more, "EAGAIN");
}

const MESSAGE: usize = 4000;
const FLOOD: usize = 1_000_000;
