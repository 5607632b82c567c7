//! What `report` and `bench` make of files: of those that they read nothing is believed, and those that they
//! write are good for it before anything is measured.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Ran, bench, common::program, conforms_to_the_schema, ends, scratch};

/// `tcpecho bench report FILES...`, with no more than 400 MB of address space.
fn report(args: &[&str]) -> Ran {
    limited(400, &[&["bench", "report"], args].concat())
}

/// With no more than so many MB of address space.
fn limited(megabytes: u32, args: &[&str]) -> Ran {
    let script = format!("ulimit -v {megabytes}000; exec \"$0\" \"$@\"");
    ends(Command::new("sh").args(["-c", &script, program()]).args(args))
}

/// A file with this in it, gone with its value.
struct Written(PathBuf);

impl Written {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = scratch(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A result of three intervals, to be spoilt.
fn result() -> Value {
    bench("-c 2 -d 0.3 --interval 100ms -q --json").json()
}

/// In the encoding of HDR histograms, the head of one with so many bytes of counts.
fn claims(bytes: u32) -> String {
    let mut head = 0x1c84_9313_u32.to_be_bytes().to_vec();
    for word in [bytes, 0, 3] {
        head.extend(word.to_be_bytes());
    }
    for long in [1, 3_600_000_000_000, 1.0_f64.to_bits()] {
        head.extend(long.to_be_bytes());
    }
    base64(&head)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { digit as char } else { '=' });
        }
    }
    text
}

#[test]
fn a_histogram_that_claims_much_takes_nothing() {
    let mut spoilt = result();
    spoilt["latency"]["service"]["hdr_v2_base64"] = claims(u32::MAX).into();
    let json = Written::new("claims.json", spoilt.to_string());
    let log = Written::new("claims.hdr", format!("0.0,1.0,2.0,{}\n", claims(u32::MAX)));
    for file in [&json, &log] {
        report(&[file.path()]).with(2).says(file.path()).says("ends early");
        limited(400, &["bench", "-n", "1", "--baseline", file.path()]).with(2).says("ends early");
    }
    // Thousands of histograms take no more than their bytes.
    let mut many = bench("--engines epoll -n 50 -c 1 --rounds 1 -q --json").json();
    let rounds = vec![many["servers"][0]["rounds"][0].clone(); 400];
    many["servers"][0]["rounds"] = rounds.into();
    let many = Written::new("many.json", many.to_string());
    limited(150, &["bench", "report", many.path()]).with(0).says("400 rounds");
    let line = {
        let one = result();
        let histogram = one["latency"]["service"]["hdr_v2_base64"].as_str().unwrap().to_owned();
        format!("0.0,1.0,2.0,{histogram}\n")
    };
    let log = Written::new("many.hdr", line.repeat(700));
    limited(150, &["bench", "report", log.path()]).with(0);
}

#[test]
fn figures_that_no_run_can_give_are_refused_and_small_ones_drawn() {
    let page = scratch("spoilt.html");
    let page = page.to_str().unwrap();
    let mut tiny = result();
    let intervals = tiny["intervals"].as_array_mut().unwrap();
    assert!(intervals.len() > 1);
    for row in intervals {
        for figure in ["from_s", "to_s", "throughput_per_s"] {
            row[figure] = json!(if figure == "from_s" { 0.0 } else { 5e-324 });
        }
    }
    let file = Written::new("tiny.json", tiny.to_string());
    report(&[file.path(), "--html", page, "--plot"]).with(0);
    let html = fs::read_to_string(page).unwrap();
    assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
    fs::remove_file(page).unwrap();
    for (pointer, value) in [
        ("/intervals/0/to_s", json!(1e300)),
        ("/intervals/1/to_s", json!(-1.0)),
        ("/intervals/0/throughput_per_s", json!(-5.0)),
        ("/result/seconds", json!(-1.0)),
        ("/result/throughput_per_s", json!(1e308)),
        ("/server/cpu_ns", json!(-1e30)),
        ("/tcp/rtt_mean_us", json!(1e25)),
        ("/parts", json!(0)),
        ("/settings/workload", json!("\u{1b}]0;x\u{7}")),
        ("/settings/sizes_bytes", json!(vec![1; 70_000])),
        ("/notes", json!(vec![""; 2000])),
        ("/latency/service/hdr_v2_base64", json!("AAAA")),
        ("/schema", json!("tcpecho-bench-9")),
        ("/schema", Value::Null),
    ] {
        let mut spoilt = result();
        *spoilt.pointer_mut(pointer).unwrap() = value;
        let file = Written::new("spoilt.json", spoilt.to_string());
        let ran = report(&[file.path(), "--html", page]);
        ran.with(2).says(file.path());
        assert!(!ran.err.contains('\u{1b}') && !Path::new(page).exists(), "{pointer}: {}", ran.err);
    }
}

