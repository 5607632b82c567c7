//! `tcpecho lab learn`, with a student at the other end of a pipe.

#[path = "common/lab.rs"]
mod support;
#[path = "common/terminal.rs"]
mod terminal;

use std::{
    fs::File,
    process::{Command, Output},
};
use support::{text, typed};
use tcpecho_lab::scenario::Scenario;
use terminal::{CTRL_C, CTRL_D, PROMPT, Terminal};

fn learn(args: &[&str], answers: &str) -> Output {
    typed(&[&["learn"], args].concat(), answers)
}

/// The output; prints SKIP and returns nothing where no hosts can be made.
fn shown(args: &[&str], answers: &str) -> Option<String> {
    support::shown(&learn(args, answers))
}

/// The questions with their alternatives, in order.
fn questions(shown: &str) -> Vec<Vec<String>> {
    let mut questions: Vec<Vec<String>> = Vec::new();
    for line in shown.lines() {
        if line.starts_with("? ") {
            questions.push(Vec::new());
        } else if let Some(alternative) = line.strip_prefix("    ")
            && let Some((number, alternative)) = alternative.split_once("  ")
            && number.parse::<u8>().is_ok()
        {
            questions.last_mut().unwrap().push(alternative.into());
        }
    }
    questions
}

/// The right answers, as they are shown after each answer.
fn told(shown: &str) -> Vec<String> {
    let right = |line: &str| {
        line.strip_prefix("✓ right: ").or(line.strip_prefix("  right: ")).map(String::from)
    };
    shown.lines().filter_map(right).collect()
}

#[test]
fn right_and_wrong_answers_are_told_apart() {
    // The same seed asks the same questions: the first run shows the right answers, the second
    // proves it.
    let args = ["close-with-unread-data", "--seed", "5"];
    let Some(first) = shown(&args, &"1\n".repeat(20)) else { return };
    let (asked, right) = (questions(&first), told(&first));
    assert!(!asked.is_empty() && asked.len() == right.len(), "{first}");
    assert!(asked.iter().all(|alternatives| alternatives.len() == 4), "{first}");

    let second = shown(&args, &format!("{}\n", right.join("\n"))).unwrap();
    assert_eq!(questions(&second), asked);
    let all = asked.len();
    assert!(second.contains(&format!("{all} of {all} right (--seed 5)")), "{second}");
    assert!(second.contains("This Linux: "), "{second}");

    let wrong = asked.iter().zip(&right).map(|(alternatives, right)| {
        let wrong = alternatives.iter().position(|alternative| alternative != right).unwrap();
        (wrong + 1).to_string()
    });
    let third = shown(&args, &wrong.collect::<Vec<_>>().join("\n")).unwrap();
    assert!(third.contains(&format!("0 of {all} right")), "{third}");
    assert_eq!(told(&third), right);
}

#[test]
fn an_invalid_answer_is_asked_again_and_q_shows_the_rest() {
    let Some(shown) = shown(&["close-with-unread-data", "--seed", "1"], "perhaps\n17\nq\n") else {
        return;
    };
    assert!(
        shown.contains("\"perhaps\" is not an answer: expected a number from 1 to 4"),
        "{shown}"
    );
    assert!(shown.contains("\"17\" is not an answer"), "{shown}");
    assert!(shown.contains("✓ an RST is sent"), "{shown}");
    assert!(shown.contains("0 of 0 right"), "{shown}");
}

#[test]
fn the_end_of_the_input_ends_the_questions() {
    let Some(shown) = shown(&["close-with-unread-data", "--family", "6", "--seed", "1"], "") else {
        return;
    };
    assert_eq!(questions(&shown).len(), 1, "{shown}");
    assert!(shown.contains("0 of 0 right"), "{shown}");
}

