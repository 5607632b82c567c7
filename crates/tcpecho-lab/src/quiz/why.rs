//! The reasons for answers: what the scenario's text says about the claim.

use std::{cmp::Reverse, collections::BTreeSet};

use tcpecho_os::tcp_state::TcpState;

use crate::{source::Passage, text::Text};

use super::{Question, find_word};

/// Longer sentences are not a short reason.
const LONGEST: usize = 180;

/// What a sentence begins with if it continues the one before.
const CONTINUATIONS: &[&str] = &["The same", "It ", "Its ", "They ", "Then ", "So ", "But "];

/// Returns for each question why its answer is right: a sentence about it, or nothing. The claim alone
/// is not a reason.
///
/// The sentence shares words with the claim or its step. It comes from a passage that cites the claim as its
/// source; else it names the answer, and comes from what the text says about this kernel, or of the
/// book; else it is what the state means. No sentence comes twice, and none has the answer of a later
/// question in it.
#[must_use]
pub fn reasons(questions: &[Question], text: &Text) -> Vec<String> {
    let mut used: Vec<&str> = Vec::new();
    let reason = |(at, question): (usize, &Question)| {
        let later: Vec<&str> = questions.iter().skip(at + 1).filter_map(keyword).collect();
        let claim = &question.sentence;
        let step =
            text.claims().find(|(_, known)| known == claim).map_or("", |(step, _)| step.does);
        let topic = Topic { question, step, later: &later, used: &used };
        let cites = |passage: &&Passage| {
            passage.1.iter().any(|source| source.claim() == Some(claim.as_str()))
        };
        let (ours, others): (Vec<&Passage>, Vec<&Passage>) = text.kernel.iter().partition(cites);
        let found = (topic.best_sentence(&ours, true).map(|found| ("", found)))
            .or_else(|| Some(("", topic.best_sentence(&others, false)?)))
            .or_else(|| Some(("The book: ", topic.book_sentence(text.book)?)));
        if let Some((source, sentence)) = found {
            used.push(sentence);
            return format!("{source}{}.", sentence.trim_end_matches('.'));
        }
        match meaning(question).filter(|(_, means)| !used.contains(means)) {
            Some((state, means)) => {
                used.push(means);
                format!("{state}: {means}.")
            }
            None => String::new(),
        }
    };
    questions.iter().enumerate().map(reason).collect()
}

/// The topic that a sentence must have.
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
    /// Returns the sentence that shares most words with the claim and its step. It names the answer, or
    /// it is cited and shares two words with the claim.
    fn best_sentence(&self, passages: &[&'static Passage], is_cited: bool) -> Option<&'static str> {
        let answer = keyword(self.question);
        let ours = [&*self.question.sentence, self.step]
            .map(|text| &words(text) - &words(answer.unwrap_or_default()));
        let [claim, step] = &ours;
        let shared = |sentence: &str| (claim & &words(sentence)).len();
        let near = |sentence: &str| 2 * shared(sentence) + (step & &words(sentence)).len();
        let names =
            |sentence: &str| answer.is_some_and(|answer| find_word(sentence, answer).is_some());
        let tells = |sentence: &&str| {
            let spoils = |word: &&str| Some(*word) != answer && find_word(sentence, word).is_some();
            let is_about = if names(sentence) { near(sentence) > 0 } else { shared(sentence) > 1 };
            (names(sentence) || is_cited)
                && is_about
                && sentence.chars().count() <= LONGEST
                && !CONTINUATIONS.iter().any(|start| sentence.starts_with(start))
                && !self.used.contains(sentence)
                && !self.later.iter().any(spoils)
        };
        let rank = |sentence: &&str| Reverse((names(sentence), near(sentence)));
        let sentences = passages.iter().flat_map(|(text, _)| text.split(". ")).filter(tells);
        sentences.min_by_key(rank)
    }

    /// The same for the book, which may differ from what happened, if the answer itself is a name.
    fn book_sentence(&self, passages: &'static [Passage]) -> Option<&'static str> {
        let answer = self.question.alternatives.get(self.question.right)?;
        let is_named = answer.starts_with(keyword(self.question)?);
        let passages: Vec<&Passage> = passages.iter().collect();
        is_named.then(|| self.best_sentence(&passages, false)).flatten()
    }
}

/// Words that say nothing about what a sentence is about.
const COMMON: &[&str] = &[
    "also", "been", "does", "from", "have", "into", "only", "same", "still", "such", "than",
    "that", "then", "there", "they", "this", "what", "when", "which", "will", "with",
];

/// The beginnings of the longer words: `reads` and `reading` are the same.
fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    let long =
        words.filter(|word| word.len() > 3 && !COMMON.contains(&word.to_lowercase().as_str()));
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
    use crate::source::Source;

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
            question("a peer fails", "EPIPE: Broken pipe"),
            question("reading fails", "EPIPE: Broken pipe"),
            question("it is sent by the server", "FIN"),
            question("a reset is sent", "RST"),
            question("that was it", "nothing"),
            question("it is in FIN_WAIT_1", "FIN_WAIT_1"),
            question("LISTEN does not end", "LISTEN"),
        ];
        let reasons = reasons(&questions, &TEXT);
        let expected = [
            "The peer reads EPIPE.",
            // No sentence comes twice, and a claim is not its own reason.
            "",
            "The book: A FIN is sent by the kernel.",
            "",
            "",
            "FIN_WAIT_1: it has sent a FIN, which is not acknowledged.",
            "LISTEN: it waits for a SYN from any client.",
        ];
        assert_eq!(reasons, expected);
    }

    /// It is the best link between a claim and a sentence.
    #[test]
    fn a_sentence_that_cites_the_claim_comes_first() {
        let text = Text {
            kernel: &[
                ("The server answers the old segment with an RST.", &[]),
                (
                    "With the setting the RST is ignored. The host answers what it does not know.",
                    &[Source::Measured("the host answers an unknown segment")],
                ),
            ],
            ..Text::EMPTY
        };
        let questions = [question("the host answers an unknown segment", "RST")];
        assert_eq!(reasons(&questions, &text), ["The host answers what it does not know."]);
    }

    #[test]
    fn no_reason_tells_the_answer_of_a_later_question() {
        let first = question("the kernel resets it", "RST");
        let said = "The kernel sends an RST, no FIN-ACK.";
        assert_eq!(reasons(std::slice::from_ref(&first), &TEXT), [said]);
        let both = [first, question("x", "FIN-ACK")];
        assert_eq!(reasons(&both, &TEXT)[0], "");
    }
}
