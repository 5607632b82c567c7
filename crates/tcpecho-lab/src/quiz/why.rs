//! The reasons for answers: the claim, and what the scenario's text says about it.

use std::{cmp::Reverse, collections::BTreeSet};

use tcpecho_os::tcp_state::TcpState;

use crate::{source::Passage, text::Text};

use super::{Question, find_word};

/// Longer sentences are not a short reason.
const LONGEST: usize = 180;

/// What a sentence begins with if it continues the one before.
const CONTINUATIONS: &[&str] = &["The same", "It ", "Its ", "They ", "Then ", "So ", "But "];

/// Returns for each question why its answer is right: the claim, and a sentence about the answer, if
/// there is one.
///
/// The sentence names the answer and shares a word with the claim or its step. It comes from what the text says
/// about this kernel, else from what it says of the book, else it is what the state means. No
/// sentence comes twice, and none has the answer of a later question in it.
#[must_use]
pub fn reasons(questions: &[Question], text: &Text) -> Vec<String> {
    let mut used: Vec<&str> = Vec::new();
    let reason = |(at, question): (usize, &Question)| {
        let later: Vec<&str> = questions.iter().skip(at + 1).filter_map(keyword).collect();
        let claim = &question.sentence;
        let step =
            text.claims().find(|(_, known)| known == claim).map_or("", |(step, _)| step.does);
        let topic = Topic { question, step, later: &later, used: &used };
        let found = (topic.best_sentence(text.kernel).map(|found| ("", found)))
            .or_else(|| Some(("The book: ", topic.book_sentence(text.book)?)));
        if let Some((source, sentence)) = found {
            used.push(sentence);
            return format!("{claim}. {source}{}.", sentence.trim_end_matches('.'));
        }
        match meaning(question).filter(|(_, means)| !used.contains(means)) {
            Some((state, means)) => {
                used.push(means);
                let name = if claim.ends_with(state) { "" } else { &format!(". {state}") };
                format!("{claim}{name}: {means}.")
            }
            None => format!("{claim}."),
        }
    };
    questions.iter().enumerate().map(reason).collect()
}

/// What a sentence is to be about.
struct Topic<'a> {
    question: &'a Question,
    /// The step that the claim belongs to.
    step: &'a str,
    /// The answers of later questions.
    later: &'a [&'a str],
    /// The sentences that were used.
    used: &'a [&'a str],
}

impl Topic<'_> {
    /// Returns the sentence about the answer that shares most words with the claim and its step.
    fn best_sentence(&self, passages: &'static [Passage]) -> Option<&'static str> {
        let answer = keyword(self.question)?;
        let tells = |sentence: &&str| {
            let spoils = |word: &&str| *word != answer && find_word(sentence, word).is_some();
            find_word(sentence, answer).is_some()
                && sentence.chars().count() <= LONGEST
                && !CONTINUATIONS.iter().any(|start| sentence.starts_with(start))
                && !self.used.contains(sentence)
                && !self.later.iter().any(spoils)
        };
        let ours = [&*self.question.sentence, self.step].map(|text| &words(text) - &words(answer));
        let shared = |sentence: &str| {
            let theirs = words(sentence);
            let [claim, step] = &ours;
            2 * (claim & &theirs).len() + (step & &theirs).len()
        };
        let sentences = passages.iter().flat_map(|(text, _)| text.split(". ")).filter(tells);
        let found = sentences.min_by_key(|sentence| Reverse(shared(sentence)))?;
        (shared(found) > 0).then_some(found)
    }

    /// The same for the book, which may differ from what happened, if the answer itself is a name.
    fn book_sentence(&self, passages: &'static [Passage]) -> Option<&'static str> {
        let answer = self.question.alternatives.get(self.question.right)?;
        let is_named = answer.starts_with(keyword(self.question)?);
        is_named.then(|| self.best_sentence(passages)).flatten()
    }
}

/// The beginnings of the longer words: `reads` and `reading` are the same.
fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    let long = words.filter(|word| word.len() > 3);
    long.map(|word| word.chars().take(4).collect::<String>().to_lowercase()).collect()
}

