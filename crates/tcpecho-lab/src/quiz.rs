//! Questions about a scenario, generated from what happened when it was played.
//!
//! A claim with an observed [`Fact`] becomes a question, and the fact is its answer; wrong answers
//! come from the other claims of the run and from the possible results of such a call, packet or
//! state. So no answer is written down anywhere, and none can become outdated.

use std::sync::Arc;

use tcpecho_os::tcp_state::TcpState;

use crate::impairment::Dice;
use crate::packet::IcmpError;
use crate::side::Side;
use crate::timeline::{Fact, Moment, Place, What};

mod outcome;
mod why;

use outcome::{call_of, outcome, verb_of};
pub use why::reasons;

/// A question and its possible answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The number of the step that it is asked before, from 0.
    pub step: usize,
    /// The question.
    pub text: String,
    /// The possible answers.
    pub alternatives: Vec<String>,
    /// The index of the right answer.
    pub right: usize,
    /// The claim that states the answer.
    pub sentence: String,
    interest: u8,
}

/// How interesting a question about a state is.
const STATE: u8 = 3;

/// The limits: alternatives per question, questions per step and per scenario.
const ALTERNATIVES: usize = 4;
const A_STEP: usize = 2;
const ALL: usize = 8;

/// Returns the questions of a run, in the order of its steps; `dice` choose and order the
/// alternatives.
#[must_use]
pub fn questions(moments: &[Moment], dice: &mut Dice) -> Vec<Question> {
    let steps = steps(moments);
    let mut all = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let mut here: Vec<Question> = Vec::new();
        for at in step.clone() {
            let asked = Asked { moments, step: step.clone(), at, number };
            if let Some(question) = asked.question(dice)
                && !asked.is_told(&question)
                && here.iter().all(|other| other.text != question.text)
            {
                here.push(question);
            }
        }
        keep_best(&mut here, A_STEP);
        all.extend(here);
    }
    keep_best(&mut all, ALL);
    all
}

/// The range of each step of a scenario among the moments.
#[must_use]
pub fn steps(moments: &[Moment]) -> Vec<std::ops::Range<usize>> {
    let is_step =
        |moment: &Moment| moment.place == Place::Lab && matches!(moment.what, What::Step(_));
    let begins: Vec<usize> =
        (0..moments.len()).filter(|at| moments.get(*at).is_some_and(is_step)).collect();
    let ends = begins.iter().skip(1).copied().chain([moments.len()]);
    begins.iter().copied().zip(ends).map(|(begin, end)| begin..end).collect()
}

/// Keeps the most interesting questions in their order.
fn keep_best(questions: &mut Vec<Question>, most: usize) {
    while questions.len() > most {
        let dullest = (0..questions.len()).rev().min_by_key(|at| questions[*at].interest);
        questions.remove(dullest.unwrap_or_default());
    }
}

/// A claim and its place.
struct Asked<'a> {
    moments: &'a [Moment],
    step: std::ops::Range<usize>,
    at: usize,
    number: usize,
}

