//! The server's process is killed while one client waits for the keyboard and another polls (UNP 5.12).

use crate::impairment::Matcher;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "server-process-killed",
    group: Some(Group::Failures),
    title: "the server's process is killed",
    source: "UNP 5.12, 6.1 and 6.4",
    question: "When does a client notice that its server's process is gone, and what does it \
               read then?",
    book: &[
        (
            "The kernel of the killed process sends FIN, which a client blocked on the keyboard \
             does not notice.",
            &[Book("5.12"), Book("6.1")],
        ),
        (
            "Its next write succeeds and is answered with an RST; then it reads end of file or \
             ECONNRESET, whichever came first.",
            &[Book("5.12")],
        ),
        (
            "A client that waits for socket and keyboard at once notices the FIN immediately.",
            &[Book("6.4")],
        ),
    ],
    kernel: &[
        (
            "The same, except for the race: after a FIN, an RST never makes read fail. In \
             CLOSE_WAIT it sets EPIPE as the pending error, and read returns 0 before and after \
             the RST.",
            &[
                Measured("before the RST arrives, read returns end of file"),
                Measured("read returns end of file, not ECONNRESET"),
                Measured("the pending error is EPIPE"),
                Code("tcp_reset", "net/ipv4/tcp_input.c"),
            ],
        ),
    ];

    step "a server accepts two clients: one will wait for the keyboard, one polls its socket";
    let server = stage.listening(10)?;
    let (keyboard, polling) = (stage.joined(&server)?, stage.joined(&server)?);
    let (keyboard_port, polling_port) = (keyboard.port()?, polling.port()?);
    polling.begin("poll 10000 in")?;

    step "the server's process is killed";
    server.program().kill();
    let fin = |port| Matcher::fin().from_server().port(port);
    claim_packet("the server's kernel ends the first connection with FIN", &fin(keyboard_port));
    claim_packet("the server's kernel ends the second connection with FIN", &fin(polling_port));

    step "the client that polls wakes up";
    let events = polling.outcome()?;
    claim_is("poll returns POLLIN and POLLRDHUP", &events, "ok 0x2001");
    claim_is("the client reads end of file", &polling.call("recv 100")?, "ok 0");
    polling.must("close")?;
    claim_none_left(
        "the client closes, and its kernel removes the connection",
        Side::Client, polling_port,
    );
    claim_state("TIME_WAIT stays on the server's host", Side::Server, TcpState::TimeWait);

    step "the client at the keyboard makes no call: only its kernel has noticed";
    claim_state("the client's connection is in CLOSE_WAIT", Side::Client, TcpState::CloseWait);
    claim_state("the server's end is in FIN_WAIT_2", Side::Server, TcpState::FinWait2);

    step "a line is typed, the client writes it, and the wire holds the answer";
    let rst = stage.hold(Matcher::rst().from_server().port(keyboard_port));
    claim_is("write succeeds", &keyboard.call("send hello")?, "ok 5");
    let answer = stage.two().wire.wait_for(&Matcher::rst(), 0, crate::stage::PATIENCE)?;
    claim("the answer is an RST from the server's kernel", answer.from == Side::Server);
    claim_is("before the RST arrives, read returns end of file", &keyboard.call("recv 9")?, "ok 0");

    step "the RST is released";
    stage.release(&rst)?;
    claim_none_left("the client's kernel has removed the connection", Side::Client, keyboard_port);
    claim_none_left("the server's kernel has removed the connection, too", Side::Server, keyboard_port);
    let events = keyboard.call("poll 0")?;
    claim_is("poll also returns POLLERR and POLLHUP", &events, "ok 0x201d");
    claim_is("read returns end of file, not ECONNRESET", &keyboard.call("recv 9")?, "ok 0");
    let pending = keyboard.call("getsockopt error")?;
    claim_is("the pending error is EPIPE", &pending, "ok EPIPE");
}
