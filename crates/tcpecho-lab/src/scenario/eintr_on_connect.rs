//! A signal interrupts connect (UNP 5.9, 16.4).

use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::{Agent, Broken, PATIENCE, Stage};
use rustix::process::Signal;
use tcpecho_lab_os::system_call::CONNECT;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "eintr-on-connect",
    group: Some(Group::Signals),
    title: "a signal arrives while connect waits",
    source: "UNP 5.9, 16.4, signal(7)",
    question: "Can connect be called again after a signal has interrupted it?",
    book: &[
        (
            "No. Unlike accept and read, connect must not be called again after EINTR; it would \
             fail at once.",
            &[Book("5.9")],
        ),
        (
            "The program has to wait with select until the connection is complete, as for a \
             non-blocking connect, and then read SO_ERROR.",
            &[Book("5.9"), Book("16.4")],
        ),
    ],
    kernel: &[
        (
            "Yes. The handshake continues in the kernel; a second connect waits for it and \
             returns 0, and a third returns EISCONN.",
            &[
                Measured("the second connect waits, and the socket is in SYN_SENT"),
                Measured("the second connect returns 0"),
                Measured("a third connect returns EISCONN"),
            ],
        ),
        (
            "The book's way with poll and SO_ERROR works as well, and SA_RESTART makes both \
             unnecessary, unless the socket has SO_SNDTIMEO.",
            &[
                Man("signal(7)"),
                Measured("poll waits until the socket is writable"),
                Measured("SO_ERROR reports no error"),
                Measured("with SA_RESTART connect is restarted and returns 0"),
                Measured("with SO_SNDTIMEO connect is not restarted"),
            ],
        ),
    ];

    step "a client connects, the wire holds the server's SYN-ACK, and the client catches a signal";
    let _server = stage.listening(10)?;
    stage.wire_rule(Rule::hold(Matcher::syn_ack()));
    let client = interrupted(stage, "norestart", None)?;
    claim_is("connect returns EINTR", &client.outcome()?, "EINTR");
    claim_state("the socket is still in SYN_SENT", Side::Client, TcpState::SynSent);

    step "the client calls connect again, against the book's advice";
    connect_and_sleep(stage, &client)?;
    claim_state(
        "the second connect waits, and the socket is in SYN_SENT",
        Side::Client, TcpState::SynSent,
    );

    step "the SYN-ACK is released";
    let_go_on(stage);
    claim_is("the second connect returns 0", &client.outcome()?, "ok");
    claim_is("a third connect returns EISCONN", &client.call(&stage.connect_line())?, "EISCONN");
    client.end()?;

    step "another client is interrupted in the same way, and the SYN-ACK is released before it \
          makes another call";
    stage.wire_rule(Rule::hold(Matcher::syn_ack()));
    let client = interrupted(stage, "norestart", None)?;
    claim_is("the other client's connect returns EINTR", &client.outcome()?, "EINTR");
    let_go_on(stage);
    claim_is("poll waits until the socket is writable", &client.call("poll 10000")?, "ok 0x4");
    claim_is("SO_ERROR reports no error", &client.call("getsockopt error")?, "ok 0");
    claim_is("the connection can be used", &client.call("send hello")?, "ok 5");
    client.end()?;

    step "a client catches its signal with SA_RESTART";
    stage.wire_rule(Rule::hold(Matcher::syn_ack()));
    let client = interrupted(stage, "restart", None)?;
    let_go_on(stage);
    claim_is("with SA_RESTART connect is restarted and returns 0", &client.outcome()?, "ok");
    claim_is("the handler has run all the same", &client.call("caught")?, "ok 1");
    client.end()?;

    step "a client does the same with SO_SNDTIMEO set";
    stage.wire_rule(Rule::hold(Matcher::syn_ack()));
    let client = interrupted(stage, "restart", Some("setsockopt sndtimeo 60000"))?;
    claim_is("with SO_SNDTIMEO connect is not restarted", &client.outcome()?, "EINTR");
    let_go_on(stage);
}

/// A client that got a signal while it slept in connect.
fn interrupted(stage: &Stage, handler: &str, option: Option<&str>) -> Result<Agent, Broken> {
    let client = stage.client()?;
    client.must(&format!("handler SIGUSR1 {handler}"))?;
    if let Some(option) = option {
        client.must(option)?;
    }
    connect_and_sleep(stage, &client)?;
    client.program().signal(Signal::USR1)?;
    Ok(client)
}

fn connect_and_sleep(stage: &Stage, client: &Agent) -> Result<(), Broken> {
    client.begin(&stage.connect_line())?;
    Ok(client.program().wait_asleep_in(CONNECT, PATIENCE)?)
}

/// Packets that are sent from now on are not held either.
fn let_go_on(stage: &Stage) {
    stage.two().wire.clear();
    stage.two().wire.release_all(&Matcher::syn_ack());
}