#[test]
fn a_grade_follows_its_answer_and_comes_before_what_happened() {
    let args = ["close-with-unread-data", "--seed", "1"];
    let Some(shown) = shown(&args, &"FIN\n".repeat(20)) else { return };
    let answered = shown.split_once("? Fill in: a ____ is sent\n").unwrap().1;
    let (graded, happened) = answered.split_once("close(4) = 0").unwrap();
    for part in [
        "✗ wrong: FIN\n",
        "  right: RST\n",
        "  why: If the receive buffer holds data that was never read, close sends an RST",
    ] {
        assert!(graded.contains(part), "{part}: {graded}");
    }
    assert!(happened.contains("✓ an RST is sent"), "{happened}");
}

/// The scenarios of `lab list` as the course announces them: `1 of 47 · startup · normal-startup`.
fn places() -> Vec<String> {
    let list = text(&support::lab(&["list"]).stdout);
    let (mut group, mut scenarios) = ("", Vec::new());
    for line in list.lines() {
        match line.strip_prefix("  ") {
            None => group = line,
            Some(entry) => {
                let name = entry.split(' ').next().unwrap();
                if Scenario::named(name).is_some() {
                    scenarios.push(format!("{group} · {name}"));
                }
            }
        }
    }
    let count = scenarios.len();
    let place = |(at, scenario)| format!("{} of {count} · {scenario}", at + 1);
    scenarios.into_iter().enumerate().map(place).collect()
}

#[test]
fn the_course_is_in_the_order_of_the_list_and_can_be_resumed() {
    let places = places();
    let announced = |shown: &str| -> Vec<String> {
        let count = format!(" of {} · ", places.len());
        shown.lines().filter(|line| line.contains(&count)).map(String::from).collect()
    };
    let Some(course) = shown(&["--seed", "3"], &"1\n".repeat(7)) else { return };
    let lines = announced(&course);
    assert_eq!((lines.len(), &lines[0]), (2, &places[0]), "{course}");
    let (place, score) = lines[1].rsplit_once(" · ").unwrap();
    assert_eq!(place, places[1]);
    let right = course.split(&lines[1]).next().unwrap().matches("✓ right: ").count();
    assert_eq!(score, format!("{right} of 6 right so far"));
    // The second scenario has unanswered questions: the course goes on there, with the score of the
    // first one.
    let last = course.lines().last().unwrap();
    let all = course.matches("✓ right: ").count();
    let go_on = format!("--from refused --score {right}/6 --seed 3");
    assert_eq!(last, format!("{all} of 7 right; to go on: tcpecho lab learn {go_on}"));
    let args: Vec<&str> = go_on.split(' ').collect();
    let resumed = shown(&args, "1\nq\n").unwrap();
    assert_eq!(announced(&resumed)[0], lines[1], "{resumed}");
    assert!(resumed.lines().last().unwrap().contains(" of 7 right; to go on: "), "{resumed}");
    // When every question is answered, it goes on with the next one.
    let finished =
        shown(&args[..2], &"1\n".repeat(questions(&resumed_to_the_end()).len())).unwrap();
    assert!(finished.lines().last().unwrap().contains("--from syn-dropped"), "{finished}");
}

/// The scenario `refused` alone.
fn resumed_to_the_end() -> String {
    shown(&["refused", "--seed", "3"], &"1\n".repeat(20)).unwrap()
}

#[test]
fn the_course_ends_after_its_last_scenario() {
    let places = places();
    let name = |place: &String| place.rsplit(" · ").next().unwrap().to_string();
    let [.., one, last] = places.as_slice() else { panic!("{places:?}") };
    let (one, last) = (name(one), name(last));
    let args = ["--from", &one, "--seed", "2"];
    let Some(first) = shown(&args, &"1\n".repeat(60)) else { return };
    let answers = told(&first);
    let all = answers.len();
    assert!(first.contains("\nThe course is over: "), "{first}");
    assert!(first.ends_with(&format!(" of {all} right\n")), "{first}");

    // The same questions, now with the right answers.
    let again = shown(&args, &format!("{}\nq\n", answers.join("\n"))).unwrap();
    assert!(again.ends_with(&format!("The course is over: {all} of {all} right\n")), "{again}");

    // `q` instead of the first answer of the last one.
    let of_last = told(&shown(&[&last, "--seed", "2"], &"1\n".repeat(60)).unwrap()).len();
    let answers = format!("{}\nq\n", answers[..all - of_last].join("\n"));
    let left = shown(&[&args[..], &["--family", "6"]].concat(), &answers).unwrap();
    let score = told(&left);
    let (asked, right) = (score.len(), left.matches("✓ right: ").count());
    let score = if asked == 0 { String::new() } else { format!("--score {right}/{asked} ") };
    let command = format!("tcpecho lab learn --from {last} {score}--family 6 --seed 2");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&left).ends_with(&format!(" right; to go on: {command}")), "{left}");
}

