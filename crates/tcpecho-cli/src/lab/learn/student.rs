//! The person who answers, at a terminal or at the other end of a pipe, and the score.

use std::io::{self, IsTerminal, Write};
use std::str::FromStr;

use nix::sys::signal::Signal;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use tcpecho_lab::quiz::Question;

use crate::{
    lab::ladder::Look,
    output::OutputBuffer,
    signals::Signals,
    width::{columns, hang},
};

/// Colours of the grades.
const GREEN: &str = "32";
const RED: &str = "31";

/// The width of paragraphs in a pipe, in columns.
const WIDTH: usize = 100;

/// Longer lines are not answers.
const LONGEST: usize = 4096;

/// Why there are no more answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Quit,
    EndOfInput,
    Signal(Signal),
    /// Stdin failed.
    Failed(Errno),
}

/// How many questions were answered, and how many of them right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Score {
    pub(super) right: usize,
    pub(super) asked: usize,
}

impl FromStr for Score {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('/');
        let numbers =
            parts.and_then(|(right, asked)| Some((right.parse().ok()?, asked.parse().ok()?)));
        match numbers {
            Some((right, asked)) if right <= asked && asked <= MOST => Ok(Score { right, asked }),
            _ => Err("expected RIGHT/ASKED, as lab learn prints it (example: 5/7)"),
        }
    }
}

/// More questions than a course has.
const MOST: usize = 1_000_000;

pub(super) struct Student {
    signals: Signals,
    /// What was read and not used.
    read: Vec<u8>,
    asked: usize,
    right: usize,
    left: Option<Left>,
    /// Whether a ladder was shown.
    has_seen_ladder: bool,
}

impl Student {
    /// A student who had this score when the course was left.
    pub(super) fn new(signals: Signals, before: Score) -> Self {
        let Score { right, asked } = before;
        Student { signals, read: Vec::new(), asked, right, left: None, has_seen_ladder: false }
    }

    pub(super) fn signals(&self) -> &Signals {
        &self.signals
    }

    pub(super) fn left(&self) -> Option<Left> {
        self.left
    }

    pub(super) fn leaves(&mut self, why: Left) {
        self.left = Some(why);
    }

    /// Whether the ladder that is shown now is the first one.
    pub(super) fn sees_first_ladder(&mut self) -> bool {
        !std::mem::replace(&mut self.has_seen_ladder, true)
    }

    /// The number of questions that were answered.
    pub(super) fn asked(&self) -> usize {
        self.asked
    }

    /// `5 of 8 right`.
    pub(super) fn score(&self) -> String {
        format!("{} of {} right", self.right, self.asked)
    }

    pub(super) fn points(&self) -> Score {
        Score { right: self.right, asked: self.asked }
    }

    /// Asks a question and grades the answer at once, with the reason.
    pub(super) fn answers(&mut self, question: &Question, why: &str) {
        show(&format!("? {}", question.text));
        for (number, alternative) in question.alternatives.iter().enumerate() {
            show_below(&format!("    {}  ", number + 1), alternative);
        }
        let Some(answer) = self.choice(&question.alternatives) else { return };
        let word = |at: usize| question.alternatives.get(at).map_or("", |word| word);
        let (right, look) = (word(question.right), Look::of_stdout());
        self.asked += 1;
        if answer == question.right {
            self.right += 1;
            show(&look.paint(GREEN, &format!("✓ right: {right}")));
        } else {
            show(&look.paint(RED, &format!("✗ wrong: {}", word(answer))));
            show(&format!("  right: {right}"));
        }
        if !why.is_empty() {
            show_below("  why: ", why);
        }
        show("");
    }

    /// Asks until there is a valid answer; `None` if the student has left.
    fn choice(&mut self, alternatives: &[String]) -> Option<usize> {
        loop {
            let said = self.next_line("> ")?;
            if let Some(chosen) = chosen(&said, alternatives) {
                return Some(chosen);
            }
            let expected =
                format!("expected a number from 1 to {}, the word, or q", alternatives.len());
            if said.is_empty() {
                show(&expected);
            } else {
                show(&format!("{said:?} is not an answer: {expected}"));
            }
        }
    }

