//! The server's host crashes and reboots before the client writes (UNP 5.15, RFC 9293 3.5.1).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{PORT, Stage};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "crash-and-reboot",
    group: Some(Group::Failures),
    title: "the server's host crashes and reboots",
    source: "UNP 5.15, RFC 9293 3.5.1",
    question: "The server's host has crashed and rebooted. What does the client see?",
    book: &[
        (
            "Nothing, as long as it sends nothing.",
            &[Book("5.14"), Book("5.15")],
        ),
        (
            "The rebooted host does not know the connection and answers the next segment with an \
             RST. The client, blocked in read, gets ECONNRESET.",
            &[Book("5.15"), Rfc(9293, "3.5.1")],
        ),
    ],
    kernel: &[
        (
            "The same; a later write returns EPIPE.",
            &[Measured("read fails with ECONNRESET"), Measured("write fails with EPIPE")],
        ),
        (
            "It makes no difference that a new server already listens on the port.",
            &[Measured("the server's host answers with RST")],
        ),
    ];

    step "a client and a server exchange a line";
    let (client, server) = stage.connected()?;
    client.must("send before")?;
    claim_is("the server reads the line", &server.call("recv 100")?, "ok 6 before");
    // After this, no packet is in flight.
    claim_packet("the server's kernel acknowledges the line", &Matcher::ack().from_server());

    step "the server's host loses power";
    let crash = stage.two().timeline.mark();
    stage.two_mut().server.power_off();
    claim("no packet reports the crash", packets_since(stage, crash) == 0);
    claim_state("the client is ESTABLISHED", Side::Client, TcpState::Established);

    step "the host boots, and a new server listens on the old port";
    stage.two_mut().server.reboot()?;
    let server = stage.listening(10)?;
    claim("no packet is sent when the host boots either", packets_since(stage, crash) == 0);
    claim_none_left("the server's kernel has no connection", Side::Server, PORT);
    claim_state("the client is still ESTABLISHED", Side::Client, TcpState::Established);

    step "the client writes and reads";
    claim_is("write succeeds", &client.call("send after")?, "ok 5");
    claim_packet("the server's host answers with RST", &Matcher::rst().from_server());
    claim_is("read fails with ECONNRESET", &client.call("recv 100")?, "ECONNRESET");
    claim_none_left("the client's kernel removes the connection", Side::Client, PORT);

    step "the client writes and reads again";
    claim_is("write fails with EPIPE", &client.call("send after")?, "EPIPE");
    claim_is("read returns end of file", &client.call("recv 100")?, "ok 0");

    step "a new client connects";
    let client = stage.client()?;
    claim_is("connect succeeds", &client.call(&stage.connect_line())?, "ok");
    claim("the new server accepts the connection", server.must("accept").is_ok());
}

fn packets_since(stage: &Stage, mark: usize) -> usize {
    use crate::timeline::What;
    let moments = stage.two().timeline.since(mark);
    moments.iter().filter(|moment| matches!(moment.what, What::Packet(_))).count()
}