#[test]
fn an_unknown_lesson_is_an_error() {
    for args in [
        &["nonsense"][..],
        &["--from", "nonsense"],
        &["--from", "many-clients"],
        &["refused", "--from", "refused"],
        &["--score", "1/2"],
        &["--from", "refused", "--score", "3/2"],
        &["refused", "--family", "both"],
    ] {
        let output = learn(args, "");
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
    let said = text(&learn(&["--from", "half-clsoe"], "").stderr);
    assert!(said.contains("did you mean 'half-close'"), "{said}");
    let help = text(&learn(&["--help"], "").stdout);
    assert!(help.contains("--family <FAMILY>") && !help.contains("both"), "{help}");
}

#[test]
fn a_stdin_that_cannot_be_read_is_exit_status_2() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
    command.args(["lab", "learn", "close-with-unread-data"]).stdin(File::open("/").unwrap());
    let output = command.output().unwrap();
    if output.status.code() == Some(77) {
        return println!("SKIP {}", text(&output.stderr));
    }
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said, "tcpecho: read from stdin: Is a directory (EISDIR)\n");
}

/// Starts `tcpecho lab learn ARGS`, and returns what it shows up to its first question.
fn starts(terminal: &mut Terminal, environment: &str, args: &str) -> String {
    terminal
        .types(&format!("{environment} '{}' lab learn {args}\n", env!("CARGO_BIN_EXE_tcpecho")));
    terminal.sees("\r\n> ")
}

#[test]
fn the_course_can_be_left_at_any_time_in_a_terminal() {
    let Some(mut terminal) = Terminal::new() else { return };
    terminal.runs("stty cols 120 rows 40");
    for (key, status) in [(CTRL_C, "130"), (CTRL_D, "0"), ("q\n", "0")] {
        let shown = starts(&mut terminal, "", "--from refused");
        assert!(shown.contains(" · startup · refused"), "{shown}");
        terminal.types("perhaps\n");
        terminal.sees("\"perhaps\" is not an answer");
        terminal.sees("\r\n> ");
        terminal.types(key);
        terminal.sees("\r\n0 of 0 right; to go on: tcpecho lab learn --from refused\r\n");
        terminal.sees(PROMPT);
        assert_eq!(terminal.runs("echo $?"), status, "{key:?}");
    }
    // Of one scenario, too.
    starts(&mut terminal, "", "refused --seed 1");
    terminal.types(CTRL_C);
    terminal.sees("0 of 0 right (--seed 1)\r\n");
    terminal.sees(PROMPT);
    assert_eq!(terminal.runs("echo $?"), "130");
}

#[test]
fn a_terminal_without_colours_gets_none() {
    let Some(mut terminal) = Terminal::new() else { return };
    for (environment, place, coloured) in [
        ("", " · startup · ", true),
        ("NO_COLOR=1", " · startup · ", false),
        ("LC_ALL=C", " - startup - ", true),
        ("TERM=dumb", " - startup - ", false),
    ] {
        let mut shown = starts(&mut terminal, environment, "--seed 1");
        terminal.types("LISTEN\n");
        shown += &terminal.sees("\r\n> ");
        assert!(shown.contains(place), "{environment}: {shown}");
        // The note about a scenario that takes long is removed with an escape sequence, not painted.
        assert_eq!(shown.contains("\x1b[32m"), coloured, "{environment}: {shown:?}");
        assert_eq!(shown.is_ascii(), place.contains(" - "), "{environment}: {shown:?}");
        terminal.types("q\n");
        terminal.sees(PROMPT);
    }
}
