//! A server that has reached its limit of open descriptors (UNP 4.9, accept(2)).

use crate::impairment::Matcher;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

/// The number does not matter: each round gives the same result.
const ROUNDS: usize = 3;

scenario! { stage;
    name: "accept-without-descriptors",
    group: Some(Group::Queues),
    title: "the server has no descriptor left for a connection",
    source: "UNP 4.9, accept(2)",
    question: "What happens to a client that connects to a server without a free descriptor?",
    book: &[
        (
            "There is usually a limit to the number of descriptors that a process can have open. \
             A parent that does not close the sockets that accept returns will reach it.",
            &[Book("4.9")],
        ),
    ],
    kernel: &[
        (
            "accept fails with EMFILE before it removes anything from the queue. The connection \
             stays in the queue, established and able to receive, and its client does not notice.",
            &[
                Man("accept(2)"),
                Measured("each accept fails with EMFILE"),
                Measured("the connection is still in the queue"),
                Measured("the client's data arrives"),
                Measured("the client sees no error"),
            ],
        ),
        (
            "The listening socket stays readable, so a loop over poll that only calls accept \
             again spins, and so does one over epoll, which is level-triggered by default.",
            &[
                Measured("each poll returns at once: the listening socket is readable"),
                Man("epoll(7)"),
            ],
        ),
        (
            "After one descriptor is closed, accept returns the connection.",
            &[Measured("accept returns the second client's connection")],
        ),
    ];

    step "a server may hold one connection at a time (RLIMIT_NOFILE) and holds one";
    let (server, first) = (stage.listening(10)?, stage.client()?);
    server.must("limit descriptors 1")?;
    first.must(&stage.connect_line())?;
    claim("accept has used the last descriptor", server.call("accept")?.starts_with("ok 1 "));

    step "a second client connects and sends data";
    let second = stage.client()?;
    claim_is("the client is connected", &second.call(&stage.connect_line())?, "ok");
    let port = second.port()?;
    stage.wait_for_queue(1)?;
    claim_is("the client can send", &second.call("send hello")?, "ok 5");
    claim_packet("the client's data arrives", &Matcher::data().from_client());

    step "the server polls its listening socket and calls accept, again and again";
    let (mut readable, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        readable.push(server.call("0: poll 60000 in")?);
        refused.push(server.call("0: accept")?);
    };
    claim(
        "each poll returns at once: the listening socket is readable",
        readable.iter().all(|said| said == "ok 0x1"),
    );
    claim("each accept fails with EMFILE", refused.iter().all(|said| said == "EMFILE"));
    let queue = stage.two().server.sockets(stage.family());
    let queue = queue.iter().find(|socket| socket.state == TcpState::Listen);
    claim("the connection is still in the queue", queue.is_some_and(|socket| socket.rqueue == 1));
    let known = stage.connections(Side::Client, port);
    let known: Vec<TcpState> = known.iter().map(|socket| socket.state).collect();
    claim("the client sees no error", known == [TcpState::Established]);
    claim("no RST was sent", stage.count(&Matcher::rst()) == 0);

    step "the server closes its connection with the first client and calls accept";
    server.must("1: close")?;
    let accepted = server.call("0: accept")?;
    claim("accept returns the second client's connection", accepted.ends_with(&format!(":{port}")));
    claim_is(
        "the server reads what the second client sent",
        &server.call("recv 100")?, "ok 5 hello",
    );
    claim_is("poll reports no further connection", &server.call("0: poll 0 in")?, "ok 0x0");
}
