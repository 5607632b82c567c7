//! Plays the scripts of all connections of a server: one thread, started with the first scripted connection.
//!
//! The thread belongs to no engine, so a step does the same under each of them, and the engines' path has no trace of it.
//! It waits for readiness (edge-triggered epoll) and for the next timer. After every event a script runs until it waits for
//! bytes, room or time again; what it does next is decided by [`Play`], which has no socket.

use std::{
    collections::{BTreeSet, VecDeque},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    event::epoll::{self, EventData, EventFlags},
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt::socket_error},
};
use slab::Slab;
use tcpecho_os::socket::{abort, reset, unread, unsent};

use super::play::{MOST_READ, Next, Play};
use crate::{
    Ending, Error,
    lingering_close::{LINGER, quiet_in},
    phase::Phase,
    session::{Outcome, Session},
    shared::Shared,
    stop::Stop,
    timeout::until,
};

/// The most scripted connections of a server at a time. A further one is closed at once, with the ending `limit`.
pub(crate) const MOST_SCRIPTED: usize = 4096;
/// Descriptors that a player opens.
pub const PLAYER_DESCRIPTORS: usize = 2;

const DRAIN: u64 = u64::MAX;
const HALT: u64 = u64::MAX - 1;
const WAKE: u64 = u64::MAX - 2;
/// How many calls a connection makes before the others have their turn.
const TURN: usize = 32;
const EVENTS: usize = 256;
/// How often a draining player looks at its connections.
const DRAIN_TICK: Duration = Duration::from_millis(10);
/// How often an unacknowledged byte is looked at: at first, and at most.
const ACK_TICK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(16));

/// A connection on its way to the player.
pub(super) struct Arrival {
    pub(super) fd: OwnedFd,
    pub(super) session: Session,
    pub(super) play: Play,
}

struct Inbox {
    arrivals: VecDeque<Arrival>,
    thread: Option<JoinHandle<()>>,
    /// All loops of the server have ended, so no connection will arrive.
    complete: bool,
    /// The thread has ended.
    done: bool,
}

/// The side of the player that the engines' threads see.
pub(crate) struct Player {
    inbox: Mutex<Inbox>,
    /// Connections that are in the inbox or being played.
    present: AtomicUsize,
    wake: Stop,
    epoll: OwnedFd,
}

impl Player {
    /// A player without a thread.
    pub(crate) fn new() -> Result<Self, Error> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|errno| Error::new("epoll_create1", errno))?;
        let inbox = Inbox { arrivals: VecDeque::new(), thread: None, complete: false, done: false };
        Ok(Player {
            inbox: Mutex::new(inbox),
            present: AtomicUsize::new(0),
            wake: Stop::new()?,
            epoll,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection, or closes it if there is no room for it.
    pub(super) fn admit(self: &Arc<Self>, shared: &Arc<Shared>, arrival: Arrival) {
        let Err(refused) = self.try_admit(shared, arrival) else { return };
        let (Arrival { fd, session, play }, outcome) = *refused;
        shared.close_scripted(fd, &session, outcome, play.fired(false));
    }

    fn try_admit(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        arrival: Arrival,
    ) -> Result<(), Box<(Arrival, Outcome)>> {
        if self.present.fetch_add(1, Relaxed) >= MOST_SCRIPTED {
            self.present.fetch_sub(1, Relaxed);
            return Err(Box::new((arrival, Outcome::of(Ending::Limit))));
        }
        let mut inbox = self.lock();
        if inbox.done {
            self.present.fetch_sub(1, Relaxed);
            let outcome = shared.failure().unwrap_or(Outcome::of(Ending::Draining));
            return Err(Box::new((arrival, outcome)));
        }
        if inbox.thread.is_none() {
            match self.start(shared) {
                Ok(thread) => inbox.thread = Some(thread),
                Err(errno) => {
                    self.present.fetch_sub(1, Relaxed);
                    return Err(Box::new((arrival, Outcome::no_room("pthread_create", errno))));
                }
            }
        }
        inbox.arrivals.push_back(arrival);
        drop(inbox);
        self.wake.trigger();
        Ok(())
    }

    fn start(self: &Arc<Self>, shared: &Arc<Shared>) -> Result<JoinHandle<()>, Errno> {
        let (player, shared) = (Arc::clone(self), Arc::clone(shared));
        let body = move || {
            tcpecho_os::thread::block_signals();
            // The observer runs in here too, and may panic.
            let result =
                catch_unwind(AssertUnwindSafe(|| Loop::new(&player, &shared).and_then(Loop::run)));
            let result = result.unwrap_or_else(|_| {
                Err(Error::new("serve", Errno::CANCELED).note("a loop of the server panicked"))
            });
            if let Err(error) = result {
                shared.fail(&error);
            }
            player.finish(&shared);
        };
        std::thread::Builder::new()
            .name("tcpecho".into())
            .spawn(body)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))
    }

    /// The thread ends.
    fn finish(&self, shared: &Shared) {
        let mut inbox = self.lock();
        inbox.done = true;
        let (left, complete) = (std::mem::take(&mut inbox.arrivals), inbox.complete);
        drop(inbox);
        let outcome = shared.failure().unwrap_or(Outcome::of(Ending::Draining));
        for Arrival { fd, session, play } in left {
            shared.close_scripted(fd, &session, outcome, play.fired(false));
        }
        if complete {
            shared.end();
        }
    }

    /// No connection will arrive any more. Returns whether the player tells the end of the server when it has finished.
    pub(crate) fn complete(&self) -> bool {
        let mut inbox = self.lock();
        inbox.complete = true;
        let plays = inbox.thread.is_some() && !inbox.done;
        drop(inbox);
        self.wake.trigger();
        plays
    }

    /// Waits until the thread has ended, if there is one.
    pub(crate) fn join(&self) {
        let thread = self.lock().thread.take();
        if let Some(thread) = thread {
            // A panic has been reported by `failure`.
            let _ = thread.join();
        }
    }
}

