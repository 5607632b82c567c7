//! SYNs from forged addresses, and a server that stores nothing for them (UNP 4.5, RFC 4987).

use super::syn_flood_without_cookies::{
    BACKLOG, FLOOD, address, flood, incomplete, inject, nobody_answers,
};
use crate::impairment::Matcher;
use crate::packet::{Flags, Segment};
use crate::stage::{Broken, PATIENCE, PORT, Stage};

scenario! { stage;
    name: "syn-flood-with-cookies",
    group: Some(Group::Queues),
    title: "SYN cookies let a legitimate client connect during a flood",
    source: "UNP 4.5, RFC 4987",
    question: "Can a server answer a SYN without storing it, and so serve clients during a SYN \
               flood?",
    book: &[
        (
            "The backlog should count only completed connections: then the kernel handles many \
             incomplete ones by itself, forged or not, and no application needs a huge backlog.",
            &[Book("4.5")],
        ),
    ],
    kernel: &[
        (
            "With net.ipv4.tcp_syncookies=1, the default, a SYN is answered even if the queue of \
             incomplete connections is full: the sequence number of the SYN-ACK encodes most of \
             the state that the server would store, and the final ACK returns it.",
            &[
                Sysctl("net.ipv4.tcp_syncookies"),
                Rfc(4987, "3.6"),
                Measured("the other SYNs are answered with a cookie"),
                Measured("the client's ACK returned the cookie"),
                Measured("accept returns the connection"),
            ],
        ),
    ];

    step "a server listens with backlog 3; twenty SYNs come from addresses that never answer";
    let server_host = &stage.two().server;
    server_host.set_sysctl("net.ipv4.tcp_syncookies", "1")?;
    let server = stage.listening(BACKLOG)?;
    nobody_answers(stage);
    flood(stage, PORT);
    let incomplete = self::incomplete(stage, PORT);
    claim("about as many as the backlog are in SYN_RECV", (3..=4).contains(&incomplete));
    claim(
        "the other SYNs are answered with a cookie",
        cookies(stage, "Sent")? == FLOOD - incomplete,
    );
    claim("no SYN is dropped", stage.two().server.counter("TcpExt.ListenDrops")? == 0);

    step "a legitimate client connects";
    let client = stage.client()?;
    claim_is("connect returns", &client.call(&stage.connect_line())?, "ok");
    let accepted = server.call("accept")?;
    claim("accept returns the connection", accepted.starts_with("ok"));
    claim(
        "the client's SYN was answered with a cookie",
        cookies(stage, "Sent")? > FLOOD - incomplete,
    );
    claim("the client's ACK returned the cookie", cookies(stage, "Recv")? == 1);
    let still = self::incomplete(stage, PORT);
    claim("the incomplete connections are still there", still == incomplete);

    step "the client sends data";
    claim_is("send succeeds", &client.call("send hello")?, "ok 5");
    claim_is("the server reads the data", &server.call("recv 100")?, "ok 5 hello");

    step "an ACK arrives with a cookie that the server has not issued";
    let sender = address(stage.family(), 200);
    let forged = Segment { seq: 2, ack: 12345, flags: Flags::ACK, window: 1000, ..Segment::default() };
    inject(stage, sender, PORT, &forged, "forged");
    claim("the server's kernel rejects the wrong cookie and counts it", cookies(stage, "Failed")? == 1);
    let mine = Matcher::rst().from_server().matching("to the sender of the cookie", move |_, packet| {
        packet.destination == sender
    });
    let told = stage.two().wire.wait_for(&mine, 0, PATIENCE);
    claim("the server's kernel answers with RST", told.is_ok());
}

fn cookies(stage: &Stage, which: &str) -> Result<u64, Broken> {
    Ok(stage.two().server.counter(&format!("TcpExt.Syncookies{which}"))?)
}
