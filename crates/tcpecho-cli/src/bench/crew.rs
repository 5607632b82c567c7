//! A run: its threads, its clock, and the sum of what they count.

use std::{
    collections::VecDeque,
    os::fd::AsFd,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use nix::sys::signal::Signal;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    thread::{CpuSet, sched_setaffinity},
};
use tcpecho::{Endpoint, Error, Family};
use tcpecho_os::errno::words;

use super::{
    address::Resolver,
    clock,
    driver::{Choice, epoll::Epoll, uring::Uring},
    hand::{self, Rules, WireSums},
    news::{Bell, Link, News, Schedule, Stop},
    tally::Tally,
    watch::{ClientUse, Pauses},
};
use crate::signals::Signals;

/// Between the last connection and the first request: the threads are told in this time.
const LEAD: u64 = 5_000_000;
/// How often the main thread looks up when nothing happens.
const GLANCE: u64 = 100_000_000;

/// What a run is to do.
pub(super) struct Load {
    pub(super) rules: Rules,
    /// The flows of each thread, by their numbers in the whole run.
    pub(super) threads: Vec<Vec<u64>>,
    /// Messages of each thread.
    pub(super) budgets: Vec<u64>,
    /// Processors of the threads, taken in turn; none leaves it to the kernel.
    pub(super) cpus: Vec<usize>,
    /// Whether the user chose them: then a thread that may not run there is an error.
    pub(super) cpus_chosen: bool,
    /// The server's name, where it was given by name.
    pub(super) name: Option<(Endpoint, Family)>,
    pub(super) driver: Choice,
    pub(super) warmup: u64,
    pub(super) duration: u64,
    /// When to begin, for runs of several machines.
    pub(super) start_at: Option<SystemTime>,
}

/// A stretch of the measured time, all threads together.
pub(super) struct Interval {
    /// Nanoseconds from the start of the measured time.
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) tally: Tally,
}

/// What a run tells while it goes on.
pub(super) enum Event<'a> {
    /// The measured time begins.
    Begin,
    /// Nine tenths of it are over.
    Held,
    Interval(&'a Interval),
    /// What came after the measured time: answers that were under way, and what never came.
    Tail(&'a Interval),
    /// It is over, the connections may not be.
    End,
    /// Nothing new; nanoseconds of the measured time that are over, negative before it begins.
    Glance(i64),
}

/// What came of a run.
pub(super) struct Outcome {
    /// Seconds that were measured.
    pub(super) seconds: f64,
    pub(super) started: SystemTime,
    /// What making the connections came to.
    pub(super) connecting: Tally,
    pub(super) total: Tally,
    pub(super) wire: WireSums,
    pub(super) client: Vec<ClientUse>,
    /// Connections there were at the end.
    pub(super) open: u64,
    pub(super) stopped: Option<Signal>,
    /// Connections that were established, from the first to the last moment of the run.
    pub(super) made: u64,
    /// Messages that were due in the measured time: answered in it or after it, lost, or unanswered.
    pub(super) requests: u64,
    /// Messages answered after the measured time.
    pub(super) late: u64,
    pub(super) paused: Pauses,
    /// How long after --start-at it began.
    pub(super) behind: Option<Duration>,
    /// What else a reader must know.
    pub(super) notes: Vec<String>,
}

/// Runs the load to its end, or to a signal.
pub(super) fn run(
    load: &Load,
    signals: &Signals,
    observe: &mut dyn FnMut(Event),
) -> Result<Outcome, Error> {
    let (stop, bell) = (Stop::new()?, Arc::new(Bell::new()?));
    let (sender, news) = mpsc::channel();
    thread::scope(|scope| {
        let mut goes = Vec::new();
        for (thread, numbers) in load.threads.iter().enumerate() {
            let (go, gone) = mpsc::channel();
            let link = Link { thread, news: sender.clone(), bell: Arc::clone(&bell), go: gone };
            let stop = &stop;
            let builder = thread::Builder::new().name(format!("load-{thread}"));
            let work = move || work(load, numbers, &link, stop);
            if let Err(error) = builder.spawn_scoped(scope, work) {
                stop.set();
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::AGAIN);
                return Err(Error::new("pthread_create", errno));
            }
            goes.push(go);
        }
        drop(sender);
        let chief = Chief {
            load,
            signals,
            stop: &stop,
            bell: &bell,
            news,
            goes,
            schedule: None,
            connected: 0,
            pending: load.threads.iter().map(|_| VecDeque::new()).collect(),
            handed: 0,
            done: 0,
            windows: Vec::new(),
            tail: Tally::new(),
            begun: false,
            held: false,
            ended: false,
            resolver: Resolver::new(&load.rules.address, load.name.clone()),
            outcome: Outcome {
                seconds: 0.0,
                started: SystemTime::now(),
                connecting: Tally::new(),
                total: Tally::new(),
                wire: WireSums::default(),
                client: Vec::new(),
                open: 0,
                stopped: None,
                made: 0,
                requests: 0,
                late: 0,
                paused: Pauses::default(),
                behind: None,
                notes: Vec::new(),
            },
        };
        let outcome = chief.lead(observe);
        // Whoever is still at work after a failure ends.
        stop.set();
        outcome
    })
}

