//! `tcpecho lab learn`: a scenario with questions before its steps.
//!
//! The scenario runs first and is shown step by step afterwards: the kernel's timers do not wait
//! for a reader, so a run that stops before each step would be a different run. Questions
//! and answers come from what happened ([`tcpecho_lab::quiz`]).

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, ValueEnum};
use tcpecho_lab::{
    Dice, Family, Moment, Place, What,
    quiz::{self, Question},
    run::{Run, Verdict},
    scenario::Scenario,
    source::cited,
};
use tcpecho_os::errno::io_words;

use super::{
    agent_command,
    calls::Tidy,
    enter, explain,
    ladder::{self, Look, Pen, wrap},
    programs::needs_a_program,
    refuse, report, scenario_names, status, unknown,
};
use crate::number::number;
use crate::{
    exit, input,
    output::{ExitWithReader, OutputBuffer},
    tell::say,
};

#[derive(Debug, Args)]
pub(super) struct LearnArgs {
    /// The scenario's name
    name: String,

    /// Address family
    #[arg(long, value_enum, default_value = "4")]
    family: OneFamily,

    /// Seed for the questions and the order of their answers [default: random]
    #[arg(long, value_name = "N", value_parser = number::<u64>(0, u64::MAX))]
    seed: Option<u64>,
}

/// The address family of one run.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OneFamily {
    #[value(name = "4")]
    V4,
    #[value(name = "6")]
    V6,
}

/// Asks the questions and keeps the score.
struct Class {
    asked: usize,
    right: usize,
    /// Whether the user has stopped answering.
    over: bool,
    /// Stdin failed.
    failed: Option<io::Error>,
}

pub(super) fn run(args: &LearnArgs) -> ExitCode {
    let Some(scenario) = Scenario::named(&args.name) else {
        return needs_a_program(&args.name)
            .unwrap_or_else(|| unknown(&args.name, scenario_names()));
    };
    let family = match args.family {
        OneFamily::V4 => Family::V4,
        OneFamily::V6 => Family::V6,
    };
    if let Err(errno) = input::check() {
        return refuse(input::sentence(errno));
    }
    let seed = args.seed.unwrap_or_else(any_seed);
    let cable = match enter() {
        Ok(cable) => cable,
        Err(status) => return status,
    };
    let _watch = ExitWithReader::start();
    let text = &scenario.text;
    show(&format!("{}: {} ({})", text.name, text.title, text.source));
    show(text.question);
    let run = scenario.run(family, cable, agent_command(), |stage| stage.two().wire.seed(seed));
    if !matches!(run.verdict, Verdict::Held(_)) {
        // A scenario that fails teaches nothing.
        let mut out = OutputBuffer::text();
        let runs = std::slice::from_ref(&run);
        let _ = ladder::draw(&mut out, &run).and_then(|()| report::summary(&mut out, runs, seed));
        return ExitCode::from(out.end(status(runs)));
    }
    let class = teach(&run, seed);
    show("");
    show(&format!("{}: {}", explain::BOOK, cited(text.book)));
    show(&format!("{}: {}", explain::KERNEL, cited(text.kernel)));
    show(&format!("{} of {} right (--seed {seed})", class.right, class.asked));
    match class.failed {
        None => ExitCode::SUCCESS,
        Some(error) => {
            say(&format!("{}: {}", input::READ, io_words(&error)));
            ExitCode::from(exit::NOT_POSSIBLE)
        }
    }
}

fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ u64::from(std::process::id())
}

/// Shows each step: its sentence, the questions, what happened, and whether the answers were right.
fn teach(run: &Run, seed: u64) -> Class {
    let moments = experiment(run.moments());
    let questions = quiz::questions(&moments, &mut Dice::new(seed));
    let count = if questions.len() == 1 { "question" } else { "questions" };
    show(&format!(
        "{} {count}; answer with a number or the word; q stops the questions",
        questions.len()
    ));
    OutputBuffer::text().line_or_exit(&ladder::header(run.family, Look::of_stdout()));
    let mut drawing = Drawing { pen: Pen::knowing(&moments), ..Drawing::default() };
    let mut class = Class { asked: 0, right: 0, over: false, failed: None };
    for (number, step) in quiz::steps(&moments).into_iter().enumerate() {
        let Some((first, happened)) = moments.get(step).and_then(<[Moment]>::split_first) else {
            continue;
        };
        show("");
        drawing.draw(std::slice::from_ref(first));
        let here: Vec<&Question> =
            questions.iter().filter(|question| question.step == number).collect();
        let answers: Vec<Option<usize>> = here.iter().map(|question| class.ask(question)).collect();
        if here.is_empty() && !class.over && io::stdin().is_terminal() {
            class.wait_for_enter();
        }
        drawing.draw(happened);
        for (question, answer) in here.iter().zip(answers) {
            class.compare(question, answer);
        }
    }
    class
}

/// The moments up to the lab's last one; the rest is how the hosts are taken down.
pub(super) fn experiment(mut moments: Vec<Moment>) -> Vec<Moment> {
    let is_last =
        |moment: &Moment| moment.place == Place::Lab && !matches!(moment.what, What::Over);
    let last = moments.iter().rposition(is_last);
    moments.truncate(last.map_or(0, |last| last + 1));
    moments
}

