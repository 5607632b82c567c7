//! An administrator shuts down the server's host: SIGTERM, then SIGKILL (UNP 5.16).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Agent, Broken, PATIENCE};
use rustix::process::Signal;
use tcpecho_os::process::Exit;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "operator-shutdown",
    group: Some(Group::Failures),
    title: "the server's host is shut down",
    source: "UNP 5.16",
    question: "What does a client see of the orderly shutdown of its server's host?",
    book: &[
        (
            "init sends SIGTERM to all processes, waits for some seconds, and sends SIGKILL to \
             those that still run. A server's sockets are closed when it exits, so the client \
             sees the same as when the server's process is killed.",
            &[Book("5.16")],
        ),
    ],
    kernel: &[
        (
            "The same. The client cannot tell the two signals apart: the kernel closes the \
             sockets and sends FIN, or RST if data is unread.",
            &[
                Measured("the server's kernel sends FIN"),
                Measured("the server's kernel sends FIN after SIGKILL, too"),
                Measured("the client of the killed server reads end of file"),
                Lab("server-process-killed-unread"),
            ],
        ),
        (
            "New clients are refused as soon as the listening socket is closed. When the client \
             has closed as well, the server's host keeps TIME_WAIT.",
            &[
                Measured("a new client is refused"),
                Measured("TIME_WAIT stays on the server's host"),
            ],
        ),
    ];

    step "a server with the default action for SIGTERM gets SIGTERM";
    let (client, server) = stage.connected()?;
    server.program().signal(Signal::TERM)?;
    let (_, exit) = server.program().wait(PATIENCE)?;
    claim("SIGTERM terminates the server", exit == Exit::Killed(15));
    claim_packet("the server's kernel sends FIN", &Matcher::fin().from_server());
    claim_is("the client reads end of file", &client.call("recv 100")?, "ok 0");
    let late = stage.client()?;
    let refused = late.call(&stage.connect_line())?;
    claim_is("a new client is refused", &refused, "ECONNREFUSED");

    step "the client closes";
    let port = client.port()?;
    client.must("close")?;
    claim_none_left("the client's kernel has removed the connection", Side::Client, port);
    claim_state("TIME_WAIT stays on the server's host", Side::Server, TcpState::TimeWait);

    step "another server ignores SIGTERM and gets SIGTERM";
    let (client, server) = stage.connected()?;
    let port = client.port()?;
    server.must("handler SIGTERM ignore")?;
    server.program().signal(Signal::TERM)?;
    claim("the server that ignores SIGTERM continues to echo", echoes(&client, &server)?);
    let second = stage.client()?;
    claim_is("new clients can connect", &second.call(&stage.connect_line())?, "ok");
    let fin = Matcher::fin().from_server().port(port);
    claim("no FIN is sent", stage.count(&fin) == 0);

    step "the server gets SIGKILL";
    server.program().signal(Signal::KILL)?;
    let (_, exit) = server.program().wait(PATIENCE)?;
    claim("SIGKILL terminates the server", exit == Exit::Killed(9));
    claim_packet("the server's kernel sends FIN after SIGKILL, too", &fin);
    claim_is("the client of the killed server reads end of file", &client.call("recv 100")?, "ok 0");
}

fn echoes(client: &Agent, server: &Agent) -> Result<bool, Broken> {
    client.must("send hello")?;
    server.must("recv 5")?;
    server.must("send hello")?;
    Ok(client.call("recv 5")? == "ok 5 hello")
}