impl Asked<'_> {
    fn question(&self, dice: &mut Dice) -> Option<Question> {
        let What::Claim { sentence, fact: Some(fact), holds: true, .. } =
            &self.moments.get(self.at)?.what
        else {
            return None;
        };
        let (text, answer, pool, interest) = match fact {
            Fact::Answer(seen) => {
                self.about_call(seen).or_else(|| about_state_word(sentence, seen))?
            }
            Fact::Packet { from, kind } => about_packet(sentence, *from, kind)?,
            Fact::State { state: TcpState::TimeWait, .. } => self.about_time_wait(),
            Fact::State { side, state } => about_state(sentence, *side, *state),
        };
        let mut alternatives = choose(&answer, pool, dice);
        dice.shuffle(&mut alternatives);
        let right = alternatives.iter().position(|alternative| *alternative == answer)?;
        let (step, sentence) = (self.number, sentence.clone());
        Some(Question { step, text, alternatives, right, sentence, interest })
    }

    /// Whether the answer was shown before the question is asked: it stands in the question or in the
    /// step's sentence, or an earlier claim has said the same.
    fn is_told(&self, question: &Question) -> bool {
        let answer = question.alternatives.get(question.right).map_or("", |answer| name_of(answer));
        let says = |text: &str| find_word(text, answer).is_some();
        let step = match self.moments.get(self.step.start).map(|moment| &moment.what) {
            Some(What::Step(sentence)) => sentence.as_str(),
            _ => "",
        };
        let asks_for_end = question.text.contains(TcpState::TimeWait.word());
        let earlier = self.moments.get(..self.at).unwrap_or_default().iter();
        let is_repeated = |moment: &Moment| matches!(&moment.what, What::Claim { sentence, .. } if *sentence == question.sentence);
        let stays = find_word(&question.sentence, "still").is_some() && question.interest == STATE;
        says(step)
            || says(&question.text)
            || (asks_for_end && find_word(step, TcpState::TimeWait.word()).is_some())
            || stays
            || earlier.clone().any(is_repeated)
    }

    /// Asks about the last call whose result is the claim's.
    fn about_call(&self, seen: &str) -> Option<(String, String, Vec<String>, u8)> {
        let before = self.moments.get(..self.at)?;
        let (answered, program) =
            before.iter().enumerate().rev().find_map(|(at, moment)| match &moment.what {
                What::Output { line, program, .. } if line == seen => Some((at, program)),
                _ => None,
            })?;
        let its_call = |moment: &Moment| match &moment.what {
            What::Input { line, program: its } if Arc::ptr_eq(its, program) => Some(line.clone()),
            _ => None,
        };
        let called = (0..answered).rev().find(|at| its_call(&self.moments[*at]).is_some())?;
        let line = its_call(&self.moments[called])?;
        let verb = verb_of(&line)?;
        let Place::Host(side) = self.moments[called].place else { return None };
        let same = |at: &usize| its_call(&self.moments[*at]).is_some_and(|other| other == line);
        let earlier = (self.step.start..called).filter(same).count();
        let who = self.name_of(program, side);
        let call = call_of(&line);
        let text = if called < self.step.start {
            format!("{who} still waits in {verb}. What is the result of the call?")
        } else if earlier == 0 {
            format!("{who} calls {call}. What is the result?")
        } else {
            let time = nth(earlier + 1);
            format!("{who} calls {call} again, for the {time} time. What is the result?")
        };
        let (answer, interest) = outcome(verb, seen);
        let mut pool = self.other_outcomes(verb);
        pool.extend(outcome::usual(verb));
        Some((text, answer, pool, interest))
    }

    /// `The client`, or `Client 2` if there are several in that host.
    fn name_of(&self, program: &Arc<str>, side: Side) -> String {
        let mut known: Vec<&Arc<str>> = Vec::new();
        for moment in self.moments {
            if let What::Input { program, .. } = &moment.what
                && moment.place == Place::Host(side)
                && !known.iter().any(|other| Arc::ptr_eq(other, program))
            {
                known.push(program);
            }
        }
        let place = known.iter().position(|other| Arc::ptr_eq(other, program)).unwrap_or_default();
        match (side, known.len()) {
            (_, 0 | 1) => format!("The {side}"),
            (Side::Client, _) => format!("Client {}", place + 1),
            (Side::Server, _) => format!("Server {}", place + 1),
        }
    }

    /// The results of the same call elsewhere in the run.
    fn other_outcomes(&self, verb: &str) -> Vec<String> {
        let mut calls: Vec<(&Arc<str>, &str)> = Vec::new();
        let mut outcomes = Vec::new();
        for moment in self.moments {
            match &moment.what {
                What::Input { program, line } => {
                    calls.retain(|(other, _)| !Arc::ptr_eq(other, program));
                    calls.push((program, line));
                }
                What::Output { program, line, .. } => {
                    let called = calls.iter().find(|(other, _)| Arc::ptr_eq(other, program));
                    if called.is_some_and(|(_, call)| verb_of(call) == Some(verb)) {
                        outcomes.push(outcome(verb, line).0);
                    }
                }
                _ => {}
            }
        }
        outcomes
    }

    /// The socket table tells which end has it, not the claim.
    fn about_time_wait(&self) -> (String, String, Vec<String>, u8) {
        let entered = |side| {
            self.moments[self.step.clone()].iter().any(|moment| {
                moment.place == Place::Host(side)
                    && matches!(moment.what, What::State { now: Some(TcpState::TimeWait), .. })
            })
        };
        let answer = match (entered(Side::Client), entered(Side::Server)) {
            (true, true) => "both",
            (true, false) => "the client's host",
            (false, true) => "the server's host",
            (false, false) => "neither",
        };
        let pool = ["the client's host", "the server's host", "both", "neither"].map(String::from);
        ("Which end goes to TIME_WAIT in this step?".into(), answer.into(), pool.into(), 5)
    }
}