/// A text that a terminal would obey, and a page too.
const EVIL: &str = "\u{1b}]0;owned\u{7}\u{9b}31m\r\u{202e}<script>alert(1)</script>";

#[test]
fn what_a_terminal_would_obey_is_escaped() {
    let mut run = result();
    for pointer in [
        "/settings/words",
        "/settings/driver",
        "/server/words",
        "/result/unit",
        "/version",
        "/started",
    ] {
        *run.pointer_mut(pointer).unwrap() = EVIL.into();
    }
    run["notes"] = json!([EVIL]);
    run["machine"] = json!({ EVIL: EVIL });
    run["errors"] = json!([{ "ending": EVIL, "count": 1, "first": EVIL }]);
    run["latency"]["other"] = json!({ EVIL: run["latency"]["service"] });
    run["result"]["interrupted_by"] = EVIL.into();
    run["baseline"] = json!({ "file": EVIL, "changes": { EVIL: 0.5 }, "differences": [EVIL] });
    let mut comparison = bench("--engines epoll -n 50 -c 1 --rounds 1 -q --json").json();
    comparison["servers"][0]["name"] = EVIL.into();
    comparison["servers"][0]["rounds"][0]["settings"]["words"] = EVIL.into();
    comparison["servers"][0]["rounds"][0]["result"]["unit"] = EVIL.into();
    let histogram = run["latency"]["service"]["hdr_v2_base64"].as_str().unwrap();
    let log = format!("Tag={EVIL},0.0,1.0,2.0,{histogram}\n0.0,1.0,2.0,{histogram}\n");
    let page = scratch("evil.html");
    let page = page.to_str().unwrap();
    for (name, text) in
        [("run", run.to_string()), ("comparison", comparison.to_string()), ("log", log)]
    {
        let file = Written::new(&format!("{name}\u{1b}[31m"), text);
        for more in [&["--html", page][..], &["--json"], &["--plot"]] {
            if name == "comparison" && more == ["--plot"] {
                continue;
            }
            let ran = report(&[&[file.path()], more].concat());
            ran.with(0);
            let html = fs::read_to_string(page).unwrap();
            assert!(!html.contains("<script"), "{name}: {html}");
            for text in [&ran.out, &ran.err, &html] {
                let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
                assert!(!text.contains(bad), "{name} {more:?}: {text:?}");
            }
        }
        fs::remove_file(page).unwrap();
        let nothing = format!("{}.not", file.path());
        let ran = report(&[&nothing]);
        assert!(!ran.with(2).err.contains('\u{1b}'), "{}", ran.err);
    }
}

#[test]
fn a_file_without_an_end_is_not_read_without_end() {
    for args in
        [&["bench", "report", "/dev/zero"][..], &["bench", "-n", "1", "--baseline", "/dev/zero"]]
    {
        limited(400, args).with(2).says("/dev/zero: larger than");
    }
    let endless = "yes '{' | \"$0\" bench report /dev/stdin";
    let ran = ends(Command::new("sh").args(["-c", endless, program()]));
    assert_eq!(ran.status, Some(2), "stdin is null here: {}", ran.err);
    report(&["/"]).with(2).says("read /: Is a directory (EISDIR)");
}

#[test]
fn tags_of_other_tools_keep_their_names() {
    let one = result();
    let histogram = one["latency"]["service"]["hdr_v2_base64"].as_str().unwrap();
    let count = one["latency"]["service"]["count"].as_u64().unwrap();
    let text = ["Tag=GET,", "Tag=PUT,", "Tag=GET,", ""]
        .map(|tag| format!("{tag}0.0,1.0,2.0,{histogram}\n"))
        .concat();
    let log = Written::new("tags.hdr", text);
    let merged = report(&[log.path(), "--json"]).with(0).json();
    assert!(merged["latency"]["connect"].is_null(), "{merged:#}");
    assert_eq!(merged["latency"]["other"]["GET"]["count"], 2 * count, "{merged:#}");
    assert_eq!(merged["latency"]["other"]["PUT"]["count"], count);
    let page = report(&[log.path()]);
    page.with(0);
    assert!(page.out.lines().any(|line| line.starts_with("GET ")), "{}", page.out);
    // And again from the JSON, added up.
    let json = Written::new("tags.json", merged.to_string());
    let merged = report(&[log.path(), json.path(), "--json"]).with(0).json();
    assert_eq!(merged["latency"]["other"]["GET"]["count"], 4 * count, "{merged:#}");
}

