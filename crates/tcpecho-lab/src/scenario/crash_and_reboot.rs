//! The server's host crashes and is back before the client writes (UNP 5.15, RFC 9293 3.5.1).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{PORT, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "crash-and-reboot",
        title: "the server's host crashes and reboots",
        source: "UNP 5.15, RFC 9293 3.5.1",
        question: "What does a client see whose server's host has crashed and come back meanwhile?",
        book: "Nothing, as long as it sends nothing. The rebooted host knows nothing of the \
               connection and answers the next segment with RST; the client, blocked in read, gets \
               ECONNRESET.",
        kernel: "The same; writing afterwards gives EPIPE. It makes no difference that a new \
                 server listens on the port by then.",
        timers: &[],
        steps: &[
            Step {
                does: "a client and a server have talked",
                claims: &[
                    "the server has read a line",
                    "and its kernel has acknowledged it",
                ],
            },
            Step {
                does: "the server's host loses power",
                claims: &[
                    "no packet told of it",
                    "the client is ESTABLISHED",
                ],
            },
            Step {
                does: "it boots again, and a new server listens on the old port",
                claims: &[
                    "still no packet has passed",
                    "its kernel knows no connection",
                    "the client is ESTABLISHED all the same",
                ],
            },
            Step {
                does: "the client writes and reads",
                claims: &[
                    "write succeeds",
                    "the server's host answers with RST",
                    "read fails with ECONNRESET",
                    "the client's kernel forgets the connection",
                ],
            },
            Step {
                does: "the client goes on in spite of it",
                claims: &[
                    "write fails with EPIPE",
                    "read gives end of file",
                ],
            },
            Step {
                does: "a new client connects",
                claims: &[
                    "the new server's host lets it in",
                    "and the server accepts it",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a client and a server have talked");
    let (client, server) = stage.connected()?;
    client.must("send before")?;
    stage.claim_is("the server has read a line", &server.call("recv 100")?, "ok 6 before");
    // Nothing is under way any more after this.
    stage.claim_packet("and its kernel has acknowledged it", &Matcher::ack().from_server());

    stage.step("the server's host loses power");
    let crash = stage.two().timeline.mark();
    stage.two_mut().server.power_off();
    stage.claim("no packet told of it", packets_since(stage, crash) == 0);
    stage.claim_state("the client is ESTABLISHED", Side::Client, TcpState::Established);

    stage.step("it boots again, and a new server listens on the old port");
    stage.two_mut().server.reboot()?;
    let server = stage.listening(10)?;
    stage.claim("still no packet has passed", packets_since(stage, crash) == 0);
    stage.claim_none_left("its kernel knows no connection", Side::Server, PORT);
    stage.claim_state("the client is ESTABLISHED all the same", Side::Client, TcpState::Established);

    stage.step("the client writes and reads");
    stage.claim_is("write succeeds", &client.call("send after")?, "ok 5");
    stage.claim_packet("the server's host answers with RST", &Matcher::rst().from_server());
    stage.claim_is("read fails with ECONNRESET", &client.call("recv 100")?, "ECONNRESET");
    stage.claim_none_left("the client's kernel forgets the connection", Side::Client, PORT);

    stage.step("the client goes on in spite of it");
    stage.claim_is("write fails with EPIPE", &client.call("send after")?, "EPIPE");
    stage.claim_is("read gives end of file", &client.call("recv 100")?, "ok 0");

    stage.step("a new client connects");
    let client = stage.client()?;
    stage.claim_is("the new server's host lets it in", &client.call(&stage.connect_line())?, "ok");
    stage.claim("and the server accepts it", server.must("accept").is_ok());
    Ok(())
}

fn packets_since(stage: &Stage, mark: usize) -> usize {
    use crate::timeline::What;
    let moments = stage.two().timeline.since(mark);
    moments.iter().filter(|moment| matches!(moment.what, What::Packet(_))).count()
}
