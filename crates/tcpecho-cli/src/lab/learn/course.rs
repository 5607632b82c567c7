//! All scenarios in the order of `lab list`, one lesson each, with the score so far.

use std::fmt::Write as _;

use nix::sys::signal::Signal;
use tcpecho_lab::{
    run::{Run, Verdict},
    scenario::{SCENARIOS, Scenario},
    text::Group,
};

use super::{
    LearnArgs,
    ahead::Ahead,
    closed_by,
    lesson::Lesson,
    student::{Left, Score, Student, show, width},
};
use crate::{
    exit,
    lab::{
        ladder::{BOLD, Look},
        report, status,
    },
    output::{self, OutputBuffer},
    width::hang_command,
};

/// The scenarios by groups.
fn order() -> Vec<&'static Scenario> {
    let of = |group| SCENARIOS.iter().copied().filter(move |one| one.text.group == Some(group));
    Group::ALL.into_iter().flat_map(of).collect()
}

/// Teaches the course from this scenario on, until its end or until the student leaves; returns the
/// exit status.
pub(super) fn take(
    from: Option<&'static Scenario>,
    args: &LearnArgs,
    player: &mut Ahead,
    student: &mut Student,
    seed: u64,
) -> u8 {
    let course = order();
    let is_first = |one: &&'static Scenario| from.is_none_or(|from| std::ptr::eq(*one, from));
    let first = course.iter().position(is_first).unwrap_or_default();
    introduce(course.len());
    let mut trouble = Trouble::default();
    for (place, scenario) in course.iter().enumerate().skip(first) {
        announce(place, &course, student);
        let before = student.points();
        let run = match player.play(scenario, student.signals()) {
            Ok(run) => run,
            Err(signal) => {
                student.leaves(Left::Signal(signal));
                return close((scenario, before), args, student, trouble.status());
            }
        };
        let next = course.get(place + 1);
        if let Some(next) = next {
            player.begin(next);
        }
        trouble.note(&run);
        let has_answered = !matches!(run.verdict, Verdict::Held(_)) || teach(&run, seed, student);
        if student.left().is_some() {
            // A scenario that is not finished is asked again from its beginning.
            let goes_on = if has_answered {
                next.map(|next| (*next, student.points()))
            } else {
                Some((*scenario, before))
            };
            return match goes_on {
                Some(goes_on) => close(goes_on, args, student, trouble.status()),
                None => end(student, trouble.status()),
            };
        }
    }
    end(student, trouble.status())
}

fn introduce(count: usize) {
    show(&format!(
        "A course of {count} scenarios. Each is played here before its questions are asked, the next one \
         while you answer. Answer with a number or the word; q, Ctrl-D or Ctrl-C leaves."
    ));
}

