//! `tcpecho lab` as a user runs it.

#[path = "common/schema.rs"]
mod schema;
#[path = "common/lab.rs"]
mod support;
use std::process::Command;
use support::{lab, shown, text};

/// Plays the first scenario; prints SKIP and returns nothing where no hosts can be made.
fn played(args: &[&str]) -> Option<String> {
    shown(&lab(&[&["run", "normal-startup"], args].concat()))
}

#[test]
fn the_list_has_every_scenario_and_each_is_explained() {
    let list = text(&lab(&["list"]).stdout);
    assert!(list.lines().all(|line| line.chars().count() <= 100), "{list}");
    let list: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let only = |name: &str| tcpecho_lab::scenario::Scenario::named(name).is_none();
    let own: std::collections::BTreeSet<_> =
        tcpecho_lab::trial::all().map(|trial| trial.text.name).filter(|name| only(name)).collect();
    assert_eq!(list.len(), tcpecho_lab::scenario::SCENARIOS.len() + own.len());
    for line in list {
        let name = line.split(' ').next().unwrap();
        if only(name) {
            assert!(line.contains("*  "), "{line}");
        }
        let page = text(&lab(&["explain", name]).stdout);
        assert!(page.starts_with(&format!("{name}: ")) && page.contains("claim: "), "{page}");
    }
}

#[test]
fn the_list_takes_patterns_and_groups() {
    let names = |pattern: &str| -> Vec<String> {
        let list = lab(&["list", "--json", pattern]);
        let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
        assert_eq!(schema::complaints("lab-list.json", &list), Vec::<String>::new());
        let scenarios = list["scenarios"].as_array().unwrap().iter();
        scenarios.map(|scenario| scenario["name"].as_str().unwrap().into()).collect()
    };
    assert_eq!(names("segment-*"), ["segment-lost", "segment-doubled", "segment-corrupted"]);
    assert_eq!(names("doubled"), ["segment-doubled"]);
    assert_eq!(names("signals").len(), 7);
    let none = lab(&["list", "nothing-*"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains("no scenario matches 'nothing-*'"));
}

#[test]
fn patterns_stand_for_names() {
    let pages = text(&lab(&["explain", "bind-*"]).stdout);
    let titles: Vec<&str> = pages.lines().filter(|line| line.starts_with("bind-")).collect();
    assert_eq!(titles.len(), 5, "four scenarios and a trial: {titles:?}");
    for args in [&["run", "nothing-*"][..], &["test", "nothing-*", "--client", "true {port}"]] {
        assert_eq!(lab(args).status.code(), Some(2), "{args:?}");
    }
    let Some(shown) = shown(&lab(&["run", "segment-*"])) else { return };
    assert!(shown.ends_with("3 of 3 passed (--seed 0)\n"), "{shown}");
}

#[test]
fn docs_scenarios_md_is_the_output_of_explain_all_as_markdown() {
    let chapter = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/scenarios.md");
    let said = text(&lab(&["explain", "all", "--format", "markdown"]).stdout);
    if std::env::var_os("TCPECHO_WRITE_DOCS").is_some() {
        std::fs::write(chapter, &said).unwrap();
    }
    let written = std::fs::read_to_string(chapter).unwrap();
    assert!(written == said, "TCPECHO_WRITE_DOCS=1 writes docs/scenarios.md anew");
}

#[test]
fn a_misspelt_name_is_an_error_that_says_the_nearest() {
    let client = ["--client", "true {port}"];
    for (args, near) in [
        (&["run", "refusde"][..], "'refused'"),
        (&["explain", "many-client"], "'many-clients'"),
        (&["learn", "zero-windwo"], "'zero-window'"),
        (
            &["run", "prohibitted-during-connect", client[0], client[1]],
            "'prohibited-during-connect'",
        ),
        (&["test", "half_close", client[0], client[1]], "'half-close'"),
    ] {
        let output = lab(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("did you mean {near}")), "{said}");
        assert!(said.contains("tcpecho lab list"), "{said}");
    }
    let said = text(&lab(&["learn", "many-clients"]).stderr);
    assert!(said.contains("--server"), "it is in the list: {said}");
}

