//! The accept queue fills up while a handshake is under way (UNP 4.5).

use super::Scenario;
use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::{Broken, PATIENCE, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "third-ack-dropped",
        title: "the accept queue fills up during a handshake",
        source: "UNP 4.5",
        question: "The queue had a place when the SYN came, and has none when the third packet \
                   comes; who notices?",
        book: "An entry stays on the incomplete queue until the third segment arrives and then \
               moves to the completed queue; data that arrive before accept wait in the socket's \
               receive buffer.",
        kernel: "The third packet is dropped: the client is ESTABLISHED and the server in \
                 SYN_RECV. What the client sends is dropped, too, without an answer. As soon as \
                 accept has made a place, the next packet of the client, data sent again or an \
                 ACK, completes the handshake.",
        timers: &[],
        steps: &[
            Step {
                does: "a server listens with backlog 2, which makes three places, and two clients \
                       take two of them",
                claims: &[],
            },
            Step {
                does: "two more clients connect, and the wire keeps the last packet of their \
                       handshakes",
                claims: &[
                    "connect returns for one",
                    "and for the other",
                    "the server has the one in SYN_RECV",
                    "and the other",
                ],
            },
            Step {
                does: "the last packet of the first goes on: it gets the last place",
                claims: &[
                    "the server has it as ESTABLISHED",
                    "nothing has been dropped so far",
                ],
            },
            Step {
                does: "the last packet of the second goes on",
                claims: &[
                    "the server's kernel counts an overflow of the queue",
                    "the server still has it in SYN_RECV",
                    "and the client is ESTABLISHED",
                ],
            },
            Step {
                does: "the client, in good faith, sends data",
                claims: &[
                    "its kernel takes them",
                    "they arrive",
                    "and are dropped like the ACK",
                    "no RST tells the client",
                    "the server has still not moved",
                ],
            },
            Step {
                does: "the server calls accept, which makes a place; the client's TCP sends again",
                claims: &[
                    "the server has it as ESTABLISHED",
                ],
            },
            Step {
                does: "the server accepts the other three",
                claims: &[
                    "the last one's data have survived it all",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    // The server's patience with half-open connections is not the question.

    stage.step("a server listens with backlog 2, which makes three places, and two clients take two of them");
    let server = stage.listening(2)?;
    let _queued = stage.queued_clients(2)?;

    stage.step("two more clients connect, and the wire keeps the last packet of their handshakes");
    stage.wire_rule(Rule::hold(Matcher::ack().from_client()));
    let (lucky, unlucky) = (stage.client()?, stage.client()?);
    stage.claim_is("connect returns for one", &lucky.call(&stage.connect_line())?, "ok");
    stage.claim_is("and for the other", &unlucky.call(&stage.connect_line())?, "ok");
    let [lucky_port, port] = [lucky.port()?, unlucky.port()?];
    stage.claim_is("the server has the one in SYN_RECV", &state(stage, Side::Server, lucky_port), "SYN_RECV");
    stage.claim_is("and the other", &state(stage, Side::Server, port), "SYN_RECV");

    stage.step("the last packet of the first goes on: it gets the last place");
    pass(stage, lucky_port)?;
    stage.claim_is("the server has it as ESTABLISHED", &state(stage, Side::Server, lucky_port), "ESTABLISHED");
    stage.claim("nothing has been dropped so far", overflows(stage)? == 0);

    stage.step("the last packet of the second goes on");
    pass(stage, port)?;
    stage.claim("the server's kernel counts an overflow of the queue", overflows(stage)? >= 1);
    stage.claim_is("the server still has it in SYN_RECV", &state(stage, Side::Server, port), "SYN_RECV");
    stage.claim_is("and the client is ESTABLISHED", &state(stage, Side::Client, port), "ESTABLISHED");

    stage.step("the client, in good faith, sends data");
    stage.two().wire.clear();
    let before = overflows(stage)?;
    stage.claim_is("its kernel takes them", &unlucky.call("send hello")?, "ok 5");
    stage.claim_packet("they arrive", &Matcher::data().port(port));
    stage.claim("and are dropped like the ACK", overflows(stage)? > before);
    stage.claim("no RST tells the client", stage.count(&Matcher::rst()) == 0);
    stage.claim_is("the server has still not moved", &state(stage, Side::Server, port), "SYN_RECV");

    stage.step("the server calls accept, which makes a place; the client's TCP sends again");
    server.must("0: accept")?;
    let arrived = stage.two().server.wait_for_socket(
        stage.family(),
        "the handshake is completed",
        PATIENCE,
        |socket| socket.remote.port() == port && socket.state == TcpState::Established,
    );
    stage.claim("the server has it as ESTABLISHED", arrived.is_ok());

    stage.step("the server accepts the other three");
    for _ in 0..3 {
        server.must("0: accept")?;
    }
    stage.claim_is("the last one's data have survived it all", &server.call("recv 100")?, "ok 5 hello");
    Ok(())
}

/// Lets the held packets of this client go on, once there are any.
pub(super) fn pass(stage: &Stage, port: u16) -> Played {
    let held = Matcher::ack().from_client().port(port);
    let first = stage.two().wire.wait_for(&held, 0, PATIENCE)?;
    stage.two().wire.release(first.number);
    // A SYN-ACK that was sent again was acknowledged again.
    stage.two().wire.discard(&held);
    Ok(())
}

/// The state of the connection of the client with this port, as this side has it.
fn state(stage: &Stage, side: Side, port: u16) -> String {
    let sockets = stage.two().host(side).sockets(stage.family());
    let mut ours = sockets.iter().filter(|s| [s.local.port(), s.remote.port()].contains(&port));
    ours.next().map_or("none".into(), |socket| socket.state.to_string())
}

fn overflows(stage: &Stage) -> Result<u64, Broken> {
    Ok(stage.two().server.counter("TcpExt.ListenOverflows")?)
}
