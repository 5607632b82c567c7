//! The wire: a thread that carries packets between the hosts' interfaces and applies the rules to
//! them.
//!
//! Every packet is parsed, judged and recorded before it is delivered. A change of the wire
//! ([`Wire::add`], [`Wire::cut`], [`Wire::release`]) is in force when the call returns.

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

/// Identifies a rule of a wire, to remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(u64);

#[allow(clippy::must_use_candidate, reason = "their results are often not needed")]
impl Wire {
    /// Makes a wire without hosts.
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

    /// Adds a rule after the others; the first rule that matches a packet decides.
    pub fn add(&self, rule: Rule) -> RuleId {
        RuleId(self.lock().add(rule, false))
    }

    /// Adds a rule before the others.
    pub fn add_first(&self, rule: Rule) -> RuleId {
        RuleId(self.lock().add(rule, true))
    }

    /// Removes a rule; packets that it holds stay held.
    pub fn remove(&self, rule: RuleId) {
        self.lock().rules.retain(|(id, _)| *id != rule.0);
    }

    /// The rules that can still apply to packets, in the order in which they are tried.
    #[must_use]
    pub fn rules(&self) -> Vec<(RuleId, Rule)> {
        let switch = self.lock();
        let alive = switch.rules.iter().filter(|(_, rule)| !rule.is_spent());
        alive.map(|(id, rule)| (RuleId(*id), rule.clone())).collect()
    }

    /// Sets the seed of the rules that are added from now on; the default is 0.
    pub fn seed(&self, seed: u64) {
        self.lock().seed = seed;
    }

    /// Removes all rules.
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

    /// The held packets, the oldest first, as they arrived.
    #[must_use]
    pub fn held(&self) -> Vec<PacketMoment> {
        self.lock().held.iter().map(|waiting| waiting.moment.clone()).collect()
    }

    /// Releases a held packet by its number; false if it is not held.
    pub fn release(&self, number: u64) -> bool {
        self.lock().release(|moment| moment.number == number) > 0
    }

    /// Releases every held packet that matches, in the order of arrival; returns their number.
    pub fn release_all(&self, matcher: &Matcher) -> usize {
        self.lock().release(|moment| matcher.matches(moment.from, &moment.packet))
    }

    /// Answers every held packet that matches with a router's ICMP error and discards it; returns
    /// their number.
    pub fn answer(&self, matcher: &Matcher, error: IcmpError) -> usize {
        self.lock().answer(|moment| matcher.matches(moment.from, &moment.packet), error)
    }

    /// Discards every held packet that matches; returns their number.
    pub fn discard(&self, matcher: &Matcher) -> usize {
        self.lock().discard(|moment| matcher.matches(moment.from, &moment.packet))
    }

    /// Delivers a packet to a host, as if it came from the other side. No rule applies to it.
    pub fn inject(&self, to: Side, bytes: &[u8], note: &str) {
        self.lock().inject(to, bytes, note);
    }

    /// Waits until the wire has seen such a packet, whatever happened to it, since the mark
    /// ([`Timeline::mark`]; 0 for the beginning).
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

    /// Waits until such a packet has been delivered: the receiving kernel has processed it by then.
    ///
    /// # Errors
    /// [`TimedOut`] after `patience`.
    pub fn wait_delivered(
        &self,
        matcher: &Matcher,
        mark: usize,
        patience: Duration,
    ) -> Result<PacketMoment, TimedOut> {
        let found = self
            .wait(matcher, mark, patience, "delivery of ", |moment| moment.verdict.has_arrived());
        // A packet is recorded and delivered under one lock; whoever takes the lock after the
        // record comes after the delivery.
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
        let what = format!("{words}{matcher}");
        self.0.timeline.wait_for(mark, patience, &what, |moment| match &moment.what {
            What::Packet(seen) if wanted(seen) && matcher.matches(seen.from, &seen.packet) => {
                Some(seen.clone())
            }
            _ => None,
        })
    }

    /// Waits until the wire has seen every packet that a host has sent so far, for at most
    /// `patience`.
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

    /// Sets a function that the wire's thread calls after each packet, before the next one: the
    /// moment to sample states.
    pub(crate) fn after_each_packet(&self, look: Option<Arc<dyn Fn() + Send + Sync>>) {
        self.lock().look = look;
    }

    pub(crate) fn plug(&self, side: Side, device: WireDevice) {
        self.lock().ends[side.index()] = Some(Arc::new(device));
        self.wake();
    }

    /// Unplugs a host; its interface is removed.
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
