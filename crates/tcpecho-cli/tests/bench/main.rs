//! `tcpecho bench` and `tcpecho bench report` as they are run, against good servers and bad ones. Nothing here
//! says how fast anything is.

#![allow(clippy::float_cmp, reason = "what is compared are whole numbers that JSON gives as f64")]

#[path = "../common/mod.rs"]
mod common;

mod changes;
mod files;
mod hostile;
#[path = "../common/schema.rs"]
mod schema;
mod terminal;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    },
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use common::{
    Serving,
    peers::{reset, until},
    process, program, somewhere, together,
};

/// No run in this file takes a tenth of it.
const FAR_TOO_LONG: Duration = Duration::from_secs(120);

struct Ran {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn with(&self, status: i32) -> &Self {
        assert_eq!(self.status, Some(status), "{}{}", self.out, self.err);
        self
    }

    fn says(&self, text: &str) -> &Self {
        let said = self.out.contains(text) || self.err.contains(text);
        assert!(said, "no {text:?} in {}{}", self.out, self.err);
        self
    }

    fn json(&self) -> Value {
        let value = serde_json::from_str(&self.out);
        value.unwrap_or_else(|error| panic!("{error} in {}{}", self.out, self.err))
    }
}

/// Runs it to its end, which has to come by itself.
fn ends(command: &mut Command) -> Ran {
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    let (alive, gone) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if gone.recv_timeout(FAR_TOO_LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = kill_process(pid, Signal::KILL);
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(alive);
    watchdog.join().unwrap();
    Ran {
        status: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// `tcpecho bench ARGS`, in words that have no spaces; with more patience than the usual, unless they
/// have their own.
fn bench(args: &str) -> Ran {
    let mut command = Command::new(program());
    command.arg("bench").args(args.split_whitespace());
    if !args.contains("--timeout") {
        command.args(["--timeout", "40s", "--grace", "40s"]);
    }
    ends(&mut command)
}

/// The same, with its result as JSON.
fn measured(args: &str) -> Value {
    bench(&format!("{args} --json -q")).with(0).json()
}

/// The same, for as long as it takes until this was counted: on a machine where others wait in line a
/// short run may see nothing at all.
fn grows(args: &str, counted: &str) -> Value {
    let mut last = Value::Null;
    for seconds in [0.15, 0.6, 2.4, 10.0] {
        let ran = bench(&format!("{args} -d {seconds} --json -q"));
        last = ran.json();
        if number(&last, counted) > 0.0 {
            ran.with(0);
            return last;
        }
        // A run in which nothing was answered is not a success.
        ran.with(4);
    }
    panic!("no {counted} in {last:#}")
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path} in {value:#}"))
}

fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    folder.join(format!("bench-{}-{name}", std::process::id()))
}

/// How many errors of this kind a result has.
fn count_of(result: &Value, ending: &str) -> u64 {
    let errors = result["errors"].as_array().unwrap();
    let named = errors.iter().filter(|error| error["ending"] == ending);
    named.map(|error| error["count"].as_u64().unwrap()).sum()
}

/// A server that serves each connection in a thread of its own, for as long as the test runs.
fn server(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(somewhere()).unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    addr
}

/// Echoes, `each` having its way with the bytes; ends when it says so.
fn echo_with(mut stream: TcpStream, mut each: impl FnMut(&mut [u8]) -> bool) -> TcpStream {
    let mut buffer = vec![0; 65536];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if !each(&mut buffer[..count]) || stream.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    stream
}

fn drivers() -> impl Iterator<Item = &'static str> {
    let uring = tcpecho::Engine::named("uring").unwrap().probe();
    if let Err(why) = &uring {
        eprintln!("SKIP: the uring driver: {why}");
    }
    ["epoll", "uring"].into_iter().take(if uring.is_ok() { 2 } else { 1 })
}

#[test]
fn every_workload_on_every_engine() {
    let workloads = [
        ("rr -c 8 -s 64,1k --depth 3 -t 2", "messages"),
        ("rr -c 8 -R 500", "messages"),
        ("crr -c 4", "messages"),
        ("crr -c 4 --close fin", "messages"),
        ("stream -c 2", "received_bytes"),
        ("idle -c 30", "connections_open"),
        ("ramp -c 8 -R 100:900", "messages"),
    ];
    let engines: Vec<&str> = common::engines().collect();
    together(workloads.into_iter(), |(workload, counted)| {
        for engine in &engines {
            // What a workload does with an engine is the same for all; three of them show that.
            let shown =
                ["rr -c 8 -s", "crr -c 4", "stream"].iter().any(|w| workload.starts_with(w));
            if *engine != "epoll" && (!shown || workload.contains("fin")) {
                continue;
            }
            let mut workload = workload.to_owned();
            if *engine == "iterative" {
                // It serves a single connection at a time.
                for (many, one) in
                    [("-c 8", "-c 1"), ("-c 4", "-c 1"), ("-c 2", "-c 1"), ("-t 2", "")]
                {
                    workload = workload.replace(many, one);
                }
            }
            let args = format!("-W {workload} -e {engine}");
            let result = grows(&args, &format!("/result/{counted}"));
            assert!(result["errors"].as_array().unwrap().is_empty(), "{engine}: {result:#}");
        }
    });
}

#[test]
fn both_drivers_do_the_same() {
    let server = Serving::start("epoll", somewhere(), &[]);
    let addr = server.addr();
    for driver in drivers() {
        for workload in ["rr -c 20 --depth 4", "crr -c 10 --close fin", "crr", "stream -c 3"] {
            let args = format!("{addr} -W {workload} --driver {driver}");
            let result = grows(&args, "/result/received_bytes");
            assert_eq!(result["settings"]["driver"], driver);
        }
        let result = measured(&format!("{addr} -n 1000 -c 7 --driver {driver}"));
        assert_eq!(number(&result, "/result/messages"), 1000.0);
        assert_eq!(number(&result, "/latency/service/count"), 1000.0);
    }
}

#[test]
fn what_was_due_is_in_the_response_times_whatever_the_server_does() {
    for (driver, seconds) in drivers().zip([0.5, 0.4]) {
        let args = format!("-R 1000 -d {seconds} --warmup 0 -c 5 --driver {driver}");
        let result = bench(&format!("{args} --json -q")).json();
        assert_eq!(number(&result, "/latency/response/count"), 1000.0 * seconds, "{result:#}");
        assert!(number(&result, "/latency/response/max_ns") > 0.0);
    }
}

#[test]
fn a_stall_is_in_the_response_times_whole() {
    // After 300 of 1000 requests that are due in a second it thinks for 400 ms.
    let seen = AtomicU64::new(0);
    let addr = server(move |stream| {
        echo_with(stream, |bytes| {
            let before = seen.fetch_add(bytes.len() as u64, Relaxed);
            if before < 300 * 64 && before + bytes.len() as u64 >= 300 * 64 {
                // The stall itself.
                thread::sleep(Duration::from_millis(400));
            }
            true
        });
    });
    let result = measured(&format!("{addr} -c 1 -R 1000 -d 1 --warmup 0"));
    let of = |path: &str| number(&result, &format!("/latency/{path}"));
    assert_eq!(of("response/count"), 1000.0);
    // 400 of 1000 were due in the stall: a fifth of all waited for half of it at least.
    assert!(of("response/p90_ns") > 200e6, "{result:#}");
    assert!(of("response/max_ns") > 390e6, "{result:#}");
    // Service time has it once.
    assert!(of("service/max_ns") > 390e6, "{result:#}");
    assert!(of("service/p90_ns") < of("response/p90_ns"), "{result:#}");
}

#[test]
fn a_server_that_lies() {
    let addr = server(|stream| {
        let mut seen = 0;
        echo_with(stream, |bytes| {
            seen += bytes.len();
            if seen > 640 {
                bytes[0] ^= 1;
            }
            true
        });
    });
    for driver in drivers() {
        let ran = bench(&format!("{addr} -c 3 -n 100 --driver {driver}"));
        ran.with(1).says("mismatch: byte ").says("was sent as");
        let ran = bench(&format!("{addr} -c 3 -n 100 --no-check --driver {driver}"));
        ran.with(0).says("bytes not compared");
    }
    // No answer is right.
    let addr = server(|stream| {
        echo_with(stream, |bytes| {
            for byte in bytes {
                *byte ^= 1;
            }
            true
        });
    });
    let ran = bench(&format!("{addr} -c 1 -n 5"));
    ran.with(1)
        .says("no right answer came in the measured time, and ")
        .says(": byte 0 of connection 0");
    // And one that says more than it was told.
    let addr = server(|mut stream| {
        let _ = stream.write_all(b"welcome!");
        echo_with(stream, |_| true);
    });
    bench(&format!("{addr} -c 1 -n 5")).with(1).says("mismatch: ");
}

#[test]
fn a_server_that_dies() {
    together(drivers(), |driver| {
        let server = Serving::start("epoll", somewhere(), &[]);
        let (addr, pid) = (server.addr(), server.pid());
        let mut child = Command::new(program())
            .args(["bench", &addr.to_string(), "-c", "4", "-d", "2", "--interval", "100ms"])
            .args(["--json-stream", "--driver", driver])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It runs; now the server goes.
        assert!(lines.next().unwrap().unwrap().contains("throughput_per_s"));
        kill_process(pid, Signal::KILL).unwrap();
        let last = lines.map(Result::unwrap).last().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(4), "{last}");
        let result: Value = serde_json::from_str(&last).unwrap();
        assert!(count_of(&result, "refused") > 0, "{result:#}");
        assert!(count_of(&result, "closed-early") + count_of(&result, "reset") > 0, "{result:#}");
    });
}

