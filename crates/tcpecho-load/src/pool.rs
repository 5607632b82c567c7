//! A run: its workers, its phases, and the sum of what the workers count.

use std::{
    collections::VecDeque,
    os::fd::AsFd,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    thread::{CpuSet, sched_setaffinity},
};
use tcpecho::Error;
use tcpecho_os::errno::words;

use crate::{
    address::Resolver,
    clock,
    driver::{DriverChoice, epoll::Epoll, uring::Uring},
    interrupt::{Interrupt, Stopping},
    message::{Link, Message, Milestones},
    outcome::{Event, Interval, Outcome},
    plan::Plan,
    stop::{Stop, WakeUp},
    tally::Tally,
    worker::{self, Rules},
};

/// Time between the last connection and the first request, in which the workers are told.
const LEAD: u64 = 5_000_000;
/// Longest wait of the leading thread.
const TICK: u64 = 100_000_000;

/// Runs a load to its end, or until it is interrupted.
///
/// Blocks the calling thread, which calls `observe` with what happens. The worker threads have ended when it
/// returns.
///
/// # Errors
/// A thread, an event loop or a processor that the plan requires is not available. What happens to connections
/// is counted in the outcome and is not an error.
pub fn run(
    plan: &Plan,
    interrupt: &dyn Interrupt,
    observe: &mut dyn FnMut(Event),
) -> Result<Outcome, Error> {
    let (stop, wake_up) = (Stop::new()?, Arc::new(WakeUp::new()?));
    let (sender, messages) = mpsc::channel();
    let shares = plan.shares();
    let rules = Rules::new(plan, shares.len());
    thread::scope(|scope| {
        let mut starts = Vec::new();
        for (thread, numbers) in shares.iter().enumerate() {
            let (start, started) = mpsc::channel();
            let link =
                Link { thread, messages: sender.clone(), wake_up: Arc::clone(&wake_up), started };
            let budget = plan.budget(thread, shares.len());
            let (rules, stop) = (&rules, &stop);
            let builder = thread::Builder::new().name(format!("load-{thread}"));
            let work = move || work(plan, rules, numbers, budget, &link, stop);
            if let Err(error) = builder.spawn_scoped(scope, work) {
                stop.set();
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::AGAIN);
                return Err(Error::new("pthread_create", errno));
            }
            starts.push(start);
        }
        drop(sender);
        let pool = WorkerPool {
            plan,
            interrupt,
            stop: &stop,
            wake_up: &wake_up,
            messages,
            starts,
            milestones: None,
            connected: 0,
            pending: shares.iter().map(|_| VecDeque::new()).collect(),
            passed_on: 0,
            done: 0,
            windows: Vec::new(),
            tail: Tally::new(),
            begun: false,
            held: false,
            ended: false,
            resolver: Resolver::new(&rules.address, plan.name.clone()),
            outcome: Outcome::new(shares.len()),
        };
        let outcome = pool.lead(observe);
        // After a failure the other workers end, too.
        stop.set();
        outcome
    })
}

/// A worker thread.
fn work(plan: &Plan, rules: &Rules, numbers: &[u64], budget: u64, link: &Link, stop: &Stop) {
    if !plan.cpus.is_empty() {
        let mut set = CpuSet::new();
        set.set(plan.cpus[link.thread % plan.cpus.len()]);
        match sched_setaffinity(None, &set) {
            Ok(()) => {}
            Err(errno) if plan.cpus_required => {
                return link.send(Message::Failed(Error::new("sched_setaffinity", errno)));
            }
            Err(errno) => link.send(Message::Unpinned(errno)),
        }
    }
    let flows = numbers.iter().copied();
    let outcome = match plan.driver {
        DriverChoice::Uring => Uring::new(numbers.len(), stop)
            .and_then(|mut driver| worker::run(&mut driver, rules, flows, budget, link, stop)),
        DriverChoice::Epoll | DriverChoice::Auto => Epoll::new(numbers.len(), stop)
            .and_then(|mut driver| worker::run(&mut driver, rules, flows, budget, link, stop)),
    };
    if let Err(error) = outcome {
        link.send(Message::Failed(error));
    }
}

/// The workers of a run, led by the thread that called [`run`].
struct WorkerPool<'a> {
    plan: &'a Plan,
    interrupt: &'a dyn Interrupt,
    stop: &'a Stop,
    wake_up: &'a WakeUp,
    messages: mpsc::Receiver<(usize, Message)>,
    starts: Vec<mpsc::Sender<Milestones>>,
    milestones: Option<Milestones>,
    connected: usize,
    /// Intervals that not all workers have reported yet.
    pending: Vec<VecDeque<(u64, Box<Tally>)>>,
    /// End of the last interval that was passed to the observer, from the start of the measured time.
    passed_on: u64,
    done: usize,
    windows: Vec<u64>,
    tail: Tally,
    begun: bool,
    held: bool,
    ended: bool,
    resolver: Resolver,
    outcome: Outcome,
}

