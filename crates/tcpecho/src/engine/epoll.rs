//! One loop over readiness (UNP 6, with epoll(7) for select).
//!
//! Level-triggered: one recv and one send for each message, and what is left says so again. A turn moves at most one
//! buffer, so no connection waits for more than that. All share one buffer; a session has memory of its own only while it
//! is owed what its peer does not take, and then it is not read from (ARCHITECTURE.md has the measurements).

mod bulk;

use std::{
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use rustix::{
    event::epoll::{self, EventData, EventFlags},
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, SocketFlags, recv, send, shutdown},
};
use slab::Slab;
use tcpecho_os::socket::abort;

use self::bulk::{Bulk, Pipes};
use super::upkeep::{Doing, Upkeep, Verdict};
use crate::{
    Ending, Error,
    context::{Context, Shared},
    door::{BATCH, Door, Phase},
    session::{Outcome, Session},
};

/// Bytes of the buffer that all sessions share.
const BUFFER: usize = 256 << 10;

/// What an idle session costs, together with its place in the slab.
struct Seat {
    session: Session,
    burden: Option<Box<Burden>>,
    fd: OwnedFd,
    /// When it last moved a byte, by the loop's clock.
    stamp: u32,
}

/// What makes a session more than idle.
enum Burden {
    /// Bytes that the socket would not take, from this offset on. Nothing more is read meanwhile.
    Owed(Vec<u8>, usize),
    /// Bytes move by splice, through a pipe.
    Bulk(Bulk),
    /// Our FIN is out; what comes is forgotten.
    Leaving { since: u32, ending: Ending },
}

/// What a turn leads to.
#[derive(Clone, Copy)]
enum Next {
    Stay,
    Watch(EventFlags),
    End(Outcome),
}

struct Loop {
    shared: Arc<Shared>,
    seats: Slab<Seat>,
    buffer: Box<[MaybeUninit<u8>]>,
    pipes: Pipes,
    upkeep: Upkeep,
    /// Echoed since it was last added to the server's count.
    echoed: u64,
}

/// An epoll instance for each loop, and the pipes.
pub(super) fn descriptors(loops: usize) -> usize {
    loops * (1 + 2 * bulk::most(loops))
}

pub(super) fn run(context: Context) -> Result<(), Error> {
    let shared = Arc::clone(&context.shared);
    let mut door = Door::open(context, SocketFlags::NONBLOCK)?;
    let upkeep = Upkeep::new(&shared);
    let (seats, buffer) = (super::seats(&shared), Box::new_uninit_slice(BUFFER));
    let pipes = Pipes::new(bulk::most(shared.loops));
    let mut this = Loop { shared, seats, buffer, pipes, upkeep, echoed: 0 };
    let mut ready = Vec::new();
    loop {
        let deadline = [door.deadline(), this.upkeep.deadline()].into_iter().flatten().min();
        door.wait(deadline, |token| ready.push(token as usize))?;
        this.upkeep.tick(door.phase());
        for key in ready.drain(..) {
            this.turn(&door, key);
        }
        this.admit(&mut door)?;
        if this.upkeep.due() {
            this.look_after_all(&door);
        }
        this.shared.stats.bytes().fetch_add(std::mem::take(&mut this.echoed), Relaxed);
        if door.phase() == Phase::Halted {
            this.let_go();
        }
        if door.closed() && this.seats.is_empty() {
            return Ok(());
        }
    }
}

impl Loop {
    fn admit(&mut self, door: &mut Door) -> Result<(), Error> {
        for _ in 0..BATCH {
            let Some((fd, session)) = door.try_accept()? else { break };
            let key =
                self.seats.insert(Seat { session, burden: None, fd, stamp: self.upkeep.stamp() });
            let token = EventData::new_u64(key as u64);
            match epoll::add(&*door, &self.seats[key].fd, token, EventFlags::IN) {
                // The request is mostly there already.
                Ok(()) => self.turn(door, key),
                Err(errno) => {
                    self.end(
                        key,
                        Outcome { ending: Ending::Limit, call: Some(("epoll_ctl", errno)) },
                    );
                }
            }
            self.upkeep.began();
        }
        Ok(())
    }

