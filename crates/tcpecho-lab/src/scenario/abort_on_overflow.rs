//! The accept queue fills up during a handshake, and the server says so (UNP 4.5, tcp(7)).

use super::Scenario;
use super::third_ack_dropped::pass;
use crate::impairment::{Matcher, Rule};
use crate::stage::{PATIENCE, Played, Stage};
use crate::text::{Step, Text};

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "abort-on-overflow",
        title: "a full accept queue answers with RST",
        source: "UNP 4.5, tcp(7)",
        question: "Should a server with a full queue not rather refuse its clients?",
        book: "No: with an RST connect would fail at once, and the client could not tell \"there \
               is no server\" from \"the server's queue is full\"; so TCP sends none.",
        kernel: "With net.ipv4.tcp_abort_on_overflow it sends one, but only for the third packet \
                 of a handshake: connect has succeeded by then, and it is the next call that says \
                 ECONNRESET. A SYN is dropped without a word, as ever.",
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
                ],
            },
            Step {
                does: "the last packet of the first goes on and gets the last place",
                claims: &[
                    "nobody has been reset",
                ],
            },
            Step {
                does: "the last packet of the second goes on",
                claims: &[
                    "the server answers with RST",
                    "the client, which had connected, reads ECONNRESET",
                    "the server has forgotten it",
                ],
            },
            Step {
                does: "one more client sends a SYN, and the queue is still full",
                claims: &[
                    "the SYN is dropped",
                    "and sent again, because no RST has come for it",
                    "there has been one RST in all",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.two().server.set_sysctl("net.ipv4.tcp_abort_on_overflow", "1")?;

    stage.step("a server listens with backlog 2, which makes three places, and two clients take two of them");
    let _server = stage.listening(2)?;
    let _queued = stage.queued_clients(2)?;

    stage.step("two more clients connect, and the wire keeps the last packet of their handshakes");
    stage.wire_rule(Rule::hold(Matcher::ack().from_client()));
    let (lucky, unlucky) = (stage.client()?, stage.client()?);
    stage.claim_is("connect returns for one", &lucky.call(&stage.connect_line())?, "ok");
    stage.claim_is("and for the other", &unlucky.call(&stage.connect_line())?, "ok");

    stage.step("the last packet of the first goes on and gets the last place");
    pass(stage, lucky.port()?)?;
    stage.claim("nobody has been reset", stage.count(&Matcher::rst()) == 0);

    stage.step("the last packet of the second goes on");
    let port = unlucky.port()?;
    pass(stage, port)?;
    stage.claim_packet("the server answers with RST", &Matcher::rst().from_server().port(port));
    stage.claim_is("the client, which had connected, reads ECONNRESET", &unlucky.call("recv 10")?, "ECONNRESET");
    let knows = stage.two().server.sockets(stage.family());
    let knows = knows.iter().any(|socket| socket.remote.port() == port);
    stage.claim("the server has forgotten it", !knows);
    stage.two().wire.clear();

    stage.step("one more client sends a SYN, and the queue is still full");
    let before = stage.two().server.counter("TcpExt.ListenOverflows")?;
    let mark = stage.two().timeline.mark();
    let late = stage.client()?;
    late.begin(&stage.connect_line())?;
    stage.two().wire.wait_delivered(&Matcher::syn().from_client(), mark, PATIENCE)?;
    let mark = stage.two().timeline.mark();
    let after = stage.two().server.counter("TcpExt.ListenOverflows")?;
    stage.claim("the SYN is dropped", after > before);
    let again = stage.two().wire.wait_delivered(&Matcher::syn().from_client(), mark, PATIENCE);
    stage.claim("and sent again, because no RST has come for it", again.is_ok());
    stage.claim("there has been one RST in all", stage.count(&Matcher::rst()) == 1);
    Ok(())
}
