//! What a scenario says, as data: the page of `lab explain`, and the steps and claims that its play
//! function makes.

use crate::pace::Timer;

/// The text of a scenario or a trial.
///
/// The play function makes the same steps and claims; the tests compare both.
#[derive(Debug)]
pub struct Text {
    /// Its name on the command line.
    pub name: &'static str,
    /// The condition, in a few words.
    pub title: &'static str,
    /// Where the book or the RFC describes it.
    pub source: &'static str,
    /// The question that a student would ask.
    pub question: &'static str,
    /// What the book says; empty for a trial, whose scenario says it.
    pub book: &'static str,
    /// What this kernel does; empty for a trial.
    pub kernel: &'static str,
    /// The kernel's timers that it shortens, in the order in which it does.
    pub timers: &'static [Timer],
    /// Its steps, in order.
    pub steps: &'static [Step],
}

/// A step and the claims that belong to it.
#[derive(Debug)]
pub struct Step {
    /// What is done.
    pub does: &'static str,
    /// What must hold afterwards, each once. A claim that depends on the address family stands here too.
    pub claims: &'static [&'static str],
}

impl Text {
    /// What the text of a trial begins with: it shortens no timer and has no answers of its own.
    pub(crate) const TRIAL: Text = Text {
        name: "",
        title: "",
        source: "",
        question: "",
        book: "",
        kernel: "",
        timers: &[],
        steps: &[],
    };

    /// The step of these words.
    #[must_use]
    pub fn step(&self, does: &str) -> Option<&'static Step> {
        self.steps.iter().find(|step| step.does == does)
    }

    /// Every claim with its step, in order.
    pub fn claims(&self) -> impl Iterator<Item = (&'static Step, &'static str)> + use<> {
        let steps = self.steps.iter();
        steps.flat_map(|step| step.claims.iter().map(move |claim| (step, *claim)))
    }
}
