//! A connection that is reset while it waits in the accept queue (UNP 5.11).

use super::Scenario;
use crate::impairment::Matcher;
use crate::stage::{Broken, PATIENCE, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "abort-before-accept",
        title: "a client resets its connection before it is accepted",
        source: "UNP 5.11",
        question: "What does accept return for a connection that its client has already reset?",
        book: "That depends: Berkeley kernels take it out of the queue and the server never learns \
               of it, SVR4 lets accept return EPROTO, POSIX asks for ECONNABORTED, and the server \
               may just call accept again.",
        kernel: "None of these: accept returns the dead connection as a good one, with its peer's \
                 address. What came before the RST can still be read, then read gives ECONNRESET \
                 once, and end of file from then on; getpeername says ENOTCONN.",
        timers: &[],
        steps: &[
            Step {
                does: "a client connects and, with SO_LINGER at zero, closes; the server is not in \
                       accept",
                claims: &[
                    "an RST ended the connection, no FIN",
                    "the server host has no socket left but the listening one",
                    "it waits in the accept queue all the same",
                ],
            },
            Step {
                does: "the server calls accept, and reads",
                claims: &[
                    "accept returns a connection, without an error",
                    "it gives the client's address",
                    "getpeername says that there is no peer",
                    "the first read gives ECONNRESET",
                    "the second gives end of file",
                    "and so does the third",
                ],
            },
            Step {
                does: "a second client does the same, and the server writes first",
                claims: &[
                    "the first write gives ECONNRESET",
                    "without SIGPIPE",
                    "the second write gives EPIPE",
                    "and raises SIGPIPE",
                ],
            },
            Step {
                does: "a third client sends something before it resets the connection",
                claims: &[
                    "the server reads it as if nothing had happened",
                    "then comes ECONNRESET",
                    "and end of file for ever after",
                ],
            },
            Step {
                does: "a fourth client is an honest one",
                claims: &[
                    "the listening socket has taken no harm",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    let server = stage.listening(10)?;
    stage.step("a client connects and, with SO_LINGER at zero, closes; the server is not in accept");
    let client = aborted(stage, None)?;
    stage.claim("an RST ended the connection, no FIN", stage.count(&Matcher::fin()) == 0);
    stage.claim("the server host has no socket left but the listening one", others(stage) == 0);
    stage.claim("it waits in the accept queue all the same", waiting(stage) == 1);

    stage.step("the server calls accept, and reads");
    let accepted = server.call("0: accept")?;
    stage.claim("accept returns a connection, without an error", accepted.starts_with("ok 1 "));
    stage.claim("it gives the client's address", accepted.ends_with(&format!("peer={client}")));
    stage.claim_is("getpeername says that there is no peer", &server.call("getpeername")?, "ENOTCONN");
    stage.claim_is("the first read gives ECONNRESET", &server.call("recv 100")?, "ECONNRESET");
    stage.claim_is("the second gives end of file", &server.call("recv 100")?, "ok 0");
    stage.claim_is("and so does the third", &server.call("recv 100")?, "ok 0");

    stage.step("a second client does the same, and the server writes first");
    aborted(stage, None)?;
    server.must("0: accept")?;
    server.must("handler SIGPIPE norestart")?;
    stage.claim_is("the first write gives ECONNRESET", &server.call("send hello")?, "ECONNRESET");
    stage.claim_is("without SIGPIPE", &server.call("caught")?, "ok 0");
    stage.claim_is("the second write gives EPIPE", &server.call("send hello")?, "EPIPE");
    stage.claim_is("and raises SIGPIPE", &server.call("caught")?, "ok 1");

    stage.step("a third client sends something before it resets the connection");
    aborted(stage, Some("send hello"))?;
    server.must("0: accept")?;
    stage.claim_is("the server reads it as if nothing had happened", &server.call("recv 100")?, "ok 5 hello");
    stage.claim_is("then comes ECONNRESET", &server.call("recv 100")?, "ECONNRESET");
    stage.claim_is("and end of file for ever after", &server.call("recv 100")?, "ok 0");

    stage.step("a fourth client is an honest one");
    let client = stage.client()?;
    client.must(&stage.connect_line())?;
    server.must("0: accept")?;
    client.must("send hello")?;
    stage.claim_is("the listening socket has taken no harm", &server.call("recv 100")?, "ok 5 hello");
    Ok(())
}

/// A client that resets its connection: its address, when the RST has arrived.
fn aborted(stage: &Stage, before: Option<&str>) -> Result<String, Broken> {
    let mark = stage.two().timeline.mark();
    let client = stage.client()?;
    client.must(&stage.connect_line())?;
    if let Some(line) = before {
        client.must(line)?;
        stage.two().wire.wait_delivered(&Matcher::data().from_client(), mark, PATIENCE)?;
    }
    let address = client.must("getsockname")?.replace("ok ", "");
    client.must("setsockopt linger 0")?;
    client.must("close")?;
    stage.two().wire.wait_delivered(&Matcher::rst().from_client(), mark, PATIENCE)?;
    Ok(address)
}

/// How many sockets the server host has that do not listen.
fn others(stage: &Stage) -> usize {
    let sockets = stage.two().server.sockets(stage.family());
    sockets.iter().filter(|socket| socket.state != TcpState::Listen).count()
}

/// How long the accept queue is.
fn waiting(stage: &Stage) -> u32 {
    let sockets = stage.two().server.sockets(stage.family());
    let listening = sockets.iter().find(|socket| socket.state == TcpState::Listen);
    listening.map_or(0, |socket| socket.rqueue)
}
