//! Man pages, completion scripts, schemas and the version, as other programs see them.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

const COMMANDS: &[&str] = &[
    "",
    "serve",
    "connect",
    "ping",
    "bench",
    "bench report",
    "lab",
    "lab list",
    "lab explain",
    "lab run",
    "lab learn",
    "lab shell",
    "lab test",
    "lab site",
    "lab doctor",
    "man",
    "completions",
    "schema",
];

fn tcpecho(arguments: &str) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_tcpecho"))
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
}

/// What the program says of its input, on both streams; none if it is not installed.
fn complaints(program: &str, arguments: &[&str], input: &str) -> Option<String> {
    let child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("SKIP: {program} is not installed");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some(String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn every_command_has_a_page_and_no_other() {
    for command in COMMANDS {
        let (page, status) = tcpecho(&format!("man {command}"));
        assert_eq!(status, 0, "{command}");
        assert!(page.contains(".SH EXAMPLES"), "{command}");
    }
    let (page, status) = tcpecho("man nosuch");
    assert_eq!((page.as_str(), status), ("", 2));
}

#[test]
fn mandoc_accepts_the_pages() {
    for command in COMMANDS {
        let (page, _) = tcpecho(&format!("man {command}"));
        let Some(said) = complaints("mandoc", &["-T", "lint", "-W", "warning"], &page) else {
            return;
        };
        assert_eq!(said, "", "{command}");
    }
}

#[test]
fn groff_accepts_the_pages() {
    for command in COMMANDS {
        let (page, _) = tcpecho(&format!("man {command}"));
        // What `man --warnings` runs; -z formats and prints nothing.
        let Some(said) = complaints("groff", &["-man", "-Tutf8", "-ww", "-z"], &page) else {
            return;
        };
        assert_eq!(said, "", "{command}");
    }
}

#[test]
fn the_synopsis_has_the_values_of_the_options() {
    let (page, _) = tcpecho("man lab shell");
    let synopsis = page.lines().skip_while(|line| *line != ".SH SYNOPSIS").nth(1).unwrap();
    assert!(synopsis.contains("\\-\\-seed\\fR \\fIN\\fR]"), "{synopsis}");
    assert!(!page.contains("[\\fB\\-\\-seed\\fR]"), "{page}");
}

/// Lines with an `=` and titles of sections are all that a unit file has, besides comments.
#[test]
fn the_systemd_unit_can_be_copied() {
    let (help, _) = tcpecho("serve --help");
    let unit = help.lines().skip_while(|line| !line.starts_with("systemd unit"));
    let unit: Vec<&str> = unit.skip(1).take_while(|line| !line.ends_with(':')).collect();
    for section in ["[Unit]", "[Service]", "[Install]"] {
        assert!(unit.contains(&format!("  {section}").as_str()), "{unit:#?}");
    }
    for line in unit.into_iter().map(str::trim).filter(|line| !line.is_empty()) {
        let is_comment = line.starts_with('#');
        assert!(is_comment || line.starts_with('[') || line.contains('='), "{line}");
    }
}

#[test]
fn hidden_commands_are_not_completed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, _) = tcpecho(&format!("completions {shell}"));
        assert!(script.contains("doctor") && !script.contains("agent"), "{shell}");
    }
    let script = "source ./tcpecho; COMP_WORDS=(tcpecho man ''); COMP_CWORD=2; \
                  _tcpecho tcpecho '' man; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let Some(proposals) = completed("bash", script) else { return };
    assert!(proposals.iter().any(|word| word == "lab"), "{proposals:?}");
    assert!(proposals.iter().all(|word| word != "run" && word != "report"), "{proposals:?}");
}

#[test]
fn a_command_without_its_verb_shows_what_there_is() {
    let (help, status) = tcpecho("lab");
    assert_eq!(status, 0);
    assert!(help.contains("Usage: tcpecho lab <COMMAND>"), "{help}");
}

/// Runs a script in the shell, in a directory with the completion script `tcpecho`.
fn completed(shell: &str, script: &str) -> Option<Vec<String>> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let (text, status) = tcpecho(&format!("completions {shell}"));
    assert_eq!(status, 0);
    let (pid, number) = (std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let dir = std::env::temp_dir().join(format!("tcpecho-completions-{pid}-{number}"));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("tcpecho"), text).unwrap();
    let output =
        Command::new(shell).current_dir(&dir).env("HOME", &dir).args(["-c", script]).output();
    fs::remove_dir_all(&dir).unwrap();
    let Ok(output) = output else {
        println!("SKIP: {shell} is not installed");
        return None;
    };
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