/// A connection that is being played.
struct Slot {
    fd: OwnedFd,
    session: Session,
    play: Play,
    /// Its entry among the timers.
    timer: Option<Instant>,
    /// For the next look at unacknowledged bytes.
    tick: Duration,
    /// The peer's FIN has arrived, behind bytes that may be unread.
    fin_arrived: bool,
    /// It waits for the peer.
    waits: bool,
    /// Our FIN is sent because of a drain; it is closed at this time at the latest.
    lingers: Option<Instant>,
}

/// The thread's side.
struct Loop<'a> {
    player: &'a Player,
    shared: &'a Shared,
    phase: Phase,
    slots: Slab<Slot>,
    timers: BTreeSet<(Instant, usize)>,
    /// Slots whose turn it is.
    ready: Vec<usize>,
    buffer: Box<[MaybeUninit<u8>]>,
}

impl<'a> Loop<'a> {
    fn new(player: &'a Player, shared: &'a Shared) -> Result<Self, Error> {
        // They stay readable, so only their edges count.
        let flags = EventFlags::IN | EventFlags::ET;
        for (stop, token) in [(&shared.drain, DRAIN), (&shared.halt, HALT), (&player.wake, WAKE)] {
            epoll::add(&player.epoll, stop, EventData::new_u64(token), flags)
                .map_err(|errno| Error::new("epoll_ctl", errno))?;
        }
        Ok(Loop {
            player,
            shared,
            phase: Phase::Serving,
            slots: Slab::new(),
            timers: BTreeSet::new(),
            ready: Vec::new(),
            buffer: Box::new_uninit_slice(MOST_READ),
        })
    }

    /// Plays until no connection is left and none will arrive.
    fn run(mut self) -> Result<(), Error> {
        loop {
            self.wait()?;
            let complete = self.take_arrivals();
            let now = Instant::now();
            while let Some((_, key)) = self.timers.first().copied().filter(|(due, _)| *due <= now) {
                self.timers.pop_first();
                self.slots[key].timer = None;
                self.ready.push(key);
            }
            for key in std::mem::take(&mut self.ready) {
                self.turn(key);
            }
            match self.phase {
                Phase::Serving => {}
                Phase::Draining => self.drain(),
                Phase::Halted => self.let_go(),
            }
            if complete && self.slots.is_empty() {
                return Ok(());
            }
        }
    }

