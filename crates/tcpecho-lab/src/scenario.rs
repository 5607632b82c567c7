//! The table of scenarios: boundary conditions of TCP, each a file and a row.

use std::ffi::OsString;

use crate::host::Cable;
use crate::pace::{Shortened, Timer};
use crate::side::Family;
use crate::stage::{Played, Stage};
use crate::timeline::{Timeline, What};
use crate::trial::Conduct;
use crate::two_hosts::Options;

/// A boundary condition.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What happens, in a few words.
    pub title: &'static str,
    /// Where the book has it.
    pub source: &'static str,
    /// The question, as a student would ask it.
    pub question: &'static str,
    /// What the book says.
    pub book: &'static str,
    /// What this Linux does.
    pub linux: &'static str,
    /// Steps and claims, in reading order.
    pub(crate) play: fn(&mut Stage) -> Played,
    /// The file that `play` stands in: its sentences are read out of it.
    pub(crate) text: &'static str,
}

macro_rules! scenarios {
    ($($file:ident)*) => {
        $(mod $file;)*
        /// Every scenario, in the order in which the book comes to them.
        pub static SCENARIOS: &[&Scenario] = &[$(&$file::SCENARIO),*];
    };
}

scenarios! {
    normal_startup
    normal_termination
    zombies_without_handler
    wait_against_waitpid
    eintr_on_accept
    eintr_on_connect
    abort_before_accept
    abort_before_accept_posix
    accept_without_descriptors
    server_process_killed
    server_process_killed_unread
    sigpipe
    server_host_crashes
    server_host_crashes_user_timeout
    server_host_crashes_keepalive
    unreachable_during_connect
    unreachable_while_established
    crash_and_reboot
    client_host_crashes_and_returns
    operator_shutdown
    refused
    syn_dropped
    no_local_port
    bind_in_use_by_listener
    bind_in_use_by_time_wait
    bind_privileged
    bind_not_ours
    backlog_full
    third_ack_dropped
    abort_on_overflow
    syn_flood_without_cookies
    syn_flood_with_cookies
    half_close
    close_with_replies_under_way
    close_with_unread_data
    segment_lost
    segment_doubled
    segments_reordered
    segment_corrupted
    zero_window
    simultaneous_open
    simultaneous_close
    mtu_black_hole
    fragmentation_needed
    middlebox_forgets_silently
    middlebox_forgets_with_reset
    short_counts
}

/// A sentence of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sentence {
    /// What is done.
    Step(String),
    /// What has to hold.
    Claim(String),
}

/// How a scenario went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every claim held, so many of them.
    Held(usize),
    /// These claims did not.
    Failed(Vec<String>),
    /// It could not be played to its end.
    Broken(String),
    /// It cannot be played here.
    Skipped(String),
    /// It was ended before its end, when so many claims had held; `None`: before it began.
    Interrupted(Option<usize>),
}

/// A scenario that was played, with everything that happened.
pub struct Run {
    /// Which.
    pub scenario: &'static Scenario,
    /// Over which protocol.
    pub family: Family,
    /// How it went.
    pub verdict: Verdict,
    /// What happened; `None` if it was skipped.
    pub timeline: Option<Timeline>,
    /// Which of the kernel's timers were shortened; in real time, which were waited for.
    pub shortened: Vec<Shortened>,
    /// What was seen of somebody's program, if one was invited.
    pub conduct: Option<Conduct>,
}

impl Run {
    /// A run that was ended before its end, with what had happened by then; `None` if it had not begun.
    #[must_use]
    pub fn interrupted(
        scenario: &'static Scenario,
        family: Family,
        timeline: Option<Timeline>,
    ) -> Self {
        let held = timeline.as_ref().map(|timeline| {
            let mut held = 0;
            timeline.each_since(0, |moment| {
                held += usize::from(matches!(moment.what, What::Claim { holds: true, .. }));
            });
            held
        });
        let verdict = Verdict::Interrupted(held);
        Run { scenario, family, verdict, timeline, shortened: Vec::new(), conduct: None }
    }

    /// Whether anything of it was played or tried.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.verdict != Verdict::Interrupted(None)
    }
}

