//! A parent that does not close the connected socket keeps the connection open (UNP 4.8).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::PATIENCE;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "parent-keeps-connfd",
    group: Some(Group::Closing),
    title: "the parent does not close the connected socket after fork",
    source: "UNP 4.8, 4.9, fork(2), close(2)",
    question: "A concurrent server forgets to close the connected socket in the parent. What does a \
               client see when the child has served it and exited?",
    book: &[
        (
            "fork makes a second descriptor of the same socket, and close sends a FIN only when \
             the last one is closed.",
            &[Book("4.8")],
        ),
        (
            "If the parent never closes connfd, no connection is ever ended by the server, and \
             the parent runs out of descriptors.",
            &[Book("4.9")],
        ),
    ],
    kernel: &[
        (
            "The same. The child's exit sends nothing: the server's end stays in CLOSE_WAIT, and \
             the client waits for a FIN that does not come.",
            &[
                Man("close(2)"),
                Measured("the server sends no FIN"),
                Measured("the server's end stays in CLOSE_WAIT"),
                Measured("the client waits for an end that does not come"),
                Measured("the parent has a descriptor for each connection, besides the listener's"),
            ],
        ),
    ];

    step "a server forks a child for a connection and keeps the socket open itself";
    let (client, server) = stage.connected()?;
    server.must("fork keep")?;
    claim_is("the child echoes", &client.call("send hello")?, "ok 5");
    claim_is("the client reads the reply", &client.call("recv 100")?, "ok 5 hello");

    step "the client shuts down its writing half, and the child exits";
    client.must("shutdown wr")?;
    server.program().wait_for_zombies(1, PATIENCE)?;
    claim("the server sends no FIN", stage.count(&Matcher::fin().from_server()) == 0);
    claim_state("the server's end stays in CLOSE_WAIT", Side::Server, TcpState::CloseWait);
    claim_state("the client's end is in FIN_WAIT_2", Side::Client, TcpState::FinWait2);
    client.must("setsockopt rcvtimeo 100")?;
    claim_is("the client waits for an end that does not come", &client.call("recv 100")?, "EAGAIN");

    step "three more clients come and go";
    for _ in 0..3 {
        let next = stage.joined(&server)?;
        server.must("fork keep")?;
        next.end()?;
    };
    server.program().wait_for_zombies(4, PATIENCE)?;
    let kept = server.program().sockets().len();
    claim_is("the parent has a descriptor for each connection, besides the listener's", &kept.to_string(), "5");

    step "the parent closes the first connection";
    server.must("1: close")?;
    claim_packet("a FIN is sent to the first client only now", &Matcher::fin().from_server().port(client.port()?));
    claim_is("the client reads end of file", &client.call("recv 100")?, "ok 0");
}
