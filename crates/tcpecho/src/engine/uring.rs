//! One loop over completions (io_uring(7)).
//!
//! A session has one receive under way, which holds no buffer until something has come, or one send. The receive of the
//! next message is linked behind the send of this one, so an echo is one trip into the kernel, shared with whatever else
//! is ready. A send that does not fit at once gives its pool buffer back and goes on from memory of its own, with no
//! receive behind it: a peer that does not read is not read from, and can never empty the pool that all share.
//!
//! Connections come through the door's epoll, which the ring polls, and not by accept in the ring: a ring can outlive its
//! process by a second, and a listener that it held would keep the port from the successor. (The same goes for multishot
//! requests: what ends by itself, on any error, has to be noticed.)

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{Shutdown, SocketFlags, shutdown},
};
use slab::Slab;
use tcpecho_os::{
    socket::abort,
    uring::{self, Chunk, Done, Ring},
};

use super::{
    Unavailable,
    upkeep::{Doing, Upkeep, Verdict},
};
use crate::{
    Ending, Error,
    context::{Context, Shared},
    door::{BATCH, Door, Phase},
    farewell::LINGER,
    session::{Outcome, Session},
};

/// The token of the poll for the door.
const DOOR: u32 = u32::MAX;
/// How long requests that were woken may take to complete at the very end.
const LETTING_GO: Duration = Duration::from_secs(1);

struct Seat {
    session: Session,
    fd: OwnedFd,
    stamp: u32,
    /// Requests that name the descriptor; it is closed only when there are none.
    under_way: u8,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Talking,
    /// The rest of a message waits for room in the socket.
    Owing,
    /// Our FIN is out.
    Leaving {
        since: u32,
        ending: Ending,
    },
    /// Over, but for requests under way.
    Dying(Outcome),
}

struct Loop {
    shared: Arc<Shared>,
    ring: Ring,
    seats: Slab<Seat>,
    /// Sessions whose receive found the pool empty.
    starved: Vec<u32>,
    door_ready: bool,
    upkeep: Upkeep,
    echoed: u64,
}

pub(super) fn probe() -> Result<(), Unavailable> {
    uring::probe().map_err(|(op, errno)| Unavailable { op, errno, hint: hint(errno) })
}

fn hint(errno: Errno) -> String {
    let sysctl = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    match sysctl.as_deref().map(str::trim) {
        Ok(value @ ("1" | "2")) => format!("kernel.io_uring_disabled={value}"),
        _ => match errno {
            Errno::PERM => "a seccomp filter or security module forbids it".into(),
            Errno::NOSYS => "the kernel was built without it, or a seccomp filter hides it".into(),
            Errno::NOMEM => "the limit on locked memory may be too low (ulimit -l)".into(),
            Errno::INVAL | Errno::OPNOTSUPP => "the kernel is too old for it".into(),
            _ => String::new(),
        },
    }
}

pub(super) fn run(context: Context) -> Result<(), Error> {
    let shared = Arc::clone(&context.shared);
    let ring = Ring::new().map_err(|(op, errno)| Error::new(op, errno))?;
    // Blocking sockets: a ring waits for them itself, and takes O_NONBLOCK as a wish not to wait.
    let mut door = Door::open(context, SocketFlags::empty())?;
    let upkeep = Upkeep::new(&shared);
    let (seats, starved) = (super::seats(&shared), Vec::new());
    let mut this = Loop { shared, ring, seats, starved, door_ready: false, upkeep, echoed: 0 };
    this.ring.poll(door.as_fd(), DOOR);
    loop {
        this.wait(&door)?;
        this.upkeep.tick(door.phase());
        while let Some(done) = this.ring.next_done() {
            this.take(done);
        }
        for key in std::mem::take(&mut this.starved) {
            this.receive(key as usize);
        }
        this.answer(&mut door)?;
        this.upkeep.tick(door.phase());
        if this.upkeep.due() {
            this.look_after_all();
        }
        this.shared.stats.bytes().fetch_add(std::mem::take(&mut this.echoed), Relaxed);
        if door.phase() == Phase::Halted {
            return this.let_go();
        }
        if door.closed() && this.seats.is_empty() {
            return Ok(());
        }
    }
}

