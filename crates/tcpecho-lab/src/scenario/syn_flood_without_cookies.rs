//! SYNs from forged addresses, until there is no room for a legitimate one (UNP 4.5, RFC 4987).

use std::net::{IpAddr, SocketAddr};

use crate::impairment::{Matcher, Rule};
use crate::packet::{Flags, Segment, segment};
use crate::pace::Timer;
use crate::side::{Family, Side};
use crate::stage::{Broken, PORT, Stage};
use tcpecho_os::tcp_state::TcpState;

/// The backlog of the server. With more than four incomplete connections the kernel drops those
/// that have waited for some seconds, before all answers to them are sent (`reqsk_timer_handler`),
/// and a busy machine takes some seconds.
pub(super) const BACKLOG: u32 = 3;
/// The number of SYNs.
pub(super) const FLOOD: u64 = 20;

scenario! { stage;
    name: "syn-flood-without-cookies",
    group: Some(Group::Queues),
    title: "a SYN flood prevents a legitimate client from connecting",
    source: "UNP 4.5, RFC 4987",
    question: "SYNs arrive from addresses that never answer. What happens to a legitimate \
               client?",
    book: &[
        (
            "The flood fills the queue of incomplete connections with forged SYNs, so that a \
             legitimate SYN is not queued: a denial of service.",
            &[Book("4.5")],
        ),
    ],
    kernel: &[
        (
            "The same with net.ipv4.tcp_syncookies=0: there are as many incomplete connections as \
             the backlog says (one more in Linux 6.18), every further SYN is dropped, and connect \
             of the legitimate client fails with ETIMEDOUT.",
            &[
                Sysctl("net.ipv4.tcp_syncookies"),
                Code("inet_csk_reqsk_queue_is_full", "include/net/inet_connection_sock.h"),
                Measured("about as many as the backlog are in SYN_RECV"),
                Measured("the other SYNs are dropped"),
                Measured("the legitimate client's connect fails with ETIMEDOUT"),
            ],
        ),
        (
            "Without cookies, peers that no earlier connection has proven get no more than three \
             quarters of net.ipv4.tcp_max_syn_backlog, and one more, however large the backlog is.",
            &[
                Sysctl("net.ipv4.tcp_max_syn_backlog"),
                Code("tcp_conn_request", "net/ipv4/tcp_input.c"),
                Measured("three quarters of tcp_max_syn_backlog, and one more, are in SYN_RECV"),
            ],
        ),
    ],
    timers: &[Timer::Syn];

    step "a server listens with backlog 3; twenty SYNs come from addresses that never answer";
    stage.shorten(Side::Client, Timer::Syn, &[1, 0])?;
    let server_host = &stage.two().server;
    server_host.set_sysctl("net.ipv4.tcp_syncookies", "0")?;
    // The incomplete connections must outlast the legitimate client's connect.
    server_host.set_sysctl("net.ipv4.tcp_synack_retries", "8")?;
    let _server = stage.listening(BACKLOG)?;
    nobody_answers(stage);
    flood(stage, PORT);
    let incomplete = self::incomplete(stage, PORT);
    claim("about as many as the backlog are in SYN_RECV", (3..=4).contains(&incomplete));
    claim("the other SYNs are dropped", drops(stage)? == FLOOD - incomplete);

    step "a legitimate client connects";
    let client = stage.client()?;
    claim_is("the legitimate client's connect fails with ETIMEDOUT", &client.call(&stage.connect_line())?, "ETIMEDOUT");
    let syns = stage.count(&Matcher::syn().matching("honest", |_, packet| honest(packet.source)));
    claim("the legitimate client's kernel retransmitted the SYN", syns >= 2);
    claim("all of the legitimate client's SYNs were dropped", drops(stage)? == FLOOD - incomplete + syns as u64);
    let still = self::incomplete(stage, PORT);
    claim("the incomplete connections are still there", still == incomplete);
    claim("no RST was sent", stage.count(&Matcher::rst()) == 0);

    step "tcp_max_syn_backlog is 16, and twenty SYNs come for a server with backlog 100";
    stage.two().server.set_sysctl("net.ipv4.tcp_max_syn_backlog", "16")?;
    let ample = stage.agent(Side::Server)?;
    ample.must(&format!("socket {}", stage.number()))?;
    ample.must(&format!("bind {} {OTHER}", stage.family().any()))?;
    ample.must("listen 100")?;
    flood(stage, OTHER);
    claim(
        "three quarters of tcp_max_syn_backlog, and one more, are in SYN_RECV",
        self::incomplete(stage, OTHER) == 16 * 3 / 4 + 1,
    );
}

/// The port of the server with a large backlog.
const OTHER: u16 = PORT + 1;

/// Loses the answers to addresses that no host has.
pub(super) fn nobody_answers(stage: &Stage) {
    let nowhere = Matcher::any_tcp().from_server();
    let nowhere = nowhere.matching("to nobody", |_, packet| !honest(packet.destination));
    stage.wire_rule(Rule::drop(nowhere).because("nobody is there"));
}

/// Sends SYNs from addresses that no host has to that port of the server.
pub(super) fn flood(stage: &Stage, port: u16) {
    for number in 0..FLOOD as u8 {
        let syn = Segment { seq: 1, flags: Flags::SYN, window: 1000, ..Segment::default() };
        inject(stage, address(stage.family(), number + 2), port, &syn, "flood");
    }
}

/// Delivers a segment from that address to that port of the server.
pub(super) fn inject(stage: &Stage, from: IpAddr, port: u16, what: &Segment, note: &str) {
    let server = SocketAddr::new(Side::Server.address(stage.family()), port);
    let bytes = segment(SocketAddr::new(from, 1024), server, what);
    stage.two().wire.inject(Side::Server, &bytes, note);
}

/// An address in the router's network, which has no other hosts.
pub(super) fn address(family: Family, host: u8) -> IpAddr {
    match family.router() {
        IpAddr::V4(router) => {
            let [a, b, c, _] = router.octets();
            [a, b, c, host].into()
        }
        IpAddr::V6(router) => {
            let mut octets = router.octets();
            octets[15] = host;
            octets.into()
        }
    }
}

fn honest(address: IpAddr) -> bool {
    Family::BOTH.map(|family| Side::Client.address(family)).contains(&address)
}

/// The number of connections that the server has in `SYN_RECV` on that port.
pub(super) fn incomplete(stage: &Stage, port: u16) -> u64 {
    let sockets = stage.two().server.sockets(stage.family());
    let here = sockets.iter().filter(|socket| socket.local.port() == port);
    here.filter(|socket| socket.state == TcpState::SynRecv).count() as u64
}

fn drops(stage: &Stage) -> Result<u64, Broken> {
    Ok(stage.two().server.counter("TcpExt.ListenDrops")?)
}