/// The pages say how many names `lab list` has.
#[test]
fn the_pages_say_how_many_scenarios_there_are() {
    let list: serde_json::Value = serde_json::from_slice(&lab(&["list", "--json"]).stdout).unwrap();
    let entries = list["scenarios"].as_array().unwrap();
    let only = entries.iter().filter(|entry| entry["needs_program"] == true).count();
    let scenarios = entries.len() - only;
    for page in ["README.md", "docs/lab.md"] {
        let file = format!("{}/../../{page}", env!("CARGO_MANIFEST_DIR"));
        let written = std::fs::read_to_string(file).unwrap();
        for count in [format!("{scenarios} scenarios"), format!("{only} more trials")] {
            assert!(written.contains(&count), "{page} does not say {count:?}");
        }
    }
}

#[test]
fn a_group_stands_for_its_scenarios() {
    for group in ["closing", "data-transfer", "data transfer"] {
        let titles = |args: &[&str]| {
            let output = lab(args);
            assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
            text(&output.stdout)
        };
        let listed: serde_json::Value =
            serde_json::from_str(&titles(&["list", "--json", group])).unwrap();
        let pages = titles(&["explain", group]);
        let names = listed["scenarios"].as_array().unwrap().iter();
        let names: Vec<&str> = names.map(|entry| entry["name"].as_str().unwrap()).collect();
        assert!(names.len() > 4, "{names:?}");
        for name in names {
            assert!(pages.contains(&format!("{name}: ")), "{group} {name}");
        }
    }
    let Some(shown) = shown(&lab(&["run", "path"])) else { return };
    assert!(shown.contains(" passed (--seed 0)\n"), "{shown}");
    let tested = lab(&["test", "--client", "nosuchcommand {port}", "queues"]);
    let said = text(&tested.stderr);
    assert!(!said.contains("is not a trial"), "{said}");
}

#[test]
fn the_family_has_the_short_options_of_the_other_commands() {
    let Some(shown) = shown(&lab(&["run", "normal-startup", "-6"])) else { return };
    assert!(shown.contains("2001:db8:"), "{shown}");
    for args in [
        &["run", "normal-startup", "-4", "-6"][..],
        &["run", "normal-startup", "-6", "--family", "both"],
        &["learn", "-4", "--family", "6"],
        &["shell", "-4", "-6"],
        &["test", "-6", "--family", "4", "--client", "true {port}"],
    ] {
        let output = lab(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains("cannot be used with"), "{args:?}");
    }
    let said = text(&lab(&["test", "-6", "--client", "nc {hst} {port}"]).stderr);
    assert!(said.contains("unknown placeholder {hst}: expected {host}, {port}"), "{said}");
}

#[test]
fn an_unknown_scenario_is_an_error() {
    for args in [&["run", "nonsense"][..], &["explain", "non\x1bsense"]] {
        let output = lab(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("no scenario is called") && !said.contains('\x1b'), "{said}");
    }
}

#[test]
fn a_trial_without_a_program_is_an_error_that_says_which_option() {
    for (name, option) in [
        ("many-clients", "--server 'COMMAND {port}'"),
        ("prohibited-during-connect", "--client 'COMMAND {host} {port}'"),
    ] {
        let output = lab(&["run", name]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(name) && said.contains(option), "{said}");
        assert!(!said.contains("no scenario"), "it is in the list: {said}");
        // These have no such option.
        for verb in [&["learn", name][..], &["learn", "--from", name], &["site", "/nowhere", name]]
        {
            let said = text(&lab(verb).stderr);
            assert!(said.contains(&format!("tcpecho lab test {name} {option}")), "{said}");
        }
    }
}

#[test]
fn a_ladder_has_packets_states_and_claims() {
    for family in ["4", "6"] {
        let Some(ladder) = played(&["--family", family]) else { return };
        for part in
            ["SYN seq=0", "┊ SYN_RECV", "┊ ESTABLISHED", "✓ three segments", "1 of 1 passed"]
        {
            assert!(ladder.contains(part), "{ladder}");
        }
    }
}