impl WorkerPool<'_> {
    fn lead(mut self, observe: &mut dyn FnMut(Event)) -> Result<Outcome, Error> {
        while self.done < self.starts.len() {
            self.wait();
            if let Some(stopping) = self.interrupt.poll() {
                self.outcome.interrupted = true;
                if stopping == Stopping::AtOnce {
                    self.stop.set_at_once();
                }
                self.end(observe);
                self.stop.set();
            }
            self.wake_up.clear();
            while let Ok((thread, message)) = self.messages.try_recv() {
                self.on_message(thread, message, observe)?;
            }
            self.check_clock(observe);
        }
        while self.pending.iter().any(|queue| !queue.is_empty()) {
            self.pass_on_interval(observe);
        }
        self.outcome.total.add_aside(&self.tail);
        let tail = std::mem::take(&mut self.tail);
        let (from, to) = (self.passed_on, self.passed_on + LEAD);
        observe(Event::Tail(&Interval { from, to, tally: tail }));
        self.outcome.notes.extend(self.resolver.notes());
        let windows = self.windows.len().max(1) as f64;
        self.outcome.seconds = self.windows.iter().sum::<u64>() as f64 / windows / 1e9;
        Ok(self.outcome)
    }

    fn wait(&self) {
        let now = clock::now();
        let next = self.milestones.map_or(u64::MAX, |milestones| match self {
            WorkerPool { begun: false, .. } => milestones.measure,
            WorkerPool { held: false, .. } => held_at(&milestones),
            WorkerPool { ended: false, .. } => milestones.end,
            _ => u64::MAX,
        });
        let timeout = clock::until(now, next.min(now + TICK));
        let mut watched = vec![PollFd::from_borrowed_fd(self.wake_up.as_fd(), PollFlags::IN)];
        let interrupt = self.interrupt.descriptor();
        watched.extend(interrupt.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        // The queues are looked at next, whatever it returns.
        let _ = poll(&mut watched, Some(&timeout));
    }

    fn on_message(
        &mut self,
        thread: usize,
        message: Message,
        observe: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        match message {
            Message::Connected { tally } => {
                self.connected += 1;
                self.outcome.made += tally.connections;
                self.outcome.connecting.add(&tally);
                if self.connected == self.starts.len() {
                    self.start();
                }
            }
            Message::WarmedUp { tally } => {
                self.outcome.made += tally.connections;
                self.outcome.connecting.add_endings(&tally);
            }
            Message::Unpinned(errno) => {
                let note = format!(
                    "the generator's threads may run on any processor, beside the server: \
                     sched_setaffinity: {}",
                    words(errno)
                );
                if !self.outcome.notes.contains(&note) {
                    self.outcome.notes.push(note);
                }
            }
            Message::Interval { at, tally } => {
                self.outcome.made += tally.connections;
                self.pending[thread].push_back((at, tally));
                while self.pending.iter().all(|queue| !queue.is_empty()) {
                    self.pass_on_interval(observe);
                }
            }
            Message::Drained => {
                self.end(observe);
                if let (Some(start), Some(milestones)) = (self.starts.get(thread), self.milestones)
                {
                    let _ = start.send(milestones);
                }
            }
            Message::Done { tail, wire, client, open, window, starved, requests, paused } => {
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
                self.outcome.starved += starved;
                self.windows.push(window);
            }
            Message::Failed(error) => return Err(error),
        }
        Ok(())
    }

    fn start(&mut self) {
        let now = clock::now() + LEAD;
        let base = match self.plan.start_at.map(clock::moment_of) {
            Some(wanted) => {
                self.outcome.behind =
                    now.checked_sub(wanted).filter(|late| *late > 0).map(Duration::from_nanos);
                wanted.max(now)
            }
            None => now,
        };
        let measure = base.saturating_add(clock::nanos(self.plan.warmup));
        let end = measure.saturating_add(self.plan.length());
        let milestones = Milestones { base, measure, end };
        for start in &self.starts {
            // A worker that has ended has reported why.
            let _ = start.send(milestones);
        }
        self.milestones = Some(milestones);
    }

    fn pass_on_interval(&mut self, observe: &mut dyn FnMut(Event)) {
        let Some(milestones) = self.milestones else { return };
        let (mut tally, mut to) = (Tally::new(), 0);
        for queue in &mut self.pending {
            if let Some((at, part)) = queue.pop_front() {
                tally.add(&part);
                to = to.max(at.saturating_sub(milestones.measure));
            }
        }
        self.outcome.total.add(&tally);
        let interval = Interval { from: self.passed_on, to, tally };
        self.passed_on = to;
        observe(Event::Interval(&interval));
    }

    fn check_clock(&mut self, observe: &mut dyn FnMut(Event)) {
        let now = clock::now();
        self.resolver.look(now);
        let Some(milestones) = self.milestones else { return observe(Event::Tick(i64::MIN)) };
        if now >= milestones.measure {
            self.begin(observe);
        }
        if now >= held_at(&milestones) {
            self.hold(observe);
        }
        if now >= milestones.end {
            self.end(observe);
        }
        if !self.ended {
            observe(Event::Tick(now as i64 - milestones.measure as i64));
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
            observe(Event::NearEnd);
        }
    }

    /// Ends the measured time. The workers may notice it before this thread; their connections are still open.
    fn end(&mut self, observe: &mut dyn FnMut(Event)) {
        let measured = self.milestones.is_some_and(|milestones| clock::now() >= milestones.measure);
        if measured && !self.ended {
            self.begin(observe);
            self.hold(observe);
            self.ended = true;
            observe(Event::End);
        }
    }
}

/// Returns when nine tenths of the measured time are over.
fn held_at(milestones: &Milestones) -> u64 {
    milestones.measure.saturating_add((milestones.end - milestones.measure) / 10 * 9)
}
