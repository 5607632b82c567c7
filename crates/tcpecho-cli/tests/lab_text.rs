//! The text that `tcpecho lab` prints: in terminals of 120, 80 and 60 columns, and in a pipe.
//!
//! `tests/lab_text/NAME.txt` has what is expected. `TCPECHO_WRITE_DOCS=1` writes these files.

#[path = "common/lab.rs"]
mod support;
#[path = "common/terminal.rs"]
mod terminal;

use std::{collections::BTreeMap, path::Path, process::Command};

use support::{lab, shown, text, typed};
use tcpecho_lab::scenario::SCENARIOS;
use terminal::Terminal;

const WIDTHS: [usize; 3] = [120, 80, 60];

/// What `tcpecho lab` prints in a terminal of this width, without colours; prints SKIP and returns
/// nothing without script(1).
fn in_terminal(columns: usize, args: &str) -> Option<String> {
    coloured(columns, args).map(|shown| plain(&shown))
}

/// The text without colours.
fn plain(coloured: &str) -> String {
    let mut plain = String::new();
    let mut rest = coloured;
    while let Some((before, escape)) = rest.split_once("\x1b[") {
        plain += before;
        rest = escape.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, after)| after);
    }
    plain + rest
}

fn coloured(columns: usize, args: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_tcpecho");
    let command = format!("stty cols {columns} rows 40 && exec '{program}' lab {args}");
    let script = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .env("PATH", path())
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
        .stdin(std::process::Stdio::null())
        .output();
    let Ok(output) = script else {
        println!("SKIP: no script(1)");
        return None;
    };
    if output.status.code() == Some(77) {
        println!("SKIP: no hosts can be made here");
        return None;
    }
    Some(text(&output.stdout).replace('\r', ""))
}