impl Loop {
    fn wait(&mut self, door: &Door) -> Result<(), Error> {
        let deadline = [door.deadline(), self.upkeep.deadline()].into_iter().flatten().min();
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        self.ring.enter(timeout).map_err(|errno| Error::new("io_uring_enter", errno))
    }

    /// Lets in who is at the door.
    fn answer(&mut self, door: &mut Door) -> Result<(), Error> {
        let paused_until_now = door.deadline().is_some_and(|deadline| deadline <= Instant::now());
        if !self.door_ready && !paused_until_now {
            return Ok(());
        }
        if self.door_ready {
            door.wait(Some(Instant::now()), |_| ())?;
        }
        for _ in 0..BATCH {
            let Some((fd, session)) = door.try_accept()? else { break };
            let stamp = self.upkeep.stamp();
            let key =
                self.seats.insert(Seat { session, fd, stamp, under_way: 0, state: State::Talking });
            self.receive(key);
            self.upkeep.began();
        }
        if std::mem::take(&mut self.door_ready) {
            self.ring.poll(door.as_fd(), DOOR);
        }
        Ok(())
    }

    fn receive(&mut self, key: usize) {
        let seat = &mut self.seats[key];
        seat.under_way += 1;
        self.ring.recv(seat.fd.as_fd(), key as u32);
    }

    /// One completed request.
    fn take(&mut self, done: Done) {
        let key = match done {
            Done::Readable(_, _) => {
                self.door_ready = true;
                return;
            }
            Done::Received(key, result) => {
                self.seats[key as usize].under_way -= 1;
                self.received(key as usize, result);
                key
            }
            Done::Sent(key, result, chunk) => {
                self.seats[key as usize].under_way -= 1;
                self.sent(key as usize, result, chunk);
                key
            }
            Done::SentRest(key, result, rest) => {
                self.seats[key as usize].under_way -= 1;
                self.sent_rest(key as usize, result, rest);
                key
            }
        };
        self.bury(key as usize);
    }

    fn received(&mut self, key: usize, result: Result<Option<Chunk>, Errno>) {
        let seat = &mut self.seats[key];
        match (seat.state, result) {
            (State::Talking, Ok(Some(chunk))) => {
                seat.stamp = self.upkeep.stamp();
                seat.under_way += 2;
                self.ring.send(seat.fd.as_fd(), chunk, key as u32, true);
            }
            // The peer's FIN, and everything that came before it has been sent.
            (State::Talking, Ok(None)) => seat.state = State::Dying(Outcome::FINISHED),
            // What comes after our FIN is forgotten, until the peer's.
            (State::Leaving { .. }, Ok(Some(chunk))) => {
                self.ring.recycle(chunk);
                self.receive(key);
            }
            (State::Leaving { ending, .. }, Ok(None)) => {
                seat.state = State::Dying(Outcome::of(ending));
            }
            (State::Owing | State::Dying(_), Ok(chunk)) => {
                if let Some(chunk) = chunk {
                    self.ring.recycle(chunk);
                }
            }
            (_, Err(Errno::NOBUFS)) if !matches!(seat.state, State::Dying(_)) => {
                self.starved.push(key as u32);
            }
            (_, Err(Errno::INTR | Errno::AGAIN)) if !matches!(seat.state, State::Dying(_)) => {
                self.receive(key);
            }
            // The send before it was short; what is left goes first.
            (State::Owing | State::Dying(_), Err(_)) => {}
            (State::Leaving { ending, .. }, Err(_)) => {
                seat.state = State::Dying(Outcome::of(ending));
            }
            (State::Talking, Err(errno)) => {
                seat.state = State::Dying(Outcome::failed("recv", errno));
            }
        }
    }

