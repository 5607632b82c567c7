//! The server does not call accept, and clients keep connecting (UNP 4.5).

use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::{Broken, PATIENCE, PORT, Stage};
use tcpecho_os::sock_diag::TcpSocket;
use tcpecho_os::tcp_state::TcpState;

const BACKLOG: u32 = 1;

scenario! { stage;
    name: "backlog-full",
    group: Some(Group::Queues),
    title: "the accept queue is full",
    source: "UNP 4.5, listen(2)",
    question: "What happens to a client when the server's queue of completed connections is \
               full?",
    book: &[
        (
            "The backlog limits the queues, in a way that differs from system to system. When \
             they are full, TCP ignores the SYN and sends no RST: the condition is temporary, and \
             the client's TCP retransmits the SYN.",
            &[Book("4.5")],
        ),
    ],
    kernel: &[
        (
            "The backlog limits the queue of completed connections, which holds one more than the \
             backlog says.",
            &[
                Man("listen(2)"),
                Measured(
                    "the second client is connected: the queue holds one more than the backlog",
                ),
            ],
        ),
        (
            "It limits the incomplete ones separately.",
            &[
                Code("inet_csk_reqsk_queue_is_full", "include/net/inet_connection_sock.h"),
                Lab("syn-flood-without-cookies"),
            ],
        ),
        (
            "A backlog above net.core.somaxconn is cut to it, without an error.",
            &[
                Man("listen(2)"),
                Sysctl("net.core.somaxconn"),
                Measured("the kernel has cut the backlog to net.core.somaxconn"),
            ],
        ),
        (
            "A further SYN is dropped and counted in ListenOverflows and ListenDrops. When accept \
             has made room, the next SYN of the same client is accepted. Its connect only takes \
             longer: by the initial RTO of one second, if one SYN was dropped.",
            &[
                Measured("the server's kernel drops the SYN and increments both counters"),
                Measured("the third client is connected"),
                Rfc(6298, "2"),
            ],
        ),
    ];

    step "a server listens with backlog 1 and does not call accept; two clients connect";
    let server = stage.listening(BACKLOG)?;
    let (first, second) = (stage.client()?, stage.client()?);
    claim_is("the first client is connected", &first.call(&stage.connect_line())?, "ok");
    claim_is(
        "the second client is connected: the queue holds one more than the backlog",
        &second.call(&stage.connect_line())?, "ok",
    );
    let full = |socket: &TcpSocket| {
        socket.state == TcpState::Listen && (socket.rqueue, socket.wqueue) == (2, BACKLOG)
    };
    let host = &stage.two().server;
    let waiting = host.wait_for_socket(stage.family(), "two in the queue", PATIENCE, full).is_ok();
    claim("two connections wait in the queue, and the backlog is 1", waiting);
    claim("nothing has been dropped yet", drops(stage)? == (0, 0));

    step "a third client connects; the wire passes its first SYN and holds the others";
    let mark = stage.two().timeline.mark();
    stage.wire_rule(Rule::hold(Matcher::syn().from_client()).after(1));
    let third = stage.client()?;
    third.begin(&stage.connect_line())?;
    stage.two().wire.wait_delivered(&Matcher::syn().from_client(), mark, PATIENCE)?;
    let dropped = stage.two().timeline.mark();
    claim(
        "the server's kernel drops the SYN and increments both counters",
        drops(stage)? == (1, 1),
    );
    claim_state("the third client is in SYN_SENT", Side::Client, TcpState::SynSent);
    let incomplete = stage.two().server.sockets(stage.family());
    let incomplete = incomplete.iter().any(|socket| socket.state == TcpState::SynRecv);
    claim("the server's kernel has no socket for the third client", !incomplete);

    step "the third client's TCP retransmits the SYN, and the server calls accept before it arrives";
    stage.two().wire.wait_for(&Matcher::syn().from_client(), dropped, PATIENCE)?;
    server.must("0: accept")?;
    stage.two().wire.clear();
    stage.two().wire.release_all(&Matcher::syn());
    claim_is("the third client is connected", &third.outcome()?, "ok");
    claim("no RST was sent", stage.count(&Matcher::rst()) == 0);

    step "the server calls accept two more times";
    claim("the second client is accepted next", server.call("0: accept")?.starts_with("ok"));
    let last = server.call("0: accept")?;
    claim("the third client is accepted last", last.starts_with("ok"));
    claim_is("the third client can send to the server", &third.call("send hello")?, "ok 5");
    claim_is(
        "the server reads what the third client sent",
        &server.call("recv 100")?, "ok 5 hello",
    );

    step "net.core.somaxconn is 5, and another server listens with backlog 1000";
    stage.two().server.set_sysctl("net.core.somaxconn", &MOST.to_string())?;
    let other = stage.agent(Side::Server)?;
    other.must(&format!("socket {}", stage.number()))?;
    other.must(&format!("bind {} {}", stage.family().any(), PORT + 1))?;
    claim_is("listen reports no error", &other.call("listen 1000")?, "ok");
    let sockets = stage.two().server.sockets(stage.family());
    let cut = sockets.iter().find(|socket| socket.local.port() == PORT + 1);
    claim(
        "the kernel has cut the backlog to net.core.somaxconn",
        cut.is_some_and(|socket| socket.wqueue == MOST),
    );
}

/// Less than the backlog that the last server asks for.
const MOST: u32 = 5;

/// `ListenOverflows` and `ListenDrops` of the server's kernel.
fn drops(stage: &Stage) -> Result<(u64, u64), Broken> {
    let host = &stage.two().server;
    Ok((host.counter("TcpExt.ListenOverflows")?, host.counter("TcpExt.ListenDrops")?))
}