#[test]
fn a_server_that_resets() {
    let addr = server(|stream| {
        let mut turns = 0;
        let stream = echo_with(stream, |_| {
            turns += 1;
            turns < 20
        });
        reset(stream);
    });
    for driver in drivers() {
        let ran = bench(&format!("{addr} -c 3 -n 100 --json --driver {driver}"));
        let result = ran.with(4).json();
        assert!(count_of(&result, "reset") + count_of(&result, "broken-pipe") > 0, "{result:#}");
        assert!(number(&result, "/result/messages") > 0.0);
    }
}

#[test]
fn a_server_that_stalls_for_good() {
    let turns = AtomicU64::new(0);
    let addr = server(move |stream| {
        echo_with(stream, |_| {
            if turns.fetch_add(1, Relaxed) > 5 {
                // Keeps the connection, for as long as the tests run.
                loop {
                    thread::park();
                }
            }
            true
        });
    });
    let works = ["rr -c 3 -d 1", "rr -c 3 -R 300 -d 1", "stream -d 1", "rr -c 2 -n 100000"];
    together(works.into_iter(), |work| {
        let ran = bench(&format!("{addr} -W {work} --timeout 300ms --json"));
        let result = ran.with(4).json();
        assert!(count_of(&result, "timed-out") > 0, "{result:#}");
    });
    // Nothing is ever accepted: the backlog takes the connections, and nobody reads.
    let listener = TcpListener::bind(somewhere()).unwrap();
    let addr = listener.local_addr().unwrap();
    let ran = bench(&format!("{addr} -c 2 -R 10 -d 0.5 --warmup 0 --timeout 5s --json"));
    let result = ran.with(4).json();
    assert_eq!(number(&result, "/result/messages_unanswered"), 5.0, "{result:#}");
    assert_eq!(number(&result, "/latency/response/count"), 5.0, "{result:#}");
}

