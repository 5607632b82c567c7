//! A client is connected to itself (RFC 9293 3.5, simultaneous open).

use crate::impairment::Matcher;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "self-connection",
    group: Some(Group::Startup),
    title: "a client is connected to itself",
    source: "RFC 9293 3.5, ip(7), connect(2)",
    question: "A client tries again and again to connect to a server on its own host that is not \
               running, on a port from the range that the kernel chooses ports from. What can happen?",
    book: &[
        (
            "Two SYNs that cross open one connection, without a socket in LISTEN: a simultaneous \
             open.",
            &[Rfc(9293, "3.5")],
        ),
    ],
    kernel: &[
        (
            "connect succeeds when the kernel happens to choose the server's port as the client's \
             own: the SYN reaches the socket that sent it, a simultaneous open with itself. Both \
             ends of the connection are the same socket, and the client reads what it writes, as \
             if an echo server answered.",
            &[
                Measured("connect to this port of the own host succeeds"),
                Measured("both ends have the same address and port"),
                Measured("the client reads its own data"),
                Sysctl("net.ipv4.ip_local_port_range"),
            ],
        ),
        (
            "Unless the client has set SO_REUSEADDR as well, the server cannot bind its port, \
             also not for the minute of TIME_WAIT that follows.",
            &[
                Measured("bind fails with EADDRINUSE, in spite of SO_REUSEADDR"),
                Measured("bind still fails with EADDRINUSE while the client's port is in TIME_WAIT"),
                Measured("bind succeeds when the client has set SO_REUSEADDR, too"),
                Measured("bind succeeds in TIME_WAIT when the client had set SO_REUSEADDR"),
                Man("socket(7)"),
            ],
        ),
    ];

    step "the client's kernel may choose only one port, and nobody listens on it";
    stage.two().client.set_sysctl("net.ipv4.ip_local_port_range", "50000 50000")?;
    let client = stage.agent(Side::Client)?;
    client.must(&format!("socket {}", stage.number()))?;
    let own = Side::Client.address(stage.family());
    let connected = client.call(&format!("connect {own} {PORT}"))?;
    claim_is("connect to this port of the own host succeeds", &connected, "ok");
    let [local, remote] = [client.must("getsockname")?, client.must("getpeername")?];
    claim_is("both ends have the same address and port", &local, &remote);

    step "the client sends a line";
    claim_is("send succeeds", &client.call("send hello")?, "ok 5");
    claim_is("the client reads its own data", &client.call("recv 100")?, "ok 5 hello");

    step "the server is started";
    let server = stage.agent(Side::Client)?;
    server.must(&format!("socket {}", stage.number()))?;
    server.must("setsockopt reuseaddr on")?;
    let bound = server.call(&format!("bind {own} {PORT}"))?;
    claim_is("bind fails with EADDRINUSE, in spite of SO_REUSEADDR", &bound, "EADDRINUSE");

    step "the client closes";
    client.must("close")?;
    let left = stage.connections(Side::Client, PORT);
    let states: Vec<TcpState> = left.iter().map(|socket| socket.state).collect();
    claim("the connection is in TIME_WAIT", states == [TcpState::TimeWait]);
    let bound = server.call(&format!("bind {own} {PORT}"))?;
    claim_is(
        "bind still fails with EADDRINUSE while the client's port is in TIME_WAIT",
        &bound, "EADDRINUSE",
    );

    step "the client sets SO_REUSEADDR on another socket and connects to the only port that its kernel may choose now";
    stage.two().client.set_sysctl("net.ipv4.ip_local_port_range", "50001 50001")?;
    client.must(&format!("socket {}", stage.number()))?;
    client.must("setsockopt reuseaddr on")?;
    let connected = client.call(&format!("connect {own} {OTHER}"))?;
    claim_is("connect to the other port succeeds as well", &connected, "ok");
    let bound = server.call(&format!("bind {own} {OTHER}"))?;
    claim_is("bind succeeds when the client has set SO_REUSEADDR, too", &bound, "ok");
    server.must("close")?;
    client.must("close")?;
    let left = stage.connections(Side::Client, OTHER);
    let states: Vec<TcpState> = left.iter().map(|socket| socket.state).collect();
    claim("the second connection is in TIME_WAIT", states == [TcpState::TimeWait]);
    server.must(&format!("socket {}", stage.number()))?;
    server.must("setsockopt reuseaddr on")?;
    let bound = server.call(&format!("bind {own} {OTHER}"))?;
    claim_is("bind succeeds in TIME_WAIT when the client had set SO_REUSEADDR", &bound, "ok");
    claim("no packet has left the host", stage.count(&Matcher::any_tcp()) == 0);
}

/// The server's port, which is also the only one that the kernel may choose.
const PORT: u16 = 50_000;
/// The port of the second connection.
const OTHER: u16 = 50_001;