/// Command lines to be completed, and what must be among the proposals.
const LINES: &[(&[&str], &str)] = &[
    (&["tcpecho", "con"], "connect"),
    (&["tcpecho", "serve", "--engine", "ur"], "uring"),
    (&["tcpecho", "bench", "--workload", "str"], "stream"),
    (&["tcpecho", "lab", "run", "half-"], "half-close"),
    (&["tcpecho", "lab", "learn", "zero-"], "zero-window"),
    (&["tcpecho", "lab", "learn", "--from", "half-"], "half-close"),
    (&["tcpecho", "lab", "test", "server-process-k"], "server-process-killed"),
    (&["tcpecho", "schema", "bench-"], "bench-comparison"),
    (&["tcpecho", "serve", "-e", "ur"], "uring"),
    (&["tcpecho", "serve", "--idle-t"], "--idle-timeout"),
    (&["tcpecho", "serve", "--log", "j"], "json"),
    (&["tcpecho", "bench", "--engines", "ite"], "iterative"),
    (&["tcpecho", "bench", "-W", "str"], "stream"),
    (&["tcpecho", "bench", "--driver", "ep"], "epoll"),
    (&["tcpecho", "bench", "--close", "re"], "reset"),
    (&["tcpecho", "bench", "localhost", "--connect-r"], "--connect-rate"),
    (&["tcpecho", "bench", "rep"], "report"),
    (&["tcpecho", "bench", "report", "--ht"], "--html"),
    (&["tcpecho", "ping", "--timestamps", "ker"], "kernel"),
    (&["tcpecho", "lab", "run", "half-close", "segment-l"], "segment-lost"),
    (&["tcpecho", "lab", "run", "--format", "nd"], "ndjson"),
    (&["tcpecho", "lab", "explain", "segment-l"], "segment-lost"),
    (&["tcpecho", "lab", "learn", "segment-l"], "segment-lost"),
    (&["tcpecho", "lab", "doc"], "doctor"),
    (&["tcpecho", "man", "connec"], "connect"),
    (&["tcpecho", "man", "lab", "ru"], "run"),
    (&["tcpecho", "lab", "run", "queu"], "queues"),
    (&["tcpecho", "lab", "list", "data-"], "data-transfer"),
    (&["tcpecho", "completions", "zs"], "zsh"),
];