impl Scenario {
    /// The scenario of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().copied().find(|scenario| scenario.name == name)
    }

    /// Plays it. `agent` is the command that starts an [agent](crate::agent); `prepare` may change the stage before.
    pub fn run(
        &'static self,
        family: Family,
        cable: Cable,
        agent: Vec<OsString>,
        prepare: impl FnOnce(&mut Stage),
    ) -> Run {
        self.run_on(&Options { family, cable, ..Options::default() }, agent, prepare)
    }

    /// The same, with everything that can be said about the hosts.
    pub fn run_on(
        &'static self,
        options: &Options,
        agent: Vec<OsString>,
        prepare: impl FnOnce(&mut Stage),
    ) -> Run {
        let family = options.family;
        let mut stage = match Stage::on(options, agent) {
            Ok(stage) => stage,
            Err(failed) => {
                let verdict = Verdict::Skipped(failed.to_string());
                return Run {
                    scenario: self,
                    family,
                    verdict,
                    timeline: None,
                    shortened: Vec::new(),
                    conduct: None,
                };
            }
        };
        prepare(&mut stage);
        let played = (self.play)(&mut stage);
        let conduct = stage.dismiss(&played);
        let faulty = conduct.as_ref().is_some_and(|conduct| !conduct.faults.is_empty());
        let (claims, failed) = stage.verdict();
        let verdict = match played {
            Err(broken) if broken.is_missing() => Verdict::Skipped(broken.to_string()),
            Err(_) if stage.impossible().is_some() => {
                Verdict::Skipped(stage.impossible().unwrap_or_default().into())
            }
            Err(broken) if faulty => {
                Verdict::Failed(failed.iter().cloned().chain([broken.to_string()]).collect())
            }
            Err(broken) => Verdict::Broken(broken.to_string()),
            Ok(()) if failed.is_empty() => Verdict::Held(claims),
            Ok(()) => Verdict::Failed(failed.to_vec()),
        };
        let (timeline, shortened) = (stage.two().timeline.clone(), stage.shortened().to_vec());
        Run { scenario: self, family, verdict, timeline: Some(timeline), shortened, conduct }
    }

    /// The kernel's timers that it waits for, out of its own text.
    #[must_use]
    pub fn timers(&self) -> Vec<Timer> {
        Timer::named_in(self.text)
    }

    /// Its steps and claims, out of its own text.
    #[must_use]
    pub fn sentences(&self) -> Vec<Sentence> {
        let mut rest = self.text;
        let mut sentences = Vec::new();
        while let Some((at, is_step)) = next_call(rest) {
            rest = &rest[at..];
            let Some((sentence, after)) = string_literal(rest) else { continue };
            sentences.push(if is_step {
                Sentence::Step(sentence)
            } else {
                Sentence::Claim(sentence)
            });
            rest = after;
        }
        sentences
    }
}

/// The next `stage.step(` or `stage.claim…(`: where its arguments begin, and which it is.
fn next_call(text: &str) -> Option<(usize, bool)> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find("stage.")?;
        let verb = &text[at + "stage.".len()..];
        let open = verb.find('(')?;
        let arguments = at + "stage.".len() + open + 1;
        match &verb[..open] {
            "step" => return Some((arguments, true)),
            name if name.starts_with("claim") => return Some((arguments, false)),
            _ => from = at + 1,
        }
    }
}

/// The string literal that `text` begins with, white space aside, and what comes after it.
fn string_literal(text: &str) -> Option<(String, &str)> {
    let body = text.trim_start().strip_prefix('"')?;
    let mut sentence = String::new();
    let mut letters = body.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((sentence, &body[at + 1..])),
            '\\' => match letters.next()?.1 {
                // A line that goes on in the next one.
                '\n' => {
                    let left = letters.as_str();
                    let skipped = left.len() - left.trim_start().len();
                    for _ in 0..left[..skipped].chars().count() {
                        letters.next();
                    }
                }
                escaped => sentence.push(escaped),
            },
            letter => sentence.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_scenario_says_something() {
        for (index, scenario) in SCENARIOS.iter().enumerate() {
            let same = SCENARIOS.iter().position(|other| other.name == scenario.name);
            assert_eq!(same, Some(index), "{}", scenario.name);
            assert!(
                scenario.sentences().iter().any(|s| matches!(s, Sentence::Claim(_))),
                "{}",
                scenario.name
            );
            for text in
                [scenario.title, scenario.source, scenario.question, scenario.book, scenario.linux]
            {
                assert!(!text.is_empty(), "{}", scenario.name);
            }
        }
    }

    #[test]
    fn sentences_are_read_as_the_compiler_reads_them() {
        let text = "stage.step(\n  \"one \\\n   two\");\nstage.wire_rule(x);\n stage.claim_is(\"a \\\"b\\\"\", c, \"d\");";
        let scenario = Scenario { text, ..*SCENARIOS[0] };
        let wanted = [Sentence::Step("one two".into()), Sentence::Claim("a \"b\"".into())];
        assert_eq!(scenario.sentences(), wanted);
    }
}
