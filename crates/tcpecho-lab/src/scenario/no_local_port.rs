//! Every port that the kernel may choose for connect is in use (connect(2), ip(7)).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::PORT;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "no-local-port",
    group: Some(Group::Startup),
    title: "no local port is left",
    source: "UNP 2.9, 4.3, connect(2)",
    question: "A client's host has many connections to one server. What happens when no local port \
               is left for another connection?",
    book: "connect chooses an ephemeral port, and a connection is identified by both addresses \
           and both ports (2.9, 2.10). TIME_WAIT keeps the pair of ports for 2 MSL (2.7). The \
           book does not say what happens when no port is left.",
    kernel: "connect fails with EADDRNOTAVAIL and sends nothing. Only this destination is \
             exhausted: the same local port can be used for another port of the server. A \
             connection in TIME_WAIT still occupies its port.";

    step "the client's kernel may choose among only four ports";
    stage.two().client.set_sysctl("net.ipv4.ip_local_port_range", "50000 50003")?;
    stage.two().client.set_sysctl("net.ipv4.tcp_tw_reuse", "0")?;
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
    claim("they use the four ports", used == [50000, 50001, 50002, 50003]);

    step "the client opens a fifth";
    let syns = stage.count(&Matcher::syn());
    client.must(&new_socket)?;
    let fifth = client.call(&stage.connect_line())?;
    claim_is("connect fails with EADDRNOTAVAIL", &fifth, "EADDRNOTAVAIL");
    claim("no SYN is sent", syns == 4 && stage.count(&Matcher::syn()) == 4);

    step "the client connects to another port of the same server";
    let line = format!("connect {} {OTHER}", Side::Server.address(stage.family()));
    claim_is("connect succeeds", &client.call(&line)?, "ok");
    let peer = elsewhere.must("accept")?;
    claim("it uses one of the four ports a second time", ports(&peer).is_some());

    step "the client closes one of the four, and then the server does";
    client.must("0: close")?;
    claim_is("the server reads end of file", &server.call("1: recv 1")?, "ok 0");
    server.must("1: close")?;
    claim_state("the client's end is in TIME_WAIT", Side::Client, TcpState::TimeWait);
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
}

/// Another port of the server.
const OTHER: u16 = PORT + 1;
