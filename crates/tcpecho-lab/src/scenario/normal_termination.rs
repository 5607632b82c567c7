//! Four segments end a connection, and who sends the first keeps a memory of it (UNP 5.7, RFC 9293 3.6).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{PORT, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "normal-termination",
        title: "a connection ends, and one side keeps TIME_WAIT",
        source: "UNP 5.7, 2.6 and 2.7, RFC 9293 3.6",
        question: "Which states does a connection pass through when it ends, and on which host \
                   does TIME_WAIT stay?",
        book: "The end that closes first goes from FIN_WAIT_1 over FIN_WAIT_2 to TIME_WAIT and \
               stays there for twice the maximum segment lifetime (2.7); the other goes from \
               CLOSE_WAIT to LAST_ACK and is gone. With the client of chapter 5 it is the client \
               that keeps TIME_WAIT.",
        kernel: "The same, with TIME_WAIT for 60 s whatever the segment lifetime; it stays with \
                 the host that closed first, so a server that closes first keeps it, one for each \
                 client.",
        timers: &[],
        steps: &[
            Step {
                does: "a client and a server are connected; the client closes, and the wire keeps \
                       its FIN",
                claims: &[
                    "close returns at once, although nobody has answered",
                    "the client's kernel is in FIN_WAIT_1",
                    "the server has not heard of it",
                ],
            },
            Step {
                does: "the FIN goes on",
                claims: &[
                    "it arrives at the server",
                    "the server is in CLOSE_WAIT",
                    "the server reads end of file",
                    "its ACK brings the client to FIN_WAIT_2",
                ],
            },
            Step {
                does: "the server closes, and the wire keeps its FIN",
                claims: &[
                    "the server's kernel is in LAST_ACK",
                    "the client waits in FIN_WAIT_2",
                ],
            },
            Step {
                does: "the server's FIN goes on, and the wire keeps the client's last ACK",
                claims: &[
                    "the client is in TIME_WAIT",
                    "the server is still in LAST_ACK",
                ],
            },
            Step {
                does: "the last ACK goes on",
                claims: &[
                    "the server's host has forgotten the connection",
                    "the client's host, which closed first, keeps it in TIME_WAIT",
                    "nobody has sent RST",
                ],
            },
            Step {
                does: "a second client connects, and this time the server closes first",
                claims: &[
                    "the client reads end of file",
                    "now the server's host has TIME_WAIT",
                    "and the client's host has forgotten the connection",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a client and a server are connected; the client closes, and the wire keeps its FIN");
    let (client, server) = stage.connected()?;
    let fin = stage.keep(Matcher::fin().from_client());
    stage.claim("close returns at once, although nobody has answered", client.must("close").is_ok());
    stage.claim_state("the client's kernel is in FIN_WAIT_1", Side::Client, TcpState::FinWait1);
    stage.claim_state("the server has not heard of it", Side::Server, TcpState::Established);

    stage.step("the FIN goes on");
    stage.let_go(&fin)?;
    stage.claim_packet("it arrives at the server", &Matcher::fin().from_client());
    stage.claim_state("the server is in CLOSE_WAIT", Side::Server, TcpState::CloseWait);
    stage.claim_is("the server reads end of file", &server.call("recv 100")?, "ok 0");
    stage.claim_state("its ACK brings the client to FIN_WAIT_2", Side::Client, TcpState::FinWait2);

    stage.step("the server closes, and the wire keeps its FIN");
    let fin = stage.keep(Matcher::fin().from_server());
    server.must("close")?;
    stage.claim_state("the server's kernel is in LAST_ACK", Side::Server, TcpState::LastAck);
    stage.claim_state("the client waits in FIN_WAIT_2", Side::Client, TcpState::FinWait2);

    stage.step("the server's FIN goes on, and the wire keeps the client's last ACK");
    let ack = stage.keep(Matcher::ack().from_client());
    stage.let_go(&fin)?;
    stage.claim_state("the client is in TIME_WAIT", Side::Client, TcpState::TimeWait);
    stage.claim_state("the server is still in LAST_ACK", Side::Server, TcpState::LastAck);

    stage.step("the last ACK goes on");
    stage.let_one_go(&ack)?;
    stage.claim_none_left("the server's host has forgotten the connection", Side::Server, PORT);
    stage.claim("the client's host, which closed first, keeps it in TIME_WAIT", only_time_wait(stage, Side::Client));
    stage.claim("nobody has sent RST", stage.count(&Matcher::rst()) == 0);
    stage.forget(&ack)?;

    stage.step("a second client connects, and this time the server closes first");
    let client = stage.client()?;
    client.must(&stage.connect_line())?;
    let port = client.port()?;
    server.must("0: accept")?;
    server.must("close")?;
    stage.claim_is("the client reads end of file", &client.call("recv 100")?, "ok 0");
    client.must("close")?;
    stage.claim_state("now the server's host has TIME_WAIT", Side::Server, TcpState::TimeWait);
    stage.claim_none_left("and the client's host has forgotten the connection", Side::Client, port);
    Ok(())
}

fn only_time_wait(stage: &Stage, side: Side) -> bool {
    let connections = stage.connections(side, PORT);
    connections.len() == 1 && connections[0].state == TcpState::TimeWait
}