/// Packets with every fate, states, calls, claims, and the result.
#[test]
fn every_line_of_ndjson_is_what_the_schema_says() {
    let scenarios = ["refused", "syn-dropped", "segment*", "*unreachable*", "eintr-on-accept"];
    for options in [&["--format", "ndjson"][..], &["--format", "ndjson", "--calls"]] {
        let Some(lines) = shown(&lab(&[&["run"], &scenarios[..], options].concat())) else {
            return;
        };
        schema::check_lines("lab-run.json", &lines);
        let has = |words: &str| assert!(lines.contains(words), "{words}");
        for word in ["dropped", "passed", "answered", "duplicated"] {
            has(&format!("\"verdict\":\"{word}\""));
        }
        has("\"detail\":\"");
    }
    for wrong in [
        r#"{"scenario":"x","family":"IPv4","at_us":1,"place":"Host(Client)","what":"step","text":""}"#,
        r#"{"scenario":"x","family":"IPv4","what":"result","verdict":"held","claims":0,"passed":0,"failed":[],"why":null}"#,
        r#"{"scenario":"x","family":"IPv4","at_us":1,"place":"wire","what":"packet","text":"","verdict":"lost: cable cut"}"#,
    ] {
        let wrong = serde_json::from_str(wrong).unwrap();
        assert!(!schema::complaints("lab-run.json", &wrong).is_empty(), "{wrong}");
    }
}

#[test]
fn machine_readable_formats_can_be_parsed() {
    let Some(moments) = played(&["--format", "ndjson"]) else { return };
    let moments: Vec<serde_json::Value> =
        moments.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds = |kind: &str| moments.iter().filter(|moment| moment["what"] == kind).count();
    assert!(kinds("packet") >= 3 && kinds("claim") >= 5, "{moments:?}");
    let report = played(&["--format", "junit"]).unwrap();
    assert!(report.contains("<testcase classname=\"IPv4\" name=\"normal-startup\""), "{report}");
    let page = played(&["--format", "markdown"]).unwrap();
    assert!(page.starts_with("# normal-startup: "), "{page}");
    let page = played(&["--format", "html"]).unwrap();
    assert!(page.contains("<title>normal-startup</title>"), "{page}");
    let pages = played(&["--format", "html", "--family", "both"]).unwrap();
    assert!(pages.contains("<title>tcpecho lab</title>"), "{pages}");
    for family in ["IPv4", "IPv6"] {
        assert!(pages.contains(&format!("<a href=\"#normal-startup-{family}\">")), "{pages}");
    }
}

#[test]
fn tcpdump_reads_the_capture() {
    let file = std::env::temp_dir().join(format!("tcpecho-lab-{}.pcapng", std::process::id()));
    let Some(_) = played(&["--pcapng", file.to_str().unwrap()]) else { return };
    let read = Command::new("tcpdump").args(["-n", "-r"]).arg(&file).output();
    let size = std::fs::metadata(&file).unwrap().len();
    std::fs::remove_file(&file).unwrap();
    assert!(size > 300, "{size} bytes");
    let Ok(read) = read else { return println!("SKIP no tcpdump") };
    let lines = text(&read.stdout);
    assert!(read.status.success(), "{}", text(&read.stderr));
    assert!(lines.lines().count() >= 3 && lines.contains("Flags [S]"), "{lines}");
}

/// The comments of the packets of a capture, in the order of the frames.
fn comments(file: &[u8]) -> Vec<Option<String>> {
    let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let half = |at: usize| u16::from_ne_bytes(file[at..at + 2].try_into().unwrap()) as usize;
    let (mut comments, mut block) = (Vec::new(), 0);
    while block < file.len() {
        let (kind, length) = (word(block), word(block + 4));
        // An enhanced packet block: 28 bytes, the packet, and the options.
        if kind == 6 {
            let mut option = block + 28 + word(block + 20).next_multiple_of(4);
            let mut comment = None;
            while half(option) != 0 {
                let value = &file[option + 4..option + 4 + half(option + 2)];
                if half(option) == 1 {
                    comment = Some(text(value));
                }
                option += 4 + half(option + 2).next_multiple_of(4);
            }
            comments.push(comment);
        }
        block += length;
    }
    comments
}

