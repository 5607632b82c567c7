//! Accepts connections: readiness of the listeners, the accept policy, and the events that stop a loop.
//!
//! An acceptor is an epoll instance with the listeners and the stops in it. An engine that waits for nothing else blocks in
//! [`Acceptor::accept`]; one with an epoll of its own puts its sessions into the same instance and hands tokens that are the
//! acceptor's to [`Acceptor::note`]; a ring polls the instance's descriptor. No engine calls accept(2) itself. The listeners are in
//! an [`AcceptQueue`], because a drain begins in another thread.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
    sync::{Arc, mpsc::SyncSender},
    time::{Duration, Instant},
};

use rustix::{
    event::epoll::{self, EventData, EventFlags},
    io::Errno,
    net::SocketFlags,
};
use tcpecho_os::socket::abort_echo;

use crate::{
    Ending, Error,
    accept_backoff::Advice,
    accept_queue::{AcceptQueue, Accepted, Queues},
    fault::{
        delay::{AcceptDelay, Admission},
        draw::Faults,
    },
    phase::Phase,
    session::{Outcome, Session},
    shared::Shared,
    timeout::until,
};

/// Tokens from here on are the acceptor's own.
pub(crate) const OWN_TOKENS: u64 = 1 << 63;
const DRAIN: u64 = OWN_TOKENS | 1 << 32;
const HALT: u64 = DRAIN + 1;
const FREED: u64 = DRAIN + 2;

/// How many connections one turn of a loop accepts, so that the others are not delayed.
pub(crate) const BATCH: usize = 64;

/// How many events one wait returns.
const EVENTS: usize = 256;

/// What one loop of a server is given.
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: Arc<AcceptQueue>,
    /// Told by [`Acceptor::open`], the last thing that an engine needs before it serves.
    pub(crate) ready: SyncSender<()>,
    /// What connections get a fault.
    pub(crate) faults: Arc<Faults>,
    pub(crate) accept_delay: Option<Duration>,
}

/// Accepts connections for one loop.
pub(crate) struct Acceptor {
    shared: Arc<Shared>,
    epoll: Rc<OwnedFd>,
    queue: Arc<AcceptQueue>,
    phase: Phase,
    /// While accept is paused, the listeners are not in the epoll set.
    paused: Option<Instant>,
    faults: Arc<Faults>,
    delay: Option<AcceptDelay>,
}

