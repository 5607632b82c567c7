//! A server that has used up its descriptors (accept(2)).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

/// Any number will do: each round says the same.
const ROUNDS: usize = 3;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "accept-without-descriptors",
        title: "the server has no descriptor left for a connection",
        source: "accept(2), UNP 6.3 and 30.3",
        question: "What happens to a client that connects to a server whose descriptors are used \
                   up?",
        book: "The number of a process's descriptors is limited, and a server that runs into the \
               limit can serve nobody else; of what accept, select and the waiting client do then, \
               the book says nothing.",
        kernel: "accept fails with EMFILE before it takes anything out of the queue: the \
                 connection stays there, made and able to receive, and its client cannot tell. The \
                 listening socket stays readable, so a loop over poll or level-triggered epoll \
                 that merely tries again spins. Closing one descriptor lets the connection in.",
        timers: &[],
        steps: &[
            Step {
                does: "a server may have one connection at a time (RLIMIT_NOFILE), and has one",
                claims: &[
                    "accept has given it its last descriptor",
                ],
            },
            Step {
                does: "a second client connects, and says something",
                claims: &[
                    "it is connected",
                    "and may send",
                    "what it sends arrives",
                ],
            },
            Step {
                does: "the server asks poll about its listening socket, and calls accept, over and \
                       over",
                claims: &[
                    "poll says each time, and at once, that somebody waits",
                    "accept says each time EMFILE",
                    "the connection is where it was, in the queue",
                    "its client knows of nothing",
                    "no RST was sent to anybody",
                ],
            },
            Step {
                does: "the server closes its connection with the first client, and calls accept",
                claims: &[
                    "accept gives it the second client's",
                    "and what that has said",
                    "poll finds nobody else",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a server may have one connection at a time (RLIMIT_NOFILE), and has one");
    let (server, first) = (stage.listening(10)?, stage.client()?);
    server.must("limit descriptors 1")?;
    first.must(&stage.connect_line())?;
    stage.claim("accept has given it its last descriptor", server.call("accept")?.starts_with("ok 1 "));

    stage.step("a second client connects, and says something");
    let second = stage.client()?;
    stage.claim_is("it is connected", &second.call(&stage.connect_line())?, "ok");
    let port = second.port()?;
    stage.wait_for_queue(1)?;
    stage.claim_is("and may send", &second.call("send hello")?, "ok 5");
    stage.claim_packet("what it sends arrives", &Matcher::data().from_client());

    stage.step("the server asks poll about its listening socket, and calls accept, over and over");
    let (mut readable, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        readable.push(server.call("0: poll 60000 in")?);
        refused.push(server.call("0: accept")?);
    }
    stage.claim("poll says each time, and at once, that somebody waits", readable.iter().all(|said| said == "ok 0x1"));
    stage.claim("accept says each time EMFILE", refused.iter().all(|said| said == "EMFILE"));
    let queue = stage.two().server.sockets(stage.family());
    let queue = queue.iter().find(|socket| socket.state == TcpState::Listen);
    stage.claim("the connection is where it was, in the queue", queue.is_some_and(|socket| socket.rqueue == 1));
    let known = stage.connections(Side::Client, port);
    let known: Vec<TcpState> = known.iter().map(|socket| socket.state).collect();
    stage.claim("its client knows of nothing", known == [TcpState::Established]);
    stage.claim("no RST was sent to anybody", stage.count(&Matcher::rst()) == 0);

    stage.step("the server closes its connection with the first client, and calls accept");
    server.must("1: close")?;
    let accepted = server.call("0: accept")?;
    stage.claim("accept gives it the second client's", accepted.ends_with(&format!(":{port}")));
    stage.claim_is("and what that has said", &server.call("recv 100")?, "ok 5 hello");
    stage.claim_is("poll finds nobody else", &server.call("0: poll 0 in")?, "ok 0x0");
    Ok(())
}
