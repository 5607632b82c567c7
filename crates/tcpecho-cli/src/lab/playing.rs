//! Plays scenarios on their own threads, while the main thread waits for their end or for a signal.
//!
//! A signal freezes what was seen so far, ends the hosts, and makes interrupted runs of the
//! scenarios in progress.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    os::fd::OwnedFd,
    panic::resume_unwind,
    process::ExitCode,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use nix::sys::signal::Signal;
use rustix::{
    event::{PollFd, PollFlags, poll},
    pipe::{PipeFlags, pipe_with},
};
use tcpecho_lab::{
    Family, Options, Side, Timeline,
    host::{Cable, Power},
    run::{Run, Verdict},
    scenario::Scenario,
    stage::Stage,
    text::Text,
    trial::{CommandLine, Trial},
};

use super::{agent_command, ladder::Ladder, refuse, slowly};
use crate::{signals::Signals, width::stderr_columns};

/// What to play, and how.
pub(super) struct Plan {
    pub(super) wanted: Vec<(Playable, Family)>,
    /// The programs under test, for trials.
    pub(super) programs: Vec<(Side, CommandLine)>,
    /// The port that servers listen on.
    pub(super) port: u16,
    pub(super) cable: Cable,
    /// The number of scenarios played in parallel; each has its own hosts.
    pub(super) jobs: usize,
    pub(super) drawing: Drawing,
    /// Changes a stage before its scenario is played.
    pub(super) prepare: Box<dyn Fn(&mut Stage) + Send + Sync>,
    /// Whether nothing more is begun after such a run.
    pub(super) is_last: fn(&Run) -> bool,
}

/// A scenario or a trial.
#[derive(Clone, Copy)]
pub(super) enum Playable {
    Scenario(&'static Scenario),
    Trial(&'static Trial),
}

impl Playable {
    pub(super) fn text(self) -> &'static Text {
        match self {
            Playable::Scenario(scenario) => &scenario.text,
            Playable::Trial(trial) => &trial.text,
        }
    }

    fn run_on(
        self,
        options: &Options,
        programs: &[(Side, CommandLine)],
        prepare: impl FnOnce(&mut Stage),
    ) -> Run {
        let agent = agent_command();
        match self {
            Playable::Scenario(scenario) => scenario.run_on(options, agent, prepare),
            Playable::Trial(trial) => trial.run_on(options, agent, programs, prepare),
        }
    }
}

/// What is drawn before the report.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawing {
    Nothing,
    /// Every moment as it happens.
    Live,
    /// Every moment after the run has ended, with Enter before each step.
    StepByStep,
}

/// Every run in the requested order, and the signal that ended them early.
pub(super) struct Played {
    pub(super) runs: Vec<Run>,
    pub(super) interrupted_by: Option<Signal>,
}

/// Catches the signals that end a run. Called before any other thread is started, because a signal
/// would end a thread that does not block it, and before any host is made, which would outlive the
/// program for a moment.
pub(super) fn catch_signals() -> Result<Signals, ExitCode> {
    Ok(catch_signals_without_reader()?.with_reader())
}

/// As [`catch_signals`], for a command whose result does not go to stdout: it goes on when the reader of stdout leaves.
pub(super) fn catch_signals_without_reader() -> Result<Signals, ExitCode> {
    Signals::catch(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])
        .map_err(|errno| impossible("signalfd", &errno))
}

fn impossible(what: &str, why: &dyn Display) -> ExitCode {
    refuse(format!("{what}: {why}"))
}

/// Plays everything, unless a signal arrives first or the reader of stdout leaves, which counts as
/// SIGPIPE. After this returns, signals act as usual: the next one ends the program.
pub(super) fn play(plan: Plan, signals: Signals) -> Result<Played, ExitCode> {
    let (over, playing) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|errno| impossible("pipe", &errno))?;
    let (playing, jobs) = (Arc::new(playing), plan.jobs.min(plan.wanted.len()));
    let counts = plan.drawing == Drawing::Nothing && io::stderr().is_terminal();
    let shared = Arc::new(Shared {
        plan,
        power: Power::default(),
        next: AtomicUsize::new(0),
        progress: Mutex::default(),
        counts,
    });
    let mut threads = Vec::new();
    for _ in 0..jobs {
        let (shared, playing) = (Arc::clone(&shared), Arc::clone(&playing));
        let work = move || {
            shared.work();
            // The last thread closes the pipe, even if one panics.
            drop::<Arc<OwnedFd>>(playing);
        };
        let thread = thread::Builder::new().name("scenario".into()).spawn(work);
        threads.push(thread.map_err(|error| impossible("start a thread", &error))?);
    }
    drop(playing);
    if let Some(signal) = wait(&over, &signals) {
        let under_way = shared.interrupt();
        shared.clear();
        // timeout(1) sends its signal twice.
        while signals.next().is_some() {}
        signals.release();
        let runs = shared.interrupted_runs(&under_way);
        return Ok(Played { runs, interrupted_by: Some(signal) });
    }
    signals.release();
    shared.clear();
    for thread in threads {
        if let Err(panic) = thread.join() {
            resume_unwind(panic);
        }
    }
    Ok(Played { runs: shared.runs(), interrupted_by: None })
}

