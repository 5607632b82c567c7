//! The accept queue fills up during a handshake (UNP 4.5).

use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::{Broken, PATIENCE, Played, Stage};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "third-ack-dropped",
    group: Some(Group::Queues),
    title: "the accept queue fills up during a handshake",
    source: "UNP 4.5",
    question: "The queue has room when the SYN arrives, but not when the final ACK of the \
               handshake arrives. What do client and server see?",
    book: &[
        (
            "An entry stays in the incomplete queue until the third segment arrives and then \
             moves to the completed queue. Data that arrives before accept waits in the socket's \
             receive buffer.",
            &[Book("4.5")],
        ),
    ],
    kernel: &[
        (
            "The final ACK is dropped: the client is ESTABLISHED and the server is in SYN_RECV. \
             The client's data is dropped, too, without an answer.",
            &[
                Measured("the server's kernel counts an overflow of the queue"),
                Measured("the client is ESTABLISHED"),
                Measured("the server still has the connection in SYN_RECV"),
                Measured("the server's kernel drops the data as it dropped the ACK"),
            ],
        ),
        (
            "Once accept has made room, the client's next segment, retransmitted data or an ACK, \
             completes the handshake.",
            &[
                Measured("the server has the second connection in ESTABLISHED"),
                Measured("the server reads the data of the last client"),
            ],
        ),
    ];

    step "a server listens with backlog 2, which leaves room for three connections, and two \
          clients connect";
    let server = stage.listening(2)?;
    let _queued = stage.queued_clients(2)?;

    step "two more clients connect, and the wire holds the final ACK of each handshake";
    stage.wire_rule(Rule::hold(Matcher::ack().from_client()));
    let (lucky, unlucky) = (stage.client()?, stage.client()?);
    claim_is("connect returns for the first of the two", &lucky.call(&stage.connect_line())?, "ok");
    claim_is("connect returns for the second of the two", &unlucky.call(&stage.connect_line())?, "ok");
    let [lucky_port, port] = [lucky.port()?, unlucky.port()?];
    claim_is(
        "the server has the first connection in SYN_RECV",
        &state(stage, Side::Server, lucky_port), "SYN_RECV",
    );
    claim_is(
        "the server has the second connection in SYN_RECV",
        &state(stage, Side::Server, port), "SYN_RECV",
    );

    step "the first ACK is released and takes the last place";
    pass(stage, lucky_port)?;
    claim_is(
        "the server has the first connection in ESTABLISHED",
        &state(stage, Side::Server, lucky_port), "ESTABLISHED",
    );
    claim("nothing has been dropped yet", overflows(stage)? == 0);

    step "the second ACK is released";
    pass(stage, port)?;
    claim("the server's kernel counts an overflow of the queue", overflows(stage)? >= 1);
    claim_is(
        "the server still has the connection in SYN_RECV",
        &state(stage, Side::Server, port), "SYN_RECV",
    );
    claim_is("the client is ESTABLISHED", &state(stage, Side::Client, port), "ESTABLISHED");

    step "the client sends data";
    stage.two().wire.clear();
    let before = overflows(stage)?;
    claim_is(
        "send succeeds: the client's kernel takes the data",
        &unlucky.call("send hello")?, "ok 5",
    );
    claim_packet("the data arrives at the server's host", &Matcher::data().port(port));
    claim("the server's kernel drops the data as it dropped the ACK", overflows(stage)? > before);
    claim("no RST is sent to the client", stage.count(&Matcher::rst()) == 0);
    claim_is(
        "after the data the server still has the connection in SYN_RECV",
        &state(stage, Side::Server, port), "SYN_RECV",
    );

    step "the server calls accept, which makes room; the client's TCP retransmits";
    server.must("0: accept")?;
    let arrived = stage.two().server.wait_for_socket(
        stage.family(),
        "the handshake is completed",
        PATIENCE,
        |socket| socket.remote.port() == port && socket.state == TcpState::Established,
    );
    claim("the server has the second connection in ESTABLISHED", arrived.is_ok());

    step "the server accepts the other three connections";
    for _ in 0..3 {
        server.must("0: accept")?;
    };
    claim_is(
        "the server reads the data of the last client",
        &server.call("recv 100")?, "ok 5 hello",
    );
}

/// Releases the held packets of this client, once there are any.
pub(super) fn pass(stage: &Stage, port: u16) -> Played {
    let held = Matcher::ack().from_client().port(port);
    let first = stage.two().wire.wait_for(&held, 0, PATIENCE)?;
    stage.two().wire.release(first.number);
    // A retransmitted SYN-ACK was acknowledged again.
    stage.two().wire.discard(&held);
    Ok(())
}

/// The state of the connection of the client with this port on this side.
fn state(stage: &Stage, side: Side, port: u16) -> String {
    let sockets = stage.two().host(side).sockets(stage.family());
    let mut ours = sockets.iter().filter(|s| [s.local.port(), s.remote.port()].contains(&port));
    ours.next().map_or("none".into(), |socket| socket.state.to_string())
}

fn overflows(stage: &Stage) -> Result<u64, Broken> {
    Ok(stage.two().server.counter("TcpExt.ListenOverflows")?)
}
