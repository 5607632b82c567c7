//! The verdict on a program in one trial, in one word.

use tcpecho_lab::{
    run::{Run, Verdict},
    trial::{Conduct, Fault},
};

pub(super) const RIGHT: &str = "right";
pub(super) const BROKEN: &str = "broken";
pub(super) const INTERRUPTED: &str = "interrupted";
pub(super) const SKIPPED: &str = "skipped";

/// Returns the verdict on the program of this run.
pub(super) fn word(run: &Run) -> &'static str {
    let worst = run.conduct.as_ref().and_then(Conduct::worst);
    match (&run.verdict, worst) {
        (Verdict::Skipped(_), _) => SKIPPED,
        (Verdict::Interrupted(_), _) => INTERRUPTED,
        (_, Some(fault)) => fault.word(),
        (Verdict::Held(_), None) => RIGHT,
        _ => BROKEN,
    }
}

/// Whether a verdict with this word may be expected of a program.
pub(super) fn may_be_expected(word: &str) -> bool {
    [RIGHT, BROKEN].contains(&word) || Fault::ALL.iter().any(|(fault, _)| fault.word() == word)
}
