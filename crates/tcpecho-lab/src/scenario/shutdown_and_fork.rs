//! shutdown acts on the connection, close on a descriptor (UNP 6.6, 4.8).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::PATIENCE;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "shutdown-and-fork",
    group: Some(Group::Closing),
    title: "two processes have a descriptor of one connection",
    source: "UNP 4.8, 6.6, shutdown(2), close(2)",
    question: "Parent and child have the same connection. What do close and shutdown in the parent do?",
    book: &[
        (
            "close takes one reference away and sends nothing as long as another is left. \
             shutdown sends the FIN whatever the number of references.",
            &[Book("4.8"), Book("6.6")],
        ),
    ],
    kernel: &[
        (
            "The same, and shutdown in one process ends the other's writing half, too.",
            &[
                Man("shutdown(2)"),
                Measured("no FIN was sent"),
                Measured("a FIN is sent, although the child has the connection"),
                Measured("the child exits: it reads the line and cannot answer"),
            ],
        ),
    ];

    step "a server forks a child for a connection, and closes its own descriptor";
    let (client, server) = stage.connected()?;
    server.must("fork")?;
    claim_is("the child still echoes", &client.call("send one")?, "ok 3");
    claim_is("the client reads the reply", &client.call("recv 100")?, "ok 3 one");
    claim("no FIN was sent", stage.count(&Matcher::fin()) == 0);

    step "the same with another client, but the server keeps its descriptor and calls shutdown";
    let other = stage.joined(&server)?;
    server.must("fork keep")?;
    let mark = stage.two().timeline.mark();
    server.must("shutdown wr")?;
    claim_packet_since("a FIN is sent, although the child has the connection", mark, &Matcher::fin().from_server());
    claim_is("the client reads end of file", &other.call("recv 100")?, "ok 0");
    claim_state("the client's end is in CLOSE_WAIT", Side::Client, TcpState::CloseWait);

    step "that client sends a line, and the first one closes";
    claim_is("send succeeds", &other.call("send two")?, "ok 3");
    client.must("close")?;
    server.program().wait_for_zombies(2, PATIENCE)?;
    claim("the child exits: it reads the line and cannot answer", server.program().zombies() == 2);
}
