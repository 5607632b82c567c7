//! The client's host crashes, reboots, and connects again from the same port (RFC 9293 3.5.1, RFC 5961 4).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Actor, Broken, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

/// The port that the client comes from, both times.
const FROM: u16 = 40000;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "client-host-crashes-and-returns",
        title: "the client's host crashes and connects again from the same port",
        source: "UNP 5.15 from the other end, 7.5 (SO_KEEPALIVE), RFC 9293 3.5.1, RFC 5961 4",
        question: "A server holds a connection whose client's host has crashed. What if that \
                   client calls again from the same address and port?",
        book: "A server that only reads does not learn that its client's host has crashed: the \
               connection stays half-open, which is what SO_KEEPALIVE is for (7.5). A SYN for the \
               half-open connection is not treated there.",
        kernel: "The server's kernel answers the SYN with a challenge ACK for the old connection. \
                 The client's kernel does not know it and sends RST, which ends the old \
                 connection: its server reads ECONNRESET. The SYN sent again makes the new one, \
                 within milliseconds.",
        timers: &[],
        steps: &[
            Step {
                does: "a client connects from a port of its choice, and the server reads",
                claims: &[],
            },
            Step {
                does: "the client's host loses power and boots again",
                claims: &[
                    "it knows no connection",
                    "the server is ESTABLISHED",
                ],
            },
            Step {
                does: "the client connects again from the same port",
                claims: &[
                    "its SYN arrives",
                    "the answer is no SYN-ACK but ACK",
                    "to which the client sends RST",
                    "the server's old connection: ECONNRESET",
                ],
            },
            Step {
                does: "the client's kernel sends its SYN again",
                claims: &[
                    "connect returns, the program has noticed nothing",
                    "it took two SYNs, besides the old connection's",
                    "the server accepts the new connection",
                    "which works",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a client connects from a port of its choice, and the server reads");
    let server = stage.listening(10)?;
    let old = binds(stage)?;
    old.must(&stage.connect_line())?;
    server.must("accept")?;
    server.begin("recv 100")?;

    stage.step("the client's host loses power and boots again");
    stage.two_mut().client.power_off();
    stage.two_mut().client.reboot()?;
    stage.claim_none_left("it knows no connection", Side::Client, FROM);
    stage.claim_state("the server is ESTABLISHED", Side::Server, TcpState::Established);

    stage.step("the client connects again from the same port");
    let new = binds(stage)?;
    let mark = stage.two().timeline.mark();
    new.begin(&stage.connect_line())?;
    stage.claim_packet_since("its SYN arrives", mark, &Matcher::syn().from_client());
    let challenge = Matcher::ack().from_server();
    stage.claim_packet_since("the answer is no SYN-ACK but ACK", mark, &challenge);
    stage.claim_packet_since("to which the client sends RST", mark, &Matcher::rst().from_client());
    stage.claim_is("the server's old connection: ECONNRESET", &server.outcome()?, "ECONNRESET");

    stage.step("the client's kernel sends its SYN again");
    stage.claim_is("connect returns, the program has noticed nothing", &new.outcome()?, "ok");
    let syns = stage.count(&Matcher::syn().from_client());
    stage.claim("it took two SYNs, besides the old connection's", syns >= 3);
    stage.claim("the server accepts the new connection", server.must("0: accept").is_ok());
    new.must("send hello")?;
    stage.claim_is("which works", &server.call("recv 5")?, "ok 5 hello");
    Ok(())
}

fn binds(stage: &Stage) -> Result<Actor, Broken> {
    let client = stage.client()?;
    client.must(&format!("bind {} {FROM}", Side::Client.address(stage.family())))?;
    Ok(client)
}
