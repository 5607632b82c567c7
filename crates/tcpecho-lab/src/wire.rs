//! The wire: a thread of our own carries packets between the hosts' interfaces, and does to them what the rules say.
//!
//! Every packet is parsed, judged and recorded before it goes on. What changes the wire ([`Wire::add`], [`Wire::cut`],
//! [`Wire::release`]) is in force when the call returns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tcpecho_lab_os::wire_device::WireDevice;
use tcpecho_os::event_fd::EventFd;
use tcpecho_os::failed::Failed;

use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::side::Side;
use crate::timeline::{PacketMoment, Place, TimedOut, Timeline, What};

mod ferry;
mod switch;

use switch::Switch;

/// The wire between two hosts. Copies are the same wire.
#[derive(Clone)]
pub struct Wire(Arc<Shared>);

pub(crate) struct Shared {
    switch: Mutex<Switch>,
    wake: EventFd,
    timeline: Timeline,
}

/// Runs the wire's thread; dropping it ends the thread.
pub(crate) struct Ferry {
    wire: Wire,
    thread: Option<JoinHandle<()>>,
}

/// A rule's name on its wire, to take it away with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(u64);

#[allow(clippy::must_use_candidate, reason = "what they tell is often not wanted")]
impl Wire {
    /// A wire that nothing is plugged into yet.
    pub(crate) fn new(timeline: &Timeline) -> Result<(Wire, Ferry), Failed> {
        let wake = EventFd::new().map_err(Failed::at("eventfd"))?;
        let switch = Mutex::new(Switch::new(timeline.clone()));
        let wire = Wire(Arc::new(Shared { switch, wake, timeline: timeline.clone() }));
        let carried = wire.clone();
        let thread = std::thread::Builder::new().name("wire".into());
        let thread = thread.spawn(move || ferry::carry(&carried.0));
        let thread = Some(thread.map_err(Failed::at_io("start a thread"))?);
        Ok((wire.clone(), Ferry { wire, thread }))
    }

    /// Adds a rule behind the others; of all rules, the first that applies to a packet decides.
    pub fn add(&self, rule: Rule) -> RuleId {
        RuleId(self.lock().add(rule, false))
    }

    /// Adds a rule before the others.
    pub fn add_first(&self, rule: Rule) -> RuleId {
        RuleId(self.lock().add(rule, true))
    }

    /// Takes a rule away; packets that it holds stay held.
    pub fn remove(&self, rule: RuleId) {
        self.lock().rules.retain(|(id, _)| *id != rule.0);
    }

    /// The rules that still befall packets, in the order in which they are asked.
    #[must_use]
    pub fn rules(&self) -> Vec<(RuleId, Rule)> {
        let switch = self.lock();
        let alive = switch.rules.iter().filter(|(_, rule)| !rule.is_spent());
        alive.map(|(id, rule)| (RuleId(*id), rule.clone())).collect()
    }

    /// What the chance of rules added from now on comes from; 0 if nobody says so.
    pub fn seed(&self, seed: u64) {
        self.lock().seed = seed;
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        self.lock().rules.clear();
    }

    /// Cuts the cable: no packet arrives, waiting ones included, until [`Wire::mend`].
    pub fn cut(&self) {
        self.lock().cut = true;
        self.0.timeline.record(Place::Wire, What::Step("cable cut".into()));
    }

    /// Mends the cable.
    pub fn mend(&self) {
        self.0.timeline.record(Place::Wire, What::Step("cable mended".into()));
        self.lock().cut = false;
    }

    /// The packets that wait to be released, the oldest first, as they were when they came.
    #[must_use]
    pub fn held(&self) -> Vec<PacketMoment> {
        self.lock().held.iter().map(|waiting| waiting.moment.clone()).collect()
    }

    /// Lets a held packet go on, by its number. False if it is not held.
    pub fn release(&self, number: u64) -> bool {
        self.lock().release(|moment| moment.number == number) > 0
    }