    /// Gives one session its turn.
    fn turn(&mut self, door: &Door, key: usize) {
        // An event for a session that ended earlier in the same batch.
        let Some(seat) = self.seats.get_mut(key) else { return };
        let before = seat.session.bytes;
        let next = match seat.burden.as_deref_mut() {
            None => seat.echo(&mut self.buffer, &mut self.pipes),
            Some(Burden::Owed(..)) => seat.pay(),
            Some(Burden::Bulk(_)) => seat.move_bulk(&mut self.pipes),
            Some(Burden::Leaving { ending, .. }) => {
                let ending = *ending;
                seat.forget(ending, &mut self.buffer)
            }
        };
        let moved = seat.session.bytes - before;
        self.echoed += moved;
        if moved > 0 {
            seat.stamp = self.upkeep.stamp();
        }
        self.follow(door, key, next);
    }

    fn follow(&mut self, door: &Door, key: usize, next: Next) {
        match next {
            Next::Stay => {}
            Next::Watch(flags) => {
                let token = EventData::new_u64(key as u64);
                if let Err(errno) = epoll::modify(door, &self.seats[key].fd, token, flags) {
                    self.end(key, Outcome::failed("epoll_ctl", errno));
                }
            }
            Next::End(outcome) => self.end(key, outcome),
        }
    }

    /// Closing takes the descriptor out of the set; what was read is all sent, so it sends FIN.
    fn end(&mut self, key: usize, outcome: Outcome) {
        let Seat { session, fd, burden, .. } = self.seats.remove(key);
        if let Some(Burden::Bulk(bulk)) = burden.map(|burden| *burden) {
            self.pipes.take_back(bulk);
        }
        drop(fd);
        self.shared.leave(&session, outcome);
    }

    fn look_after_all(&mut self, door: &Door) {
        for key in 0..self.seats.capacity() {
            let Some(seat) = self.seats.get_mut(key) else { continue };
            let verdict = self.upkeep.judge(seat.fd.as_fd(), seat.stamp, &seat.doing());
            let next = match verdict {
                Verdict::Stay => Next::Stay,
                Verdict::Farewell(ending) => {
                    seat.say_farewell(ending, &mut self.pipes, &mut self.upkeep)
                }
                Verdict::Abort(ending) => seat.abort(ending),
                Verdict::Close => seat.close(),
            };
            self.follow(door, key, next);
        }
    }

    fn let_go(&mut self) {
        let keys: Vec<usize> = self.seats.iter().map(|(key, _)| key).collect();
        for key in keys {
            abort(&self.seats[key].fd);
            self.end(key, Outcome::of(Ending::Draining));
        }
    }
}

impl Seat {
    fn doing(&self) -> Doing {
        match self.burden.as_deref() {
            None => Doing::Listening,
            Some(Burden::Bulk(bulk)) if bulk.is_empty() => Doing::Listening,
            Some(Burden::Owed(..) | Burden::Bulk(_)) => Doing::Owing,
            Some(Burden::Leaving { since, .. }) => Doing::Leaving(*since),
        }
    }

    /// One recv, one send.
    fn echo(&mut self, buffer: &mut [MaybeUninit<u8>], pipes: &mut Pipes) -> Next {
        let received = match recv(&self.fd, buffer, RecvFlags::empty()) {
            Ok(((received, _), _)) => received,
            Err(Errno::AGAIN | Errno::INTR) => return Next::Stay,
            Err(errno) => return Next::End(Outcome::failed("recv", errno)),
        };
        // The peer's FIN, and everything that came before it has been sent.
        if received.is_empty() {
            return Next::End(Outcome::FINISHED);
        }
        let sent = match send(&self.fd, received, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(errno) => return Next::End(Outcome::failed("send", errno)),
        };
        self.session.bytes += sent as u64;
        let rest = &received[sent..];
        if rest.is_empty() {
            self.burden = pipes
                .lend(received.len(), &mut self.session.mark)
                .map(|bulk| Box::new(Burden::Bulk(bulk)));
            return Next::Stay;
        }
        let mut owed = Vec::new();
        if owed.try_reserve_exact(rest.len()).is_err() {
            return Next::End(Outcome {
                ending: Ending::Limit,
                call: Some(("malloc", Errno::NOMEM)),
            });
        }
        owed.extend_from_slice(rest);
        self.burden = Some(Box::new(Burden::Owed(owed, 0)));
        Next::Watch(EventFlags::OUT)
    }

