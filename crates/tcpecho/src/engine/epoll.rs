//! One loop over readiness (UNP 6, with epoll(7) for select).
//!
//! Level-triggered: one recv and one send for each message; remaining data is reported again. A turn moves at most one
//! buffer, so no connection waits longer. All connections share one buffer; a connection has memory of its own only while
//! bytes are pending, and then it is not read (ARCHITECTURE.md has the measurements).

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
use tcpecho_os::socket::{abort_echo, reset};

use self::bulk::{Bulk, Pipes};
use super::timers::{Activity, Timers, Verdict};
use crate::{
    Ending, Error,
    acceptor::{Acceptor, BATCH, Context},
    phase::Phase,
    session::{Outcome, Session},
    shared::Shared,
};

/// Bytes of the buffer that all sessions share.
const BUFFER: usize = 256 << 10;

/// The state of a session; an idle one needs no other memory.
struct Slot {
    session: Session,
    work: Option<Box<Work>>,
    fd: OwnedFd,
    /// When it last moved a byte, by the loop's clock.
    stamp: u32,
}

/// The state of a session that is not idle.
enum Work {
    /// Bytes pending from this offset on. Nothing is read meanwhile.
    Pending(Vec<u8>, usize),
    /// Bytes move by splice, through a pipe.
    Bulk(Bulk),
    /// Our FIN is sent; input is discarded.
    Lingering { since: u32, ending: Ending },
}

/// The result of a turn.
#[derive(Clone, Copy)]
enum Next {
    Stay,
    Watch(EventFlags),
    End(Outcome),
}

struct Loop {
    shared: Arc<Shared>,
    slots: Slab<Slot>,
    buffer: Box<[MaybeUninit<u8>]>,
    pipes: Pipes,
    timers: Timers,
    /// Echoed since it was last added to the server's count.
    echoed: u64,
}

/// An epoll instance for each loop, and the pipes.
pub(super) fn descriptors(loops: usize) -> usize {
    loops * (1 + 2 * bulk::most(loops))
}

pub(super) fn run(context: Context) -> Result<(), Error> {
    let shared = Arc::clone(&context.shared);
    let mut acceptor = Acceptor::open(context, SocketFlags::NONBLOCK)?;
    let timers = Timers::new(&shared);
    let (slots, buffer) = (super::slots(&shared), Box::new_uninit_slice(BUFFER));
    let pipes = Pipes::new(bulk::most(shared.loops));
    let mut this = Loop { shared, slots, buffer, pipes, timers, echoed: 0 };
    this.serve(&mut acceptor).inspect_err(|error| this.end_all(Outcome::of_loop(error)))
}

impl Loop {
    fn serve(&mut self, acceptor: &mut Acceptor) -> Result<(), Error> {
        let mut ready = Vec::new();
        loop {
            acceptor.wait(self.timers.deadline(), |token| ready.push(token as usize))?;
            self.timers.tick(acceptor.phase());
            for key in ready.drain(..) {
                self.turn(acceptor, key);
            }
            self.accept(acceptor)?;
            if self.timers.due() {
                self.run_timers(acceptor);
            }
            self.count();
            if acceptor.phase() == Phase::Halted {
                self.let_go();
            }
            if acceptor.closed() && self.slots.is_empty() {
                return Ok(());
            }
        }
    }

    /// Adds what was echoed to the server's count: once per turn, and before a session's end is told.
    fn count(&mut self) {
        if self.echoed > 0 {
            self.shared.stats.bytes().fetch_add(std::mem::take(&mut self.echoed), Relaxed);
        }
    }