    fn sent(&mut self, key: usize, result: Result<usize, Errno>, chunk: Chunk) {
        let seat = &mut self.seats[key];
        let bytes = self.ring.bytes(&chunk);
        let sent = match result {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(errno) => {
                // If it is being let go, it fails because of us.
                if !matches!(seat.state, State::Dying(_)) {
                    seat.state = State::Dying(Outcome::failed("send", errno));
                }
                return self.ring.recycle(chunk);
            }
        };
        self.echoed += sent as u64;
        seat.session.bytes += sent as u64;
        if sent < bytes.len() && matches!(seat.state, State::Talking) {
            let mut rest = Vec::new();
            if rest.try_reserve_exact(bytes.len() - sent).is_ok() {
                rest.extend_from_slice(&bytes[sent..]);
                seat.state = State::Owing;
                seat.under_way += 1;
                self.ring.send_rest(seat.fd.as_fd(), rest, key as u32);
            } else {
                let outcome =
                    Outcome { ending: Ending::Limit, call: Some(("malloc", Errno::NOMEM)) };
                seat.state = State::Dying(outcome);
            }
        }
        self.ring.recycle(chunk);
    }

    fn sent_rest(&mut self, key: usize, result: Result<usize, Errno>, mut rest: Vec<u8>) {
        let seat = &mut self.seats[key];
        let sent = match result {
            _ if matches!(seat.state, State::Dying(_)) => return,
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(errno) => {
                seat.state = State::Dying(Outcome::failed("send", errno));
                return;
            }
        };
        self.echoed += sent as u64;
        seat.session.bytes += sent as u64;
        seat.stamp = self.upkeep.stamp();
        rest.drain(..sent);
        if rest.is_empty() {
            seat.state = State::Talking;
            self.receive(key);
        } else {
            seat.under_way += 1;
            self.ring.send_rest(seat.fd.as_fd(), rest, key as u32);
        }
    }

    /// Closes a session that is over and that no request names any more.
    fn bury(&mut self, key: usize) {
        let Some(&Seat { under_way: 0, state: State::Dying(outcome), .. }) = self.seats.get(key)
        else {
            return;
        };
        let Seat { session, fd, .. } = self.seats.remove(key);
        drop(fd);
        self.shared.leave(&session, outcome);
    }

    fn look_after_all(&mut self) {
        for key in 0..self.seats.capacity() {
            let Some(seat) = self.seats.get_mut(key) else { continue };
            let doing = match seat.state {
                // A message on its way back is not for long.
                State::Talking if seat.under_way == 1 => Doing::Listening,
                State::Talking | State::Owing => Doing::Owing,
                State::Leaving { since, .. } => Doing::Leaving(since),
                State::Dying(_) => continue,
            };
            match self.upkeep.judge(seat.fd.as_fd(), seat.stamp, &doing) {
                Verdict::Stay => {}
                Verdict::Farewell(ending) => {
                    // If it fails, the connection is over and the receive under way will say so.
                    let _ = shutdown(&seat.fd, Shutdown::Write);
                    seat.state = State::Leaving { since: self.upkeep.stamp(), ending };
                    self.upkeep.look_in(LINGER);
                }
                Verdict::Abort(ending) => seat.let_go(ending),
                Verdict::Close => {
                    if let State::Leaving { ending, .. } = seat.state {
                        seat.let_go(ending);
                    }
                }
            }
        }
    }

    /// Wakes every request and waits for it, for no longer than a moment.
    fn let_go(mut self) -> Result<(), Error> {
        for (_, seat) in &mut self.seats {
            seat.let_go(Ending::Draining);
        }
        let deadline = Instant::now() + LETTING_GO;
        while !self.seats.is_empty() && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            self.ring.enter(Some(left)).map_err(|errno| Error::new("io_uring_enter", errno))?;
            while let Some(done) = self.ring.next_done() {
                self.take(done);
            }
        }
        Ok(())
    }
}

impl Seat {
    /// Ends the connection; its request under way completes and it is buried.
    fn let_go(&mut self, ending: Ending) {
        abort(&self.fd);
        if !matches!(self.state, State::Dying(_)) {
            self.state = State::Dying(Outcome::of(ending));
        }
    }
}