fn about_packet(
    sentence: &str,
    from: Side,
    kind: &str,
) -> Option<(String, String, Vec<String>, u8)> {
    let mut pool = ["SYN", "SYN-ACK", "ACK", "FIN", "RST", "data"].map(String::from).to_vec();
    if kind.starts_with("ICMP") {
        let errors = [
            IcmpError::HostUnreachable,
            IcmpError::NetworkUnreachable,
            IcmpError::Prohibited,
            IcmpError::TimeExceeded,
            IcmpError::TooBig(1280),
        ];
        pool = vec!["RST".into(), "FIN".into()];
        pool.extend(errors.map(|error| format!("ICMP {error}")));
        let to = from.other();
        return Some((format!("Which packet arrives at the {to}?"), kind.into(), pool, 4));
    }
    if is_in_an_idiom(sentence, kind) {
        return None;
    }
    // A sentence that continues another one cannot be asked about.
    let goes_on = ["and ", "nor ", "but "].iter().any(|word| sentence.starts_with(word));
    let text = blanked(sentence, kind).or_else(|| {
        (!goes_on).then(|| format!("Which packet does the {from} send ({sentence})?"))
    })?;
    let interest = if matches!(kind, "RST" | "FIN") { 4 } else { 2 };
    Some((text, kind.into(), pool, interest))
}

/// Asks about a state that the scenario read itself.
fn about_state_word(sentence: &str, seen: &str) -> Option<(String, String, Vec<String>, u8)> {
    let state = (1..=11).map(TcpState::from_number).find(|state| state.word() == seen)?;
    blanked(sentence, seen).map(|_| about_state(sentence, Side::Client, state))
}

fn about_state(sentence: &str, side: Side, state: TcpState) -> (String, String, Vec<String>, u8) {
    let text = blanked(sentence, state.word())
        .unwrap_or_else(|| format!("In which state is the {side}'s socket ({sentence})?"));
    let pool = (1..=11).map(TcpState::from_number).filter(|state| *state != TcpState::Close);
    (text, state.word().into(), pool.map(|state| state.word().into()).collect(), STATE)
}

/// Where a sentence has this word, and not as a part of another one.
fn find_word(sentence: &str, word: &str) -> Option<usize> {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
    let mut places = sentence.match_indices(word).map(|(at, _)| at);
    places.find(|at| {
        let (before, after) = (&sentence[..*at], &sentence[at + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// The name in an answer: `EPIPE` of `EPIPE: Broken pipe`.
fn name_of(answer: &str) -> &str {
    answer.split_once(": ").map_or(answer, |(name, _)| name)
}

/// Words that belong to the name of a packet, and tell which one it is.
const IDIOMS: &[&str] = &["challenge", "duplicate", "selective", "delayed", "final", "third"];

/// Whether the word is part of a fixed expression: `a challenge ACK`.
fn is_in_an_idiom(sentence: &str, word: &str) -> bool {
    let before = find_word(sentence, word).map_or("", |at| sentence[..at].trim_end());
    before.rsplit(' ').next().is_some_and(|last| IDIOMS.contains(&last))
}

/// The sentence with a gap for that word, if it contains the word.
fn blanked(sentence: &str, word: &str) -> Option<String> {
    let at = find_word(sentence, word)?;
    let before = sentence[..at]
        .strip_suffix("an ")
        .map_or_else(|| sentence[..at].to_string(), |before| format!("{before}a "));
    Some(format!("Fill in: {before}____{}", &sentence[at + word.len()..]))
}

/// The answer and wrong answers, those from the run itself first.
fn choose(answer: &str, pool: Vec<String>, dice: &mut Dice) -> Vec<String> {
    let mut chosen = vec![answer.to_string()];
    let mut rest: Vec<String> = Vec::new();
    for wrong in pool {
        if wrong != answer && !rest.contains(&wrong) {
            rest.push(wrong);
        }
    }
    while chosen.len() < ALTERNATIVES && !rest.is_empty() {
        // An answer nearer to the front is chosen more often: what the run has shown confuses most.
        let at = dice.below(rest.len()).min(dice.below(rest.len()));
        chosen.push(rest.remove(at));
    }
    chosen
}

fn nth(number: usize) -> String {
    match number {
        2 => "second".into(),
        3 => "third".into(),
        number => format!("{number}th"),
    }
}

#[cfg(test)]
mod tests;