/// An HDR log has latencies only: what it does not say is null, and not 0.
#[test]
fn what_a_log_does_not_say_is_unknown() {
    let one = result();
    let histogram = one["latency"]["service"]["hdr_v2_base64"].as_str().unwrap();
    let log = Written::new("bare.hdr", format!("0.0,1.0,2.0,{histogram}\n"));
    let read = report(&[log.path(), "--json"]).with(0).json();
    conforms_to_the_schema(&read);
    let settings = read["settings"].as_object().unwrap();
    let known: Vec<&String> =
        settings.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name).collect();
    assert_eq!(known, ["words"], "{settings:?}");
    for unknown in ["/client/late_max_ns", "/client/pauses", "/client/messages_across_pauses"] {
        assert!(read.pointer(unknown).unwrap().is_null(), "{unknown}: {read:#}");
    }
    report(&[log.path()]).with(0).says("the settings of the run are unknown");
    // With a result that says what it is, the sum is of an unknown kind.
    let json = Written::new("known.json", one.to_string());
    for files in [[log.path(), json.path()], [json.path(), log.path()]] {
        let sum = report(&[&files[..], &["--json"]].concat()).with(0).json();
        conforms_to_the_schema(&sum);
        assert!(sum["settings"]["workload"].is_null(), "{sum:#}");
        assert!(sum["client"]["late_max_ns"].is_null(), "{sum:#}");
    }
    let streamed =
        Written::new("streamed.json", bench("-W stream -d 0.1 -q --json").with(0).out.clone());
    report(&[log.path(), streamed.path()]).with(2).says("cannot be added");
}

#[test]
fn the_last_line_of_a_stream_is_its_result() {
    let stream = bench("-c 2 -d 0.3 --interval 50ms -q --json-stream");
    stream.with(0);
    assert!(stream.out.lines().count() > 1, "{}", stream.out);
    let file = Written::new("stream.json", &stream.out);
    let read = report(&[file.path(), "--json"]).with(0).json();
    let last: Value = serde_json::from_str(stream.out.lines().last().unwrap()).unwrap();
    assert_eq!(read, last);
    // One that was cut off has none.
    let cut = Written::new("cut.json", &stream.out[..stream.out.len() / 2]);
    report(&[cut.path()]).with(2).says("not a result of tcpecho bench --json");
}

#[test]
fn what_is_given_twice_is_told() {
    let (one, other) = (result(), result());
    let files = [
        Written::new("twice-a.json", one.to_string()),
        Written::new("twice-b.json", other.to_string()),
        Written::new("twice-c.json", format!("{one:#}\n")),
    ];
    let [a, b, copy] = [0, 1, 2].map(|n: usize| files[n].path());
    assert_eq!(report(&[a, b]).with(0).err, "");
    for (first, second) in [(a, a), (a, copy)] {
        let ran = report(&[first, second, "--json"]);
        ran.with(0).says(&format!("{second} has the same result as {first}: it counts twice"));
        assert!(ran.json()["notes"].to_string().contains("counts twice"), "{}", ran.out);
    }
}

#[test]
fn runs_of_different_kinds_are_told_with_their_files() {
    let few = bench("-q -c 5 -n 50 --json").with(0).out.clone();
    let files =
        [Written::new("kind-a.json", result().to_string()), Written::new("kind-b.json", few)];
    let [a, b] = [0, 1].map(|n: usize| files[n].path());
    let note = format!("2 connections in {a}, 5 connections in {b}");
    let ran = report(&[a, b]);
    ran.with(0).says("note: not the same kind of run: ").says(&note);
    assert_eq!(ran.err, "");
    let ran = report(&[a, b, "--json"]);
    ran.with(0);
    assert!(
        ran.err.contains(&note) && ran.json()["notes"].to_string().contains(&note),
        "{}",
        ran.err
    );
}

/// Who reads stdout and stderr in one place reads each sentence once.
#[test]
fn no_sentence_is_said_twice() {
    let both = |args: &str| {
        let line = format!("exec \"$0\" bench {args} 2>&1");
        ends(Command::new("sh").args(["-c", &line, program()])).out
    };
    for (args, sentence) in [
        ("-n 50 -c 2 --start-at 0", "is past: the run begins at once"),
        ("-d 100ms -c 2 -q --hdr /dev/full", "No space left on device"),
        ("-d 100ms -c 2 -t 9", "-t 9 was reduced to 2 threads"),
    ] {
        let shown = both(args);
        assert_eq!(shown.matches(sentence).count(), 1, "{args}: {shown}");
    }
    let one = Written::new("once.json", result().to_string());
    let line = format!("exec \"$0\" bench report {0} {0} 2>&1", one.path());
    let shown = ends(Command::new("sh").args(["-c", &line, program()])).out;
    assert_eq!(shown.matches("it counts twice").count(), 1, "{shown}");
}