/// Waits until no thread works any more, which closes the other end of `over`, or for a signal.
pub(super) fn wait(over: &OwnedFd, signals: &Signals) -> Option<Signal> {
    loop {
        let mut watched = [PollFd::new(over, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        let polled = poll(&mut watched, None);
        if polled.is_ok() && !watched[0].revents().is_empty() {
            return None;
        }
        if let Some(signal) = signals.next() {
            return Some(signal);
        }
    }
}

struct Shared {
    plan: Plan,
    /// The power supply of all hosts.
    power: Power,
    /// The index of the next one to play.
    next: AtomicUsize,
    progress: Mutex<Progress>,
    /// Whether stderr, a terminal, shows how far it is.
    counts: bool,
}

#[derive(Default)]
struct Progress {
    is_interrupted: bool,
    /// With their indexes in the requested order.
    finished: Vec<(usize, Run)>,
    under_way: Vec<(usize, UnderWay)>,
}

/// A scenario in progress.
#[derive(Clone)]
struct UnderWay {
    timeline: Timeline,
    /// Draws the run; taken when it has ended, and the lock is held until everything is drawn.
    ladder: Arc<Mutex<Option<Ladder>>>,
    /// The number of claims that were shown and hold, if the run is shown step by step.
    shown: Arc<AtomicUsize>,
}

impl UnderWay {
    fn finish_drawing(&self) {
        drop(self.ladder.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Shared {
    fn work(&self) {
        loop {
            let place = self.next.fetch_add(1, Relaxed);
            let Some((playable, family)) = self.plan.wanted.get(place) else { return };
            if self.progress().is_interrupted {
                return;
            }
            let (family, port, cable) = (*family, self.plan.port, self.plan.cable);
            let power = self.power.clone();
            let options = Options { family, cable, port, power, ..Options::default() };
            let run = playable.run_on(&options, &self.plan.programs, |stage| {
                (self.plan.prepare)(stage);
                self.begin(place, stage);
            });
            if (self.plan.is_last)(&run) {
                self.next.store(self.plan.wanted.len(), Relaxed);
            }
            self.end(place, run);
        }
    }

    fn begin(&self, place: usize, stage: &Stage) {
        let timeline = stage.two().timeline.clone();
        let mut progress = self.progress();
        if progress.is_interrupted {
            return;
        }
        let is_live = self.plan.drawing == Drawing::Live;
        let ladder =
            Arc::new(Mutex::new(is_live.then(|| Ladder::follow(&timeline, stage.family()))));
        let shown = Arc::default();
        progress.under_way.push((place, UnderWay { timeline, ladder, shown }));
        self.show(&progress);
    }

    /// Draws the line on the terminal anew: what is done, and what is played now.
    fn show(&self, progress: &Progress) {
        if self.counts {
            let names = progress.under_way.iter().filter_map(|(place, _)| {
                let (playable, family) = self.plan.wanted.get(*place)?;
                Some(format!("{} {family}", playable.text().name))
            });
            let names = names.collect::<Vec<_>>().join(", ");
            let (done, all) = (progress.finished.len(), self.plan.wanted.len());
            let width = stderr_columns().unwrap_or(80).saturating_sub(1);
            let line: String =
                format!("{done} of {all} done: {names}").chars().take(width).collect();
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
        }
    }

    /// Removes that line.
    fn clear(&self) {
        if self.counts {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn end(&self, place: usize, run: Run) {
        let begun = self.progress().under_way.iter().find(|(other, _)| *other == place).cloned();
        if let Some((_, under_way)) = &begun {
            under_way.finish_drawing();
        }
        if self.plan.drawing == Drawing::StepByStep {
            let shown = begun.map(|(_, under_way)| under_way.shown).unwrap_or_default();
            slowly(&run, &shown);
        }
        let mut progress = self.progress();
        if !progress.is_interrupted {
            progress.under_way.retain(|(other, _)| *other != place);
            progress.finished.push((place, run));
            self.show(&progress);
        }
    }

    /// Freezes the runs in progress and ends all hosts.
    fn interrupt(&self) -> Vec<(usize, UnderWay)> {
        let under_way = {
            let mut progress = self.progress();
            progress.is_interrupted = true;
            std::mem::take(&mut progress.under_way)
        };
        for (_, under_way) in &under_way {
            under_way.timeline.freeze();
        }
        self.power.cut();
        under_way
    }

    /// Every run, once everything is drawn: finished, interrupted, and not begun.
    fn interrupted_runs(&self, under_way: &[(usize, UnderWay)]) -> Vec<Run> {
        for (_, under_way) in under_way {
            under_way.finish_drawing();
        }
        let mut runs = std::mem::take(&mut self.progress().finished);
        for (place, (playable, family)) in self.plan.wanted.iter().enumerate() {
            if runs.iter().any(|(other, _)| *other == place) {
                continue;
            }
            let begun = under_way.iter().find(|(other, _)| *other == place);
            let timeline = begun.map(|(_, under_way)| under_way.timeline.clone());
            let mut run = Run::interrupted(playable.text(), *family, timeline);
            if let (Drawing::StepByStep, Some((_, under_way))) = (self.plan.drawing, begun) {
                run.verdict = Verdict::Interrupted(Some(under_way.shown.load(Relaxed)));
            }
            runs.push((place, run));
        }
        in_order(runs)
    }

    fn runs(&self) -> Vec<Run> {
        in_order(std::mem::take(&mut self.progress().finished))
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_order(mut runs: Vec<(usize, Run)>) -> Vec<Run> {
    runs.sort_by_key(|(place, _)| *place);
    runs.into_iter().map(|(_, run)| run).collect()
}