    fn accept(&mut self, acceptor: &mut Acceptor) -> Result<(), Error> {
        for _ in 0..BATCH {
            let Some((fd, session)) = acceptor.try_accept()? else { break };
            let key =
                self.slots.insert(Slot { session, work: None, fd, stamp: self.timers.stamp() });
            let token = EventData::new_u64(key as u64);
            match epoll::add(&*acceptor, &self.slots[key].fd, token, EventFlags::IN) {
                // The request is mostly there already.
                Ok(()) => self.turn(acceptor, key),
                Err(errno) => self.end(key, Outcome::no_room("epoll_ctl", errno)),
            }
            self.timers.began();
        }
        Ok(())
    }

    /// Gives one session its turn.
    fn turn(&mut self, acceptor: &Acceptor, key: usize) {
        // An event for a session that ended earlier in the same batch.
        let Some(slot) = self.slots.get_mut(key) else { return };
        let before = slot.session.bytes;
        let next = match slot.work.as_deref_mut() {
            None => slot.echo(&mut self.buffer, &mut self.pipes),
            Some(Work::Pending(..)) => slot.flush(),
            Some(Work::Bulk(_)) => slot.move_bulk(&mut self.pipes),
            Some(Work::Lingering { ending, .. }) => {
                let ending = *ending;
                slot.discard(ending, &mut self.buffer)
            }
        };
        let moved = slot.session.bytes - before;
        self.echoed += moved;
        if moved > 0 {
            slot.stamp = self.timers.stamp();
        }
        self.follow(acceptor, key, next);
    }

    fn follow(&mut self, acceptor: &Acceptor, key: usize, next: Next) {
        match next {
            Next::Stay => {}
            Next::Watch(flags) => {
                let token = EventData::new_u64(key as u64);
                if let Err(errno) = epoll::modify(acceptor, &self.slots[key].fd, token, flags) {
                    self.end(key, Outcome::no_room("epoll_ctl", errno));
                }
            }
            Next::End(outcome) => self.end(key, outcome),
        }
    }

    /// Closing takes the descriptor out of the set.
    fn end(&mut self, key: usize, outcome: Outcome) {
        let mut slot = self.slots.remove(key);
        slot.give_back(&mut self.pipes);
        self.count();
        self.shared.close(slot.fd, &slot.session, outcome);
    }

    fn run_timers(&mut self, acceptor: &Acceptor) {
        for key in 0..self.slots.capacity() {
            let Some(slot) = self.slots.get_mut(key) else { continue };
            let verdict = self.timers.judge(slot.fd.as_fd(), slot.stamp, &slot.activity());
            let next = match verdict {
                Verdict::Stay => Next::Stay,
                Verdict::Linger(ending) => slot.linger(ending, &mut self.pipes, &mut self.timers),
                Verdict::Abort(ending) => {
                    reset(&slot.fd);
                    Next::End(Outcome::of(ending))
                }
                Verdict::Close => slot.close(),
            };
            self.follow(acceptor, key, next);
        }
    }

    fn let_go(&mut self) {
        // Another loop may have failed.
        if let Some(failure) = self.shared.failure() {
            return self.end_all(failure);
        }
        self.abort_all();
        self.end_all(Outcome::of(Ending::Draining));
    }

    fn abort_all(&self) {
        self.slots.iter().for_each(|(_, slot)| abort_echo(&slot.fd));
    }

    /// Ends every session: with `outcome`, unless it has ended for a reason of its own and only lingers.
    fn end_all(&mut self, outcome: Outcome) {
        for key in 0..self.slots.capacity() {
            let Some(slot) = self.slots.get(key) else { continue };
            let outcome = match slot.work.as_deref() {
                Some(Work::Lingering { ending, .. }) => Outcome::of(*ending),
                _ => outcome,
            };
            self.end(key, outcome);
        }
    }
}

impl Drop for Loop {
    /// There are sessions left if the loop panicked, that is, the observer.
    fn drop(&mut self) {
        self.count();
        self.abort_all();
    }
}