    /// Lets every held packet go on that is such a one, in the order they came; tells how many.
    pub fn release_all(&self, matcher: &Matcher) -> usize {
        self.lock().release(|moment| matcher.matches(moment.from, &moment.packet))
    }

    /// Answers every held packet that is such a one with a router's error, and throws it away; tells how many.
    pub fn answer(&self, matcher: &Matcher, error: IcmpError) -> usize {
        self.lock().answer(|moment| matcher.matches(moment.from, &moment.packet), error)
    }

    /// Throws held packets away; tells how many.
    pub fn discard(&self, matcher: &Matcher) -> usize {
        self.lock().discard(|moment| matcher.matches(moment.from, &moment.packet))
    }

    /// Gives a host a packet of our own, as if it came from the other side. It is not judged.
    pub fn inject(&self, to: Side, bytes: &[u8], note: &str) {
        self.lock().inject(to, bytes, note);
    }

    /// Waits until such a packet has been seen, whatever became of it, since the mark ([`Timeline::mark`]; 0 for the
    /// beginning).
    ///
    /// # Errors
    /// [`TimedOut`] after `patience`.
    pub fn wait_for(
        &self,
        matcher: &Matcher,
        mark: usize,
        patience: Duration,
    ) -> Result<PacketMoment, TimedOut> {
        self.wait(matcher, mark, patience, "", |moment| moment.verdict.is_first_sight())
    }

    /// As [`Wire::wait_for`], until such a packet has arrived: the receiving kernel has dealt with it by then.
    ///
    /// # Errors
    /// [`TimedOut`] after `patience`.
    pub fn wait_delivered(
        &self,
        matcher: &Matcher,
        mark: usize,
        patience: Duration,
    ) -> Result<PacketMoment, TimedOut> {
        let found =
            self.wait(matcher, mark, patience, " delivered", |moment| moment.verdict.has_arrived());
        // A packet is recorded and delivered under one lock; who has it after the record comes after the delivery.
        drop(self.lock());
        found
    }

    fn wait(
        &self,
        matcher: &Matcher,
        mark: usize,
        patience: Duration,
        words: &str,
        wanted: impl Fn(&PacketMoment) -> bool,
    ) -> Result<PacketMoment, TimedOut> {
        let what = format!("{matcher}{words}");
        self.0.timeline.wait_for(mark, patience, &what, |moment| match &moment.what {
            What::Packet(seen) if wanted(seen) && matcher.matches(seen.from, &seen.packet) => {
                Some(seen.clone())
            }
            _ => None,
        })
    }

    /// Waits until it has seen every packet that a host has sent so far; at most for `patience`.
    pub fn settle(&self, patience: Duration) {
        let settled = || {
            let switch = self.lock();
            !switch.ends.iter().flatten().any(|device| {
                let mut wanted = [PollFd::from_borrowed_fd(device.as_fd(), PollFlags::IN)];
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                poll(&mut wanted, Some(&now)).is_ok_and(|ready| ready > 0)
            })
        };
        crate::glances::until(patience, settled);
    }

    /// Has `look` called by the wire's thread after each packet, before the next is taken: the moment to look at states.
    pub(crate) fn after_each_packet(&self, look: Option<Arc<dyn Fn() + Send + Sync>>) {
        self.lock().look = look;
    }

    pub(crate) fn plug(&self, side: Side, device: WireDevice) {
        self.lock().ends[side.index()] = Some(Arc::new(device));
        self.wake();
    }

    /// Takes a host's plug out; its interface goes with it.
    pub(crate) fn unplug(&self, side: Side) {
        self.lock().ends[side.index()] = None;
        self.wake();
    }

    fn wake(&self) {
        self.0.wake.set();
    }

    fn lock(&self) -> MutexGuard<'_, Switch> {
        self.0.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Switch> {
        self.switch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ferry {
    fn drop(&mut self) {
        {
            let mut switch = self.wire.lock();
            switch.stopping = true;
            switch.ends = [None, None];
            switch.look = None;
        }
        self.wire.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
