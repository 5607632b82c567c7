//! Every port that the kernel may choose for connect is in use (connect(2), ip(7)).

use std::time::{Duration, Instant};

use crate::impairment::Matcher;
use crate::side::{Family, Side};
use crate::stage::{Agent, Broken, PATIENCE, PORT, Played, Stage};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "no-local-port",
    group: Some(Group::Startup),
    title: "no local port is left",
    source: "UNP 2.7, 2.10, connect(2)",
    question: "A client's host has many connections to one server. What happens when no local port \
               is left for another connection?",
    book: &[
        (
            "connect chooses an ephemeral port.",
            &[Book("4.3")],
        ),
        (
            "A connection is identified by both addresses and both ports, so other connections \
             can use the same local port.",
            &[Book("2.10")],
        ),
        (
            "While one is in TIME_WAIT, for 2 MSL, no new connection between the same addresses \
             and ports can be made.",
            &[Book("2.7")],
        ),
    ],
    kernel: &[
        (
            "connect fails with EADDRNOTAVAIL and sends nothing. Only this destination is \
             exhausted: the same local port can be used for another port of the server.",
            &[
                Man("connect(2)"),
                Measured("connect fails with EADDRNOTAVAIL"),
                Measured("no SYN is sent"),
                Measured("the connection to the other port uses one of the four ports a second time"),
            ],
        ),
        (
            "A connection in TIME_WAIT occupies its port for 60 s, unless net.ipv4.tcp_tw_reuse \
             lets connect take it after about a second. The default of 2 does so for loopback \
             addresses only, which is what a learner on localhost sees; the first steps here set \
             it to 0.",
            &[
                Sysctl("net.ipv4.tcp_tw_reuse"),
                Measured("a new network namespace has tcp_tw_reuse 2, the default"),
                Measured("TIME_WAIT occupies the port: connect fails with EADDRNOTAVAIL again"),
                Measured(
                    "with tcp_tw_reuse=1 connect takes the port of a TIME_WAIT that is a second old",
                ),
                Measured(
                    "with the default, 2, connect fails although a TIME_WAIT is older than a second",
                ),
                Measured("over loopback the default lets connect take the port"),
                Lab("time-wait-reuse"),
            ],
        ),
    ];

    step "the client's kernel may choose among only four ports";
    stage.two().client.set_sysctl("net.ipv4.ip_local_port_range", "50000 50003")?;
    let default = stage.two().client.sysctl(REUSE)?;
    claim_is("a new network namespace has tcp_tw_reuse 2, the default", &default, "2");
    stage.two().client.set_sysctl(REUSE, "0")?;
    let server = stage.listening(10)?;
    let elsewhere = stage.agent(Side::Server)?;
    elsewhere.must(&format!("socket {}", stage.number()))?;
    elsewhere.must(&format!("bind {} {OTHER}", stage.family().any()))?;
    elsewhere.must("listen 10")?;

    step "the client opens four connections";
    let client = stage.agent(Side::Client)?;
    let new_socket = format!("socket {}", stage.number());
    let mut peers = Vec::new();
    for _ in 0..4 {
        client.must(&new_socket)?;
        client.must(&stage.connect_line())?;
        peers.push(server.must("0: accept")?);
    };
    let ports = |peer: &String| (50000..=50003).find(|port| peer.ends_with(&format!(":{port}")));
    let mut used: Vec<u16> = peers.iter().filter_map(ports).collect();
    used.sort_unstable();
    claim("the four connections use the four ports", used == [50000, 50001, 50002, 50003]);

    step "the client opens a fifth";
    let syns = stage.count(&Matcher::syn());
    client.must(&new_socket)?;
    let fifth = client.call(&stage.connect_line())?;
    claim_is("connect fails with EADDRNOTAVAIL", &fifth, "EADDRNOTAVAIL");
    // A busy machine may have retransmitted one of the four.
    claim("no SYN is sent", stage.count(&Matcher::syn()) == syns);

    step "the client connects to another port of the same server";
    let line = format!("connect {} {OTHER}", Side::Server.address(stage.family()));
    claim_is("connect succeeds", &client.call(&line)?, "ok");
    let peer = elsewhere.must("accept")?;
    claim("the connection to the other port uses one of the four ports a second time", ports(&peer).is_some());

    step "the client closes two of the four, and then the server does";
    client.must("3: close")?;
    server.call("4: recv 1")?;
    server.must("4: close")?;
    client.must("0: close")?;
    claim_is("the server reads end of file", &server.call("1: recv 1")?, "ok 0");
    server.must("1: close")?;
    claim_state("the client's ends are in TIME_WAIT", Side::Client, TcpState::TimeWait);
    wait_for_time_waits(stage, 2)?;
    client.must(&new_socket)?;
    let occupied = client.call(&stage.connect_line())?;
    claim_is(
        "TIME_WAIT occupies the port: connect fails with EADDRNOTAVAIL again",
        &occupied, "EADDRNOTAVAIL",
    );

    step "the server closes another connection first";
    server.must("2: close")?;
    claim_is("the client reads end of file", &client.call("1: recv 1")?, "ok 0");
    client.must("1: close")?;
    claim_state("TIME_WAIT stays on the server's host", Side::Server, TcpState::TimeWait);

    step "tcp_tw_reuse is 1, and the client tries until a TIME_WAIT is a second old";
    // The port of the connection that the server closed is free, or will be in a moment.
    until_it_connects(&client, &new_socket, &stage.connect_line())?;
    stage.two().client.set_sysctl(REUSE, "1")?;
    claim_is(
        "with tcp_tw_reuse=1 connect takes the port of a TIME_WAIT that is a second old",
        &until_it_connects(&client, &new_socket, &stage.connect_line())?, "ok",
    );

    step "tcp_tw_reuse is 2, its default";
    stage.two().client.set_sysctl(REUSE, "2")?;
    wait_for_time_waits(stage, 1)?;
    client.must(&new_socket)?;
    let refused = client.call(&stage.connect_line())?;
    claim_is(
        "with the default, 2, connect fails although a TIME_WAIT is older than a second",
        &refused, "EADDRNOTAVAIL",
    );

    step "on one host, where only one port may be chosen, a client and then its server close";
    stage.two().client.set_sysctl("net.ipv4.ip_local_port_range", "50004 50004")?;
    let loopback = if stage.family() == Family::V4 { "127.0.0.1" } else { "::1" };
    let neighbour = stage.agent(Side::Client)?;
    neighbour.must(&new_socket)?;
    neighbour.must(&format!("bind {loopback} {PORT}"))?;
    neighbour.must("listen 10")?;
    let line = format!("connect {loopback} {PORT}");
    client.must(&new_socket)?;
    client.must(&line)?;
    neighbour.must("accept")?;
    client.must("close")?;
    claim_is("the server on the same host reads end of file", &neighbour.call("recv 1")?, "ok 0");
    neighbour.must("close")?;
    wait_for_time_waits(stage, 2)?;
    claim_is(
        "over loopback the default lets connect take the port",
        &until_it_connects(&client, &new_socket, &line)?, "ok",
    );
}

/// Whether connect may take the port of a connection in TIME_WAIT.
const REUSE: &str = "net.ipv4.tcp_tw_reuse";

/// Waits until the client's host has this number of connections in TIME_WAIT.
fn wait_for_time_waits(stage: &Stage, count: usize) -> Played {
    let begun = Instant::now();
    loop {
        let sockets = stage.two().client.sockets(stage.family());
        let waiting = sockets.iter().filter(|socket| socket.state == TcpState::TimeWait).count();
        if waiting == count {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(Broken::new(format!("{waiting} of {count} connections in TIME_WAIT")));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Connects again and again while no port is free.
fn until_it_connects(client: &Agent, socket: &str, line: &str) -> Result<String, Broken> {
    let begun = Instant::now();
    loop {
        client.must(socket)?;
        let outcome = client.call(line)?;
        if outcome != "EADDRNOTAVAIL" || begun.elapsed() > PATIENCE {
            return Ok(outcome);
        }
        client.must("close")?;
        std::thread::sleep(PAUSE);
    }
}

/// Between two attempts. There is no event for the end of the kernel's second.
const PAUSE: Duration = Duration::from_millis(20);

/// Another port of the server.
const OTHER: u16 = PORT + 1;
