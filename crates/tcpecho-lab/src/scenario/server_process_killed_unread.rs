//! The server's process is killed while its socket holds unread data (UNP 5.12 and 5.13, RFC 2525 2.17).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Agent, Broken, PORT, Stage};
use tcpecho_os::process::Exit;

scenario! { stage;
    name: "server-process-killed-unread",
    group: Some(Group::Failures),
    title: "the server's process is killed with unread data",
    source: "UNP 5.12 and 5.13, RFC 2525 2.17",
    question: "When does a client get ECONNRESET because its server's process was killed?",
    book: &[
        (
            "read fails with ECONNRESET if the RST arrives before the client reads the FIN.",
            &[Book("5.12")],
        ),
    ],
    kernel: &[
        (
            "A process that exits with unread data has lost data, so its kernel sends an RST \
             instead of a FIN. A blocked read returns ECONNRESET at once.",
            &[
                Rfc(9293, "3.6.1"),
                Rfc(2525, "2.17"),
                Measured("the server's kernel sends RST"),
                Measured("no FIN was sent"),
                Measured("the client that reads gets ECONNRESET"),
            ],
        ),
        (
            "A client that does not read gets it from its first write, without SIGPIPE; the \
             second write raises SIGPIPE.",
            &[
                Measured("write fails with ECONNRESET"),
                Measured("the write raised no signal"),
                Measured("SIGPIPE kills the client"),
            ],
        ),
    ];

    step "two clients send a line each, and the server reads neither";
    let server = stage.listening(10)?;
    let reading = writes(stage, &server, "from the one who reads")?;
    let keyboard = writes(stage, &server, "from the one at the keyboard")?;
    let port = keyboard.port()?;
    claim_packet("the first line arrives", &Matcher::data().containing("who reads"));
    claim_packet("the second line arrives", &Matcher::data().containing("keyboard"));

    step "one client waits for its reply; the other, with the default action for SIGPIPE, waits \
          for the keyboard";
    reading.begin("recv 100")?;
    keyboard.must("sigpipe default")?;

    step "the server's process is killed";
    server.program().kill();
    claim_packet("the server's kernel sends RST", &Matcher::rst().from_server());
    claim_is("the client that reads gets ECONNRESET", &reading.outcome()?, "ECONNRESET");
    claim_packet(
        "the other client's kernel gets the RST, too",
        &Matcher::rst().from_server().port(port),
    );
    claim_none_left(
        "the client's host keeps no connection, not even TIME_WAIT",
        Side::Client, PORT,
    );
    claim_none_left("the server's host keeps no connection either", Side::Server, PORT);
    claim("no FIN was sent", stage.count(&Matcher::fin()) == 0);

    step "the client at the keyboard writes its next line";
    claim_is("write fails with ECONNRESET", &keyboard.call("send again")?, "ECONNRESET");
    claim_is("the write raised no signal", &keyboard.call("getsockopt error")?, "ok 0");

    step "the client writes once more";
    keyboard.begin("send again")?;
    let (_, exit) = keyboard.program().wait(crate::stage::PATIENCE)?;
    claim("SIGPIPE kills the client", exit == Exit::Killed(13));
}

fn writes(stage: &Stage, server: &Agent, line: &str) -> Result<Agent, Broken> {
    let client = stage.joined(server)?;
    client.must(&format!("send {line}"))?;
    Ok(client)
}