fn snapshot(name: &str, found: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/lab_text/{name}.txt"));
    if std::env::var_os("TCPECHO_WRITE_DOCS").is_some() {
        std::fs::write(&file, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(expected == found, "{}: expected\n{expected}\nfound\n{found}", file.display());
}

fn fits(columns: usize, shown: &str) {
    for line in shown.lines() {
        let width = line.chars().count();
        assert!(width <= columns, "{width} of {columns} columns: {line}");
    }
}

/// The packets of a ladder and then its columns, steps and claims, with masked times and ports, and
/// without lanes. The calls and states between them come in no certain order.
fn outline(ladder: &str) -> String {
    let (mut packets, mut lines) = (Vec::new(), Vec::new());
    let (mut is_begun, mut is_kept, mut is_packet) = (false, false, false);
    for line in ladder.lines() {
        let time = line.split_once(" ms").filter(|(time, _)| time.trim().parse::<f64>().is_ok());
        // A continuation belongs to the line before.
        let is_continued = is_begun && time.is_none() && line.starts_with("            ");
        let row = match time {
            Some((_, what)) => {
                is_begun = true;
                is_kept = what.contains(['─', '✓', '✗']) || what.contains("== ");
                is_packet = what.contains('─');
                format!("     #.# ms{}", without_lanes(what))
            }
            None if is_continued => without_lanes(line),
            None => {
                (is_kept, is_packet) = (true, false);
                line.into()
            }
        };
        if is_kept {
            if is_packet { &mut packets } else { &mut lines }.push(masked_ports(&row));
        }
    }
    packets.append(&mut lines);
    packets.join("\n") + "\n"
}

fn without_lanes(row: &str) -> String {
    row.replace(['│', '┊', '*'], " ").trim_end().into()
}

/// `:49152` as `:PORT!`, which has as many letters.
fn masked_ports(line: &str) -> String {
    let mut masked = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(':') {
        let digits = after.chars().take_while(char::is_ascii_digit).count();
        masked += before;
        masked += if digits == 5 { ":PORT#" } else { ":" };
        rest = if digits == 5 { &after[5..] } else { after };
    }
    masked + rest
}

#[test]
fn a_ladder_names_its_columns_and_fits() {
    for columns in WIDTHS {
        let Some(ladder) = in_terminal(columns, "run refused") else { return };
        fits(columns, &ladder);
        snapshot(&format!("ladder-{columns}"), &outline(&ladder));
    }
    let Some(ladder) = shown(&lab(&["run", "refused"])) else { return };
    snapshot("ladder-pipe", &outline(&ladder));
    let client = "connect(3, 198.51.100.20:7) = ECONNREFUSED";
    for part in ["socket(AF_INET) = fd 3", client, "listen(3, 10) = 0"] {
        assert!(ladder.contains(part), "{part}:\n{ladder}");
    }
}

#[test]
fn a_ladder_ends_with_the_experiment() {
    let Some(ladder) = shown(&lab(&["run", "refused"])) else { return };
    assert!(!ladder.contains("power off") && !ladder.contains("killed by"), "{ladder}");
    let Some(ladder) = shown(&lab(&["run", "server-host-crashes"])) else { return };
    assert_eq!(ladder.matches("power off").count(), 1, "{ladder}");
}

#[test]
fn packets_are_named_by_the_packets_before() {
    for (scenario, names) in [
        ("segment-lost", &["retransmission", "sack=4-7, duplicate ACK"][..]),
        ("zero-window", &["win=0, zero window", "win=64256, probe", "window update"]),
        ("segment-doubled", &["dsack="]),
    ] {
        let Some(ladder) = shown(&lab(&["run", scenario])) else { return };
        for name in names {
            assert!(ladder.contains(name), "{name}:\n{ladder}");
        }
    }
    let Some(ladder) = shown(&lab(&["run", "normal-startup"])) else { return };
    assert!(!ladder.contains("retransmission") && !ladder.contains("duplicate"), "{ladder}");
}

/// The decisive fields of these scenarios.
#[test]
fn the_decisive_fields_are_in_the_ladder() {
    for (scenario, parts) in [
        ("fast-open", &[" mss=1460 ws=7 sack ts fo=request ", " fo=cookie "][..]),
        ("old-timestamp", &[" old ts, injected"]),
        ("urgent-data", &[" urg="]),
        ("blind-reset", &[" RST seq=-99994, ", " SYN seq=1006 ", " ACK seq=1 ack=6 "]),
        ("syn-meets-time-wait", &[" SYN seq=-100000 ", " ACK seq=2 ack=2 "]),
    ] {
        let Some(ladder) = shown(&lab(&["run", scenario])) else { return };
        for part in parts {
            assert!(ladder.contains(part), "{scenario}: {part}:\n{ladder}");
        }
    }
}

/// No packet tells of these changes: the states are sampled after an agent's calls, too.
#[test]
fn states_change_without_packets() {
    for (scenario, call, change) in [
        ("server-host-crashes", "= ETIMEDOUT", ["client", " -"]),
        ("exec-inherits", "execve", ["server", ":7 -"]),
        ("self-connection", "connect", ["client", " ESTABLISHED"]),
        ("self-connection", "close", ["client", " TIME_WAIT"]),
    ] {
        let (Some(ladder), Some(objects)) = (
            shown(&lab(&["run", scenario])),
            shown(&lab(&["run", scenario, "--format", "ndjson"])),
        ) else {
            return;
        };
        assert!(ladder.contains(call), "{scenario}: {call}:\n{ladder}");
        let [host, state] = change;
        let changes = objects.lines().filter(|line| line.contains(r#""what":"state""#));
        let is_it = |line: &&str| {
            line.contains(&format!(r#""place":"{host}""#)) && line.contains(&format!("{state}\""))
        };
        assert!(changes.filter(is_it).count() > 0, "{scenario}: {change:?}:\n{objects}");
    }
}

/// The page names connections as the text does, and has a bar for each socket.
#[test]
fn the_page_tells_connections_apart() {
    let args = ["run", "reuseport-listener-closes", "--format", "html"];
    let Some(page) = shown(&lab(&args)) else { return };
    let resets: Vec<&str> = page.lines().filter(|line| line.contains(" RST-ACK seq=1")).collect();
    assert!(!resets.is_empty(), "{page}");
    for line in resets {
        let (_, packet) = line.split_once("</span>:").unwrap_or_else(|| panic!("{line}"));
        assert!(packet.starts_with(|port: char| port.is_ascii_digit()), "{line}");
    }
    let most = page.lines().map(|line| line.matches("<i class=\"lane g-established\"").count());
    assert!(most.max() >= Some(6), "the client's and the server's connections");
}

/// What a child does has a beginning and an end.
#[test]
fn children_and_loops_are_in_the_ladder() {
    for (scenario, parts) in [
        ("parent-keeps-connfd", &["fork() = child 3 ", "child 3 exited with 0 "][..]),
        ("exec-inherits", &["execve(\"/proc/self/exe\") "]),
        ("signal-dispositions", &["killed by SIGTERM"]),
    ] {
        let Some(ladder) = shown(&lab(&["run", scenario])) else { return };
        for part in parts {
            assert!(ladder.contains(part), "{scenario}: {part}:\n{ladder}");
        }
    }
}

/// In a pipe, a long text is wrapped: the lanes stay where they are.
#[test]
fn a_ladder_in_a_pipe_has_the_same_columns() {
    let Some(ladder) = shown(&lab(&["run", "slow-start"])) else { return };
    let rows = ladder.lines().filter(|row| row.contains(" ms ") || row.starts_with("      "));
    for row in rows {
        assert!(row.chars().count() <= 114, "{row}\n{ladder}");
    }
    assert!(!ladder.contains("2147483647"), "{ladder}");
}

/// The columns of the lines next to the packets, in a terminal of this width: the client's first
/// and the server's first.
fn lines_of_sockets(columns: usize) -> (usize, usize) {
    match columns {
        120 => (22, 107),
        80 => (22, 67),
        60 => (15, 54),
        _ => panic!("{columns}"),
    }
}

/// In ASCII, `…` is three letters wide: the lines stay where they are.
#[test]
fn a_ladder_in_ascii_has_the_same_columns() {
    let script = |locale: &str| {
        let command = format!(
            "stty cols 80 rows 40 && LC_ALL={locale} '{}' lab run normal-startup",
            env!("CARGO_BIN_EXE_tcpecho")
        );
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).env("TERM", "xterm").env("NO_COLOR", "1");
        script.stdin(std::process::Stdio::null()).output()
    };
    let Ok(ended) = script("C") else { return println!("SKIP: no script(1)") };
    if ended.status.code() == Some(77) {
        return println!("SKIP: no hosts can be made here");
    }
    let ladder = text(&ended.stdout).replace('\r', "");
    assert!(ladder.is_ascii() && ladder.contains("connect(3, 198.51.100.20:7) ..."), "{ladder}");
    fits(80, &ladder);
    let (_, server) = lines_of_sockets(80);
    let listening = ladder.lines().skip_while(|row| !row.ends_with(" LISTEN")).skip(1);
    for row in listening.take_while(|row| row.starts_with("   ")) {
        assert_eq!(row.as_bytes()[server], b'!', "{ladder}");
    }
}

/// A line begins with a socket's first state and ends with the socket, at each width.
#[test]
fn the_line_of_a_socket_has_no_gaps() {
    for (scenario, sockets) in [("server-process-killed", [2, 3]), ("half-close", [1, 2])] {
        for columns in WIDTHS {
            let Some(ladder) = in_terminal(columns, &format!("run {scenario}")) else { return };
            fits(columns, &ladder);
            let is_row = |row: &&str| row.contains(" ms ") || row.starts_with("            ");
            let rows: Vec<Vec<char>> = ladder
                .lines()
                .skip_while(|row| !row.contains(" ms "))
                .filter(is_row)
                .map(|row| row.chars().collect())
                .collect();
            let (client, server) = lines_of_sockets(columns);
            let mut seen = [0, 0];
            for line in 0..6 {
                for (side, at) in
                    [client.checked_sub(line * 2), Some(server + line * 2)].into_iter().enumerate()
                {
                    let Some(at) = at.filter(|at| *at >= 12) else { continue };
                    let mut last = ' ';
                    for row in &rows {
                        let now = row.get(at).copied().unwrap_or(' ');
                        // The name of the line before may reach into this column.
                        let is_line = matches!(now, '│' | '┊' | '*' | '-');
                        let is_cut = now == ' ' && matches!(last, '│' | '┊' | '*');
                        assert!(!is_cut, "{scenario}, {columns}, {at}:\n{ladder}");
                        seen[side] = seen[side].max(if is_line { line + 1 } else { 0 });
                        last = now;
                    }
                }
            }
            assert_eq!(seen, sockets, "{scenario}, {columns}:\n{ladder}");
        }
    }
}

/// Two connections: each packet and each change says which.
#[test]
fn several_connections_are_told_apart() {
    let args = ["run", "server-process-killed", "--format", "markdown"];
    let Some(page) = shown(&lab(&args)) else { return };
    let mut sockets: BTreeMap<(bool, String), Vec<String>> = BTreeMap::new();
    for line in page.lines().filter(|line| line.contains(" ms ")) {
        let what = without_lanes(line.split_once(" ms").unwrap().1);
        assert!(!what.contains('─') || what.contains(" :"), "which connection? {line}");
        if !what.contains(" → ") {
            continue;
        }
        let is_server = what.starts_with(&" ".repeat(40));
        let words: Vec<&str> = what.split_whitespace().collect();
        let [port, states @ ..] = words.as_slice() else { panic!("{line}") };
        assert!(port.starts_with(':'), "which connection? {line}");
        let known = sockets.entry((is_server, (*port).into())).or_default();
        known.extend(states.iter().map(|state| (*state).into()));
    }
    assert!(sockets.len() >= 2, "{page}");
}

/// A client that hides its exit status.
const CLIENT: &str = "sh -c 'tcpecho connect {host} {port} 2>&-; echo one >&2; echo end >&2'";

#[test]
fn verdicts_are_aligned_and_fit() {
    let args = format!("test --client \"{CLIENT}\" short-counts refused prohibited-during-connect");
    for columns in WIDTHS {
        let Some(table) = in_terminal(columns, &args) else { return };
        // A quoted word of a command to be copied is not broken.
        let table: String = without_progress(&table);
        let may_break = |line: &&str| !line.trim_start().starts_with("\"sh -c 'tcpecho ");
        fits(columns, &table.lines().filter(may_break).collect::<Vec<_>>().join("\n"));
        snapshot(&format!("verdicts-{columns}"), &masked_times(&table));
    }
    let mut piped = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
    piped.env("PATH", path()).args(["lab", "test", "--client", CLIENT]);
    piped.args(["short-counts", "refused", "prohibited-during-connect"]);
    snapshot("verdicts-pipe", &masked_times(&text(&piped.output().unwrap().stdout)));
}

#[test]
fn verdicts_have_colours_in_a_terminal_only() {
    let args = format!("test --client \"{CLIENT}\" short-counts refused");
    let Some(table) = coloured(80, &args) else { return };
    assert!(table.contains("\x1b[31msilent\x1b[0m"), "{table}");
    assert!(table.contains("\x1b[32mright\x1b[0m"), "{table}");
}

/// The folders of programs, and first that of ours.
fn path() -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_tcpecho")).parent().unwrap().display();
    format!("{folder}:{}", std::env::var("PATH").unwrap_or_default())
}

/// What stays on the screen: the line that is drawn anew is removed in the end.
fn without_progress(shown: &str) -> String {
    let start = shown.rfind("done: ").map_or(0, |at| at + "done: ".len());
    shown[start..].into()
}

/// `12 ms` and `4.1 s` as `# ms` and `# s`, with the same number of letters.
fn masked_times(table: &str) -> String {
    let mut masked: Vec<char> = table.chars().collect();
    for at in 0..masked.len() {
        let rest: String = masked[at..].iter().take(4).collect();
        if rest.starts_with(" ms ") || rest.starts_with(" s\n") || rest.starts_with(" s ") {
            let is_number = |c: char| c.is_ascii_digit() || c == '.';
            let digits = masked[..at].iter().rev().take_while(|c| is_number(**c)).count();
            // A short time is aligned to the right of its column.
            let start = at - digits;
            masked[start..at].fill(' ');
            masked[at - 1] = '#';
        }
    }
    masked.into_iter().collect()
}

#[test]
fn the_doctor_begins_with_its_conclusion_and_fits() {
    for columns in WIDTHS {
        let Some(report) = in_terminal(columns, "doctor") else { return };
        fits(columns, &report);
        assert!(report.starts_with("The lab can be used here: "), "{report}");
        let piped = text(&lab(&["doctor"]).stdout);
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&report), words(&piped));
    }
}

#[test]
fn an_explanation_fits_and_has_no_markup() {
    for columns in WIDTHS {
        let Some(page) = in_terminal(columns, "explain segment-lost") else { return };
        fits(columns, &page);
        snapshot(&format!("explain-{columns}"), &page);
    }
    snapshot("explain-pipe", &text(&lab(&["explain", "segment-lost"]).stdout));
    let coloured = coloured(80, "explain refused").unwrap();
    assert!(coloured.starts_with("\x1b[1mrefused: "), "{coloured}");
    let several = text(&lab(&["explain", "refused", "half-*"]).stdout);
    assert!(several.contains("refused: ") && several.contains("\nhalf-close: "), "{several}");
    let unknown = lab(&["explain", "refused", "half-clse"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.stdout.is_empty() && text(&unknown.stderr).contains("mean 'half-close'"));
}

#[test]
fn the_list_fits() {
    for columns in WIDTHS {
        let Some(list) = in_terminal(columns, "list") else { return };
        fits(columns, &list);
        snapshot(&format!("list-{columns}"), &list);
    }
    snapshot("list-pipe", &text(&lab(&["list"]).stdout));
}

/// A course without its ladders and the number of its scenarios: of ladders, only the steps are left,
/// with masked times.
fn course_text(shown: &str) -> String {
    let shown = shown.replace(&format!(" of {} ", SCENARIOS.len()), " of ## ");
    let mut text = String::new();
    let (mut is_begun, mut is_ladder) = (false, false);
    for line in shown.lines().map(|line| line.trim_end_matches(['\r', '\x07'])) {
        let time = line.split_once(" ms").filter(|(time, _)| time.trim().parse::<f64>().is_ok());
        is_begun |= time.is_some();
        // A continuation belongs to the line before.
        let is_continued = is_begun && time.is_none() && line.starts_with("            ");
        if !is_continued {
            is_ladder = time.is_some_and(|(_, what)| !what.contains("== "));
        }
        if !is_ladder {
            let row = time.map_or_else(|| line.into(), |(_, what)| format!("     #.# ms{what}"));
            text += &if is_begun { without_lanes(&row) } else { row };
            text += "\n";
        }
    }
    text
}

/// One right answer, one that is none, a wrong one, and `q`.
#[test]
fn a_course_grades_each_answer_and_fits() {
    const ANSWERS: [&str; 4] = ["LISTEN", "perhaps", "SYN_RECV", "q"];
    let piped = typed(&["learn", "--seed", "3"], &ANSWERS.join("\n"));
    let Some(piped) = shown(&piped) else { return };
    snapshot("course-pipe", &course_text(&piped));

    let Some(mut terminal) = Terminal::new() else { return };
    terminal.runs("stty cols 60 rows 40");
    terminal.types(&format!("'{}' lab learn --seed 3\n", env!("CARGO_BIN_EXE_tcpecho")));
    terminal.sees("\n");
    let mut course = String::new();
    for answer in ANSWERS {
        course += &terminal.sees("\r\n> ");
        course += "\n> ";
        terminal.types(&format!("{answer}\n"));
    }
    course += &terminal.sees(terminal::PROMPT);
    let course = plain(&course).replace('\r', "");
    fits(60, &course);
    snapshot("course-60", &course_text(&course));
}
