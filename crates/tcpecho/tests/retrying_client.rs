//! What the client of `examples/retrying_client` does with every preset: when the fault stays, and when it passes.

#[path = "../examples/retrying_client/client.rs"]
#[allow(dead_code, unreachable_pub, reason = "the example uses the rest")]
mod client;

use std::time::Duration;

use client::{Client, Failure, Limits, Reason, Repeat};
use tcpecho::{Ending, Fault, PRESETS, Report, Server};

/// What comes of a request to a server with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Answered,
    /// It tries three times, and fails so.
    Fails(Reason),
    /// The same, and it depends on who is faster.
    FailsEither(Reason, Reason),
    /// It tries three times and fails so; nothing was ever sent.
    NeverConnects(Reason),
}

use Then::{Answered, Fails, FailsEither, NeverConnects};

/// Every preset, with a parameter that does not take long.
const ROWS: &[(&str, Then)] = &[
    ("reset-after=10", Fails(Reason::Reset)),
    ("close-after=10", Fails(Reason::ClosedEarly)),
    ("truncate=10", Fails(Reason::ClosedEarly)),
    ("stall-after=10", Fails(Reason::TimedOut)),
    ("zero-window", Fails(Reason::TimedOut)),
    ("half-close", Fails(Reason::ClosedEarly)),
    ("reset-on-accept", Fails(Reason::Reset)),
    ("close-on-accept", FailsEither(Reason::ClosedEarly, Reason::Reset)),
    ("close-unread", Fails(Reason::Reset)),
    ("reset-at-end", Answered),
    ("delay=20ms", Answered),
    ("jitter=20ms±10ms", Answered),
    ("drip=5/1ms", Answered),
    ("rate=1KiB/s", Answered),
    ("slow-close=20ms", Answered),
    ("corrupt=10", Fails(Reason::Invalid)),
    ("drop=10", Fails(Reason::Invalid)),
    ("repeat=10", Fails(Reason::Invalid)),
    ("banner=\"220 ready\\r\\n\"", Fails(Reason::Invalid)),
    ("never-accept", Fails(Reason::TimedOut)),
    ("accept-delay=20ms", Answered),
    ("backlog-full", NeverConnects(Reason::ConnectTimeout)),
    ("refuse", NeverConnects(Reason::Refused)),
];

/// A limit that ends an attempt is short; one that must not is long.
fn limits(then: Then) -> Limits {
    let times_out = [Reason::TimedOut, Reason::ConnectTimeout];
    let short =
        times_out.iter().any(|reason| [Fails(*reason), NeverConnects(*reason)].contains(&then));
    Limits {
        attempt: Duration::from_millis(if short { 150 } else { 20_000 }),
        total: Duration::from_secs(60),
        attempts: 3,
        pause: Duration::from_millis(1),
    }
}

fn serve(fault: &str) -> Server {
    let server = Server::builder().listen("127.0.0.1:0".parse().unwrap()).seed(1);
    let server = match fault.parse().unwrap() {
        Fault::Listener(fault) => server.listener_fault(fault),
        Fault::Connections(plan) => server.fault_plan(&plan),
        other => panic!("{other:?}"),
    };
    server.start().unwrap()
}

fn ask(server: &Server, then: Then, repeat: Repeat) -> Result<String, Failure> {
    Client::new(server.addr(), limits(then)).ask("what is the time?", repeat)
}

fn is_one_of(failure: Failure, then: Then) -> bool {
    match then {
        Answered => false,
        Fails(reason) | NeverConnects(reason) => failure.reason == reason,
        FailsEither(one, other) => [one, other].contains(&failure.reason),
    }
}

#[test]
fn every_preset_has_a_row() {
    let name = |text: &str| text.split('=').next().unwrap().to_owned();
    let rows: Vec<String> = ROWS.iter().map(|(fault, _)| name(fault)).collect();
    assert_eq!(rows, PRESETS.iter().map(|preset| preset.name.to_owned()).collect::<Vec<_>>());
}

#[test]
fn a_fault_that_stays_is_reported_after_three_attempts() {
    for (fault, then) in ROWS {
        let server = serve(fault);
        let result = ask(&server, *then, Repeat::Idempotent);
        let sessions = server.finish();
        if *then == Answered {
            assert_eq!(result.as_deref(), Ok("what is the time?"), "{fault}");
            assert_eq!(sessions.len(), 1, "{fault}");
            continue;
        }
        let failure = result.expect_err(fault);
        assert!(is_one_of(failure, *then), "{fault}: {failure}");
        assert_eq!(failure.attempts, 3, "{fault}: {failure}");
        let is_sent = !matches!(then, NeverConnects(_));
        // RST can come before connect(2) returns.
        if *fault != "reset-on-accept" {
            assert_eq!(failure.may_be_done, is_sent, "{fault}: {failure}");
        }
        let are_accepted = is_sent && *fault != "never-accept";
        assert_eq!(sessions.len(), if are_accepted { 3 } else { 0 }, "{fault}");
    }
}

#[test]
fn a_fault_of_the_first_connection_passes() {
    for (fault, then) in ROWS {
        if matches!(fault.parse(), Ok(Fault::Listener(_))) {
            continue;
        }
        let server = serve(&format!("1:{fault}"));
        assert_eq!(ask(&server, *then, Repeat::Idempotent).as_deref(), Ok("what is the time?"));
        // A reset that comes before connect(2) returns is an attempt, too.
        let sessions = server.finish();
        let last: &Report = sessions.last().unwrap();
        if *then == Answered {
            assert_eq!(sessions.len(), 1, "{fault}");
        } else {
            assert_eq!((sessions.len(), last.number), (2, 2), "{fault}");
            assert_eq!((last.received, last.ending), (27, Ending::Finished), "{fault}: {last}");
        }
    }
}

/// A payment that may have arrived is not sent again, whatever happened to it.
#[test]
fn what_must_not_happen_twice_is_sent_once() {
    for (fault, then) in ROWS {
        let server = serve(fault);
        let result = ask(&server, *then, Repeat::AtMostOnce);
        let sessions = server.finish();
        match then {
            Answered => assert!(result.is_ok(), "{fault}: {result:?}"),
            NeverConnects(_) => assert_eq!(result.unwrap_err().attempts, 3, "{fault}"),
            _ => {
                let failure = result.expect_err(fault);
                // Nothing was sent on a connection that was reset before connect(2) returned.
                let sent = if *fault == "reset-on-accept" { sessions.len() } else { 1 };
                assert!(
                    failure.attempts as usize == sent && is_one_of(failure, *then),
                    "{failure}"
                );
                let accepted = if *fault == "never-accept" { 0 } else { sent };
                assert_eq!(sessions.len(), accepted, "{fault}");
            }
        }
    }
}

/// The server closes a kept connection: the client sees its FIN and opens another one, also for what must not happen twice.
#[test]
fn a_kept_connection_that_was_closed_is_not_used() {
    let server = serve("1:close-after=27");
    let mut client = Client::new(server.addr(), limits(Answered));
    assert_eq!(
        client.ask("what is the time?", Repeat::AtMostOnce).as_deref(),
        Ok("what is the time?")
    );
    let first = server.sessions().unwrap();
    assert_eq!((first[0].received, first[0].ending), (27, Ending::Fault), "{}", first[0]);
    for _ in 0..2 {
        let again = client.ask("what is the time?", Repeat::AtMostOnce);
        assert_eq!(again.as_deref(), Ok("what is the time?"));
    }
    drop(client);
    let sessions = server.sessions().unwrap();
    assert_eq!((sessions.len(), sessions[1].received), (2, 54));
    assert!(sessions[1].peer_closed());
}
