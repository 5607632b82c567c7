//! The README and the pages of docs/ agree with the tables in the code, and their samples with what the program prints.

#[path = "docs/blocks.rs"]
mod blocks;
#[path = "docs/lines.rs"]
mod lines;
#[path = "docs/mask.rs"]
mod mask;
#[path = "docs/pages.rs"]
mod pages;
#[path = "common/printed.rs"]
mod printed;
#[path = "docs/questions.rs"]
mod questions;
#[path = "docs/samples.rs"]
mod samples;
#[path = "docs/screen.rs"]
mod screen;

use std::process::Command;

use pages::{NOT_PLAIN, WRITING, page, pages};

#[test]
fn every_engine_is_on_the_page_of_serve_as_it_is_listed() {
    let serve = page("docs/serve.md");
    let list = Command::new(env!("CARGO_BIN_EXE_tcpecho"))
        .args(["serve", "--engine", "list"])
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert_eq!(list.lines().count(), tcpecho::ENGINES.len());
    for line in list.lines() {
        // Availability depends on the host.
        let (shown, _) = line.split_at(line.find("available").unwrap());
        assert!(serve.contains(shown.trim_end_matches("un")), "missing: {shown}");
    }
}

/// The verbs whose `--help` lists options.
const VERBS: &[&[&str]] = &[
    &["serve"],
    &["connect"],
    &["ping"],
    &["bench"],
    &["bench", "report"],
    &["lab", "explain"],
    &["lab", "run"],
    &["lab", "learn"],
    &["lab", "shell"],
    &["lab", "test"],
    &["lab", "site"],
];

/// Options of other programs that the pages name.
const OTHERS: &[&str] =
    &["--path", "--release", "--workspace", "--manifest-path", "--lib", "--bench", "--test"];

#[test]
fn every_option_that_the_pages_name_exists() {
    let help = VERBS.iter().map(|verb| {
        let output = Command::new(env!("CARGO_BIN_EXE_tcpecho")).args(*verb).arg("--help").output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    });
    let help: String = help.collect();
    for (name, _, text) in pages() {
        let shown = text.split('`').filter(|code| code.starts_with("--"));
        for option in shown.map(|code| code.split([' ', '=', '[', '/']).next().unwrap()) {
            let known = help.contains(option) || OTHERS.contains(&option);
            assert!(known, "{name}: {option} is in no --help");
        }
    }
}

/// What a user reads without opening a page: the help texts, and the tables of causes, endings and scenarios.
#[test]
fn help_texts_and_tables_use_the_terms_of_the_field() {
    let printed = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tcpecho")).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let mut texts = vec![
        ("--help".to_owned(), printed(&["--help"])),
        ("lab --help".to_owned(), printed(&["lab", "--help"])),
        ("lab explain all".to_owned(), printed(&["lab", "explain", "all"])),
    ];
    texts
        .extend(VERBS.iter().map(|verb| (verb.join(" "), printed(&[*verb, &["--help"]].concat()))));
    for case in tcpecho::internal::CASES {
        texts.push((case.word.to_owned(), format!("{}; {}", case.cause, case.advice)));
    }
    for row in tcpecho::internal::ENDINGS {
        texts.push((row.word.to_owned(), format!("{}; {}", row.sentence, row.advice)));
    }
    for (name, text) in texts {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        for phrase in NOT_PLAIN {
            assert!(!text.contains(phrase), "{name}: {phrase:?}");
        }
    }
}

#[test]
fn every_help_with_a_duration_says_how_one_is_written() {
    for verb in ["serve", "connect", "ping", "bench"] {
        for help in ["-h", "--help"] {
            let output = Command::new(env!("CARGO_BIN_EXE_tcpecho")).args([verb, help]).output();
            let text = String::from_utf8(output.unwrap().stdout).unwrap();
            let names = ["<TIME>", "<INTERVAL>", "<IDLE[", "<TIMEOUT>"];
            let takes_one = names.iter().any(|name| text.contains(name));
            assert_eq!(takes_one, text.contains("500ms, 2s or 1m30s"), "{verb} {help}: {text}");
        }
    }
}

