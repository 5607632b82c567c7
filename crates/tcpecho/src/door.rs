//! Where connections come in: readiness of the listeners, the accept policy, and the word that it is time to stop.
//!
//! A door is an epoll instance with the listeners and the stops in it. An engine that waits for nothing else blocks in
//! [`Door::accept`]; one with an epoll of its own puts its sessions into the same instance and hands tokens that are the
//! door's to [`Door::note`]; a ring polls the instance's descriptor. No engine calls accept(2) itself.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use rustix::{
    event::{
        Timespec,
        epoll::{self, EventData, EventFlags},
    },
    io::Errno,
    net::{SocketAddrAny, SocketFlags, acceptfrom_with},
};

use crate::{
    Error, Event,
    context::{Context, Shared},
    listener::Listener,
    patience::Advice,
    session::Session,
};

/// Tokens from here on are the door's own.
pub(crate) const DOOR: u64 = 1 << 63;
const DRAIN: u64 = DOOR | 1 << 32;
const HALT: u64 = DRAIN + 1;
const FREED: u64 = DRAIN + 2;

/// How many connections one turn of a loop lets in, so that those inside are not kept waiting.
pub(crate) const BATCH: usize = 64;

/// How many events one wait takes in.
const EVENTS: usize = 256;

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// Those who had knocked are let in; nobody else.
    Draining,
    Halted,
}

/// The way in for one loop.
pub(crate) struct Door {
    shared: Arc<Shared>,
    epoll: OwnedFd,
    /// `true` beside a listener that may have somebody waiting. Empty once the door is closed.
    listeners: Vec<(Listener, bool)>,
    flags: SocketFlags,
    phase: Phase,
    /// While accept is being left alone, the listeners are out of the epoll set.
    paused: Option<Instant>,
}

impl Door {
    /// The door of `context`, whose accepted sockets are made with `flags` (non-blocking or not). Whatever else an engine
    /// may fail to get, it gets before: with its door open, the server is ready.
    pub(crate) fn open(context: Context, flags: SocketFlags) -> Result<Self, Error> {
        let Context { shared, listeners, ready } = context;
        let failed = |errno| Error::new("epoll_ctl", errno);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|errno| Error::new("epoll_create1", errno))?;
        for (index, listener) in listeners.iter().enumerate() {
            epoll::add(&epoll, listener, listener_token(index), EventFlags::IN).map_err(failed)?;
        }
        // Nobody reads `freed`, so only its edges count; the stops are taken out once they have been seen.
        for (stop, token, flags) in [
            (&shared.drain, DRAIN, EventFlags::IN),
            (&shared.halt, HALT, EventFlags::IN),
            (&shared.freed, FREED, EventFlags::IN | EventFlags::ET),
        ] {
            epoll::add(&epoll, stop, EventData::new_u64(token), flags).map_err(failed)?;
        }
        let listeners = listeners.into_iter().map(|listener| (listener, false)).collect();
        let flags = flags | SocketFlags::CLOEXEC;
        // Whoever started the server may have died of something else; then this is told to nobody.
        let _ = ready.send(());
        Ok(Door { shared, epoll, listeners, flags, phase: Phase::Serving, paused: None })
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Nobody will come in any more.
    pub(crate) fn closed(&self) -> bool {
        self.listeners.is_empty()
    }

