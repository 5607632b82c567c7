//! Four segments end a connection, and the end that sends the first FIN keeps TIME_WAIT (UNP 5.7, RFC 9293 3.6).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{PORT, Stage};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "normal-termination",
    group: Some(Group::Closing),
    title: "a connection ends, and one side keeps TIME_WAIT",
    source: "UNP 5.7, 2.6 and 2.7, RFC 9293 3.6",
    question: "Which states does a connection pass through when it ends, and on which host \
               does TIME_WAIT stay?",
    book: "The end that closes first goes through FIN_WAIT_1 and FIN_WAIT_2 to TIME_WAIT and \
           stays there for twice the maximum segment lifetime (2.7). The other end goes \
           through CLOSE_WAIT and LAST_ACK to CLOSED. With the client of chapter 5, the client \
           keeps TIME_WAIT.",
    kernel: "The same, with TIME_WAIT for 60 s regardless of the segment lifetime. TIME_WAIT \
             stays on the host that closed first, so a server that closes first keeps one for \
             each client.";

    step "a client and a server are connected; the client closes, and the wire holds its FIN";
    let (client, server) = stage.connected()?;
    let fin = stage.hold(Matcher::fin().from_client());
    claim("close returns at once, although no reply has arrived", client.must("close").is_ok());
    claim_state("the client is in FIN_WAIT_1", Side::Client, TcpState::FinWait1);
    claim_state("the server is still ESTABLISHED", Side::Server, TcpState::Established);

    step "the FIN is released";
    stage.release(&fin)?;
    claim_packet("the FIN arrives at the server", &Matcher::fin().from_client());
    claim_state("the server is in CLOSE_WAIT", Side::Server, TcpState::CloseWait);
    claim_is("the server reads end of file", &server.call("recv 100")?, "ok 0");
    claim_state(
        "the server's ACK brings the client to FIN_WAIT_2",
        Side::Client, TcpState::FinWait2,
    );

    step "the server closes, and the wire holds its FIN";
    let fin = stage.hold(Matcher::fin().from_server());
    server.must("close")?;
    claim_state("the server is in LAST_ACK", Side::Server, TcpState::LastAck);
    claim_state("the client is still in FIN_WAIT_2", Side::Client, TcpState::FinWait2);

    step "the server's FIN is released, and the wire holds the client's last ACK";
    let ack = stage.hold(Matcher::ack().from_client());
    stage.release(&fin)?;
    claim_state("the client is in TIME_WAIT", Side::Client, TcpState::TimeWait);
    claim_state("the server is still in LAST_ACK", Side::Server, TcpState::LastAck);

    step "the last ACK is released";
    stage.release_one(&ack)?;
    claim_none_left("the server's kernel has removed the connection", Side::Server, PORT);
    claim(
        "the client's host, which closed first, keeps it in TIME_WAIT",
        only_time_wait(stage, Side::Client),
    );
    claim("no RST was sent", stage.count(&Matcher::rst()) == 0);
    stage.discard(&ack)?;

    step "a second client connects, and this time the server closes first";
    let client = stage.connected_client()?;
    let port = client.port()?;
    server.must("0: accept")?;
    server.must("close")?;
    claim_is("the client reads end of file", &client.call("recv 100")?, "ok 0");
    client.must("close")?;
    claim_state("now the server's host keeps TIME_WAIT", Side::Server, TcpState::TimeWait);
    claim_none_left("the client's kernel has removed the connection", Side::Client, port);
}

fn only_time_wait(stage: &Stage, side: Side) -> bool {
    let connections = stage.connections(side, PORT);
    connections.len() == 1 && connections[0].state == TcpState::TimeWait
}
