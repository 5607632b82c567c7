//! Plays scenarios on a thread of their own: the next one while the student answers.

use std::{
    io::{self, IsTerminal, Write},
    os::fd::OwnedFd,
    panic::resume_unwind,
    thread::{self, JoinHandle},
};

use nix::sys::signal::Signal;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::{PipeFlags, pipe_with},
};
use tcpecho_lab::{
    Family, Options,
    host::{Cable, Power},
    run::Run,
    scenario::Scenario,
};

use crate::{lab::agent_command, signals::Signals};

/// The scenario that is played, or was, and whose run nobody has taken yet; one at most.
pub(super) struct Ahead {
    family: Family,
    cable: Cable,
    seed: u64,
    power: Power,
    playing: Option<Playing>,
}

struct Playing {
    scenario: &'static Scenario,
    thread: JoinHandle<Run>,
    /// Reports a hang-up when the thread has ended.
    over: OwnedFd,
}

impl Ahead {
    pub(super) fn new(family: Family, cable: Cable, seed: u64) -> Self {
        Ahead { family, cable, seed, power: Power::default(), playing: None }
    }

    /// Begins to play a scenario, unless one is being played.
    pub(super) fn begin(&mut self, scenario: &'static Scenario) {
        if self.playing.is_none() {
            self.playing = self.start(scenario).ok();
        }
    }

    fn start(&self, scenario: &'static Scenario) -> io::Result<Playing> {
        let (over, end) = pipe_with(PipeFlags::CLOEXEC)?;
        let job = self.job(scenario);
        let play = move || {
            let run = job();
            drop::<OwnedFd>(end);
            run
        };
        let thread = thread::Builder::new().name("scenario".into()).spawn(play)?;
        Ok(Playing { scenario, thread, over })
    }

    fn job(&self, scenario: &'static Scenario) -> impl FnOnce() -> Run + Send + use<> {
        let Ahead { family, cable, seed, .. } = *self;
        let options = Options { family, cable, power: self.power.clone(), ..Options::default() };
        move || scenario.run_on(&options, agent_command(), |stage| stage.two().wire.seed(seed))
    }

    /// Returns the run of this scenario, which may have begun before, or the signal that came first.
    pub(super) fn play(
        &mut self,
        scenario: &'static Scenario,
        signals: &Signals,
    ) -> Result<Run, Signal> {
        self.begin(scenario);
        match self.playing.take() {
            Some(playing) if std::ptr::eq(playing.scenario, scenario) => playing.finish(signals),
            // There is no thread for it.
            _ => Ok(self.job(scenario)()),
        }
    }

    /// Ends the hosts of a scenario that is being played.
    pub(super) fn end(&self) {
        self.power.cut();
    }
}

impl Playing {
    fn finish(self, signals: &Signals) -> Result<Run, Signal> {
        let mut note = None;
        loop {
            let mut watched =
                [PollFd::new(&self.over, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
            let polled = poll(&mut watched, note.is_none().then_some(&SHORT));
            if let Some(signal) = signals.next() {
                return Err(signal);
            }
            match polled {
                Ok(0) => note = Some(Note::show(self.scenario.text.name)),
                Ok(_) if !watched[0].revents().is_empty() => break,
                _ => {}
            }
        }
        drop(note);
        self.thread.join().map_err(|panic| resume_unwind(panic))
    }
}

/// A wait that needs no explanation.
const SHORT: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };

/// A line on a terminal that says what is waited for; dropping it removes the line.
struct Note;

impl Note {
    fn show(name: &str) -> Self {
        Self::write(&format!("playing {name}"));
        Note
    }

    fn write(text: &str) {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if io::stderr().is_terminal() && !is_dumb {
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        Self::write("");
    }
}
