//! A receiver that does not read stops the sender, and a lost window update cannot stop both forever (RFC 9293 3.8.6.1).

use std::time::Duration;

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::PATIENCE;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "zero-window",
    group: Some(Group::Data),
    title: "the receiver does not read",
    source: "UNP 2.4, 2.11, RFC 9293 3.8.6.1",
    question: "What stops a sender whose receiver does not read, and what makes it continue?",
    book: &[
        (
            "The receiver advertises a window, the room in its buffer, and the sender may not \
             send more.",
            &[Book("2.4")],
        ),
        (
            "write blocks when the send buffer is full.",
            &[Book("2.11")],
        ),
    ],
    kernel: &[
        (
            "The same. The sender probes the window at growing intervals with an empty segment \
             whose sequence number is SND.UNA - 1, where RFC 9293 asks for at least one octet of \
             data, and each probe is answered.",
            &[
                Rfc(9293, "3.8.6.1"),
                Code("tcp_send_probe0", "net/ipv4/tcp_output.c"),
                Measured("each probe is an empty segment with sequence number SND.UNA - 1"),
                Measured("each probe is answered: the window is still 0"),
            ],
        ),
        (
            "As long as answers arrive, tcp_retries2 does not end the connection.",
            &[
                Code("tcp_probe_timer", "net/ipv4/tcp_timer.c"),
                Rfc(9293, "3.8.6.1"),
                Measured("the connection is ESTABLISHED, although tcp_retries2 is 3"),
            ],
        ),
        (
            "TCP_USER_TIMEOUT does, and when the program has closed its socket, \
             net.ipv4.tcp_orphan_retries does.",
            &[
                Man("tcp(7)"),
                Sysctl("net.ipv4.tcp_orphan_retries"),
                Lab("zero-window-user-timeout"),
                Lab("zero-window-orphaned"),
            ],
        ),
    ];

    step "the client sends 40000 bytes through small buffers, and the server does not read";
    let client_host = &stage.two().client;
    client_host.set_rto_min(Duration::from_millis(20))?;
    let server = stage.listening(10)?;
    server.must("setsockopt rcvbuf 4096")?;
    let client = stage.client()?;
    client.must("setsockopt sndbuf 8192")?;
    client.must(&stage.connect_line())?;
    server.must("accept")?;
    let said = client.program().lines().len();
    client.begin(&format!("send {BYTES} bytes"))?;
    let zero = Matcher::any_tcp().from_server().matching("with window 0", |_, packet| {
        packet.tcp().is_some_and(|tcp| tcp.window == 0)
    });
    claim_packet("the server's kernel advertises a window of 0", &zero);

    step "the client's kernel sends five window probes";
    // Set only now: data that a busy machine delivers late must not end the connection.
    stage.two().client.set_sysctl("net.ipv4.tcp_retries2", &RETRIES.to_string())?;
    let question = Matcher::ack().from_client();
    // Every empty segment from now on is a probe; that of the handshake came before.
    let mut mark = stage.two().timeline.mark();
    let mut places = Vec::new();
    for _ in 0..QUESTIONS {
        let asked = stage.two().wire.wait_delivered(&question, mark, PATIENCE)?;
        let answer = stage.two().wire.wait_delivered(&zero, mark, PATIENCE)?;
        mark = stage.two().timeline.mark();
        places.extend(asked.packet.tcp().zip(answer.packet.tcp()).map(|(q, a)| a.ack.wrapping_sub(q.seq)));
    };
    let below = places == [1; QUESTIONS];
    claim("each probe is an empty segment with sequence number SND.UNA - 1", below);
    claim("each probe is answered: the window is still 0", places.len() == QUESTIONS);
    let blocked = client.program().lines().len() == said;
    claim("the client's send has not returned", blocked);
    claim_state(
        "the connection is ESTABLISHED, although tcp_retries2 is 3",
        Side::Client,
        TcpState::Established,
    );

    step "the server reads";
    stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "15")?;
    let pieces = server.receive_all(BYTES)?;
    claim("the server reads everything, in many pieces", pieces.len() > 1);
    let open = Matcher::any_tcp().from_server().matching("with a window", |_, packet| {
        packet.tcp().is_some_and(|tcp| tcp.window > 0)
    });
    let opened = stage.two().wire.wait_delivered(&open, mark, PATIENCE);
    claim("the server's kernel has opened the window again", opened.is_ok());
    claim_is("the client's one send has sent everything", &client.outcome()?, "ok 40000");
}

const BYTES: usize = 40_000;
/// The number of unanswered probes after which the client's kernel gives up. An answer that a busy
/// machine delivers late, after one or two further probes, does not end the connection.
const RETRIES: usize = 3;
/// More than [`RETRIES`].
const QUESTIONS: usize = 5;