/// The word of the right answer that a text would use: the name of a packet, a state or an error, or
/// the end of file; TIME_WAIT if the question is which end has it.
fn keyword(question: &Question) -> Option<&str> {
    let answer = question.alternatives.get(question.right)?;
    let word = answer.split_once(": ").map_or(answer.as_str(), |(name, _)| name);
    let is_name = word.len() > 1 && !word.chars().any(char::is_lowercase);
    let is_told = is_name || word == "end of file" || word.starts_with("ICMP ");
    let time_wait = TcpState::TimeWait.word();
    is_told.then_some(word).or_else(|| question.text.contains(time_wait).then_some(time_wait))
}

/// The state that is the answer, if it is one, and what it means (RFC 9293 3.3.2).
fn meaning(question: &Question) -> Option<(&'static str, &'static str)> {
    let answer = question.alternatives.get(question.right)?;
    let state = (1..=11).map(TcpState::from_number).find(|state| state.word() == answer)?;
    let means = match state {
        TcpState::Listen => "it waits for a SYN from any client",
        TcpState::SynSent => "it has sent a SYN, and no SYN-ACK has arrived",
        TcpState::SynRecv => "it has received a SYN and sent its own, which is not acknowledged",
        TcpState::Established => {
            "its SYN is acknowledged, the peer's has arrived, and no FIN was sent or received"
        }
        TcpState::FinWait1 => "it has sent a FIN, which is not acknowledged",
        TcpState::FinWait2 => "its FIN is acknowledged, and the peer has not sent one",
        TcpState::CloseWait => "the peer's FIN has arrived, and the program has not closed",
        TcpState::LastAck => "it has received a FIN and sent its own, which is not acknowledged",
        TcpState::Closing => "both have sent a FIN, and its own is not acknowledged",
        TcpState::TimeWait => {
            "its FIN is acknowledged, the peer's has arrived, and late segments may still come"
        }
        _ => return None,
    };
    Some((state.word(), means))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(sentence: &str, right: &str) -> Question {
        Question {
            step: 0,
            text: String::new(),
            alternatives: vec!["it works".into(), right.into()],
            right: 1,
            sentence: sentence.into(),
            interest: 0,
        }
    }

    const TEXT: Text = Text {
        kernel: &[
            ("It sends an RST. The kernel sends an RST, no FIN-ACK.", &[]),
            ("The peer reads EPIPE.", &[]),
        ],
        book: &[("A FIN is sent by the kernel. An RST comes.", &[])],
        ..Text::EMPTY
    };

    #[test]
    fn a_reason_is_the_claim_and_a_sentence_that_names_the_answer() {
        let questions = [
            question("a read fails", "EPIPE: Broken pipe"),
            question("reading fails", "EPIPE: Broken pipe"),
            question("it is sent by the server", "FIN"),
            question("a reset is sent", "RST"),
            question("that was it", "nothing"),
            question("it is in FIN_WAIT_1", "FIN_WAIT_1"),
            question("LISTEN does not end", "LISTEN"),
        ];
        let reasons = reasons(&questions, &TEXT);
        let expected = [
            "a read fails. The peer reads EPIPE.",
            // No sentence comes twice.
            "reading fails.",
            "it is sent by the server. The book: A FIN is sent by the kernel.",
            "a reset is sent.",
            "that was it.",
            "it is in FIN_WAIT_1: it has sent a FIN, which is not acknowledged.",
            "LISTEN does not end. LISTEN: it waits for a SYN from any client.",
        ];
        assert_eq!(reasons, expected);
    }

    #[test]
    fn no_reason_tells_the_answer_of_a_later_question() {
        let first = question("the kernel resets it", "RST");
        let said = "the kernel resets it. The kernel sends an RST, no FIN-ACK.";
        assert_eq!(reasons(std::slice::from_ref(&first), &TEXT), [said]);
        let both = [first, question("x", "FIN-ACK")];
        assert_eq!(reasons(&both, &TEXT)[0], "the kernel resets it.");
    }
}