/// Draws the ladder of a run in pieces.
#[derive(Default)]
struct Drawing {
    tidy: Tidy,
    pen: Pen,
}

impl Drawing {
    fn draw(&mut self, moments: &[Moment]) {
        let mut shown: Vec<Moment> = Vec::new();
        for moment in moments {
            shown.extend(self.tidy.push(moment.clone()));
        }
        shown.extend(self.tidy.rest());
        for moment in shown {
            if let Some(line) = self.pen.line(&moment, Look::of_stdout()) {
                OutputBuffer::text().line_or_exit(&line);
            }
        }
    }
}

fn show(text: &str) {
    let width = Look::of_stdout().width.unwrap_or(100);
    for line in wrap(text, width) {
        OutputBuffer::text().line_or_exit(&line);
    }
}

impl Class {
    /// Returns the chosen alternative; `None` if the user has stopped answering.
    fn ask(&mut self, question: &Question) -> Option<usize> {
        if self.over {
            return None;
        }
        show(&format!("? {}", question.text));
        for (number, alternative) in question.alternatives.iter().enumerate() {
            show(&format!("    {}  {alternative}", number + 1));
        }
        loop {
            print_prompt("> ");
            let said = self.next_line()?;
            let said = said.trim();
            if matches!(said, "q" | "quit") {
                self.over = true;
                return None;
            }
            if let Some(chosen) = chosen(said, &question.alternatives) {
                return Some(chosen);
            }
            let most = question.alternatives.len();
            show(&format!(
                "{said:?} is not an answer: expected a number from 1 to {most}, or the word"
            ));
        }
    }

    fn compare(&mut self, question: &Question, answer: Option<usize>) {
        let Some(answer) = answer else { return };
        self.asked += 1;
        let right = question.alternatives.get(question.right).map_or("", |right| right);
        if answer == question.right {
            self.right += 1;
            show(&format!("+ right: {right}"));
        } else {
            show(&format!("- wrong, it was: {right} ({})", question.sentence));
        }
    }

    /// The end of the input ends the answers.
    fn next_line(&mut self) -> Option<String> {
        let mut line = String::new();
        match io::stdin().read_line(&mut line) {
            Ok(1..) => return Some(line),
            Ok(0) => {}
            Err(error) => self.failed = Some(error),
        }
        self.over = true;
        None
    }

    fn wait_for_enter(&mut self) {
        print_prompt("[Enter] ");
        if self.next_line().is_some_and(|line| matches!(line.trim(), "q" | "quit")) {
            self.over = true;
        }
    }
}

/// Prints the prompt only on a terminal.
fn print_prompt(prompt: &str) {
    if io::stdin().is_terminal() {
        let mut out = OutputBuffer::text();
        let _ = out.write_all(prompt.as_bytes()).and_then(|()| out.flush());
    }
}

/// A number, or the beginning of exactly one alternative.
fn chosen(said: &str, alternatives: &[String]) -> Option<usize> {
    if let Ok(number) = said.parse::<usize>() {
        return number.checked_sub(1).filter(|at| *at < alternatives.len());
    }
    let said = said.to_lowercase();
    let is = |alternative: &String| {
        let alternative = alternative.to_lowercase();
        (alternative == said, !said.is_empty() && alternative.starts_with(&said))
    };
    if let Some(exact) = alternatives.iter().position(|alternative| is(alternative).0) {
        return Some(exact);
    }
    let mut begin = (0..alternatives.len()).filter(|at| is(&alternatives[*at]).1);
    begin.next().filter(|_| begin.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tcpecho_lab::Side;

    use super::*;

    #[test]
    fn what_comes_after_the_lab_s_last_word_is_not_taught() {
        let moment = |place| Moment { at: Duration::ZERO, place, what: What::Step("x".into()) };
        let places = |places: &[Place]| {
            let moments = places.iter().copied().map(moment).collect();
            experiment(moments).iter().map(|moment| moment.place).collect::<Vec<_>>()
        };
        let (lab, wire, host) = (Place::Lab, Place::Wire, Place::Host(Side::Client));
        assert_eq!(places(&[lab, wire, lab, host, wire]), [lab, wire, lab]);
        assert_eq!(places(&[host, lab]), [host, lab]);
        assert_eq!(places(&[wire, host]), []);
    }

    #[test]
    fn answers_are_numbers_or_words() {
        let alternatives = ["SYN", "SYN-ACK", "EPIPE: Broken pipe", "end of file"].map(Into::into);
        for (said, which) in [
            ("1", Some(0)),
            ("4", Some(3)),
            ("0", None),
            ("5", None),
            ("syn", Some(0)),
            ("SYN-", Some(1)),
            ("epipe", Some(2)),
            ("e", None),
            ("End", Some(3)),
            ("", None),
            ("perhaps", None),
        ] {
            assert_eq!(chosen(said, &alternatives), which, "{said}");
        }
    }
}
