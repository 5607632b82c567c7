//! The report on a terminal: its width, its colours, and what it says about itself.

use std::process::{Command, Stdio};

use crate::{bench, common::program};

/// Runs `bench ARGS` on a terminal of this width, which script(1) makes.
fn on_a_terminal(columns: u32, args: &str) -> Option<String> {
    let line = format!("stty cols {columns} && {} bench {args} < /dev/null", program());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("NO_COLOR", "");
    let Ok(output) = command.stdin(Stdio::null()).output() else {
        eprintln!("SKIP: no script(1) here");
        return None;
    };
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A line without its colours.
fn plain(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

#[test]
fn tables_and_sentences_fit_the_terminal_and_no_word_is_broken() {
    let wide = ["server", "messages/s", "spread", "times", "slower", "server time", "errors"];
    for columns in [120, 80, 60] {
        for (args, words) in [
            (
                "-q -n 2000 -R 20000",
                &["latency", "p99.99", "service   (from sent)", "throughput"][..],
            ),
            ("-q -d 100ms --rounds 1 --engines epoll,thread", &wide),
        ] {
            let Some(screen) = on_a_terminal(columns, args) else { return };
            let lines: Vec<String> = screen.lines().map(plain).collect();
            let longest = lines.iter().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= columns as usize, "{columns} columns, {longest}: {screen}");
            for word in words {
                assert!(lines.iter().any(|line| line.contains(word)), "no {word:?} in {screen}");
            }
        }
    }
}

/// terminfo(5): such a terminal cannot erase a line.
#[test]
fn a_dumb_terminal_gets_no_escape_sequences() {
    for (term, escapes) in [("xterm", true), ("dumb", false), ("", false)] {
        let line = format!("{} bench -d 1500ms -c 2 < /dev/null", program());
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("TERM", term).env("NO_COLOR", "1");
        let Ok(output) = command.stdin(Stdio::null()).output() else { return };
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("throughput"), "{shown:?}");
        assert_eq!(shown.contains('\u{1b}'), escapes, "{term}: {shown:?}");
    }
}

#[test]
fn a_pipe_has_lines_of_any_length_and_no_colours() {
    let ran = bench("-q -n 2000 -R 20000");
    ran.with(0);
    let titles = ran.out.lines().find(|line| line.starts_with("latency")).unwrap();
    assert!(titles.contains("p99.99") && titles.ends_with("max"), "{}", ran.out);
    assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'));
}

#[test]
fn failures_have_colour_on_a_terminal() {
    let Some(screen) = on_a_terminal(80, "-q -n 500 --fail-if 'p50>1us' --fail-if 'errors>0'")
    else {
        return;
    };
    assert!(screen.contains("\u{1b}[31mFAIL\u{1b}[0m p50>1us: "), "{screen:?}");
    assert!(screen.contains("\u{1b}[32mok\u{1b}[0m errors>0: 0, limit 0"), "{screen:?}");
}

#[test]
fn a_comparison_says_its_order_and_which_way_is_better() {
    let ran = bench("-q -d 200ms --rounds 1 --engines epoll,thread");
    ran.says("sorted by throughput, more is better; \"times slower\" is against the best");
    let ran = bench("-q -d 500ms --rounds 1 -R 1000 -c 10 --engines epoll,thread");
    ran.says("sorted by p99, less is better").says("times slower (p99)");
    let rows: Vec<&str> = ran.out.lines().skip_while(|line| !line.starts_with("server ")).collect();
    assert!(rows[1].contains("  1  "), "the best is first: {}", ran.out);
}

#[test]
fn streams_have_bits_beside_bytes() {
    let ran = bench("-q -W stream -d 500ms");
    let line = ran.out.lines().find(|line| line.starts_with("throughput")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let figure = |unit: &str| {
        let at = words.iter().position(|word| *word == unit);
        let at = at.unwrap_or_else(|| panic!("{unit}: {line}"));
        words[at - 1].replace(',', "").parse::<f64>().unwrap()
    };
    let (bytes, bits) = (figure("MB/s"), figure("Gbit/s"));
    assert!((bits - bytes * 8.0 / 1000.0).abs() <= bits * 0.02, "{line}");
}
