//! Whatever was due is answered, lost or counted as unanswered, and no run in which nothing was answered
//! passes for a success: every workload, over both drivers, against every kind of server that does not do
//! what it should.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use rustix::net::{SendFlags, Shutdown};
use serde_json::Value;

use super::{
    FAR_TOO_LONG, bench,
    common::{peers::reset, somewhere, together},
    count_of, drivers, echo_with, number, server,
};

const CONNECTIONS: u64 = 4;

/// Workloads, and for those in open loop the number of requests that are due in 300 ms.
const WORKLOADS: &[(&str, Option<f64>)] = &[
    ("rr", None),
    ("rr --depth 8 -s 64,1k", None),
    ("rr -R 200", Some(60.0)),
    ("rr -n 50", None),
    ("crr", None),
    ("crr --close fin", None),
    ("crr -R 100", Some(30.0)),
    ("ramp -R 100:300", Some(60.0)),
    ("stream", None),
    ("idle", None),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    NeverAnswers,
    NeverAccepts,
    ClosesAtOnce,
    Resets,
    AnswersHalf,
    AnswersWrong,
    AnswersSlowly,
    StopsAfterSome,
    RefusesAfterSome,
}

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::NeverAnswers,
        Kind::NeverAccepts,
        Kind::ClosesAtOnce,
        Kind::Resets,
        Kind::AnswersHalf,
        Kind::AnswersWrong,
        Kind::AnswersSlowly,
        Kind::StopsAfterSome,
        Kind::RefusesAfterSome,
    ];

    /// What it is, for as long as the test runs. The listener of the second is to be kept.
    fn start(self) -> (SocketAddr, Option<TcpListener>) {
        let some = Arc::new(AtomicUsize::new(20));
        let addr = match self {
            Kind::NeverAccepts => {
                let listener = TcpListener::bind(somewhere()).unwrap();
                return (listener.local_addr().unwrap(), Some(listener));
            }
            Kind::RefusesAfterSome => return (refuses_after(some), None),
            Kind::NeverAnswers => server(|stream| {
                swallow(stream);
            }),
            Kind::ClosesAtOnce => server(drop),
            Kind::Resets => server(|mut stream| {
                // Not before it is spoken to: the connection that looks for the server says nothing.
                let _ = std::io::Read::read(&mut stream, &mut [0; 10]);
                reset(stream);
            }),
            Kind::AnswersHalf => server(|stream| {
                let mut half = stream.try_clone().unwrap();
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = std::io::Read::read(&mut half, &mut buffer) {
                    let answer = &buffer[..count / 2];
                    if std::io::Write::write_all(&mut half, answer).is_err() {
                        return;
                    }
                    swallow(stream.try_clone().unwrap());
                }
            }),
            Kind::AnswersWrong => server(|stream| {
                echo_with(stream, |bytes| {
                    bytes[0] ^= 1;
                    true
                });
            }),
            Kind::AnswersSlowly => server(|stream| {
                echo_with(stream, |_| {
                    // The slowness itself; nothing is waited for.
                    thread::sleep(Duration::from_millis(20));
                    true
                });
            }),
            Kind::StopsAfterSome => server(move |stream| {
                let stopped = echo_with(stream, |_| takes_one(&some));
                swallow(stopped);
            }),
        };
        (addr, None)
    }

    /// Whether not a single answer can be right.
    fn is_useless(self) -> bool {
        !matches!(self, Kind::AnswersSlowly | Kind::StopsAfterSome | Kind::RefusesAfterSome)
    }
}

fn takes_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// Reads without end.
fn swallow(mut stream: TcpStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// Echoes so many times, then all connections end, and nobody listens any more.
fn refuses_after(some: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind(somewhere()).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        thread::scope(|scope| {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { break };
                let (some, listener) = (&some, &listener);
                scope.spawn(move || {
                    echo_with(stream, |_| takes_one(some));
                    if some.load(Relaxed) == 0 {
                        // It makes accept(2) fail, which ends the loop.
                        let _ = rustix::net::shutdown(listener.as_fd(), Shutdown::Both);
                    }
                });
            }
        });
    });
    addr
}

#[test]
fn whatever_was_due_is_accounted_for_and_nothing_answered_is_no_success() {
    for kind in Kind::ALL {
        let all: Vec<_> = drivers()
            .flat_map(|driver| WORKLOADS.iter().map(move |(work, due)| (driver, *work, *due)))
            .collect();
        together(all.into_iter(), |(driver, work, due)| {
            let (addr, _kept) = kind.start();
            let length = if work.contains("-n ") { "" } else { "-d 300ms" };
            let ran = bench(&format!(
                "{addr} -W {work} -c {CONNECTIONS} {length} --warmup 0 --timeout 700ms --grace 700ms \
                 --driver {driver} --json -q"
            ));
            let what =
                format!("{kind:?}, {work}, {driver}: {:?} {}{}", ran.status, ran.out, ran.err);
            let result = ran.json();
            if result["schema"] != "tcpecho-bench-1" {
                // There is no result: the server had gone before it was looked for.
                let may_be_gone = matches!(kind, Kind::RefusesAfterSome | Kind::NeverAccepts);
                assert!(may_be_gone && ran.status == Some(3), "{what}");
                return;
            }
            let status = ran.status.unwrap();
            check_sums(&result, due, &what);
            check_status(&result, kind, work, status, &what);
        });
    }
}