fn work(load: &Load, numbers: &[u64], link: &Link, stop: &Stop) {
    if !load.cpus.is_empty() {
        let mut set = CpuSet::new();
        set.set(load.cpus[link.thread % load.cpus.len()]);
        match sched_setaffinity(None, &set) {
            Ok(()) => {}
            Err(errno) if load.cpus_chosen => {
                return link.tell(News::Failed(Error::new("sched_setaffinity (--cpu)", errno)));
            }
            Err(errno) => link.tell(News::Unpinned(errno)),
        }
    }
    let budget = load.budgets.get(link.thread).copied().unwrap_or(u64::MAX);
    let (rules, flows) = (&load.rules, numbers.iter().copied());
    let outcome = match load.driver {
        Choice::Uring => Uring::new(numbers.len(), stop)
            .and_then(|mut driver| hand::run(&mut driver, rules, flows, budget, link, stop)),
        Choice::Epoll | Choice::Auto => Epoll::new(numbers.len(), stop)
            .and_then(|mut driver| hand::run(&mut driver, rules, flows, budget, link, stop)),
    };
    if let Err(error) = outcome {
        link.tell(News::Failed(error));
    }
}

struct Chief<'a> {
    load: &'a Load,
    signals: &'a Signals,
    stop: &'a Stop,
    bell: &'a Bell,
    news: mpsc::Receiver<(usize, News)>,
    goes: Vec<mpsc::Sender<Schedule>>,
    schedule: Option<Schedule>,
    connected: usize,
    /// Intervals that not all threads have handed in yet.
    pending: Vec<VecDeque<(u64, Box<Tally>)>>,
    /// Until where the intervals are handed on, from the start of the measured time.
    handed: u64,
    done: usize,
    windows: Vec<u64>,
    tail: Tally,
    begun: bool,
    held: bool,
    ended: bool,
    resolver: Resolver,
    outcome: Outcome,
}