/// Wireshark numbers frames from 1, by their place in the file; the rules of the wire do not count.
#[test]
fn comments_of_a_capture_number_the_frames() {
    let file = std::env::temp_dir().join(format!("tcpecho-frames-{}.pcapng", std::process::id()));
    for scenario in ["normal-startup", "segment-lost", "segment-doubled"] {
        let run = ["run", scenario, "--pcapng", file.to_str().unwrap()];
        let Some(_) = shown(&lab(&run)) else { return };
        let comments = comments(&std::fs::read(&file).unwrap());
        std::fs::remove_file(&file).unwrap();
        assert!(comments.iter().flatten().count() > 0, "{scenario}: {comments:?}");
        for (frame, comment) in (1..).zip(&comments) {
            let Some(comment) = comment else { continue };
            let number = format!("frame {frame}, from ");
            assert!(comment.starts_with(&number), "{scenario}, frame {frame}: {comments:?}");
            let again = comment.split_once(" (frame ").map(|(_, rest)| rest.split(' ').next());
            if comment.contains("released") {
                let before: usize = again.flatten().unwrap().parse().unwrap();
                let held = comments[before - 1].as_ref().unwrap();
                assert!(held.ends_with("held"), "{scenario}, frame {frame}: {comments:?}");
            }
        }
    }
}

#[test]
fn the_doctor_reports_every_way() {
    let output = lab(&["doctor"]);
    let said = text(&output.stdout);
    assert!(matches!(output.status.code(), Some(0 | 77)), "{said}");
    let is_usable = output.status.code() == Some(0);
    let conclusion =
        if is_usable { "The lab can be used here: " } else { "The lab cannot be used" };
    assert!(said.starts_with(conclusion), "{said}");
    let root = "root, TUN devices";
    let namespace = ["user namespace, TUN devices", "user namespace, veth pairs"];
    for what in [root, namespace[0], namespace[1], "system calls (--calls)"] {
        assert_eq!(said.matches(what).count(), 1, "{what}: {said}");
    }
}

/// Prints SKIP and returns nothing where calls cannot be traced.
fn with_calls(args: &[&str]) -> Option<String> {
    played(&[&["--calls"], args].concat())
}

#[test]
fn with_calls_a_ladder_shows_them_and_nothing_twice() {
    let Some(ladder) = with_calls(&[]) else { return };
    for part in ["connect(3, 198.51.100.20:7)", "accept4(3, SOCK_CLOEXEC) = 4 from 192.0.2.10:"] {
        assert!(ladder.contains(part), "{ladder}");
    }
    assert!(!ladder.contains("> connect") && !ladder.contains("read(0"), "{ladder}");
    let page = with_calls(&["--format", "html"]).unwrap();
    assert!(page.contains("<span class=\"system\">listen(3, 10) = 0</span>"), "{page}");
    let page = with_calls(&["--format", "markdown", "--family", "6"]).unwrap();
    assert!(page.contains("connect(3, [2001:db8:2::20]:7)"), "{page}");
    let moments = with_calls(&["--format", "ndjson"]).unwrap();
    assert!(moments.contains(r#""what":"call","text":"listen(3, 10) = 0""#), "{moments}");
    assert!(moments.contains(r#""what":"input""#), "machines get everything: {moments}");
}

#[test]
fn where_tracing_is_forbidden_calls_are_skipped_with_the_reason() {
    // A process can have one tracer: here strace traces the lab and everything that it starts.
    let traced = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-e", "trace=none", env!("CARGO_BIN_EXE_tcpecho")])
        .args(["lab", "run", "normal-startup", "--calls"])
        .output();
    let Ok(traced) = traced else { return println!("SKIP no strace") };
    let said = text(&traced.stderr);
    assert_eq!(traced.status.code(), Some(77), "{said}");
    if said.contains("PTRACE_SEIZE") {
        assert!(said.contains("(EPERM)") && said.contains("strace -f"), "{said}");
    } else {
        println!("SKIP {said}");
    }
}
