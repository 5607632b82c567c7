//! The same as POSIX has it: accept says that the connection was aborted (UNP 5.11). Linux never does, so it is made up.

use super::Scenario;
use crate::impairment::Matcher;
use crate::tracer::When;
use crate::side::Side;
use crate::stage::{Actor, Broken, PATIENCE, PORT, Played, Stage};
use crate::text::{Step, Text};
use rustix::io::Errno;
use tcpecho_os::process::Exit;
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "abort-before-accept-posix",
        title: "accept fails with ECONNABORTED, as POSIX has it",
        source: "UNP 5.11",
        question: "What becomes of a server that is told by accept that a client has reset its \
                   connection?",
        book: "POSIX wants ECONNABORTED for it: EPROTO is what fatal errors of the protocol give \
               as well, and a server must be able to tell that this one is no reason to stop. It \
               can just call accept again.",
        kernel: "Linux does not return this error for it (see abort-before-accept); here the lab \
                 answers the first accept in the kernel's place. A server that ends at any error \
                 of accept can then be ended by any client. One that calls accept again serves the \
                 next client as if nothing had happened.",
        timers: &[],
        steps: &[
            Step {
                does: "a client connects; the wire keeps its last ACK, so that the server's kernel \
                       has nothing to accept yet",
                claims: &[
                    "for the client the connection is made",
                ],
            },
            Step {
                does: "the client closes with SO_LINGER at zero",
                claims: &[
                    "an RST arrives at the server's host",
                    "where nothing is left of the connection",
                    "no connection waits for accept",
                ],
            },
            Step {
                does: "the server, for which any error of accept is the end, calls accept; the lab \
                       answers it",
                claims: &[
                    "accept fails with ECONNABORTED",
                    "the server has ended with status 1",
                ],
            },
            Step {
                does: "an honest client connects",
                claims: &[
                    "it is refused, because of what another one did",
                ],
            },
            Step {
                does: "another server, which calls accept again after ECONNABORTED, is told the \
                       same",
                claims: &[
                    "it waits in its second accept",
                ],
            },
            Step {
                does: "an honest client connects",
                claims: &[
                    "the second accept gives its connection",
                    "and the server serves it",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.need_injection()?;

    stage.step("a client connects; the wire keeps its last ACK, so that the server's kernel has nothing to accept yet");
    let server = listening(stage)?;
    let (client, kept) = (stage.client()?, stage.keep(Matcher::ack().from_client()));
    stage.claim_is("for the client the connection is made", &client.call(&stage.connect_line())?, "ok");
    stage.step("the client closes with SO_LINGER at zero");
    client.must("setsockopt linger 0")?;
    client.must("close")?;
    stage.claim_packet("an RST arrives at the server's host", &Matcher::rst().from_client());
    stage.forget(&kept)?;
    stage.claim_none_left("where nothing is left of the connection", Side::Server, PORT);
    stage.claim("no connection waits for accept", waiting(stage) == 0);

    stage.step("the server, for which any error of accept is the end, calls accept; the lab answers it");
    stage.claim_is("accept fails with ECONNABORTED", &server.call("accept or exit")?, "ECONNABORTED");
    let ended = server.program().wait(PATIENCE)?.1;
    stage.claim("the server has ended with status 1", ended == Exit::Exited(1));
    stage.step("an honest client connects");
    let late = stage.client()?;
    stage.claim_is("it is refused, because of what another one did", &late.call(&stage.connect_line())?, "ECONNREFUSED");

    stage.step("another server, which calls accept again after ECONNABORTED, is told the same");
    let server = listening(stage)?;
    server.begin("accept again")?;
    let told = server.program().wait_asleep_in(tcpecho_lab_os::system_call::ACCEPT4, PATIENCE);
    stage.claim("it waits in its second accept", told.is_ok());
    stage.step("an honest client connects");
    let honest = stage.client()?;
    honest.must(&stage.connect_line())?;
    stage.claim("the second accept gives its connection", server.outcome()?.starts_with("ok 1 "));
    honest.must("send hello")?;
    stage.claim_is("and the server serves it", &server.call("recv 100")?, "ok 5 hello");
    Ok(())
}

/// A server whose first accept will fail.
fn listening(stage: &Stage) -> Result<Actor, Broken> {
    stage.listening_with(10, |launch| launch.inject("accept", When::Nth(1), Errno::CONNABORTED))
}

/// How many connections wait for accept.
fn waiting(stage: &Stage) -> u32 {
    let sockets = stage.two().server.sockets(stage.family());
    let listening = sockets.iter().find(|socket| socket.state == TcpState::Listen);
    listening.map_or(u32::MAX, |socket| socket.rqueue)
}