    fn wait(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let timer = self.timers.first().map(|(due, _)| *due);
        let drain =
            (self.phase == Phase::Draining && !self.slots.is_empty()).then_some(now + DRAIN_TICK);
        let at_once = (!self.ready.is_empty()).then_some(now);
        let deadline = [timer, drain, at_once].into_iter().flatten().min();
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; EVENTS];
        let timeout = deadline.map(until);
        let events = match epoll::wait(&self.player.epoll, &mut events, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(()),
            Err(errno) => return Err(Error::new("epoll_wait", errno)),
        };
        for event in events.iter() {
            match event.data.u64() {
                DRAIN => self.phase = self.phase.max(Phase::Draining),
                HALT => self.phase = Phase::Halted,
                WAKE => {}
                key => self.note(key as usize, event.flags),
            }
        }
        Ok(())
    }

    fn note(&mut self, key: usize, flags: EventFlags) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        if flags.intersects(EventFlags::ERR | EventFlags::HUP)
            && let Ok(Err(errno)) = socket_error(&slot.fd)
        {
            return self.end(key, Outcome::failed("recv", errno));
        }
        slot.fin_arrived |= flags.intersects(EventFlags::RDHUP | EventFlags::HUP);
        self.ready.push(key);
    }

    /// Takes what the engines' threads have passed on. Returns whether that was all.
    fn take_arrivals(&mut self) -> bool {
        let mut inbox = self.player.lock();
        let (arrivals, complete) = (std::mem::take(&mut inbox.arrivals), inbox.complete);
        drop(inbox);
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        for Arrival { fd, session, play } in arrivals {
            let key = self.slots.insert(Slot {
                fd,
                session,
                play,
                timer: None,
                tick: ACK_TICK.0,
                fin_arrived: false,
                waits: false,
                lingers: None,
            });
            let token = EventData::new_u64(key as u64);
            match epoll::add(&self.player.epoll, &self.slots[key].fd, token, flags) {
                Ok(()) => self.ready.push(key),
                Err(errno) => self.end(key, Outcome::no_room("epoll_ctl", errno)),
            }
        }
        complete
    }

    /// Plays one script until it waits.
    fn turn(&mut self, key: usize) {
        for _ in 0..TURN {
            let Some(slot) = self.slots.get_mut(key) else { return };
            let now = Instant::now();
            if slot.lingers.is_some() {
                return self.linger(key, now);
            }
            let before = slot.play.sent();
            let done = slot.act(now, &mut self.buffer);
            let sent = slot.play.sent() - before;
            slot.session.bytes += sent;
            slot.session.received = slot.play.taken();
            if sent > 0 {
                self.shared.stats.bytes().fetch_add(sent, Relaxed);
            }
            match done {
                Act::Again => {}
                Act::Wait => return,
                Act::WaitUntil(time) => return self.set_timer(key, time),
                Act::End(outcome) => return self.end(key, outcome),
            }
        }
        self.ready.push(key);
    }

    fn set_timer(&mut self, key: usize, time: Instant) {
        let slot = &mut self.slots[key];
        if let Some(old) = slot.timer.replace(time) {
            self.timers.remove(&(old, key));
        }
        self.timers.insert((time, key));
    }

    /// Ends connections that wait for a peer from which nothing comes. A pause, and what is being sent, goes on.
    fn drain(&mut self) {
        let now = Instant::now();
        for key in 0..self.slots.capacity() {
            let Some(slot) = self.slots.get_mut(key) else { continue };
            if !slot.waits || slot.lingers.is_some() {
                continue;
            }
            let never_reads = !matches!(slot.play.next(now), Next::Receive(_));
            if never_reads || quiet_in(slot.fd.as_fd()).is_zero() {
                if shutdown(&slot.fd, Shutdown::Write).is_err() {
                    self.end(key, Outcome::of(Ending::Draining));
                    continue;
                }
                slot.lingers = Some(now + LINGER);
                self.linger(key, now);
            }
        }
    }

    /// After our FIN: until the peer's comes, or the time is over.
    fn linger(&mut self, key: usize, now: Instant) {
        let slot = &self.slots[key];
        let over = slot.lingers.is_some_and(|until| until <= now);
        match discard(slot.fd.as_fd(), &mut self.buffer) {
            Discarded::ToTheEnd => self.end(key, Outcome::of(Ending::Draining)),
            _ if over => self.end(key, Outcome::of(Ending::Draining)),
            Discarded::Some => self.ready.push(key),
            Discarded::All => {
                if let Some(until) = slot.lingers {
                    self.set_timer(key, until);
                }
            }
        }
    }

    fn let_go(&mut self) {
        let failure = self.shared.failure();
        for key in 0..self.slots.capacity() {
            let Some(slot) = self.slots.get(key) else { continue };
            if failure.is_none() {
                abort(&slot.fd, slot.play.owes());
            }
            self.end(key, failure.unwrap_or(Outcome::of(Ending::Draining)));
        }
    }

    fn end(&mut self, key: usize, outcome: Outcome) {
        let slot = self.slots.remove(key);
        if let Some(timer) = slot.timer {
            self.timers.remove(&(timer, key));
        }
        // A child that the fork engine is just making may hold the socket a moment longer than we do.
        let _ = epoll::delete(&self.player.epoll, &slot.fd);
        self.player.present.fetch_sub(1, Relaxed);
        let mut fired = slot.play.fired(outcome.ending == Ending::Fault);
        fired.peer_closed |= slot.fin_arrived;
        self.shared.close_scripted(slot.fd, &slot.session, outcome, fired);
    }
}