impl Slot {
    fn activity(&self) -> Activity {
        match self.work.as_deref() {
            None => Activity::Idle,
            Some(Work::Bulk(bulk)) if bulk.is_empty() => Activity::Idle,
            Some(Work::Pending(..) | Work::Bulk(_)) => Activity::Flushing,
            Some(Work::Lingering { since, .. }) => Activity::Lingering(*since),
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
        self.session.received += received.len() as u64;
        let sent = match send(&self.fd, received, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(errno) => return Next::End(Outcome::failed("send", errno)),
        };
        self.session.bytes += sent as u64;
        let rest = &received[sent..];
        if rest.is_empty() {
            self.work = pipes
                .lend(received.len(), &mut self.session.mark)
                .map(|bulk| Box::new(Work::Bulk(bulk)));
            return Next::Stay;
        }
        let mut pending = Vec::new();
        if pending.try_reserve_exact(rest.len()).is_err() {
            return Next::End(Outcome::no_room("malloc", Errno::NOMEM));
        }
        pending.extend_from_slice(rest);
        self.work = Some(Box::new(Work::Pending(pending, 0)));
        Next::Watch(EventFlags::OUT)
    }

    /// Sends what is pending; only when all is sent will more be read.
    fn flush(&mut self) -> Next {
        let Some(Work::Pending(pending, at)) = self.work.as_deref_mut() else { return Next::Stay };
        match send(&self.fd, &pending[*at..], SendFlags::NOSIGNAL) {
            Ok(sent) => {
                self.session.bytes += sent as u64;
                *at += sent;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Next::End(Outcome::failed("send", errno)),
        }
        if *at < pending.len() {
            return Next::Stay;
        }
        self.work = None;
        Next::Watch(EventFlags::IN)
    }

    fn move_bulk(&mut self, pipes: &mut Pipes) -> Next {
        let Some(Work::Bulk(bulk)) = self.work.as_deref_mut() else { return Next::Stay };
        let was_blocked = !bulk.is_empty();
        match bulk.turn(&self.fd) {
            Ok(step) => {
                self.session.received += step.received as u64;
                self.session.bytes += step.sent as u64;
                let blocked = !bulk.is_empty();
                if step.give_back {
                    self.session.mark = 0;
                    self.give_back(pipes);
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
    fn discard(&mut self, ending: Ending, buffer: &mut [MaybeUninit<u8>]) -> Next {
        match recv(&self.fd, buffer, RecvFlags::empty()) {
            Ok((_, n)) if n > 0 => Next::Stay,
            Err(Errno::AGAIN | Errno::INTR) => Next::Stay,
            _ => Next::End(Outcome::of(ending)),
        }
    }

    fn linger(&mut self, ending: Ending, pipes: &mut Pipes, timers: &mut Timers) -> Next {
        if shutdown(&self.fd, Shutdown::Write).is_err() {
            return Next::End(Outcome::of(ending));
        }
        self.give_back(pipes);
        self.work = Some(Box::new(Work::Lingering { since: timers.stamp(), ending }));
        timers.look_in(crate::lingering_close::LINGER);
        Next::Stay
    }

    fn close(&mut self) -> Next {
        match self.work.as_deref() {
            Some(Work::Lingering { ending, .. }) => Next::End(Outcome::of(*ending)),
            _ => Next::Stay,
        }
    }

    /// Ends the work at hand, and with it the use of a pipe.
    fn give_back(&mut self, pipes: &mut Pipes) {
        if let Some(Work::Bulk(bulk)) = self.work.take().map(|work| *work) {
            pipes.take_back(bulk);
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

    use rustix::{
        event::{PollFd, PollFlags, poll},
        net::sockopt::set_socket_send_buffer_size,
    };

    use super::*;

    #[test]
    fn an_idle_session_is_a_small_slab_entry() {
        assert!(size_of::<Option<Slot>>() <= 72, "{}", size_of::<Option<Slot>>());
    }

    /// A connection in bulk both ways keeps its pipe for as long as it moves much.
    #[test]
    fn bulk_keeps_its_pipe_and_gives_it_back_after_small_moves() {
        use std::net::{TcpListener, TcpStream};
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        server.set_nonblocking(true).unwrap();
        let session = Session::new(client.peer_addr().unwrap(), Instant::now(), 1);
        let mut slot = Slot { session, work: None, fd: server.into(), stamp: 0 };
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let mut pipes = Pipes::new(1);
        let has_pipe = |slot: &Slot| matches!(slot.work.as_deref(), Some(Work::Bulk(_)));
        // One message there and back, in as many turns as it takes; whether there was a pipe after each turn.
        let mut exchange = |slot: &mut Slot, size: usize| {
            let message = vec![7; size];
            client.write_all(&message).unwrap();
            let (before, mut had_pipe) = (slot.session.bytes, Vec::new());
            while slot.session.bytes < before + size as u64 {
                let either = PollFlags::IN | PollFlags::OUT;
                poll(&mut [PollFd::new(&slot.fd, either)], None).unwrap();
                let next = match slot.work.as_deref() {
                    None => slot.echo(&mut buffer, &mut pipes),
                    Some(Work::Bulk(_)) => slot.move_bulk(&mut pipes),
                    _ => slot.flush(),
                };
                assert!(!matches!(next, Next::End(_)));
                had_pipe.push(has_pipe(slot));
            }
            let mut back = vec![0; size];
            client.read_exact(&mut back).unwrap();
            assert!(back == message);
            had_pipe
        };
        for _ in 0..50 {
            if has_pipe(&slot) {
                break;
            }
            exchange(&mut slot, 64 << 10);
        }
        assert!(has_pipe(&slot), "no pipe after 50 large messages");
        // A message may come in parts that are small, but not many in a row.
        for _ in 0..5 {
            let had_pipe = exchange(&mut slot, 64 << 10);
            assert!(had_pipe.iter().all(|had| *had), "{had_pipe:?}");
        }
        for _ in 0..32 {
            exchange(&mut slot, 10);
        }
        assert!(!has_pipe(&slot), "small messages keep the pipe");
    }

    /// What the socket takes of a message comes in many parts, and every one of them must begin where the last one ended.
    #[test]
    fn pending_bytes_are_sent_in_order_in_any_number_of_parts() {
        let (client, server) = UnixStream::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        server.set_nonblocking(true).unwrap();
        set_socket_send_buffer_size(&client, 1 << 20).unwrap();
        set_socket_send_buffer_size(&server, 4096).unwrap();
        let peer = "127.0.0.1:1".parse().unwrap();
        let session = Session::new(peer, Instant::now(), 1);
        let mut slot = Slot { session, work: None, fd: server.into(), stamp: 0 };
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let mut pipes = Pipes::new(0);
        let message: Vec<u8> = (0..300_000_u32).map(|i| (i ^ i >> 8 ^ i >> 16) as u8).collect();
        let (mut sent, mut received, mut parts_of_a_rest) = (0, Vec::new(), 0);
        while received.len() < message.len() {
            match (&client).write(&message[sent..]) {
                Ok(n) => sent += n,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            let before = slot.session.bytes;
            let flushing = matches!(slot.activity(), Activity::Flushing);
            let next = if flushing { slot.flush() } else { slot.echo(&mut buffer, &mut pipes) };
            assert!(!matches!(next, Next::End(_)));
            let still_flushing = matches!(slot.activity(), Activity::Flushing);
            parts_of_a_rest +=
                usize::from(flushing && still_flushing && slot.session.bytes > before);
            let mut piece = [0; 1500];
            match (&client).read(&mut piece) {
                Ok(n) => received.extend_from_slice(&piece[..n]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(parts_of_a_rest > 2, "no rest went out in parts");
        assert!(received == message, "bytes in another order, or other bytes");
        assert_eq!(slot.session.bytes, message.len() as u64);
        assert_eq!(slot.session.received, message.len() as u64);
    }
}
