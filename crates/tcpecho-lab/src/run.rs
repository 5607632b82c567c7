//! The result of playing a scenario or a trial.

use tcpecho_os::failed::Failed;

use crate::conduct::Conduct;
use crate::pace::Shortened;
use crate::side::{Family, Side};
use crate::stage::{Played, Stage};
use crate::sysctls::{self, RTO_MIN_WORDS};
use crate::text::Text;
use crate::timeline::{Moment, Place, Timeline, What};

/// The verdict on a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every claim held; their number.
    Held(usize),
    /// These claims did not hold.
    Failed(Vec<String>),
    /// It could not be played to its end.
    Broken(String),
    /// It cannot be played on this host.
    Skipped(String),
    /// It was interrupted after this number of claims had held; `None` if it had not begun.
    Interrupted(Option<usize>),
}

/// A scenario or a trial that was played, with everything that happened.
pub struct Run {
    /// The text of the scenario or trial.
    pub text: &'static Text,
    /// The address family it was played over.
    pub family: Family,
    /// The verdict.
    pub verdict: Verdict,
    /// What happened; `None` if it was skipped.
    pub timeline: Option<Timeline>,
    /// The kernel's timers that were shortened; in real time, those that were waited for.
    pub shortened: Vec<Shortened>,
    /// What was observed of the program under test; `None` for a scenario.
    pub conduct: Option<Conduct>,
}

impl Run {
    /// Makes the run of a scenario that was interrupted, with what had happened by then; `None` if
    /// it had not begun.
    #[must_use]
    pub fn interrupted(text: &'static Text, family: Family, timeline: Option<Timeline>) -> Self {
        let held = timeline.as_ref().map(|timeline| {
            let mut held = 0;
            timeline.each_since(0, |moment| {
                held += usize::from(matches!(moment.what, What::Claim { holds: true, .. }));
            });
            held
        });
        Run { timeline, ..Run::unplayed(text, family, Verdict::Interrupted(held)) }
    }

    /// Makes a run that this host cannot play.
    pub(crate) fn skipped(text: &'static Text, family: Family, why: &Failed) -> Self {
        Run::unplayed(text, family, Verdict::Skipped(why.to_string()))
    }

    fn unplayed(text: &'static Text, family: Family, verdict: Verdict) -> Self {
        Run { text, family, verdict, timeline: None, shortened: Vec::new(), conduct: None }
    }

    /// Makes a run that has ended.
    pub(crate) fn over(
        text: &'static Text,
        stage: &Stage,
        played: Played,
        conduct: Option<Conduct>,
    ) -> Self {
        stage.end();
        Run {
            text,
            family: stage.family(),
            verdict: verdict(stage, played, conduct.as_ref()),
            timeline: Some(stage.two().timeline.clone()),
            shortened: stage.shortened().to_vec(),
            conduct,
        }
    }

    /// Whether anything of it was played, or at least attempted.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.verdict != Verdict::Interrupted(None)
    }

    /// What the run has set in the hosts' kernels apart from [`Run::shortened`] and from what every
    /// host starts with: the host, the setting and its values, in their order.
    #[must_use]
    pub fn settings(&self) -> Vec<(Side, String, Vec<String>)> {
        let mut settings: Vec<(Side, String, Vec<String>)> = Vec::new();
        for moment in self.moments() {
            let Place::Host(side) = moment.place else { continue };
            let (key, value) = match moment.what {
                What::Sysctl { key, value } => (key, value),
                What::RtoMin(least) => (RTO_MIN_WORDS.into(), format!("{} ms", least.as_millis())),
                _ => continue,
            };
            let is_shortened = self.shortened.iter().any(|shortened| {
                shortened.side == side && shortened.own.timer.keys().contains(&key.as_str())
            });
            if is_shortened || sysctls::is_base(&key, &value) {
                continue;
            }
            match settings.iter_mut().find(|(other, known, _)| *other == side && *known == key) {
                Some((_, _, values)) if values.last() == Some(&value) => {}
                Some((_, _, values)) => values.push(value),
                None => settings.push((side, key, vec![value])),
            }
        }
        settings
    }

    /// Everything that happened.
    #[must_use]
    pub fn moments(&self) -> Vec<Moment> {
        self.timeline.as_ref().map(|timeline| timeline.since(0)).unwrap_or_default()
    }
}

fn verdict(stage: &Stage, played: Played, conduct: Option<&Conduct>) -> Verdict {
    let has_faults = conduct.is_some_and(|conduct| !conduct.faults.is_empty());
    let (claims, failed) = stage.verdict();
    match played {
        Err(broken) if broken.is_missing() => Verdict::Skipped(broken.to_string()),
        Err(_) if stage.impossible().is_some() => {
            Verdict::Skipped(stage.impossible().unwrap_or_default().into())
        }
        Err(broken) if has_faults => {
            Verdict::Failed(failed.iter().cloned().chain([broken.to_string()]).collect())
        }
        Err(broken) => Verdict::Broken(broken.to_string()),
        Ok(()) if failed.is_empty() => Verdict::Held(claims),
        Ok(()) => Verdict::Failed(failed.to_vec()),
    }
}