    /// When the door wants to be looked at though nothing happened. A draining door wants it until it has closed, which no
    /// event may announce.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let closing = self.phase == Phase::Draining && !self.closed();
        self.paused.or_else(|| closing.then(Instant::now))
    }

    /// Takes in one event of the door's own.
    pub(crate) fn note(&mut self, token: u64) -> Result<(), Error> {
        match token {
            DRAIN => self.advance(Phase::Draining),
            HALT => {
                self.listeners.clear();
                self.advance(Phase::Halted)
            }
            FREED => {
                if self.paused.is_some() {
                    self.shared.patience().freed(Instant::now());
                    self.paused = Some(Instant::now());
                }
                Ok(())
            }
            listener => {
                if let Some((_, ready)) = self.listeners.get_mut((listener & !DOOR) as usize) {
                    *ready = true;
                }
                Ok(())
            }
        }
    }

    fn advance(&mut self, phase: Phase) -> Result<(), Error> {
        let stop = if phase == Phase::Draining { &self.shared.drain } else { &self.shared.halt };
        epoll::delete(&self.epoll, stop).map_err(|errno| Error::new("epoll_ctl", errno))?;
        self.phase = self.phase.max(phase);
        for (_, ready) in &mut self.listeners {
            *ready = true;
        }
        Ok(())
    }

    /// The next connection, if one is waiting; `None` also while accept is being left alone.
    ///
    /// A draining door closes for good once its queues are empty.
    pub(crate) fn try_accept(&mut self) -> Result<Option<(OwnedFd, Session)>, Error> {
        if !self.resume()? {
            return Ok(None);
        }
        let mut refused = 0;
        while let Some(index) = self.listeners.iter().position(|(_, ready)| *ready) {
            if let Err(until) = self.may_try() {
                self.pause(until)?;
                return Ok(None);
            }
            let listener = &self.listeners[index].0;
            match acceptfrom_with(listener, self.flags) {
                Ok((fd, peer)) => {
                    self.worked();
                    if let Some(entered) = self.shared.enter(fd, address(peer)) {
                        return Ok(Some(entered));
                    }
                    // A flood of those for whom there is no room must not keep the others waiting.
                    refused += 1;
                    if refused == BATCH {
                        return Ok(None);
                    }
                }
                Err(Errno::AGAIN) => {
                    self.worked();
                    self.listeners[index].1 = false;
                }
                Err(errno) => {
                    let addr = listener.addr();
                    if let Some(until) =
                        self.failed(errno).map_err(|errno| Error::at("accept", addr, errno))?
                    {
                        self.pause(until)?;
                        return Ok(None);
                    }
                }
            }
        }
        if self.phase == Phase::Draining {
            self.listeners.clear();
        }
        Ok(None)
    }

    /// Waits for the next connection; `None` once the door is closed.
    pub(crate) fn accept(&mut self) -> Result<Option<(OwnedFd, Session)>, Error> {
        loop {
            if let Some(entered) = self.try_accept()? {
                return Ok(Some(entered));
            }
            if self.closed() {
                return Ok(None);
            }
            self.wait(self.deadline(), |_| ())?;
        }
    }

    /// Waits for events until `deadline`, takes in the door's own, and gives the tokens of the others to `other`.
    pub(crate) fn wait(
        &mut self,
        deadline: Option<Instant>,
        mut other: impl FnMut(u64),
    ) -> Result<(), Error> {
        let mut events = [const { std::mem::MaybeUninit::<epoll::Event>::uninit() }; EVENTS];
        let timeout = deadline.map(until);
        let events = match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(()),
            Err(errno) => return Err(Error::new("epoll_wait", errno)),
        };
        for event in events.iter() {
            match event.data.u64() {
                token if token >= DOOR => self.note(token)?,
                token => other(token),
            }
        }
        Ok(())
    }

    fn may_try(&self) -> Result<(), Instant> {
        if self.shared.failing.load(Relaxed) {
            self.shared.patience().may_try(Instant::now())
        } else {
            Ok(())
        }
    }

    fn worked(&mut self) {
        if self.shared.failing.load(Relaxed) {
            let told = self.shared.patience().worked(Instant::now());
            self.shared.failing.store(false, Relaxed);
            if let Some((failures, lasted)) = told {
                self.shared.tell(&Event::AcceptResumed { failures, lasted });
            }
        }
    }

    /// Until when to leave accept alone after it failed, if at all.
    fn failed(&mut self, errno: Errno) -> Result<Option<Instant>, Errno> {
        let (advice, say) = {
            let mut patience = self.shared.patience();
            let answer = patience.failed(errno, Instant::now());
            self.shared.failing.store(patience.in_trouble(), Relaxed);
            answer
        };
        if errno != Errno::INTR {
            self.shared.stats.accept_failures.fetch_add(1, Relaxed);
        }
        if say {
            self.shared.tell(&Event::AcceptFailing(errno));
        }
        match advice {
            Advice::Again => Ok(None),
            Advice::Wait(until) => Ok(Some(until)),
            Advice::Fatal => Err(errno),
        }
    }

    /// Takes the listeners out of the set, where they would be readable all the time.
    fn pause(&mut self, until: Instant) -> Result<(), Error> {
        if self.paused.replace(until).is_none() {
            self.listen_for(EventFlags::empty())?;
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
                self.listen_for(EventFlags::IN)?;
                for (_, ready) in &mut self.listeners {
                    *ready = true;
                }
                Ok(true)
            }
        }
    }

    fn listen_for(&self, flags: EventFlags) -> Result<(), Error> {
        for (index, (listener, _)) in self.listeners.iter().enumerate() {
            let changed = epoll::modify(&self.epoll, listener, listener_token(index), flags);
            changed.map_err(|errno| Error::at("epoll_ctl", listener.addr(), errno))?;
        }
        Ok(())
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn listener_token(index: usize) -> EventData {
    EventData::new_u64(DOOR | index as u64)
}

/// The time that is left until `deadline`, for a call that takes it so.
pub(crate) fn until(deadline: Instant) -> Timespec {
    let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_secs(1 << 20));
    Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
}

/// The kernel names the peer even of a connection that was reset before it was accepted.
fn address(peer: Option<SocketAddrAny>) -> SocketAddr {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    peer.and_then(|peer| SocketAddr::try_from(peer).ok()).unwrap_or(unknown)
}