impl Drop for Loop<'_> {
    /// There are connections left if the observer panicked.
    fn drop(&mut self) {
        self.slots.iter().for_each(|(_, slot)| abort(&slot.fd, slot.play.owes()));
    }
}

/// How far the input was discarded.
enum Discarded {
    /// There may be more.
    Some,
    /// No more has come yet.
    All,
    /// The peer has ended the stream.
    ToTheEnd,
}

/// Discards input, but not for ever.
fn discard(fd: BorrowedFd<'_>, buffer: &mut [MaybeUninit<u8>]) -> Discarded {
    for _ in 0..TURN {
        match recv(fd, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((_, n)) if n > 0 => {}
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Discarded::All,
            _ => return Discarded::ToTheEnd,
        }
    }
    Discarded::Some
}

/// What came of one thing that a script asked for.
enum Act {
    Again,
    Wait,
    WaitUntil(Instant),
    End(Outcome),
}

impl Slot {
    /// Does the next thing.
    fn act(&mut self, now: Instant, buffer: &mut [MaybeUninit<u8>]) -> Act {
        let next = self.play.next(now);
        self.waits = matches!(next, Next::Receive(_) | Next::Hold | Next::AwaitUnread);
        match next {
            Next::Receive(most) => self.receive(&mut buffer[..most]),
            Next::Send(most) => self.send(most, now),
            Next::Wait(time) => Act::WaitUntil(time),
            Next::Hold => Act::Wait,
            Next::Fin => match shutdown(&self.fd, Shutdown::Write) {
                Ok(()) => {
                    self.play.on_fin_sent();
                    Act::Again
                }
                Err(errno) => Act::End(Outcome::failed("shutdown", errno)),
            },
            Next::AwaitAcknowledgement => self.await_acknowledgement(now),
            Next::AwaitUnread => match unread(&self.fd) {
                Ok(0) if self.fin_arrived => self.close(buffer),
                Ok(0) => Act::Wait,
                // close(2) sends RST because bytes are unread.
                _ => Act::End(Outcome::of(Ending::Fault)),
            },
            Next::Close => self.close(buffer),
            Next::Reset => {
                reset(&self.fd);
                Act::End(Outcome::of(Ending::Fault))
            }
        }
    }

    fn receive(&mut self, buffer: &mut [MaybeUninit<u8>]) -> Act {
        match recv(&self.fd, buffer, RecvFlags::DONTWAIT) {
            Ok(((&mut [], _), _)) => self.play.on_fin(),
            Ok(((bytes, _), _)) => {
                if self.play.on_received(bytes).is_err() {
                    return Act::End(Outcome::no_room("malloc", Errno::NOMEM));
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Act::Wait,
            Err(errno) => return Act::End(Outcome::failed("recv", errno)),
        }
        Act::Again
    }

    fn send(&mut self, most: usize, now: Instant) -> Act {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match send(&self.fd, &self.play.pending()[..most], flags) {
            Ok(sent) => self.play.on_sent(sent, now),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Act::Wait,
            Err(errno) => return Act::End(Outcome::failed("send", errno)),
        }
        Act::Again
    }

    /// No event tells of an acknowledgement, so this looks again and again.
    fn await_acknowledgement(&mut self, now: Instant) -> Act {
        if unsent(&self.fd).is_ok_and(|bytes| bytes > 0) {
            let look = now + self.tick;
            self.tick = (self.tick * 2).min(ACK_TICK.1);
            return Act::WaitUntil(look);
        }
        self.tick = ACK_TICK.0;
        self.play.on_acknowledged();
        Act::Again
    }

    /// Sends FIN; bytes that were not read would turn it into RST.
    fn close(&self, buffer: &mut [MaybeUninit<u8>]) -> Act {
        let _ = shutdown(&self.fd, Shutdown::Write);
        // From a peer that sends as fast as this reads, not all can be taken.
        discard(self.fd.as_fd(), buffer);
        Act::End(Outcome::of(Ending::Fault))
    }
}
