//! The load: one thread, one level-triggered epoll loop, any mix of flows.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use crate::flow::Flow;
use crate::histogram::Histogram;
use crate::pattern::{Pattern, TURN};
use crate::plan::Plan;

/// No wait is longer: for the first answers, for what is still owed, for the FINs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Connections made before the server is given a chance to accept them.
const BATCH: usize = 500;

pub(crate) struct Generator<'a> {
    pub(crate) flows: Vec<Flow>,
    pub(crate) latency: Histogram,
    pub(crate) faults: Vec<String>,
    addr: SocketAddr,
    pattern: &'a Pattern,
    epoll: OwnedFd,
    buffer: Vec<u8>,
    /// Flows that are still under way.
    open: usize,
    /// Flows that wait for answers, and those that have had one.
    awaited: usize,
    served: usize,
}

impl<'a> Generator<'a> {
    pub(crate) fn new(addr: SocketAddr, pattern: &'a Pattern) -> io::Result<Self> {
        Ok(Self {
            flows: Vec::new(),
            latency: Histogram::new(),
            faults: Vec::new(),
            addr,
            pattern,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            buffer: vec![0; TURN],
            open: 0,
            awaited: 0,
            served: 0,
        })
    }

    /// Adds `count` flows, and runs until those that read have had an answer.
    pub(crate) fn connect(&mut self, count: usize, plan: Plan) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for batch in (0..count).step_by(BATCH) {
            for _ in batch..count.min(batch + BATCH) {
                self.flows.push(Flow::open(self.addr, self.flows.len(), plan)?);
                self.open += 1;
                self.awaited += usize::from(plan.reads);
                self.advance(self.flows.len() - 1, EventFlags::OUT)?;
            }
            self.run(deadline, |generator| generator.served >= generator.awaited)?;
        }
        if self.served < self.awaited {
            let (never, of) = (self.awaited - self.served, self.awaited);
            self.faults.push(format!("{never} of {of} connections were never served"));
        }
        Ok(())
    }

    /// Runs until it is `enough`, or all flows have ended, or the time has come.
    pub(crate) fn run(&mut self, until: Instant, enough: fn(&Self) -> bool) -> io::Result<()> {
        let mut events = Vec::with_capacity(256);
        while self.open > 0 && !enough(self) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.wait(&mut events, left)?;
            for event in events.drain(..) {
                self.advance(event.data.u64() as usize, event.flags)?;
            }
        }
        Ok(())
    }

    fn wait(&self, events: &mut Vec<epoll::Event>, left: Duration) -> io::Result<()> {
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&left)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// One turn of one flow; a flow that fails is noted and left, and the others go on.
    fn advance(&mut self, index: usize, ready: EventFlags) -> io::Result<()> {
        match self.exchange(index, ready) {
            Ok(()) => self.settle(index),
            Err(fault) => {
                self.faults.push(fault);
                self.leave(index)
            }
        }
    }

    fn exchange(&mut self, index: usize, ready: EventFlags) -> Result<(), String> {
        let flow = &mut self.flows[index];
        if ready.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let fresh = flow.received == 0;
            if let Some(time) = flow.pull(self.pattern, &mut self.buffer)? {
                self.latency.add(time);
            }
            self.served += usize::from(fresh && flow.received > 0);
        }
        let expected = flow.watched.contains(EventFlags::OUT);
        if ready.contains(EventFlags::OUT) || !expected { flow.push(self.pattern) } else { Ok(()) }
    }

    /// What follows from the turn: the next connection, the end, or another interest.
    fn settle(&mut self, index: usize) -> io::Result<()> {
        let flow = &mut self.flows[index];
        if flow.ended {
            return self.leave(index);
        }
        if flow.plan.again && flow.complete() {
            flow.reopen(self.addr)?;
            return self.advance(index, EventFlags::OUT);
        }
        self.watch(index)
    }

    fn watch(&mut self, index: usize) -> io::Result<()> {
        let flow = &mut self.flows[index];
        let (wants, data) = (flow.wants(), EventData::new_u64(index as u64));
        if wants == flow.watched {
            return Ok(());
        }
        if flow.watched.is_empty() {
            epoll::add(&self.epoll, &*flow, data, wants)?;
        } else {
            epoll::modify(&self.epoll, &*flow, data, wants)?;
        }
        flow.watched = wants;
        Ok(())
    }

    fn leave(&mut self, index: usize) -> io::Result<()> {
        let flow = &mut self.flows[index];
        flow.ended = true;
        self.open -= 1;
        if !std::mem::replace(&mut flow.watched, EventFlags::empty()).is_empty() {
            epoll::delete(&self.epoll, &*flow)?;
        }
        Ok(())
    }

    /// Ends the load: nothing new is sent, everything owed is read and checked, then FIN both ways.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.each(|flow| {
            flow.plan = Plan { quota: flow.sent, reads: true, again: false, ..flow.plan };
            Ok(())
        })?;
        let complete = |load: &Self| load.flows.iter().all(|flow| flow.ended || flow.complete());
        self.run(Instant::now() + PATIENCE, complete)?;
        self.count_lost()?;
        self.each(Flow::shut)?;
        self.run(Instant::now() + PATIENCE, |_| false)?;
        if self.open > 0 {
            self.faults.push(format!("{} connections saw no FIN after ours", self.open));
        }
        Ok(())
    }

    fn count_lost(&mut self) -> io::Result<()> {
        let mut lost = 0;
        for index in 0..self.flows.len() {
            let flow = &self.flows[index];
            if !flow.ended && !flow.complete() {
                lost += flow.sent - flow.received;
                self.leave(index)?;
            }
        }
        if lost > 0 {
            self.faults.push(format!("{lost} bytes were not back after {PATIENCE:?}"));
        }
        Ok(())
    }

    fn each(&mut self, change: fn(&mut Flow) -> io::Result<()>) -> io::Result<()> {
        for index in 0..self.flows.len() {
            if !self.flows[index].ended {
                change(&mut self.flows[index])?;
                self.watch(index)?;
            }
        }
        Ok(())
    }
}