/// docs/diagnosis.md; run this test with TCPECHO_WRITE_DOCS=1 to write it.
#[test]
fn the_page_of_cases_is_the_table() {
    let mut page = String::from(
        "# Diagnosis: every cause that connect knows\n\n\
         `tcpecho connect` prints the first case of this table that fits the evidence. `--json` has its name in `case`. A cause\n\
         that is a guess begins with \"probably\". Words in braces are placeholders for values of the evidence. This page is\n\
         generated from the table in the code (`TCPECHO_WRITE_DOCS=1 cargo test -p tcpecho-cli --test docs`).\n\n\
         | case | ending | means | try |\n|---|---|---|---|\n",
    );
    for case in tcpecho::internal::CASES {
        let guess = if case.certain { "" } else { "probably " };
        let (word, ending, cause, advice) = (case.word, case.ending, case.cause, case.advice);
        page = format!("{page}| {word} | {ending} | {guess}{cause} | {advice} |\n");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/diagnosis.md");
    if std::env::var_os("TCPECHO_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/diagnosis.md is not what the table says");
}

/// docs/faults.md; run this test with TCPECHO_WRITE_DOCS=1 to write its tables.
#[test]
fn the_page_of_faults_has_the_tables() {
    let escaped = |text: &str| text.replace('|', "\\|");
    let steps = tcpecho::internal::STEPS.iter();
    let step = |row: &tcpecho::internal::StepRow| {
        format!("| `{}` | {} |\n", escaped(row.syntax), escaped(row.meaning))
    };
    let steps: Vec<String> = steps.map(step).collect();
    let preset = |preset: &tcpecho::Preset| {
        let equals = if preset.parameter.is_empty() { "" } else { "=" };
        let (name, parameter, ending) = (preset.name, preset.parameter, preset.ending);
        // Its steps, not the name that it was made from.
        let steps = preset.script().map_or("(listener)".to_owned(), |script| {
            let steps: Vec<String> = script.steps().iter().map(ToString::to_string).collect();
            format!("`{}` is `{}`", escaped(preset.example), escaped(&steps.join("; ")))
        });
        let sentence = escaped(preset.sentence);
        format!("| `{name}{equals}{parameter}` | {steps} | {sentence} | {ending} |\n")
    };
    let presets: Vec<String> = tcpecho::PRESETS.iter().map(preset).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/faults.md");
    let _writing = WRITING.lock();
    let mut written = std::fs::read_to_string(path).unwrap();
    for (head, rows) in [
        ("| step | what it does |\n|---|---|\n", steps),
        (
            "| preset | script | what the server does | ending of a client |\n|---|---|---|---|\n",
            presets,
        ),
    ] {
        let rows = rows.concat();
        let from = written.find(head).unwrap() + head.len();
        let to = from + written[from..].find("\n\n").map_or(0, |at| at + 1);
        let to = if written[from..].starts_with('\n') { from } else { to };
        if std::env::var_os("TCPECHO_WRITE_DOCS").is_some() {
            written.replace_range(from..to, &rows);
            std::fs::write(path, &written).unwrap();
        }
        assert!(written[from..].starts_with(&rows), "docs/faults.md does not have the table");
    }
}

/// Every case is created for real by a test, or is listed here with the reason why it is not.
#[test]
fn every_case_has_a_situation_or_a_reason() {
    let without = [
        // Of a stream without messages nobody knows that an answer has begun; tests/ping has it.
        "partly-answered",
        // The whole host's limits, and families that a kernel was built without.
        "no-descriptors-anywhere",
        "no-memory",
        "no-such-family",
        // Sandboxes, for which the lab has no tool.
        "socket-forbidden",
        "source-refused",
        "own-rule",
        "refused-by-rule",
        "local-error",
        // Options that `connect` does not have, or sets to values that it has checked; a kernel that lacks one.
        "no-such-device",
        "option-forbidden",
        "option-out-of-range",
        "option-unknown",
        // A kernel before 4.2, which has no IP_BIND_ADDRESS_NO_PORT.
        "source-ports-exhausted",
        // An interface that goes, or an ICMP error that is lost, between two calls of ours.
        "no-source-address",
        "interface-down",
        "interface-gone",
        "host-unreachable-unexplained",
        "network-unreachable-unexplained",
        // A signal ends the run, and the message names it.
        "interrupted",
        // The call that reports it depends on which is faster, the RST or the client.
        "reset-in-handshake",
        "broken-pipe",
    ];
    let errnos = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errnos.md");
    let errnos = std::fs::read_to_string(errnos).unwrap();
    // This part of the page has errnos that the kernel returned.
    let (errnos, _) = errnos.split_once("\n## connect(2)").unwrap();
    let tables =
        ["names", "local", "handshake", "established", "silent", "firewall"].map(|table| {
            let path = format!("{}/tests/situations/{table}.rs", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).unwrap()
        });
    let tables = tables.concat();
    for case in tcpecho::internal::CASES {
        let played = tables.contains(&format!("\"{}\"", case.word))
            || errnos.contains(&format!("| {} |", case.word));
        assert_ne!(played, without.contains(&case.word), "{}", case.word);
    }
}

/// The table of docs/gallery.md; run this test with TCPECHO_WRITE_DOCS=1 to write it.
#[test]
fn the_page_of_the_gallery_has_the_table() {
    let mut gallery = Command::new(env!("CARGO_BIN_EXE_tcpecho"))
        .args(["serve", "--gallery", "--json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(gallery.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    gallery.kill().unwrap();
    gallery.wait().unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let first = ready["faults"][0]["port"].as_u64().unwrap() - 1;
    let row = |row: &serde_json::Value| {
        let place = row["port"].as_u64().unwrap() - first;
        let name = row["fault"].as_str().map_or_else(|| text(&row["name"]), str::to_owned);
        format!("| +{place} | `{name}` | {} | {} |\n", text(&row["ending"]), text(&row["expect"]))
    };
    let rows: String = ready["faults"].as_array().unwrap().iter().map(row).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/gallery.md");
    let _writing = WRITING.lock();
    let mut written = std::fs::read_to_string(path).unwrap();
    let head = "| port | fault | ending | a correct client |\n|---|---|---|---|\n";
    let from = written.find(head).unwrap() + head.len();
    let to = from + written[from..].find("\n## ").unwrap();
    if std::env::var_os("TCPECHO_WRITE_DOCS").is_some() {
        written.replace_range(from..to, &rows);
        std::fs::write(path, &written).unwrap();
    }
    assert_eq!(written[from..from + rows.len().min(written.len() - from)], rows);
}