fn check_sums(result: &Value, due: Option<f64>, what: &str) {
    let of = |name: &str| number(result, &format!("/result/{name}"));
    let lost = of("messages_lost");
    let sum = of("messages") + of("messages_late") + lost + of("messages_unanswered");
    assert_eq!(of("messages_due"), sum, "{what}");
    if let Some(due) = due {
        assert_eq!(of("messages_due"), due, "{what}");
        // What was lost with its connection has no time of its own.
        let times = result["latency"]["response"]["count"].as_f64().unwrap_or(0.0);
        assert_eq!(times, due - lost, "{what}");
    }
    let errors = errors_of(result);
    if lost > 0.0 || of("lost_bytes") > 0.0 {
        assert!(errors > 0, "bytes are lost and no error is told: {what}");
    }
    // In a closed loop what has no answer was sent.
    if due.is_none() && of("messages_unanswered") > 0.0 {
        assert!(errors > 0, "requests have no answer and no error is told: {what}");
    }
    if result["settings"]["workload"] == "idle" {
        assert_eq!(of("connections_open") as u64 + errors, CONNECTIONS, "{what}");
    }
}

fn check_status(result: &Value, kind: Kind, work: &str, status: i32, what: &str) {
    let of = |name: &str| number(result, &format!("/result/{name}"));
    let answered = match work {
        "idle" => of("connections_open"),
        "stream" => of("received_bytes"),
        _ => of("messages"),
    };
    if status == 0 {
        assert!(answered > 0.0, "{what}");
        assert_eq!(errors_of(result), 0, "{what}");
    } else if status == 1 {
        assert!(count_of(result, "mismatch") > 0, "{what}");
    } else {
        let nobody = of("connections_made") == 0.0 && errors_of(result) > 0;
        assert_eq!(status, if nobody { 3 } else { 4 }, "{what}");
    }
    if kind.is_useless() {
        assert_ne!(status, 0, "{what}");
    }
    // On a machine where others wait in line an answer may come too late to be compared.
    if count_of(result, "mismatch") > 0 {
        assert_eq!(status, 1, "{what}");
    }
}

fn errors_of(result: &Value) -> u64 {
    let errors = result["errors"].as_array().unwrap();
    errors.iter().map(|error| error["count"].as_u64().unwrap()).sum()
}

#[test]
fn a_server_that_never_answers_fails_the_gate() {
    let (addr, _kept) = Kind::NeverAnswers.start();
    for work in ["crr", "crr --close fin", "rr"] {
        let ran = bench(&format!(
            "-q -W {work} {addr} -c4 -d300ms --timeout 2s --grace 200ms --fail-if errors>0"
        ));
        ran.with(4).says("no request was answered").says("had not come back when the run was over");
        assert!(!ran.out.contains("every byte came back"), "{}", ran.out);
    }
}

/// More connections than can send their first request in the time that is measured.
#[test]
fn a_short_run_of_many_connections_is_measured_or_fails() {
    for driver in drivers() {
        let ran = bench(&format!("-c8000 -d50ms --warmup 0 -t 1 --driver {driver} --json -q"));
        let result = ran.json();
        let (messages, seconds) =
            (number(&result, "/result/messages"), number(&result, "/result/seconds"));
        match ran.status {
            Some(0) => assert!(messages > 0.0 && seconds > 0.04, "{result:#}"),
            _ => assert!(messages == 0.0 || errors_of(&result) > 0, "{result:#}"),
        }
        let paused = number(&result, "/client/pauses/stopped_ns") > 0.0;
        assert!(seconds > 0.04 || paused, "the time was over before it began: {result:#}");
    }
}

#[test]
fn a_wrong_byte_in_the_warm_up_counts() {
    // The first connection is the one that looks whether there is a server, the second is the one that is
    // measured until it is given up, in the warm-up.
    let left = AtomicUsize::new(2);
    let addr = server(move |stream| {
        let wrong = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) == Ok(1);
        echo_with(stream, |bytes| {
            if wrong {
                bytes[0] ^= 1;
            }
            true
        });
    });
    let ran = bench(&format!("{addr} -c 1 -d 200ms --warmup 500ms -q"));
    ran.with(1).says("mismatch: ");
}

#[test]
fn an_urgent_byte_that_nobody_sent_is_a_mismatch() {
    let addr = server(|stream| {
        let socket = stream.try_clone().unwrap();
        let mut first = true;
        echo_with(stream, |_| {
            if std::mem::take(&mut first) {
                rustix::net::send(&socket, b"!", SendFlags::OOB).unwrap();
            }
            true
        });
    });
    for driver in drivers() {
        let ran = bench(&format!("{addr} -c 1 -n 50 -q --driver {driver}"));
        ran.with(1).says("mismatch: ");
    }
}

/// A stalled server costs a run its timeout, not the test's patience.
#[test]
fn a_counted_run_says_what_it_never_sent() {
    let some = AtomicUsize::new(5);
    let addr = server(move |stream| {
        swallow(echo_with(stream, |_| takes_one(&some)));
    });
    let ran = bench(&format!("{addr} -c 2 -n 1000 --timeout 300ms --json"));
    let result = ran.with(4).json();
    assert!(number(&result, "/result/messages_due") < 1000.0);
    assert!(result["notes"].to_string().contains("of 1,000 requested messages"), "{result:#}");
    assert!(number(&result, "/result/seconds") < FAR_TOO_LONG.as_secs_f64());
}