#[test]
fn a_page_that_cannot_be_written_is_told_before_anything_is_measured() {
    let start = Instant::now();
    for option in ["--html", "--hdr"] {
        bench(&format!("-d 100 {option} /nowhere/at/all")).with(2).says("/nowhere/at/all: ");
    }
    bench("-d 100 --engines epoll --html /nowhere/at/all").with(2).says("/nowhere/at/all: ");
    assert!(start.elapsed() < Duration::from_secs(60));
    // One that is there stays as it is where there is no result, and none is left behind.
    let kept = Written::new("kept.html", "an earlier result");
    let gone = scratch("gone.html");
    for option in ["--html", "--hdr"] {
        bench(&format!("127.0.0.1:1 {option} {}", kept.path())).with(3);
        assert_eq!(fs::read_to_string(&kept.0).unwrap(), "an earlier result");
        bench(&format!("127.0.0.1:1 {option} {}", gone.display())).with(3);
        assert!(!gone.exists());
    }
    bench(&format!("-n 50 -q --html {}", kept.path())).with(0);
    let html = fs::read_to_string(&kept.0).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"), "{html}");
}

#[test]
fn a_file_that_cannot_be_written_does_not_lose_the_result() {
    let before = Written::new("full.json", result().to_string());
    let (name, told) = (before.path(), "/dev/full: No space left on device (ENOSPC)");
    for option in ["--html", "--hdr"] {
        let ran = bench(&format!("-n 50 -c 2 -q {option} /dev/full"));
        ran.with(2).says("\nthroughput ").says(told);
        let ran = bench(&format!("-n 50 -c 2 -q --json {option} /dev/full"));
        assert_eq!(ran.with(2).says(told).json()["result"]["messages"], 50);
    }
    let ran = bench("--engines epoll -n 50 -c 1 --rounds 1 -q --html /dev/full");
    ran.with(2).says("\nepoll ").says(told);
    report(&[name, "--html", "/dev/full"]).with(2).says("\nthroughput ").says(told);
    report(&[name, "--html", "/nowhere/at/all"])
        .with(2)
        .says("\nthroughput ")
        .says("create /nowhere/at/all: No such file or directory (ENOENT)");
}

#[test]
fn a_file_that_is_no_result_is_told_what_is_one() {
    let text = Written::new("text", "root:x:0:0:root:/root:/bin/sh\n");
    let expected = "not a tcpecho result: expected the JSON of tcpecho bench (--json, --json-stream) or an HDR V2 log (--hdr)";
    for ran in [bench(&format!("-n 1 --baseline {}", text.path())), report(&[text.path()])] {
        ran.with(2).says(&format!("{}: {expected}", text.path()));
    }
    // The message says where a log is damaged.
    let log = Written::new("log", "#[Untagged: response]\n0.0,1.0\n");
    report(&[log.path()]).with(2).says(&format!("{}: not an HDR log: line 2: ", log.path()));
}

#[test]
fn a_baseline_is_compared_with_and_one_of_another_kind_is_told() {
    let before = Written::new("before.json", bench("-n 500 -c 4 -q --json").with(0).out.clone());
    let name = before.path();
    let ran = bench(&format!("-n 500 -c 4 -q --baseline {name}"));
    ran.with(0).says(&format!("baseline     {name}: throughput "));
    assert!(!ran.out.contains("not the same kind of run"), "{}", ran.out);
    let ran = bench(&format!("-R 500 -d 0.2 -c 2 -s 1k --depth 2 --no-check -q --baseline {name}"));
    for difference in [
        "closed loop there, open loop at 500/s here",
        "4 connections there, 2 connections here",
        "64 B there, 1,024 B here",
        "depth 1 there, depth 2 here",
        "bytes compared there, bytes not compared here",
    ] {
        ran.with(0).says(&format!("not the same kind of run: {difference}"));
    }
    let json = bench(&format!("-n 100 -c 4 -q --json --baseline {name}")).with(0).json();
    super::conforms_to_the_schema(&json);
    assert!(json["baseline"]["changes"]["throughput"].is_f64(), "{json:#}");
    // Figures of another workload, and figures that are not there, are nothing to compare with.
    bench(&format!("-W crr -n 10 --baseline {name}")).with(2).says("not a baseline for crr");
    let mut empty: Value = serde_json::from_str(&fs::read_to_string(&before.0).unwrap()).unwrap();
    empty["latency"]["service"] = Value::Null;
    let empty = Written::new("empty.json", empty.to_string());
    let args = format!("-d 100 --baseline {} --fail-if p99>+10%", empty.path());
    bench(&args).with(2).says("p99>+10% cannot be judged");
}

#[test]
fn a_quiet_run_has_no_notes() {
    let args = "-W crr -c 1 -d 0.3 --close fin --cpu any";
    let loud = bench(args);
    assert!(loud.with(0).out.contains("\nnote: --close fin"), "{}", loud.out);
    let quiet = bench(&format!("{args} -q"));
    assert!(!quiet.with(0).out.contains("note: "), "{}", quiet.out);
    assert_eq!(quiet.err, "");
}
