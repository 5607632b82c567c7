//! SYNs from nowhere, and the server needs no memory for them (UNP 4.5, RFC 4987).

use super::Scenario;
use super::syn_flood_without_cookies::{BACKLOG, FLOOD, address, flood, half_open, inject};
use crate::impairment::Matcher;
use crate::packet::{Flags, Segment};
use crate::stage::{Broken, PATIENCE, Played, Stage};
use crate::text::{Step, Text};

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "syn-flood-with-cookies",
        title: "SYN cookies let an honest client through a flood",
        source: "UNP 4.5, RFC 4987",
        question: "Can a server answer a SYN without remembering it, and so survive a flood of \
                   them?",
        book: "The backlog had better count completed connections only: then the kernel deals with \
               many half-open ones by itself, bogus or not, and no application needs a huge \
               backlog.",
        kernel: "With net.ipv4.tcp_syncookies=1, the default, a SYN that finds the queue of \
                 half-open connections full is answered all the same: what has to be remembered is \
                 in the sequence number of the SYN-ACK, and the third packet brings it back.",
        timers: &[],
        steps: &[
            Step {
                does: "a server listens with backlog 3; twenty SYNs come from addresses that never \
                       answer",
                claims: &[
                    "about as many as the backlog are in SYN_RECV",
                    "the others got a cookie",
                    "no SYN was dropped",
                ],
            },
            Step {
                does: "an honest client connects",
                claims: &[
                    "connect returns",
                    "so does accept",
                    "the client had got a cookie",
                    "and brought it back",
                    "the half-open connections are still there",
                ],
            },
            Step {
                does: "the two talk",
                claims: &[
                    "the client sends",
                    "the server receives",
                ],
            },
            Step {
                does: "somebody brings a cookie that the server has not baked",
                claims: &[
                    "it is refused and counted",
                    "and answered with RST",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    let server_host = &stage.two().server;
    server_host.set_sysctl("net.ipv4.tcp_syncookies", "1")?;
    // Half-open connections are to be there until the end.

    stage.step("a server listens with backlog 3; twenty SYNs come from addresses that never answer");
    let server = stage.listening(BACKLOG)?;
    flood(stage);
    let half_open = half_open(stage);
    stage.claim("about as many as the backlog are in SYN_RECV", (3..=4).contains(&half_open));
    stage.claim("the others got a cookie", cookies(stage, "Sent")? == FLOOD - half_open);
    stage.claim("no SYN was dropped", stage.two().server.counter("TcpExt.ListenDrops")? == 0);

    stage.step("an honest client connects");
    let client = stage.client()?;
    stage.claim_is("connect returns", &client.call(&stage.connect_line())?, "ok");
    let accepted = server.call("accept")?;
    stage.claim("so does accept", accepted.starts_with("ok"));
    stage.claim("the client had got a cookie", cookies(stage, "Sent")? > FLOOD - half_open);
    stage.claim("and brought it back", cookies(stage, "Recv")? == 1);
    stage.claim("the half-open connections are still there", self::half_open(stage) == half_open);

    stage.step("the two talk");
    stage.claim_is("the client sends", &client.call("send hello")?, "ok 5");
    stage.claim_is("the server receives", &server.call("recv 100")?, "ok 5 hello");

    stage.step("somebody brings a cookie that the server has not baked");
    let stranger = address(stage.family(), 200);
    let forged = Segment { seq: 2, ack: 12345, flags: Flags::ACK, window: 1000, ..Segment::default() };
    inject(stage, stranger, &forged, "forged");
    stage.claim("it is refused and counted", cookies(stage, "Failed")? == 1);
    let mine = Matcher::rst().from_server().matching("to the stranger", move |_, packet| {
        packet.destination == stranger
    });
    let told = stage.two().wire.wait_for(&mine, 0, PATIENCE);
    stage.claim("and answered with RST", told.is_ok());
    Ok(())
}

fn cookies(stage: &Stage, which: &str) -> Result<u64, Broken> {
    Ok(stage.two().server.counter(&format!("TcpExt.Syncookies{which}"))?)
}
