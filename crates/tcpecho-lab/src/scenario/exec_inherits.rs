//! What a program passes on through exec (UNP 4.7, 5.8, execve(2)).

use crate::impairment::Matcher;
use crate::stage::Broken;

scenario! { stage;
    name: "exec-inherits",
    group: Some(Group::Signals),
    title: "exec passes on descriptors and signal dispositions",
    source: "UNP 4.7, execve(2), signal(7)",
    question: "A server execs another program for a connection, as inetd does. What does that program \
               find?",
    book: &[
        (
            "Descriptors stay open across exec unless FD_CLOEXEC is set.",
            &[Book("4.7")],
        ),
    ],
    kernel: &[
        (
            "The same.",
            &[
                Measured("only the connection's descriptor is open"),
                Measured("connect fails with ECONNREFUSED: exec has closed the listener"),
            ],
        ),
        (
            "A signal that is ignored stays ignored, and one that is caught gets its default \
             action, because the handler no longer exists.",
            &[
                Man("execve(2)"),
                Man("signal(7)"),
                Measured("SIGPIPE is still ignored"),
                Measured("SIGTERM has its default action"),
            ],
        ),
        (
            "A program that was started with SIGPIPE ignored sees EPIPE where its author expected \
             to be killed.",
            &[Measured("SIGPIPE is still ignored"), Lab("sigpipe")],
        ),
    ];

    step "a server has a connection, ignores SIGPIPE and catches SIGTERM";
    let (client, server) = stage.connected()?;
    server.must("handler SIGPIPE ignore")?;
    server.must("handler SIGTERM restart")?;
    server.must("inherit")?;
    let sockets = server.program().sockets();
    let connection = *sockets.last().ok_or_else(|| Broken::new("the server has no socket"))?;

    step "it executes another program; the listener has FD_CLOEXEC, the connection has not";
    server.must("exec")?;
    claim_is("SIGPIPE is still ignored", &server.call("disposition SIGPIPE")?, "ok SIG_IGN");
    claim_is("SIGTERM has its default action", &server.call("disposition SIGTERM")?, "ok SIG_DFL");
    let left = server.program().sockets();
    claim("only the connection's descriptor is open", left == [connection]);
    claim("no FIN was sent to the client", stage.count(&Matcher::fin()) == 0);

    step "the new program uses the connection";
    server.must(&format!("adopt {connection}"))?;
    claim_is("the new program's send succeeds", &server.call("send hello")?, "ok 5");
    claim_is("the client reads what the new program sent", &client.call("recv 100")?, "ok 5 hello");

    step "another client connects";
    let other = stage.client()?;
    claim_is("connect fails with ECONNREFUSED: exec has closed the listener", &other.call(&stage.connect_line())?, "ECONNREFUSED");
}