/// `3 of 47 · closing · half-close · 5 of 8 right so far`, and what the scenario is about.
fn announce(place: usize, course: &[&'static Scenario], student: &Student) {
    let Some(Scenario { text, .. }) = course.get(place) else { return };
    let group = text.group.map_or("", Group::words);
    let mut line = format!("{} of {} · {group} · {}", place + 1, course.len(), text.name);
    if student.asked() > 0 {
        let _ = write!(line, " · {} so far", student.score());
    }
    show("");
    show(&Look::of_stdout().paint(BOLD, &line));
    show(&format!("{} ({})", text.title, text.source));
    show(text.question);
}

fn teach(run: &Run, seed: u64, student: &mut Student) -> bool {
    let lesson = Lesson::about(run, seed);
    show(&lesson.count_of_questions());
    let has_answered = lesson.teach_who_stays(student);
    if student.left().is_none() {
        show("");
        lesson.show_texts();
    }
    has_answered
}

/// Ends before the course is over: the score, and the command that goes on with this scenario and with
/// the score of those before.
fn close(
    (next, before): (&Scenario, Score),
    args: &LearnArgs,
    student: &Student,
    status: u8,
) -> u8 {
    let mut command = format!("tcpecho lab learn --from {}", next.text.name);
    if before.asked > 0 {
        let _ = write!(command, " --score {}/{}", before.right, before.asked);
    }
    if args.is_over_ipv6() {
        command += " --family 6";
    }
    if let Some(seed) = args.seed {
        let _ = write!(command, " --seed {seed}");
    }
    let line = format!("{}; to go on: {command}", student.score());
    let mut text = String::from("\n");
    if line.len() <= width() {
        text += &line;
    } else {
        let _ = writeln!(text, "{}; to go on:", student.score());
        hang_command(&mut text, "    ", "        ", &command, width());
    }
    let text = text.trim_end();
    let left = student.left().unwrap_or(Left::Quit);
    match left {
        // Nobody reads it.
        Left::Signal(Signal::SIGPIPE) => {}
        Left::Signal(_) => drop(output::print_text(&format!("{text}\n"), None)),
        _ => OutputBuffer::text().line_or_exit(text),
    }
    closed_by(left).max(status)
}

/// Ends the course, which is over.
fn end(student: &Student, status: u8) -> u8 {
    show("");
    show(&format!("The course is over: {}", student.score()));
    student.left().map_or(status, |left| closed_by(left).max(status))
}

/// The runs that did not do what their scenarios say.
#[derive(Default)]
struct Trouble {
    has_held: bool,
    /// The exit status of a claim that did not hold, or of a scenario that broke.
    failed: Option<u8>,
    is_skipped: bool,
}

impl Trouble {
    /// Counts a run, and says why it teaches nothing.
    fn note(&mut self, run: &Run) {
        self.count(&run.verdict, status(std::slice::from_ref(run)));
        match &run.verdict {
            Verdict::Held(_) => {}
            Verdict::Skipped(why) => show(&format!("It cannot be played on this host: {why}")),
            _ => {
                let why = report::failure(run).unwrap_or_default();
                show(&format!("No questions: {why}; see tcpecho lab run {}", run.text.name));
            }
        }
    }

    fn count(&mut self, verdict: &Verdict, status: u8) {
        match verdict {
            Verdict::Held(_) => self.has_held = true,
            Verdict::Skipped(_) => self.is_skipped = true,
            _ => self.failed = Some(self.failed.map_or(status, |failed| failed.min(status))),
        }
    }

    /// The exit status, as `lab run` has it, but 77 only if nothing could be played.
    fn status(&self) -> u8 {
        let skipped = if self.is_skipped && !self.has_held { exit::SKIPPED } else { 0 };
        self.failed.unwrap_or(skipped)
    }
}

#[cfg(test)]
mod tests {
    use tcpecho_lab::Family;

    use super::*;

    #[test]
    fn the_course_has_every_scenario_once_in_the_order_of_the_list() {
        let course = order();
        assert_eq!(course.len(), SCENARIOS.len());
        assert!(course.is_sorted_by_key(|one| one.text.group), "by groups");
        for scenario in SCENARIOS {
            assert_eq!(course.iter().filter(|one| std::ptr::eq(**one, *scenario)).count(), 1);
        }
    }

    #[test]
    fn the_exit_status_tells_of_scenarios_that_taught_nothing() {
        let (held, skipped) = (Verdict::Held(1), Verdict::Skipped("no veth".into()));
        let (failed, broken) = (Verdict::Failed(Vec::new()), Verdict::Broken("EIO".into()));
        for (verdicts, expected) in [
            (&[][..], 0),
            (&[&held], 0),
            (&[&skipped, &skipped], 77),
            (&[&skipped, &held], 0),
            (&[&held, &broken], 2),
            (&[&broken, &failed, &skipped], 1),
        ] {
            let mut trouble = Trouble::default();
            for verdict in verdicts {
                let run = Run {
                    text: &SCENARIOS[0].text,
                    family: Family::V4,
                    verdict: (*verdict).clone(),
                    timeline: None,
                    shortened: Vec::new(),
                    conduct: None,
                };
                let status = status(std::slice::from_ref(&run));
                trouble.count(&run.verdict, status);
            }
            assert_eq!(trouble.status(), expected, "{verdicts:?}");
        }
    }
}
