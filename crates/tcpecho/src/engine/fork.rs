//! A child process for each client (UNP 5.2), reaped as soon as it ends (UNP 5.9).
//!
//! The book's server handles SIGCHLD and calls waitpid in a loop. A library must not install a handler or reap children of
//! the program, so each child has a pidfd: it becomes readable when the child ends, five children that end at once are
//! five readable descriptors, and waitid(`P_PIDFD`) reaps that child and no other.

use std::{
    mem::MaybeUninit,
    os::fd::OwnedFd,
    sync::{Arc, atomic::AtomicU64, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use rustix::{
    event::epoll::{self, EventData, EventFlags},
    io::Errno,
    net::SocketFlags,
};
use tcpecho_os::{
    process::{Child, cut_off_all, fork_session, probe_pidfd, was_let_go},
    shared::SharedWords,
};

use super::{Unavailable, blocking};
use crate::{
    Ending, Error,
    acceptor::{Acceptor, BATCH, Context},
    echo::{self, Moved},
    phase::Phase,
    session::{Outcome, Session, Tracked},
    shared::Shared,
};

/// How long a child may take to close its connection before it is killed.
const LETTING_GO: Duration = Duration::from_secs(1);
/// Words of shared memory in which a child tells how its session ended.
const RESULT_WORDS: usize = 3;
const SENT: usize = 0;
const RECEIVED: usize = 1;
const OUTCOME: usize = 2;

/// There cannot be more processes than this (proc(5), `pid_max`).
const MOST: usize = 1 << 22;

struct Slot {
    child: Arc<Child>,
    session: Session,
    /// Its number, if sessions are tracked.
    id: Option<u64>,
}

struct Fork {
    shared: Arc<Shared>,
    slots: slab::Slab<Slot>,
    results: SharedWords,
    buffer: Vec<MaybeUninit<u8>>,
    /// What the children have been told of.
    phase: Phase,
    /// When the children that are left are killed.
    deadline: Option<Instant>,
}

pub(super) fn probe() -> Result<(), Unavailable> {
    probe_pidfd().map_err(|errno| Unavailable {
        op: "pidfd_open",
        errno: errno.into(),
        hint: String::new(),
    })
}

pub(super) fn run(context: Context) -> Result<(), Error> {
    let shared = Arc::clone(&context.shared);
    let results = SharedWords::new(shared.max_connections.clamp(1, MOST) * RESULT_WORDS)
        .map_err(|errno| Error::new("mmap", errno))?;
    let buffer = blocking::buffer().map_err(|_| Error::new("malloc", Errno::NOMEM))?;
    let mut acceptor = Acceptor::open(context, SocketFlags::empty())?;
    let mut fork = Fork {
        shared,
        slots: slab::Slab::new(),
        results,
        buffer,
        phase: Phase::Serving,
        deadline: None,
    };
    fork.serve(&mut acceptor).inspect_err(|error| fork.cut_off_all(Outcome::of_loop(error)))
}

impl Fork {
    fn serve(&mut self, acceptor: &mut Acceptor) -> Result<(), Error> {
        let mut ended = Vec::new();
        loop {
            for _ in 0..BATCH {
                let Some((fd, session)) = acceptor.try_accept()? else { break };
                self.start(acceptor, fd, session);
            }
            if acceptor.closed() && self.slots.is_empty() {
                return Ok(());
            }
            acceptor.wait(self.deadline, |token| ended.push(token as usize))?;
            for key in ended.drain(..) {
                self.reap(key);
            }
            if self.phase != acceptor.phase() {
                self.ask_to_end(acceptor.phase());
            }
            self.kill_the_rest();
        }
    }

    fn start(&mut self, acceptor: &Acceptor, fd: OwnedFd, session: Session) {
        let slot = self.slots.vacant_key();
        let Fork { shared, results, buffer, .. } = self;
        let result = &results[slot * RESULT_WORDS..][..RESULT_WORDS];
        for word in result {
            word.store(0, Relaxed);
        }
        let id = shared.live.as_ref().and_then(|live| live.hand_over(&fd));
        let forked = fork_session(fd, |fd| {
            let mut count = |moved: Moved| match moved {
                Moved::Received(n) => {
                    result[RECEIVED].fetch_add(n as u64, Relaxed);
                }
                Moved::Sent(n) => {
                    result[SENT].fetch_add(n as u64, Relaxed);
                    shared.stats.bytes().fetch_add(n as u64, Relaxed);
                }
            };
            let outcome = echo::serve(fd, buffer, &mut count, was_let_go);
            result[OUTCOME].store(encode(outcome), Relaxed);
            0
        });
        match forked {
            Ok(child) => {
                let child = Arc::new(child);
                if let (Some(live), Some(id)) = (&self.shared.live, id) {
                    live.set_child(id, &child);
                }
                self.watch(acceptor, Slot { child, session, id });
            }
            Err(errno) => {
                let tracked = self.forget(id);
                self.shared.leave(&session, Outcome::no_room("fork", errno), tracked);
            }
        }
    }

    fn watch(&mut self, acceptor: &Acceptor, slot: Slot) {
        if acceptor.phase() != Phase::Serving {
            slot.child.terminate();
        }
        let entry = self.slots.vacant_entry();
        let token = EventData::new_u64(entry.key() as u64);
        let watched = epoll::add(acceptor, &slot.child, token, EventFlags::IN);
        let key = entry.key();
        entry.insert(slot);
        if let Err(errno) = watched {
            // Nobody would see its end.
            self.cut_off(key, Outcome::no_room("epoll_ctl", errno));
        }
    }

    /// Ends a child whose session cannot go on. It resets the connection, which may owe its peer bytes.
    fn cut_off(&mut self, key: usize, outcome: Outcome) {
        let Slot { child, mut session, id } = self.slots.remove(key);
        child.cut_off();
        drop(child);
        let tracked = self.forget(id);
        self.count(key, &mut session);
        self.shared.leave(&session, outcome, tracked);
    }

    /// Takes the bytes that a child has counted.
    fn count(&self, key: usize, session: &mut Session) {
        let result = &self.results[key * RESULT_WORDS..][..RESULT_WORDS];
        session.bytes = result[SENT].load(Relaxed);
        session.received = result[RECEIVED].load(Relaxed);
    }

    /// Ends all children because of `failure`.
    fn cut_off_all(&mut self, failure: Outcome) {
        cut_off_all(self.children());
        for key in 0..self.slots.capacity() {
            if self.slots.contains(key) {
                self.leave(key, Some(failure));
            }
        }
    }

    fn forget(&self, id: Option<u64>) -> Tracked {
        let tracked = self.shared.live.as_ref().zip(id).map(|(live, id)| live.remove_number(id));
        tracked.unwrap_or_default()
    }

    fn children(&self) -> impl Iterator<Item = &Child> + Clone {
        self.slots.iter().map(|(_, slot)| &*slot.child)
    }

    fn reap(&mut self, key: usize) {
        if self.slots.get(key).and_then(|slot| slot.child.reap()).is_none() {
            return;
        }
        self.leave(key, None);
    }

    /// The child has been reaped; takes what it reported.
    fn leave(&mut self, key: usize, failure: Option<Outcome>) {
        let Slot { child, mut session, id } = self.slots.remove(key);
        drop(child);
        let tracked = self.forget(id);
        self.count(key, &mut session);
        let mut outcome = outcome(&self.results[key * RESULT_WORDS + OUTCOME]);
        if self.phase == Phase::Halted || failure.is_some() {
            outcome = outcome.while_letting_go(failure);
        }
        self.shared.leave(&session, outcome, tracked);
    }

    fn ask_to_end(&mut self, phase: Phase) {
        self.phase = phase;
        // Another loop may have failed.
        if phase == Phase::Halted
            && let Some(failure) = self.shared.failure()
        {
            return self.cut_off_all(failure);
        }
        for (_, slot) in &self.slots {
            if phase == Phase::Halted { slot.child.let_go() } else { slot.child.terminate() }
        }
        if phase == Phase::Halted {
            self.deadline = Some(Instant::now() + LETTING_GO);
        }
    }

    fn kill_the_rest(&mut self) {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.deadline = None;
            for (_, slot) in &self.slots {
                slot.child.kill();
            }
        }
    }
}

impl Drop for Fork {
    /// There are children left if the loop panicked, that is, the observer.
    fn drop(&mut self) {
        cut_off_all(self.children());
    }
}

const OPS: [&str; 2] = ["recv", "send"];

/// Errno, the place of the call's name in `OPS` and the ending's place in its table, each plus one.
fn encode(outcome: Outcome) -> u64 {
    let (op, errno) = outcome.call.map_or((0, 0), |(op, errno)| {
        (1 + OPS.iter().position(|o| *o == op).unwrap_or(0) as u64, errno.raw_os_error() as u64)
    });
    errno << 16 | op << 8 | (outcome.ending as u64 + 1)
}

/// Returns what the child reported; a killed child has reported nothing.
fn outcome(told: &AtomicU64) -> Outcome {
    let told = told.load(Relaxed);
    let ending = (told as usize & 0xff).checked_sub(1).and_then(Ending::from_index);
    let op = (told as usize >> 8 & 0xff).checked_sub(1).and_then(|op| OPS.get(op));
    let call = op.map(|op| (*op, Errno::from_raw_os_error((told >> 16) as i32)));
    Outcome { ending: ending.unwrap_or(Ending::Interrupted), call }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_can_tell_every_outcome() {
        let mut all =
            vec![Outcome::failed("recv", Errno::CONNRESET), Outcome::failed("send", Errno::PIPE)];
        all.extend(crate::ending::ENDINGS.iter().map(|row| Outcome::of(row.ending)));
        for told in all {
            assert_eq!(outcome(&AtomicU64::new(encode(told))), told);
        }
        assert_eq!(outcome(&AtomicU64::new(0)).ending, Ending::Interrupted);
    }
}