#[test]
fn bash_completes() {
    for (words, expected) in LINES {
        let script = format!(
            "source ./tcpecho; COMP_WORDS=({}); COMP_CWORD={}; _tcpecho tcpecho {} {}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let Some(proposals) = completed("bash", &script) else { return };
        assert!(proposals.iter().any(|word| word == expected), "{words:?}: {proposals:?}");
    }
}

#[test]
fn fish_completes() {
    for (words, expected) in LINES {
        let script = format!("source ./tcpecho; complete -C '{}'", words.join(" "));
        let Some(proposals) = completed("fish", &script) else { return };
        let words_only = proposals.iter().filter_map(|line| line.split('\t').next());
        assert!(words_only.into_iter().any(|word| word == *expected), "{words:?}: {proposals:?}");
    }
}

/// The completion system of zsh needs a terminal, which zsh/zpty makes: a line and Tab are typed, and after that a key which
/// shows the line and what was proposed below it.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty terminal zsh -f -i
until_seen() {
    local piece; REPLY=
    while [[ $REPLY != *$1* ]]; do zpty -r terminal piece || exit 1; REPLY+=$piece; done
}
zpty -w terminal 'PROMPT=; stty rows 900 columns 300; LISTMAX=10000; autoload -Uz compinit; compinit -D -u
. ./tcpecho; shown() { zle -I; print -r -- "<$BUFFER>do""ne"; BUFFER= }; zle -N shown; bindkey "^X" shown; print rea""dy'
until_seen ready
while read -r line; do
    zpty -w -n terminal $line$'\t\x18'
    until_seen done
    print -r -- "$line: ${(V)${REPLY//$'\n'/ }}"
done"#;

#[test]
fn zsh_completes_on_a_terminal() {
    let lines: Vec<String> = LINES.iter().map(|(words, _)| words.join(" ")).collect();
    let script = format!("{ZSH} <<'END'\n{}\nEND\n", lines.join("\n"));

    let Some(shown) = completed("zsh", &script) else { return };
    assert_eq!(shown.len(), LINES.len(), "{shown:#?}");
    for ((words, expected), shown) in LINES.iter().zip(shown) {
        // What was typed is a part of the word only, so the whole word was proposed.
        assert!(shown.contains(expected), "{words:?}: {shown}");
    }
}

#[test]
fn schemas_are_listed_and_printed() {
    let (list, status) = tcpecho("schema");
    assert_eq!(status, 0);
    for line in list.lines() {
        let name = line.split(' ').next().unwrap();
        let (schema, status) = tcpecho(&format!("schema {name}"));
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        assert_eq!(
            (status, schema["type"].is_null() && schema["oneOf"].is_null()),
            (0, false),
            "{name}"
        );
    }
    assert!(list.lines().count() >= 5, "{list}");
    assert_eq!(tcpecho("schema nosuch").1, 2);
}

#[test]
fn the_version_tells_the_build_and_the_kernel() {
    let (text, status) = tcpecho("--version");
    assert_eq!(status, 0);
    assert!(text.starts_with(concat!("tcpecho ", env!("CARGO_PKG_VERSION"), " (")), "{text}");
    assert!(text.contains("\nkernel: ") && text.contains("\nengines: "), "{text}");
    let (text, _) = tcpecho("-V");
    assert_eq!(text, concat!("tcpecho ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn without_arguments_there_is_a_page_to_start_from() {
    let (text, status) = tcpecho("");
    assert_eq!(status, 0);
    assert!(text.contains("$ tcpecho serve") && text.contains("$ tcpecho lab"), "{text}");
}

#[test]
fn usage_errors_have_no_words_of_rust() {
    for line in [
        "serve -p 99999",
        "serve -p x/",
        "serve --workers 0",
        "serve --backlog x",
        "serve -m 0",
        "bench -c 0",
        "bench -n x",
        "bench --depth 0",
        "bench --rounds x",
        "bench -t 9999",
        "ping -c x",
        "lab run all --seed x",
        "lab run all --jobs 0",
        "lab test --client x --port 0 all",
        "bench report /no/such/file",
        "bench report Cargo.toml",
        "bench --hdr /no/such/file -n 1",
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
        let output = command.args(line.split(' ')).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_ne!(output.status.code(), Some(0), "{line}");
        assert!(!said.is_empty(), "{line}");
        for word in
            ["..", "os error", "invalid digit", "invalid float", "ParseError", "Os {", "(0x"]
        {
            assert!(!said.contains(word), "{line}: {word:?} in {said}");
        }
    }
}

#[test]
fn only_a_near_option_is_suggested() {
    let said = |line: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
        let output = command.args(line.split(' ')).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (line, suggestion) in [
        ("bench --conections 3", "'--connections'"),
        ("ping --cuont 3", "'--count'"),
        ("srve", "'serve'"),
    ] {
        let said = said(line);
        assert!(said.contains("similar") && said.contains(suggestion), "{line}: {said}");
    }
    for line in ["connect --count 3", "connect --cont", "schema nosuch", "ping --sweep"] {
        let said = said(line);
        assert!(!said.contains("similar"), "{line}: {said}");
    }
}

/// `tcpecho ARGS` as a shell runs it in a terminal of this size; nothing without script(1).
fn in_terminal(size: &str, arguments: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_tcpecho");
    let output = Command::new("script")
        .args(["-qec", &format!("stty {size} && '{program}' {arguments}"), "/dev/null"])
        .env("SHELL", "/bin/sh")
        .env("NO_COLOR", "1")
        .env("TERM", "dumb")
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        println!("SKIP: no script(1)");
        return None;
    };
    Some(String::from_utf8(output.stdout).unwrap().replace('\r', ""))
}

/// The lines that end before the width although the next word, which continues the paragraph, fits.
fn broken(help: &str, width: usize) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    // A line of a unit file.
    let is_setting = |text: &str| {
        let name = text.split('=').next().unwrap_or_default();
        text.contains('=') && name.chars().all(char::is_alphanumeric)
    };
    // A term and what it means, a value, an option, or a comment.
    let is_row = |line: &str| {
        let text = line.trim_start();
        text.contains("  ")
            || text.starts_with(['-', '[', '<', '#'])
            || text.starts_with("tcpecho ")
            || is_setting(text)
    };
    let is_head = |line: &str| {
        let text = line.trim_start();
        let is_term = indent(line) <= 6 && text.starts_with(['-', '[', '<']);
        // A command line, and the last line of one.
        let is_command = text.starts_with("tcpecho ") || indent(line) == 4;
        is_term || is_command || text.ends_with([':', '\\']) || text.starts_with("Usage: ")
    };
    let lines: Vec<&str> = help.lines().collect();
    let mut broken = Vec::new();
    for pair in lines.windows(2) {
        let [line, next] = pair else { continue };
        // A few words in parentheses stay together.
        let next = next.trim_end();
        let together = next.trim_start().split_inclusive(')').next();
        let together = together.filter(|words| words.starts_with('(') && words.len() <= 18);
        let Some(word) = together.or(next.split_whitespace().next()) else { continue };
        let continues = !line.trim().is_empty() && indent(next) >= indent(line);
        let would_fit = line.chars().count() + 1 + word.chars().count() <= width;
        if continues && would_fit && !is_row(next) && !is_head(line) {
            broken.push(format!("{line}\n{next}"));
        }
    }
    broken
}

/// Also where only stdin is a terminal, and where the terminal does not tell its height.
#[test]
fn help_is_wrapped_once_at_the_width_of_the_terminal() {
    for command in COMMANDS {
        for columns in [60, 80, 100, 120] {
            let width = columns.min(100);
            let mut shown = Vec::new();
            for size in [format!("cols {columns} rows 40"), format!("cols {columns} rows 0")] {
                for pipe in ["", "2>&1 | cat"] {
                    let Some(help) = in_terminal(&size, &format!("{command} --help {pipe}")) else {
                        return;
                    };
                    assert_eq!(broken(&help, width), [""; 0], "{command}, {size} {pipe}:\n{help}");
                    assert!(help.lines().all(|line| line.chars().count() <= width), "{help}");
                    shown.push(help);
                }
            }
            assert!(shown.iter().all(|help| *help == shown[0]), "{command}, {columns}");
        }
    }
}
