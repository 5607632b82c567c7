//! The questions of `lab learn` on a page: each answer opens and says whether it is right.

use std::fmt::Write;

use tcpecho_lab::{
    Dice, Family, What,
    quiz::{self, Question},
    run::{Run, Verdict},
};

use crate::{lab::learn::experiment, markup::escaped};

/// Whether there are questions about this run: a scenario that fails teaches nothing.
pub(super) fn is_asked(run: &Run) -> bool {
    run.family == Family::V4 && matches!(run.verdict, Verdict::Held(_))
}

/// The steps of a run with the questions before each; `file` has the ladder.
pub(super) fn section(page: &mut String, run: &Run, seed: u64, file: &str) {
    let (text, moments) = (run.text, experiment(run.moments()));
    let questions = quiz::questions(&moments, &mut Dice::new(seed));
    let reasons = quiz::reasons(&questions, text);
    let name = text.name;
    let _ = write!(
        page,
        "<section class=\"run\" aria-labelledby=\"{name}\"><h2 id=\"{name}\">{name}</h2>\
         <p>{} <cite>({})</cite> <a href=\"{file}\" aria-label=\"What happened in {name}\">What happened</a></p><p>{}</p>",
        escaped(text.title),
        escaped(text.source),
        escaped(text.question)
    );
    for (number, step) in quiz::steps(&moments).into_iter().enumerate() {
        if let Some(What::Step(sentence)) = moments.get(step.start).map(|moment| &moment.what) {
            let _ = write!(page, "<h3>{}</h3>", escaped(sentence));
        }
        let is_here = |(_, question): &(usize, &Question)| question.step == number;
        for (at, question) in questions.iter().enumerate().filter(is_here) {
            let why = reasons.get(at).map_or("", |why| why);
            one(page, question, why, &format!("{name}-{}", at + 1));
        }
    }
    page.push_str("</section>");
}

fn one(page: &mut String, question: &Question, why: &str, group: &str) {
    let _ = write!(
        page,
        "<div class=\"question\" role=\"group\" aria-labelledby=\"{group}\"><p id=\"{group}\">{}</p>",
        escaped(&question.text)
    );
    for (place, alternative) in question.alternatives.iter().enumerate() {
        let (class, word) = if place == question.right {
            ("held", if why.is_empty() { "✓ Right.".to_owned() } else { format!("✓ Right: {why}") })
        } else {
            ("failed", "✗ Wrong.".to_owned())
        };
        let _ = write!(
            page,
            "<details class=\"alternative\" name=\"{group}\"><summary>{}</summary>\
             <p class=\"{class}\">{}</p></details>",
            escaped(alternative),
            escaped(&word)
        );
    }
    page.push_str("</div>");
}