#[test]
fn nobody_there() {
    let (_kept, addr) = common::peers::deserted(somewhere());
    bench(&addr.to_string()).with(3).says("refused").says("ECONNREFUSED");
    bench("no-such-host.invalid").with(3).says("resolve-failed");
}

#[test]
fn logs_are_read_by_other_tools_and_merge_exactly() {
    let (log, json) = (scratch("log.hdr"), scratch("log.json"));
    let ran = bench(&format!("-R 800 -d 0.5 --interval 100ms -q --json --hdr {}", log.display()));
    let result = ran.with(0).json();
    fs::write(&json, &ran.out).unwrap();
    let text = fs::read(&log).unwrap();
    let (mut untagged, mut service) =
        (Histogram::<u64>::new(3).unwrap(), Histogram::<u64>::new(3).unwrap());
    let mut intervals = 0;
    for entry in IntervalLogIterator::new(&text) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let bytes = base64(interval.encoded_histogram());
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        match interval.tag().map(|tag| tag.as_str()) {
            None => {
                untagged.add(&read).unwrap();
                intervals += 1;
            }
            Some("service") => service.add(&read).unwrap(),
            Some(other) => assert_eq!(other, "connect"),
        }
    }
    assert!(intervals >= 1, "{intervals}");
    for (histogram, name) in [(&untagged, "response"), (&service, "service")] {
        let figure = |figure: &str| number(&result, &format!("/latency/{name}/{figure}"));
        assert_eq!(histogram.len() as f64, figure("count"));
        // The log has buckets, the result the longest time itself.
        let longest = figure("max_ns");
        assert!(histogram.equivalent(histogram.max(), longest as u64), "{longest}");
        assert_eq!((histogram.value_at_quantile(0.99) as f64).min(longest), figure("p99_ns"));
    }
    // Twice the one is the same distribution with twice the count; and the forms can be mixed.
    for files in [[&log, &log], [&json, &json], [&log, &json]] {
        let ran = ends(Command::new(program()).args(["bench", "report"]).args(files).arg("--json"));
        let merged = ran.with(0).json();
        for figure in ["p50_ns", "p99_ns", "max_ns", "min_ns"] {
            let path = format!("/latency/response/{figure}");
            let (merged, single) = (number(&merged, &path), number(&result, &path));
            if files == [&json, &json] {
                assert_eq!(merged, single, "{path}");
            }
            assert!(untagged.equivalent(merged as u64, single as u64), "{path}: {merged} {single}");
        }
        let count = number(&merged, "/latency/response/count");
        assert_eq!(count, 2.0 * number(&result, "/latency/response/count"));
    }
    let wrong = scratch("wrong");
    for text in ["{}", "nonsense", ""] {
        fs::write(&wrong, text).unwrap();
        ends(Command::new(program()).args(["bench", "report"]).arg(&wrong)).with(2).says("wrong");
    }
    for path in [log, json, wrong] {
        let _ = fs::remove_file(path);
    }
}