    /// At a terminal, waits for Enter.
    pub(super) fn reads_on(&mut self) {
        if io::stdin().is_terminal() {
            let _ = self.next_line("[Enter] ");
        }
    }

    /// Returns the next line without blanks around it; `None` if the student leaves instead.
    fn next_line(&mut self, prompt: &str) -> Option<String> {
        if self.left.is_some() {
            return None;
        }
        let is_terminal = io::stdin().is_terminal();
        if is_terminal {
            let mut out = OutputBuffer::text();
            let _ = out.write_all(prompt.as_bytes()).and_then(|()| out.flush());
        }
        match self.read_line() {
            Ok(line) if matches!(line.as_str(), "q" | "quit") => self.left = Some(Left::Quit),
            Ok(line) => return Some(line),
            Err(left) => {
                // The cursor is behind the prompt.
                if is_terminal && left != Left::Signal(Signal::SIGHUP) {
                    OutputBuffer::text().line_or_exit("");
                }
                self.left = Some(left);
            }
        }
        None
    }

    fn read_line(&mut self) -> Result<String, Left> {
        loop {
            let end = self.read.iter().position(|byte| *byte == b'\n');
            if let Some(end) = end.or_else(|| (self.read.len() > LONGEST).then_some(LONGEST)) {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim().into());
            }
            let stdin = io::stdin();
            let mut watched =
                [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
            let polled = rustix::io::retry_on_intr(|| poll(&mut watched, None));
            let can_read = !watched[0].revents().is_empty();
            polled.map_err(Left::Failed)?;
            if let Some(signal) = self.signals.next() {
                return Err(Left::Signal(signal));
            }
            if !can_read {
                continue;
            }
            let mut buffer = [0; 1024];
            match rustix::io::retry_on_intr(|| rustix::io::read(&stdin, &mut buffer)) {
                // A last line without its end.
                Ok(0) if !self.read.is_empty() => self.read.push(b'\n'),
                Ok(0) => return Err(Left::EndOfInput),
                Ok(count) => self.read.extend(&buffer[..count]),
                Err(errno) => return Err(Left::Failed(errno)),
            }
        }
    }
}

/// Shows a paragraph.
pub(super) fn show(text: &str) {
    show_below("", text);
}

/// Shows a paragraph behind this beginning of its first line.
pub(super) fn show_below(first: &str, text: &str) {
    for line in lines(first, &" ".repeat(first.len()), text) {
        OutputBuffer::text().line_or_exit(&line);
    }
}

fn lines(first: &str, rest: &str, text: &str) -> Vec<String> {
    let mut page = String::new();
    hang(&mut page, first, rest, text, width());
    page.lines().map(String::from).collect()
}

/// The width of paragraphs, in columns.
pub(super) fn width() -> usize {
    if io::stdout().is_terminal() { columns() } else { WIDTH }
}

/// In lower case and with the kernel's names of the states: RFC 9293 writes `SYN-RECEIVED`.
fn spelled(word: &str) -> String {
    let word = word.to_lowercase().replace('-', "_");
    let is_received = ["syn_received", "syn_rcvd"].contains(&word.as_str());
    if is_received { "syn_recv".into() } else { word }
}

/// A number, or the beginning of exactly one alternative.
fn chosen(said: &str, alternatives: &[String]) -> Option<usize> {
    if let Ok(number) = said.parse::<usize>() {
        return number.checked_sub(1).filter(|at| *at < alternatives.len());
    }
    let said = spelled(said);
    let is = |alternative: &String| {
        let alternative = spelled(alternative);
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
    use super::*;

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
        let states = ["SYN_SENT", "SYN_RECV", "FIN_WAIT_1", "FIN_WAIT_2"].map(Into::into);
        for (said, which) in [
            ("SYN-SENT", Some(0)),
            ("SYN-RECEIVED", Some(1)),
            ("syn_received", Some(1)),
            ("SYN_RCVD", Some(1)),
            ("FIN-WAIT-1", Some(2)),
            ("fin-wait", None),
        ] {
            assert_eq!(chosen(said, &states), which, "{said}");
        }
    }
}