impl Acceptor {
    /// The acceptor of `context`, whose accepted sockets are made with `flags` (non-blocking or not). Whatever else an engine
    /// may fail to get, it gets before: with its acceptor open, the server is ready.
    pub(crate) fn open(context: Context, flags: SocketFlags) -> Result<Self, Error> {
        let Context { shared, queue, ready, faults, accept_delay } = context;
        let failed = |errno| Error::new("epoll_ctl", errno);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|errno| Error::new("epoll_create1", errno))?;
        let mut queues = queue.lock();
        for (index, queue) in queues.open.iter().enumerate() {
            epoll::add(&epoll, &queue.listener, listener_token(index), EventFlags::IN)
                .map_err(failed)?;
        }
        queues.flags = flags | SocketFlags::CLOEXEC;
        let delay = accept_delay.map(|time| AcceptDelay::new(time, queues.open.len()));
        drop(queues);
        // Nobody reads `freed`, so only its edges count; the stops are taken out once they have been seen.
        for (stop, token, flags) in [
            (&shared.drain, DRAIN, EventFlags::IN),
            (&shared.halt, HALT, EventFlags::IN),
            (&shared.freed, FREED, EventFlags::IN | EventFlags::ET),
        ] {
            epoll::add(&epoll, stop, EventData::new_u64(token), flags).map_err(failed)?;
        }
        // The thread that starts the server may have failed meanwhile; then nothing receives this.
        let _ = ready.send(());
        Ok(Acceptor {
            shared,
            epoll: Rc::new(epoll),
            queue,
            phase: Phase::Serving,
            paused: None,
            faults,
            delay,
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns whether no further connection will be accepted.
    pub(crate) fn closed(&self) -> bool {
        if self.phase == Phase::Serving {
            return false;
        }
        let queues = self.queue.lock();
        queues.open.is_empty() && queues.taken.is_empty()
    }

    /// Returns when the acceptor must be called although there was no event: while it drains, until it has closed.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let closing = self.phase == Phase::Draining && !self.closed();
        self.paused.or_else(|| closing.then(Instant::now))
    }

    /// Handles an event of the acceptor.
    pub(crate) fn note(&mut self, token: u64) -> Result<(), Error> {
        match token {
            DRAIN => self.advance(Phase::Draining),
            HALT => {
                self.let_go();
                self.advance(Phase::Halted)
            }
            FREED => {
                if self.paused.is_some() {
                    self.shared.descriptor_freed();
                    self.paused = Some(Instant::now());
                }
                Ok(())
            }
            listener => {
                let index = (listener & !OWN_TOKENS) as usize;
                if let Some(queue) = self.queue.lock().open.get_mut(index) {
                    queue.ready = true;
                }
                Ok(())
            }
        }
    }

    fn advance(&mut self, phase: Phase) -> Result<(), Error> {
        let stop = if phase == Phase::Draining { &self.shared.drain } else { &self.shared.halt };
        epoll::delete(&self.epoll, stop).map_err(|errno| Error::new("epoll_ctl", errno))?;
        self.phase = self.phase.max(phase);
        // Connections that were taken from the queue do not wait for the end of a pause.
        if let Some(until) = &mut self.paused {
            *until = Instant::now();
        }
        Ok(())
    }

    /// Closes the listeners, and the connections that were taken from their queues and not served yet.
    fn let_go(&mut self) {
        self.queue.close();
        while let Some((fd, peer)) = self.take_over() {
            if let Some((fd, session)) = self.shared.enter(fd, peer) {
                abort_echo(&fd);
                self.shared.close(fd, &session, Outcome::of(Ending::Draining));
            }
        }
    }

    /// The next connection that was taken from a queue when the drain began.
    fn take_over(&self) -> Option<Accepted> {
        let mut queues = self.queue.lock();
        let taken = queues.taken.pop_front();
        queues.given += u64::from(taken.is_some());
        taken
    }

    /// Returns the next connection, if one is waiting; `None` also while accept is paused.
    pub(crate) fn try_accept(&mut self) -> Result<Option<(OwnedFd, Session)>, Error> {
        // A flood of connections beyond the limit must not delay the others.
        for _ in 0..BATCH {
            let accepted = match self.take_over() {
                Some(accepted) => accepted,
                None if !self.resume()? => return Ok(None),
                None => match self.accept_queued()? {
                    Some(accepted) => accepted,
                    None => return Ok(None),
                },
            };
            let (fd, peer) = accepted;
            let Some((fd, session)) = self.shared.enter(fd, peer) else { continue };
            if let Some(entered) = self.faults.draw(&self.shared, fd, session) {
                return Ok(Some(entered));
            }
        }
        Ok(None)
    }

    /// Accepts from a listener that may have a connection. A draining listener closes for good once what was queued has
    /// been accepted.
    fn accept_queued(&mut self) -> Result<Option<Accepted>, Error> {
        let queue = Arc::clone(&self.queue);
        let mut queues = queue.lock();
        let Queues { open, flags, given, .. } = &mut *queues;
        while let Some(index) = open.iter().position(|queue| queue.ready) {
            if let Err(until) = self.shared.may_accept() {
                self.pause(until, &queues)?;
                return Ok(None);
            }
            match self.delay.as_mut().map_or(Admission::Now, |delay| delay.admit(index, open)) {
                Admission::Now => {}
                Admission::NotNow => {
                    open[index].ready = false;
                    continue;
                }
                Admission::After(time) => {
                    self.pause(time, &queues)?;
                    return Ok(None);
                }
            }
            let queue = &mut open[index];
            match queue.accept(*flags) {
                Ok(accepted) => {
                    *given += 1;
                    self.shared.accept_worked();
                    if queue.left == Some(0) {
                        open.swap_remove(index);
                    }
                    return Ok(Some(accepted));
                }
                Err(Errno::AGAIN) => {
                    self.shared.accept_worked();
                    queue.ready = false;
                    if let Some(delay) = &mut self.delay {
                        delay.is_empty(index);
                    }
                    if queue.left.is_some() {
                        open.swap_remove(index);
                    }
                }
                Err(errno) => match self.shared.accept_failed(errno) {
                    Advice::Again => {}
                    Advice::Wait(until) => {
                        self.pause(until, &queues)?;
                        return Ok(None);
                    }
                    Advice::Fatal => {
                        return Err(Error::at("accept", queue.listener.addr(), errno));
                    }
                },
            }
        }
        Ok(None)
    }

    /// Waits for the next connection; `None` once the acceptor is closed.
    pub(crate) fn accept(&mut self) -> Result<Option<(OwnedFd, Session)>, Error> {
        loop {
            if let Some(entered) = self.try_accept()? {
                return Ok(Some(entered));
            }
            if self.closed() {
                return Ok(None);
            }
            self.wait(None, |_| ())?;
        }
    }

    /// Waits for events until `deadline` or its own, takes in the acceptor's own, and gives the tokens of the others to
    /// `other`.
    pub(crate) fn wait(
        &mut self,
        deadline: Option<Instant>,
        mut other: impl FnMut(u64),
    ) -> Result<(), Error> {
        let mut events = [const { std::mem::MaybeUninit::<epoll::Event>::uninit() }; EVENTS];
        let deadline = [self.deadline(), deadline].into_iter().flatten().min();
        let timeout = deadline.map(until);
        let events = match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(()),
            Err(errno) => return Err(Error::new("epoll_wait", errno)),
        };
        for event in events.iter() {
            match event.data.u64() {
                token if token >= OWN_TOKENS => self.note(token)?,
                token => other(token),
            }
        }
        Ok(())
    }

    /// Takes the listeners out of the set, where they would be readable all the time.
    fn pause(&mut self, until: Instant, queues: &Queues) -> Result<(), Error> {
        if self.paused.replace(until).is_none() {
            self.listen_for(EventFlags::empty(), queues)?;
        }
        Ok(())
    }

    /// Whether accept may be called, as far as a pause is concerned.
    fn resume(&mut self) -> Result<bool, Error> {
        match self.paused {
            None => Ok(true),
            Some(until) if Instant::now() < until => Ok(false),
            Some(_) => {
                self.paused = None;
                let mut queues = self.queue.lock();
                self.listen_for(EventFlags::IN, &queues)?;
                for queue in &mut queues.open {
                    queue.ready = true;
                }
                Ok(true)
            }
        }
    }

    fn listen_for(&self, flags: EventFlags, queues: &Queues) -> Result<(), Error> {
        for (index, queue) in queues.open.iter().enumerate() {
            let listener = &queue.listener;
            let changed = epoll::modify(&self.epoll, listener, listener_token(index), flags);
            changed.map_err(|errno| Error::at("epoll_ctl", listener.addr(), errno))?;
        }
        Ok(())
    }

    #[cfg(feature = "uring")]
    /// Returns the epoll instance, for a ring that polls it.
    pub(crate) fn epoll(&self) -> &Rc<OwnedFd> {
        &self.epoll
    }
}

impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn listener_token(index: usize) -> EventData {
    EventData::new_u64(OWN_TOKENS | index as u64)
}