    /// Sends what is owed; only when all is sent will more be read.
    fn pay(&mut self) -> Next {
        let Some(Burden::Owed(owed, at)) = self.burden.as_deref_mut() else { return Next::Stay };
        match send(&self.fd, &owed[*at..], SendFlags::NOSIGNAL) {
            Ok(sent) => {
                self.session.bytes += sent as u64;
                *at += sent;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Next::End(Outcome::failed("send", errno)),
        }
        if *at < owed.len() {
            return Next::Stay;
        }
        self.burden = None;
        Next::Watch(EventFlags::IN)
    }

    fn move_bulk(&mut self, pipes: &mut Pipes) -> Next {
        let Some(Burden::Bulk(bulk)) = self.burden.as_deref_mut() else { return Next::Stay };
        let was_blocked = !bulk.is_empty();
        match bulk.turn(&self.fd) {
            Ok(step) => {
                self.session.bytes += step.sent as u64;
                let blocked = !bulk.is_empty();
                if step.give_back {
                    self.session.mark = 0;
                    if let Some(Burden::Bulk(bulk)) = self.burden.take().map(|burden| *burden) {
                        pipes.take_back(bulk);
                    }
                }
                match (was_blocked, blocked) {
                    (false, true) => Next::Watch(EventFlags::OUT),
                    (true, false) => Next::Watch(EventFlags::IN),
                    _ => Next::Stay,
                }
            }
            Err(errno) => Next::End(Outcome::failed("splice", errno)),
        }
    }

    /// After our FIN: until the peer's comes.
    fn forget(&mut self, ending: Ending, buffer: &mut [MaybeUninit<u8>]) -> Next {
        match recv(&self.fd, buffer, RecvFlags::empty()) {
            Ok((_, n)) if n > 0 => Next::Stay,
            Err(Errno::AGAIN | Errno::INTR) => Next::Stay,
            _ => Next::End(Outcome::of(ending)),
        }
    }

    fn say_farewell(&mut self, ending: Ending, pipes: &mut Pipes, upkeep: &mut Upkeep) -> Next {
        if shutdown(&self.fd, Shutdown::Write).is_err() {
            return Next::End(Outcome::of(ending));
        }
        if let Some(Burden::Bulk(bulk)) = self.burden.take().map(|burden| *burden) {
            pipes.take_back(bulk);
        }
        self.burden = Some(Box::new(Burden::Leaving { since: upkeep.stamp(), ending }));
        upkeep.look_in(crate::farewell::LINGER);
        Next::Stay
    }

    fn abort(&mut self, ending: Ending) -> Next {
        abort(&self.fd);
        Next::End(Outcome::of(ending))
    }

    fn close(&mut self) -> Next {
        match self.burden.as_deref() {
            Some(Burden::Leaving { ending, .. }) => Next::End(Outcome::of(*ending)),
            _ => Next::Stay,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Read, Write},
        os::unix::net::UnixStream,
        time::Instant,
    };

    use rustix::net::sockopt::set_socket_send_buffer_size;

    use super::*;

    #[test]
    fn an_idle_session_is_a_small_slab_entry() {
        assert!(size_of::<Option<Seat>>() <= 56, "{}", size_of::<Option<Seat>>());
    }

    /// What the socket takes of a message comes in many parts, and every one of them must begin where the last one ended.
    #[test]
    fn what_is_owed_goes_out_in_order_in_however_many_parts() {
        let (client, server) = UnixStream::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        server.set_nonblocking(true).unwrap();
        set_socket_send_buffer_size(&client, 1 << 20).unwrap();
        set_socket_send_buffer_size(&server, 4096).unwrap();
        let peer = "127.0.0.1:1".parse().unwrap();
        let session = Session::new(peer, Instant::now());
        let mut seat = Seat { session, burden: None, fd: server.into(), stamp: 0 };
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let mut pipes = Pipes::new(0);
        let message: Vec<u8> = (0..300_000_u32).map(|i| (i ^ i >> 8 ^ i >> 16) as u8).collect();
        let (mut sent, mut received, mut parts_of_a_rest) = (0, Vec::new(), 0);
        while received.len() < message.len() {
            match (&client).write(&message[sent..]) {
                Ok(n) => sent += n,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            let before = seat.session.bytes;
            let owing = matches!(seat.doing(), Doing::Owing);
            let next = if owing { seat.pay() } else { seat.echo(&mut buffer, &mut pipes) };
            assert!(!matches!(next, Next::End(_)));
            let still_owing = matches!(seat.doing(), Doing::Owing);
            parts_of_a_rest += usize::from(owing && still_owing && seat.session.bytes > before);
            let mut piece = [0; 1500];
            match (&client).read(&mut piece) {
                Ok(n) => received.extend_from_slice(&piece[..n]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(parts_of_a_rest > 2, "no rest went out in parts");
        assert!(received == message, "bytes in another order, or other bytes");
        assert_eq!(seat.session.bytes, message.len() as u64);
    }
}