impl Chief<'_> {
    fn lead(mut self, observe: &mut dyn FnMut(Event)) -> Result<Outcome, Error> {
        while self.done < self.load.threads.len() {
            self.wait();
            if let Some(signal) = self.signals.next() {
                let is_second = self.outcome.stopped.replace(signal).is_some();
                // For nobody to read, nothing is waited for.
                if is_second || signal == Signal::SIGPIPE {
                    self.stop.set_at_once();
                }
                self.end(observe);
                self.stop.set();
            }
            self.bell.silence();
            while let Ok((thread, news)) = self.news.try_recv() {
                self.hear(thread, news, observe)?;
            }
            self.look_at_the_clock(observe);
        }
        while self.pending.iter().any(|queue| !queue.is_empty()) {
            self.hand_on(observe);
        }
        self.outcome.total.add_aside(&self.tail);
        let tail = std::mem::replace(&mut self.tail, Tally::new());
        let (from, to) = (self.handed, self.handed + LEAD);
        observe(Event::Tail(&Interval { from, to, tally: tail }));
        self.outcome.notes.extend(self.resolver.notes());
        let windows = self.windows.len().max(1) as f64;
        self.outcome.seconds = self.windows.iter().sum::<u64>() as f64 / windows / 1e9;
        Ok(self.outcome)
    }

    fn wait(&self) {
        let now = clock::now();
        let next = self.schedule.map_or(u64::MAX, |schedule| match self {
            Chief { begun: false, .. } => schedule.measure,
            Chief { held: false, .. } => held_at(&schedule),
            Chief { ended: false, .. } => schedule.end,
            _ => u64::MAX,
        });
        let timeout = clock::until(now, next.min(now + GLANCE));
        let (signals, bell) = (self.signals.as_fd(), self.bell.as_fd());
        let mut watched = [PollFd::new(&signals, PollFlags::IN), PollFd::new(&bell, PollFlags::IN)];
        // Whatever it says, the queues are looked at next.
        let _ = poll(&mut watched, Some(&timeout));
    }

    fn hear(
        &mut self,
        thread: usize,
        news: News,
        observe: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        match news {
            News::Connected { tally } => {
                self.connected += 1;
                self.outcome.made += tally.connections;
                self.outcome.connecting.add(&tally);
                if self.connected == self.load.threads.len() {
                    self.go();
                }
            }
            News::WarmedUp { tally } => {
                self.outcome.made += tally.connections;
                self.outcome.connecting.add_endings(&tally);
            }
            News::Unpinned(errno) => {
                let note = format!(
                    "the generator's threads may run on any processor, beside the server: \
                     sched_setaffinity: {}",
                    words(errno)
                );
                if !self.outcome.notes.contains(&note) {
                    self.outcome.notes.push(note);
                }
            }
            News::Interval { at, tally } => {
                self.outcome.made += tally.connections;
                self.pending[thread].push_back((at, tally));
                while self.pending.iter().all(|queue| !queue.is_empty()) {
                    self.hand_on(observe);
                }
            }
            News::Drained => {
                self.end(observe);
                if let (Some(go), Some(schedule)) = (self.goes.get(thread), self.schedule) {
                    let _ = go.send(schedule);
                }
            }
            News::Done { tail, wire, client, open, window, requests, paused } => {
                self.end(observe);
                self.done += 1;
                self.outcome.made += tail.connections;
                self.outcome.late += tail.messages;
                self.outcome.requests += requests;
                self.outcome.paused = self.outcome.paused.longer(paused);
                self.tail.add(&tail);
                self.outcome.wire.add(&wire);
                self.outcome.client.push(client);
                self.outcome.open += open;
                self.windows.push(window);
            }
            News::Failed(error) => return Err(error),
        }
        Ok(())
    }

    fn go(&mut self) {
        let now = clock::now() + LEAD;
        let base = match self.load.start_at.map(clock::moment_of) {
            Some(wanted) => {
                self.outcome.behind =
                    now.checked_sub(wanted).filter(|late| *late > 0).map(Duration::from_nanos);
                wanted.max(now)
            }
            None => now,
        };
        let measure = base.saturating_add(self.load.warmup);
        let end = measure.saturating_add(self.load.duration);
        let schedule = Schedule { base, measure, end };
        for go in &self.goes {
            // A thread that is gone has said why.
            let _ = go.send(schedule);
        }
        self.schedule = Some(schedule);
    }

    fn hand_on(&mut self, observe: &mut dyn FnMut(Event)) {
        let Some(schedule) = self.schedule else { return };
        let (mut tally, mut to) = (Tally::new(), 0);
        for queue in &mut self.pending {
            if let Some((at, part)) = queue.pop_front() {
                tally.add(&part);
                to = to.max(at.saturating_sub(schedule.measure));
            }
        }
        self.outcome.total.add(&tally);
        let interval = Interval { from: self.handed, to, tally };
        self.handed = to;
        observe(Event::Interval(&interval));
    }

    fn look_at_the_clock(&mut self, observe: &mut dyn FnMut(Event)) {
        let now = clock::now();
        self.resolver.look(now);
        let Some(schedule) = self.schedule else { return observe(Event::Glance(i64::MIN)) };
        if now >= schedule.measure {
            self.begin(observe);
        }
        if now >= held_at(&schedule) {
            self.hold(observe);
        }
        if now >= schedule.end {
            self.end(observe);
        }
        if !self.ended {
            observe(Event::Glance(now as i64 - schedule.measure as i64));
        }
    }

    fn begin(&mut self, observe: &mut dyn FnMut(Event)) {
        if !self.ended && !std::mem::replace(&mut self.begun, true) {
            self.outcome.started = SystemTime::now();
            observe(Event::Begin);
        }
    }

    fn hold(&mut self, observe: &mut dyn FnMut(Event)) {
        if !self.ended && !std::mem::replace(&mut self.held, true) {
            observe(Event::Held);
        }
    }

    /// The threads may be done before this one has looked at the clock; their connections are still there.
    fn end(&mut self, observe: &mut dyn FnMut(Event)) {
        let measured = self.schedule.is_some_and(|schedule| clock::now() >= schedule.measure);
        if measured && !self.ended {
            self.begin(observe);
            self.hold(observe);
            self.ended = true;
            observe(Event::End);
        }
    }
}

/// When nine tenths of the measured time are over.
fn held_at(schedule: &Schedule) -> u64 {
    schedule.measure.saturating_add((schedule.end - schedule.measure) / 10 * 9)
}