/// A log has latencies only: no bytes, no processor time, no errors.
#[test]
fn what_a_log_does_not_know_is_left_out() {
    let (log, json) = (scratch("known.hdr"), scratch("known.json"));
    let ran = bench(&format!("-c 2 -n 2000 -q --json --hdr {}", log.display()));
    let result = ran.with(0).json();
    assert!(result["client"]["cpu_ns_per_unit"].is_f64(), "{result:#}");
    fs::write(&json, &ran.out).unwrap();
    let report = |files: &[&PathBuf], more: &[&str]| {
        ends(Command::new(program()).args(["bench", "report"]).args(files).args(more))
    };
    for files in [&[&log][..], &[&json, &log], &[&log, &json]] {
        let ran = report(files, &[]);
        for words in ["MB/s each way", "\nclient ", "\nerrors ", "every byte"] {
            assert!(!ran.with(0).out.contains(words), "{words:?} in {}", ran.out);
        }
        let merged = report(files, &["--json"]).with(0).json();
        conforms_to_the_schema(&merged);
        for path in [
            "/result/received_bytes",
            "/result/sent_bytes",
            "/result/connections_made",
            "/result/messages_unanswered",
            "/settings/checked",
            "/client/cpu_ns_per_unit",
            "/tcp/segments_retransmitted",
            "/intervals/0/received_bytes",
        ] {
            assert!(merged.pointer(path).unwrap().is_null(), "{path} in {merged:#}");
        }
    }
    // Two results know all of it.
    let ran = report(&[&json, &json], &[]);
    ran.with(0).says("MB/s each way").says("\nclient ").says("every byte came back");
    for path in [log, json] {
        fs::remove_file(path).unwrap();
    }
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[test]
fn parts_of_one_run_add_up() {
    let server = Serving::start("epoll", somewhere(), &[]);
    let addr = server.addr();
    let start = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let start = start.as_secs_f64() + 1.5;
    let part = |part: u64| {
        let args =
            format!("{addr} -R 1000 -c 5 -d 0.4 --warmup 0 --shard {part}/2 --start-at {start}");
        let file = scratch(&format!("part-{part}.json"));
        fs::write(&file, bench(&format!("{args} --json -q")).with(0).out.clone()).unwrap();
        file
    };
    let files: Vec<PathBuf> = thread::scope(|scope| {
        let parts: Vec<_> = (1..=2).map(|n| scope.spawn(move || part(n))).collect();
        parts.into_iter().map(|part| part.join().unwrap()).collect()
    });
    let ran = ends(Command::new(program()).args(["bench", "report"]).args(&files).arg("--json"));
    let merged = ran.with(0).json();
    assert_eq!(number(&merged, "/parts"), 2.0);
    // 400 were due in the whole run; each part had its own of them.
    assert_eq!(number(&merged, "/latency/response/count"), 400.0, "{merged:#}");
    assert_eq!(number(&merged, "/result/connections_made"), 5.0);
    ends(Command::new(program()).args(["bench", "report"]).args(&files))
        .with(0)
        .says("response  (from due)");
    for file in files {
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn conditions_decide_the_exit_status() {
    let baseline = scratch("baseline.json");
    fs::write(&baseline, bench("-n 500 -q --json").with(0).out.clone()).unwrap();
    let baseline = baseline.display();
    for (condition, status) in [
        ("errors>0", 0),
        ("p50>1h", 0),
        ("p50>0.001us", 1),
        ("throughput<1000M", 1),
        ("p99>-99.9999%", 1),
        ("throughput<-99.9999%", 0),
    ] {
        let args = format!("-n 500 -q --baseline {baseline} --fail-if {condition}");
        let ran = bench(&args);
        ran.with(status).says("throughput   ");
        let word = if status == 1 { "FAIL" } else { "ok" };
        assert!(ran.err.contains(&format!("tcpecho: {word} {condition}: ")), "{}", ran.err);
        assert!(ran.err.contains(", limit ") && ran.err.contains(", baseline "), "{}", ran.err);
    }
    bench("-d 0.1 --fail-if p99>+10%").with(2).says("--baseline");
    bench("-d 0.1 --baseline /nowhere/at/all").with(2).says("/nowhere/at/all");
    fs::remove_file(baseline.to_string()).unwrap();
}

#[test]
fn the_json_is_as_its_schema_says() {
    for args in ["-d 0.2 -R 100", "-W crr -d 0.2", "-W stream -d 0.2", "-W idle -c 5 -d 0.2"] {
        // Where others wait in line a short run may see nothing, and fails; its result has the same form.
        let result = bench(&format!("{args} --interval 50ms --json -q")).json();
        conforms_to_the_schema(&result);
    }
}

#[test]
fn comparisons_merge_round_by_round_and_are_as_their_schema_says() {
    let files = ["one", "two", "run"].map(|name| scratch(&format!("comparison-{name}.json")));
    let write = |file: &PathBuf, args: &str| {
        let ran = bench(&format!("{args} -n 200 -c 2 -q --json"));
        ran.with(0);
        fs::write(file, &ran.out).unwrap();
        ran.json()
    };
    let one = write(&files[0], "--engines iterative,epoll,thread --rounds 2");
    let two = write(&files[1], "--engines fork,epoll --rounds 1");
    write(&files[2], "");
    let report = |files: &[&PathBuf], more: &[&str]| {
        ends(Command::new(program()).args(["bench", "report"]).args(files).args(more))
    };
    let merged = report(&[&files[0], &files[1]], &["--json"]).with(0).json();
    for result in [&one, &two, &merged] {
        let complaints = schema::complaints("bench-comparison.json", result);
        assert_eq!(complaints, [""; 0], "{result}");
    }
    let rounds = |result: &Value, name: &str| -> Vec<Value> {
        let all = result["servers"].as_array().unwrap();
        let server = all.iter().find(|server| server["name"] == name).unwrap();
        server["rounds"].as_array().unwrap().clone()
    };
    assert_eq!(rounds(&merged, "epoll"), [rounds(&one, "epoll"), rounds(&two, "epoll")].concat());
    // Rounds that a server was not in stay empty, so that ratios are of one and the same round.
    let nothing = || vec![Value::Null; 2];
    assert_eq!(rounds(&merged, "fork"), [nothing(), rounds(&two, "fork")].concat());
    assert_eq!(rounds(&merged, "thread").len(), 3);
    assert!(merged["servers"][0]["left_out"].is_string());
    let alone = report(&[&files[0]], &["--json"]).with(0).json();
    assert_eq!(alone, one);
    let page = report(&[&files[0], &files[1]], &[]);
    page.with(0).says("3 rounds");
    assert!(page.out.lines().any(closes), "{}", page.out);
    report(&[&files[0], &files[2]], &[]).with(2).says("cannot be added to a comparison");
    report(&[&files[2], &files[0]], &[]).with(2).says("cannot be added to a result");
    report(&[&files[0]], &["--plot"]).with(2).says("no --plot");
    let baseline = format!("-d 0.1 --baseline {}", files[0].display());
    bench(&baseline).with(2).says("a comparison, not a result of one run");
    for file in files {
        fs::remove_file(file).unwrap();
    }
}

fn conforms_to_the_schema(result: &Value) {
    assert_eq!(schema::complaints("bench.json", result), [""; 0], "{result}");
}

#[test]
fn an_interrupt_ends_it_early_with_the_results_so_far() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut child = Command::new(program())
            .args([
                "bench",
                "-d",
                "100",
                "--warmup",
                "0",
                "--interval",
                "100ms",
                "--json-stream",
                "-q",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let has_some = |line: &str| {
            serde_json::from_str::<Value>(line).unwrap()["messages"].as_u64() > Some(0)
        };
        while !has_some(&lines.next().unwrap().unwrap()) {}
        kill_process(Pid::from_child(&child), signal).unwrap();
        let last = lines.map(Result::unwrap).last().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status));
        let result: Value = serde_json::from_str(&last).unwrap();
        assert!(number(&result, "/result/messages") > 0.0);
        assert!(number(&result, "/result/seconds") < 90.0);
        assert!(result["result"]["interrupted_by"].is_string());
    }
}

/// Starts it, and sends SIGINT once its server has used processor time, for its echoes.
fn interrupted(args: &str) -> Ran {
    let child = Command::new(program())
        .arg("bench")
        .args(args.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    let start = std::time::Instant::now();
    while process::children(pid).into_iter().map(process::ticks).sum::<u64>() < 10 {
        assert!(start.elapsed() < FAR_TOO_LONG, "its server does nothing");
        thread::sleep(Duration::from_millis(5));
    }
    kill_process(pid, Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        status: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A server that echoes, and tells of each echo.
fn telling_server() -> (SocketAddr, mpsc::Receiver<()>) {
    let (told, served) = mpsc::channel();
    let told = Mutex::new(told);
    let addr = server(move |stream| {
        echo_with(stream, |_| {
            let _ = told.lock().unwrap().send(());
            true
        });
    });
    (addr, served)
}

#[test]
fn an_interrupt_before_anything_was_measured_says_so() {
    for json in [false, true] {
        let (addr, served) = telling_server();
        let mut command = Command::new(program());
        command.args(["bench", &addr.to_string(), "-q", "-c", "2", "--warmup", "100s"]);
        command.args(json.then_some("--json")).stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        for _ in 0..10 {
            served.recv_timeout(FAR_TOO_LONG).unwrap();
        }
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        let out = String::from_utf8(output.stdout).unwrap();
        if json {
            let result: Value = serde_json::from_str(&out).unwrap();
            assert!(result["latency"]["service"].is_null(), "{result:#}");
            continue;
        }
        let line = "nothing was measured: SIGINT ended the run before the measured time began";
        assert!(out.contains(line), "{out}");
        for word in ["throughput", "latency", "errors", "client "] {
            assert!(!out.contains(word), "{out}");
        }
    }
}

#[test]
fn an_interrupted_comparison_has_its_first_results_or_says_that_there_are_none() {
    let ran = interrupted("--engines epoll,thread -c 2 -d 100 --warmup 0");
    ran.with(130).says("note: epoll: SIGINT ended its only visit early");
    assert!(ran.out.lines().any(|line| line.starts_with("epoll  ")), "{}", ran.out);
    let ran = interrupted("--engines epoll,thread -c 2 -d 100 --warmup 100s");
    ran.with(130).says("nothing was measured: SIGINT ended the comparison in its first visit");
    let ran = interrupted("--engines epoll,thread -c 2 -d 100 --warmup 100s --json");
    assert!(ran.with(130).json()["best"].is_null());
}

#[test]
fn its_server_goes_with_it_however_it_ends() {
    let mut child = Command::new(program())
        .args(["bench", "-d", "100", "--warmup", "0", "--interval", "100ms", "--json-stream", "-q"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().is_ok());
    let children = process::children(Pid::from_child(&child));
    assert_eq!(children.len(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(process::end_within(&children, FAR_TOO_LONG), "the server is still there");
}

#[test]
fn servers_behind_a_shell_go_with_it_when_it_is_killed() {
    let against = format!("other={} serve -l 127.0.0.1:{{port}} --log off; :", program());
    let mut child = Command::new(program())
        .args(["bench", "-c", "2", "-d", "100", "--rounds", "1", "-q", "--against", &against])
        .spawn()
        .unwrap();
    let mut grandchildren = Vec::new();
    until(|| {
        let children = process::children(Pid::from_child(&child));
        grandchildren = children.iter().flat_map(|one| process::children(*one)).collect();
        // The shell and the guard; the server is the shell's.
        children.len() == 2 && !grandchildren.is_empty()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(process::end_within(&grandchildren, FAR_TOO_LONG), "the server is still there");
}

#[test]
fn an_absurd_rate_ends_in_time_and_counts_all() {
    let ran = bench("-R 1000000000 -c 3 -d 0.2 --warmup 0 -q --json --grace 100ms --timeout 40s");
    let result = ran.json();
    // All that were due, whether or not they could be sent.
    let all = number(&result, "/latency/response/count");
    assert!((200_000_000.0..200_000_004.0).contains(&all), "{all}");
}

/// Whether this is one of a comparison's closing sentences; which one is the machine's business.
fn closes(line: &str) -> bool {
    line.contains(" times faster than ") || line.contains(": no difference beyond noise (")
}

#[test]
fn a_comparison_is_interleaved_and_ends_in_sentences() {
    let page = scratch("comparison.html");
    let against = format!("other=exec {} serve -l 127.0.0.1:{{port}} --log off", program());
    let ran = ends(
        Command::new(program())
            .args(["bench", "-n", "300", "--rounds", "2", "-c", "3", "-q"])
            .args(["--engines", "iterative,thread,epoll", "--against", &against])
            .args(["--against", "broken=exit 7 # {port}", "--html"])
            .arg(&page),
    );
    ran.with(0).says("broken is left out").says("exit status: 7");
    ran.says("iterative is left out: it serves one connection at a time");
    assert_eq!(ran.out.lines().filter(|line| closes(line)).count(), 2, "{}", ran.out);
    for name in ["thread", "epoll", "other"] {
        let of_it = |line: &&str| line.starts_with(&format!("{name} ")) && !closes(line);
        assert_eq!(ran.out.lines().filter(of_it).count(), 1, "{name}: {}", ran.out);
    }
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("<svg") && html.contains("other") && !html.contains("NaN"), "{html}");
    fs::remove_file(page).unwrap();
    let args = "--engines epoll,thread -n 300 --rounds 2 -c 2 -q --json";
    let result = bench(args).with(0).json();
    assert_eq!(result["servers"].as_array().unwrap().len(), 2);
    assert_eq!(result["servers"][0]["rounds"].as_array().unwrap().len(), 2);
    assert_eq!(result["closing"].as_array().unwrap().len(), 1);
}

#[test]
fn the_page_needs_nothing_else() {
    let page = scratch("page.html");
    bench(&format!("-R 300 -d 0.3 --interval 50ms -q --plot --html {}", page.display()))
        .with(0)
        .says("response times")
        .says("█");
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.matches("<svg").count() >= 1);
    for absent in ["http", "src=", "<script", "NaN", "inf"] {
        assert!(!html.contains(absent), "{absent} in {html}");
    }
    assert!(html.ends_with("</html>\n"));
    fs::remove_file(page).unwrap();
}

#[test]
fn source_addresses_are_taken_in_turn() {
    let peers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&peers);
    let addr = server(move |stream| {
        seen.lock().unwrap().push(stream.peer_addr().unwrap().ip().to_string());
        echo_with(stream, |_| true);
    });
    let args = "--source 127.0.0.2-127.0.0.4,127.0.0.9 -c 8 --connect-rate 200 -W idle -d 0.1";
    let result = measured(&format!("{addr} {args}"));
    assert_eq!(number(&result, "/result/connections_open"), 8.0);
    let mut peers = peers.lock().unwrap().clone();
    peers.sort();
    peers.dedup();
    // The one connection that is made first to see whether anybody is there is among them.
    assert!(peers.len() >= 4, "{peers:?}");
    for expected in ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.9"] {
        assert!(peers.iter().any(|peer| peer == expected), "{peers:?}");
    }
}

#[test]
fn idle_connections_are_weighed() {
    let result = measured("-W idle -c 200 -d 0.2 -e thread");
    assert_eq!(number(&result, "/result/connections_open"), 200.0);
    // A thread has a stack of which it touches some pages.
    assert!(number(&result, "/server/memory_bytes_per_connection") > 1000.0, "{result:#}");
}

/// A difference that is too small to be measured is not a figure, and not a negative one.
#[test]
fn the_memory_of_a_connection_is_never_negative() {
    for engine in common::engines() {
        let connections = if engine == "iterative" { 1 } else { 50 };
        let result = measured(&format!("-W idle -c {connections} -d 0.3 -e {engine}"));
        let each = &result["server"]["memory_bytes_per_connection"];
        assert!(each.is_null() || each.as_f64() > Some(0.0), "{engine}: {each}");
    }
    // Two idle connections of epoll take less than a page.
    bench("-W idle -c 2 -d 0.3 -e epoll")
        .with(0)
        .says("memory       less than 8192 B of the server");
    // The server was not at rest before.
    let result = measured("-n 500 -c 50");
    assert!(result["server"]["memory_bytes_per_connection"].is_null(), "{result:#}");
    let compared =
        bench("-W idle -c 2 -d 0.3 --engines epoll,thread --rounds 2").with(0).out.clone();
    for engine in ["epoll", "thread"] {
        let row = compared.lines().find(|line| line.starts_with(engine)).expect(&compared);
        let each = row.split_whitespace().nth(1);
        let figure = each.map(|each| each.replace(',', "").parse::<f64>());
        let is_figure = matches!(figure, Some(Ok(figure)) if figure > 0.0);
        assert!(each == Some("<") || is_figure, "{compared}");
    }
}

#[test]
fn limits_are_checked_before_the_run() {
    let limited = |limit: &str, args: &str| {
        let line = format!("ulimit -n {limit}; exec \"$0\" bench {args}");
        ends(Command::new("sh").args(["-c", &line, program()]))
    };
    let ran = limited("80", "-c 300 -d 0.2 --json");
    if ran.status == Some(2) {
        let why = ran.json()["error"]["message"].to_string();
        assert!(why.contains("300 connections need 3") && why.contains("may have 80"), "{why}");
        assert!(why.contains("ulimit -n 3"), "{why}");
        let most = why.split_once(": use ").unwrap().1.split(' ').next().unwrap().to_owned();
        // So many it can have, and its server too.
        limited("80", &format!("-c {most} -t 1 -n 500 -q")).with(0).says("every byte came back");
        limited("200", "-W idle -c 1000000 -d 1 -q").with(2).says("1,000,000 connections need");
    } else {
        // Whoever is privileged has the limit raised.
        assert_eq!(number(&ran.with(0).json(), "/result/connections_open"), 300.0);
    }
    let ran = bench("-c 1 -n 20 -q --close fin -W crr");
    assert_eq!(ran.err, "");
}

#[test]
fn a_full_standard_output_is_told() {
    for more in [&["--json"][..], &["--json-stream", "--interval", "20ms"], &[]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(program())
            .args(["bench", "-d", "0.1", "-q"])
            .args(more)
            .stdout(full)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("write to stdout: No space left on device (ENOSPC)"), "{said}");
    }
}

#[test]
fn the_highest_rate_is_found() {
    // Where others wait in line a short run may see nothing at all.
    let found = |seconds: &f64| {
        let ran = bench(&format!("--find-rate p99<100s -c 4 -d {seconds} --warmup 0"));
        (ran.status == Some(0)).then_some(ran)
    };
    let ran = [0.1, 0.5, 3.0].iter().find_map(found).expect("no rate was found");
    ran.says("holds up to").says("closed loop");
    let none = |seconds: &f64| {
        let ran = bench(&format!("--find-rate p99<0.001us -c 4 -d {seconds} --warmup 0 -q"));
        (ran.status == Some(1)).then_some(ran)
    };
    let ran = [0.05, 0.5, 3.0].iter().find_map(none).expect("it did not fail by its condition");
    ran.says("no rate was found at which");
}

#[test]
fn what_is_not_understood() {
    for args in ["-W x", "-d 0", "-s 0", "-R 0", "--engines x", "-e x", "--cpu 99999", "1:2:3"] {
        bench(args).with(2);
    }
    for option in ["--cpu", "--server-cpu"] {
        let ran = bench(&format!("{option} 1022 -d 0.1"));
        ran.with(2).says(&format!("{option}: this process cannot use processor 1022; it can use "));
    }
}
