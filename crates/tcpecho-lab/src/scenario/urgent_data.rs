//! Urgent data and SIGURG (UNP 24.2, RFC 6093, tcp(7)).

use crate::impairment::Matcher;
use crate::packet::Flags;
use crate::stage::PATIENCE;

scenario! { stage;
    name: "urgent-data",
    group: Some(Group::Data),
    title: "urgent data is sent, and SIGURG is raised",
    source: "UNP 24.2, 24.3, RFC 9293 3.8.5, RFC 6093",
    question: "A client sends a byte with MSG_OOB between other data. How does the server learn of it, \
               and where is the byte?",
    book: &[
        (
            "The segment has the URG flag, the owner of the socket gets SIGURG, select reports an \
             exceptional condition, and the byte is read with MSG_OOB, or in line with \
             SO_OOBINLINE.",
            &[Book("24.2")],
        ),
        (
            "A read stops at the mark, which sockatmark finds.",
            &[Book("24.3")],
        ),
        (
            "New programs should not use it: middleboxes clear the flag, and systems disagree on \
             the byte.",
            &[Rfc(9293, "3.8.5"), Rfc(6093, "")],
        ),
    ],
    kernel: &[
        (
            "The same.",
            &[
                Man("tcp(7)"),
                Measured("a segment has the URG flag"),
                Measured("SIGURG was caught once"),
                Measured("poll reports POLLIN and POLLPRI"),
                Measured("sockatmark says that the mark is reached"),
                Measured("MSG_OOB reads the urgent byte"),
                Measured("a read returns the urgent byte in line"),
            ],
        ),
        (
            "Only one byte is urgent, the last of the send.",
            &[
                Man("tcp(7)"),
                Measured("a read stops before the mark, which is at the last byte of the send"),
            ],
        ),
    ];

    step "a server owns its socket; the client sends a byte, two bytes with MSG_OOB, and a byte";
    let (client, server) = stage.connected()?;
    server.must("handler SIGURG restart")?;
    server.must("own")?;
    client.must("send a")?;
    client.must("urgent x!")?;
    client.must("send z")?;
    claim_packet("a segment has the URG flag", &Matcher::any_tcp().from_client().with_flags(Flags::URG));
    let last = Matcher::data().from_client().containing("z");
    stage.two().wire.wait_delivered(&last, 0, PATIENCE)?;
    claim_is("SIGURG was caught once", &server.call("caught")?, "ok 1");
    claim_is("poll reports POLLIN and POLLPRI", &server.call("poll 0 in")?, "ok 0x3");

    step "the server reads";
    claim_is(
        "a read stops before the mark, which is at the last byte of the send",
        &server.call("recv 100")?, "ok 2 ax",
    );
    claim_is("sockatmark says that the mark is reached", &server.call("atmark")?, "ok 1");
    claim_is("MSG_OOB reads the urgent byte", &server.call("recv urgent")?, "ok 1 !");
    claim_is("a further read returns the rest, without the urgent byte", &server.call("recv 100")?, "ok 1 z");
    claim_is("the urgent byte can be read only once", &server.call("recv urgent")?, "EINVAL");

    step "the same with SO_OOBINLINE";
    server.must("setsockopt oobinline on")?;
    client.must("send b")?;
    client.must("urgent ?")?;
    let second = Matcher::data().from_client().containing("?");
    stage.two().wire.wait_delivered(&second, 0, PATIENCE)?;
    claim_is("with SO_OOBINLINE a read stops before the mark as well", &server.call("recv 100")?, "ok 1 b");
    claim_is("a read returns the urgent byte in line", &server.call("recv 100")?, "ok 1 ?");
}
