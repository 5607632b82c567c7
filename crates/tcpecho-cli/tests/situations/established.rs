//! An established connection that the peer ends, or that brings something else back.

use std::{thread, time::Duration};

use tcpecho_lab::{
    Action, Family, Matcher, Rule,
    stage::{Broken, PATIENCE},
};

use super::{Scene, Situation, broken};

/// No host reboots and no middlebox forgets a connection in less time.
const REBOOT: Duration = Duration::from_millis(1200);

const V4: Family = Family::V4;
const V6: Family = Family::V6;

pub(super) const SITUATIONS: &[Situation] = &[
    broken!(
        "closed-while-idle",
        V4,
        "closed-while-idle",
        "closed-early",
        &[],
        5,
        "the server closes while the user types nothing",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            scene.now();
            server.must("close")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "server-killed",
        V6,
        "closed-while-idle",
        "closed-early",
        &[],
        5,
        "the server's process is killed while the user types nothing",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            scene.now();
            server.program().kill();
            Ok(())
        }
    ),
    broken!(
        "closed-midway",
        V4,
        "closed-early",
        "closed-early",
        &[],
        5,
        "the server closes while bytes are owed",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            scene.types("0123456789")?;
            server.receive_all(10)?;
            server.must("send 01234")?;
            scene.now();
            server.must("close")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "fin-then-rst",
        V4,
        "fin-then-rst",
        "closed-early",
        &[],
        5,
        "the server closes, and what was on its way to it is answered with RST",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            let late = scene.stage.hold(Matcher::data().from_client());
            scene.types("late")?;
            scene.stage.two().wire.wait_for(&Matcher::data().containing("late"), 0, PATIENCE)?;
            scene.client()?.stop()?;
            server.must("close")?;
            scene.stage.two().wire.wait_delivered(&Matcher::fin().from_server(), 0, PATIENCE)?;
            scene.stage.release(&late)?;
            scene.stage.two().wire.wait_delivered(&Matcher::rst().from_server(), 0, PATIENCE)?;
            scene.now();
            scene.client()?.go_on()?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "closed-with-unread-data",
        V4,
        "reset-by-process",
        "reset",
        &[],
        5,
        "the server closes with unread bytes, which makes it an RST",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            scene.types("hello")?;
            server.must("peek 5")?;
            acknowledged(scene)?;
            scene.now();
            server.must("close")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "reset-while-idle",
        V6,
        "reset-by-process",
        "reset",
        &[],
        5,
        "the server resets (SO_LINGER 0) while the user types nothing",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            acknowledged(scene)?;
            scene.now();
            server.must("setsockopt linger 0")?;
            server.must("close")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "reset-at-once",
        V4,
        "reset-at-once",
        "reset",
        &[],
        5,
        "the server resets right after accept",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            scene.now();
            server.must("setsockopt linger 0")?;
            server.must("close")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    broken!(
        "server-rebooted",
        V4,
        "connection-unknown",
        "reset",
        &[],
        5,
        "the server's host crashed and is up again, and the user types",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            scene.stage.two_mut().server.reboot()?;
            let again = scene.stage.listening(10)?;
            thread::sleep(REBOOT);
            scene.now();
            scene.types("hello?")?;
            scene.keeps(again);
            Ok(())
        }
    ),
    broken!(
        "middlebox-resets",
        V4,
        "connection-unknown",
        "reset",
        &[],
        5,
        "a middlebox has forgotten the connection and answers with RST",
        |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            let data = Matcher::data().from_client();
            scene.stage.wire_rule(Rule::new(data.containing("hello?"), Action::ResetSender));
            // What goes on to the server is not acknowledged in time either.
            scene.stage.wire_rule(Rule::drop(Matcher::ack().from_server()));
            thread::sleep(REBOOT);
            scene.now();
            scene.types("hello?")?;
            scene.keeps(server);
            Ok(())
        }
    ),
    Situation {
        name: "byte-changed",
        what: "something on the way changes a byte and makes the checksum right again",
        family: V4,
        case: "altered",
        ending: "mismatch",
        status: 1,
        options: &[],
        within: 5,
        play: |scene| {
            let server = scene.stage.listening(10)?;
            scene.talks(&server)?;
            let data = Matcher::data().from_server();
            scene.stage.wire_rule(Rule::new(data, Action::CorruptUnnoticed));
            scene.types("again")?;
            server.receive_all(5)?;
            scene.now();
            server.must("send again")?;
            scene.keeps(server);
            Ok(())
        },
    },
    Situation {
        name: "no-echo",
        what: "the server is no echo server",
        family: V4,
        case: "no-echo",
        ending: "mismatch",
        status: 1,
        options: &[],
        within: 5,
        play: |scene| {
            let server = scene.stage.listening(10)?;
            scene.meets(&server)?;
            scene.now();
            server.must("send 220 welcome")?;
            scene.keeps(server);
            Ok(())
        },
    },
];

/// All that the client has sent is acknowledged.
pub(super) fn acknowledged(scene: &Scene<'_>) -> Result<(), Broken> {
    let host = &scene.stage.two().client;
    host.wait_for_socket(scene.stage.family(), "nothing unacknowledged", PATIENCE, |socket| {
        socket.remote.port() == tcpecho_lab::stage::PORT && socket.wqueue == 0
    })?;
    Ok(())
}
