//! A flood of clients for whom there is no room does not keep those inside waiting.

use std::{fs, io::Write, time::Duration};

use rustix::process::Signal;

use crate::common::{
    process::state,
    trace::{can_trace, traced},
    *,
};

/// How many connect and are closed at the limit: a few turns of the loop.
const FLOOD: usize = 200;
/// The number of connections that one turn of an engine's loop accepts.
const TURN: usize = 64;

#[test]
fn a_flood_of_refused_clients_is_taken_in_turns() {
    let most = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    if !most.trim().parse().is_ok_and(|most: usize| most > FLOOD) {
        return eprintln!("SKIP: net.core.somaxconn is {}", most.trim());
    }
    if !can_trace() {
        return;
    }
    let several = engines().filter(|engine| ["epoll", "uring"].contains(engine));
    for engine in several {
        let options = ["-m", "1", "--backlog", "1000", "--log", "off"];
        let (server, log) = traced(&[], engine, &options);
        let mut inside = server.connects();
        echoes(&mut inside, b"inside");
        server.gets(Signal::STOP);
        let stopped = || matches!(state(server.pid()), Some('T' | 't'));
        assert!(comes_true(stopped), "{engine} does not stop: {:?}", state(server.pid()));
        let flood: Vec<_> = (0..FLOOD).map(|_| server.connects()).collect();
        inside.write_all(b"waiting").unwrap();
        server.gets(Signal::CONT);
        sees(&mut inside, b"waiting");
        // A drain would accept the others all at once.
        let accepted =
            || log.calls().iter().filter(|call| call.is("accept4") && !call.failed()).count();
        assert!(comes_true(|| accepted() > FLOOD), "{engine} accepted {}", accepted());
        drop((inside, flood));
        server.stops().with(0);
        let (mut in_a_row, mut longest, mut all) = (0, 0, 0);
        for call in log.calls() {
            if call.is("accept4") && !call.failed() {
                in_a_row += 1;
                all += 1;
            } else if call.text.starts_with("epoll_") || call.text.starts_with("io_uring_enter") {
                in_a_row = 0;
            }
            longest = longest.max(in_a_row);
        }
        assert!(all > FLOOD, "{engine} accepted {all}");
        // The one who came before may have come within the same turn.
        assert!((2..=TURN + 1).contains(&longest), "{engine}: {longest} at a time");
    }
}

/// Looks every few milliseconds, for as long as it may take.
fn comes_true(what: impl Fn() -> bool) -> bool {
    (0..4000).any(|_| {
        let is = what();
        if !is {
            std::thread::sleep(Duration::from_millis(5));
        }
        is
    })
}
