//! A run with questions: each step's sentence, its questions with their grades, then what happened.

use tcpecho_lab::{
    Dice, Moment, Place, What,
    quiz::{self, Question},
    run::Run,
    source::cited,
};

use super::student::{Student, show};
use crate::{
    lab::{
        calls::Tidy,
        explain,
        ladder::{self, Look, Pen},
    },
    output::OutputBuffer,
};

pub(super) struct Lesson<'a> {
    run: &'a Run,
    moments: Vec<Moment>,
    questions: Vec<Question>,
    /// Why each answer is right.
    reasons: Vec<String>,
}

impl<'a> Lesson<'a> {
    /// Makes the questions of a run; the same seed makes the same ones.
    pub(super) fn about(run: &'a Run, seed: u64) -> Self {
        let moments = experiment(run.moments());
        let questions = quiz::questions(&moments, &mut Dice::new(seed));
        let reasons = quiz::reasons(&questions, run.text);
        Lesson { run, moments, questions, reasons }
    }

    /// `3 questions`.
    pub(super) fn count_of_questions(&self) -> String {
        match self.questions.len() {
            0 => "no questions: watch its steps".into(),
            1 => "1 question".into(),
            count => format!("{count} questions"),
        }
    }

    /// Asks the questions and shows what happened, to its end. Returns whether every question was
    /// answered.
    pub(super) fn teach(&self, student: &mut Student) -> bool {
        self.teach_while(student, |_| true)
    }

    /// The same, until the student leaves.
    pub(super) fn teach_who_stays(&self, student: &mut Student) -> bool {
        self.teach_while(student, |student| student.left().is_none())
    }

    fn teach_while(&self, student: &mut Student, goes_on: fn(&Student) -> bool) -> bool {
        // What the lanes mean is said once.
        let header =
            if student.sees_first_ladder() { ladder::header } else { ladder::column_names };
        OutputBuffer::text().line_or_exit(&header(self.run.family, Look::of_stdout()));
        let mut drawing = Drawing { pen: Pen::knowing(&self.moments), ..Drawing::default() };
        let mut answered = 0;
        for (number, step) in quiz::steps(&self.moments).into_iter().enumerate() {
            let Some((first, happened)) = self.moments.get(step).and_then(<[Moment]>::split_first)
            else {
                continue;
            };
            show("");
            drawing.draw(std::slice::from_ref(first));
            let is_here = |(_, question): &(usize, &Question)| question.step == number;
            let mut here = self.questions.iter().enumerate().filter(is_here).peekable();
            if here.peek().is_none() {
                student.reads_on();
            }
            for (at, question) in here {
                if student.left().is_none() {
                    student.answers(question, self.reasons.get(at).map_or("", |why| why));
                }
                answered += usize::from(student.left().is_none());
            }
            let is_interrupted = matches!(student.left(), Some(super::Left::Signal(_)));
            if is_interrupted || !goes_on(student) {
                break;
            }
            drawing.draw(happened);
        }
        answered == self.questions.len()
    }

    /// What the book and this kernel say.
    pub(super) fn show_texts(&self) {
        show(&format!("{}: {}", explain::BOOK, cited(self.run.text.book)));
        show(&format!("{}: {}", explain::KERNEL, cited(self.run.text.kernel)));
    }
}

/// The moments up to the lab's last one; the rest is how the hosts are taken down.
pub(in crate::lab) fn experiment(mut moments: Vec<Moment>) -> Vec<Moment> {
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
}
