//! Every order of completions that the kernel may produce, against a model.
//!
//! [`Kernel`] is what a peer, a socket and io_uring(7) do to the requests of one connection. Whatever may happen next is a
//! [`Move`]; [`explore`] plays every sequence of moves, remembering the states it has seen, and checks after each one that
//! the bytes sent are a prefix of the bytes received, that what is under way is what the connection believes to be under
//! way, and at the end that nothing is missing or the outcome says so. The previous rules of this engine, which took a late
//! ECANCELED for a failure, are kept as [`previous`] to show that the exploration finds that kind of fault.

mod previous;

use std::collections::HashSet;
use std::hash::Hash;

use proptest::prelude::*;
use rustix::io::Errno;

use super::{Buffers, Connection, OutOfMemory, Request};
use crate::{Ending, session::Outcome};

type Chunk = Vec<u8>;

/// The pool: it counts the chunks that are out, so that a lost one is seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Pool {
    out: usize,
    memory_is_short: bool,
}

impl Buffers for Pool {
    type Chunk = Chunk;

    fn len(&self, chunk: &Chunk) -> usize {
        chunk.len()
    }

    fn tail(&self, chunk: &Chunk, from: usize) -> Result<Vec<u8>, OutOfMemory> {
        if self.memory_is_short { Err(OutOfMemory) } else { Ok(chunk[from..].to_vec()) }
    }

    fn recycle(&mut self, _: Chunk) {
        self.out -= 1;
    }
}

/// What the exploration asks of a set of rules; [`Connection`] and the previous ones have it.
trait Rules: Clone + Eq + Hash + std::fmt::Debug {
    /// Promise to have no more than one receive and one send under way.
    const ONE_OF_A_KIND: bool = true;
    fn begin() -> Self;
    fn received(&mut self, pool: &mut Pool, r: Result<Option<Chunk>, Errno>) -> Requests;
    fn sent(&mut self, pool: &mut Pool, r: Result<usize, Errno>, chunk: Chunk) -> Requests;
    fn flushed(&mut self, pool: &mut Pool, r: Result<usize, Errno>, bytes: Vec<u8>) -> Requests;
    fn receive_now(&mut self) -> Requests;
    fn is_idle(&self) -> bool;
    fn is_lingering(&self) -> bool;
    fn is_closing(&self) -> bool;
    fn linger(&mut self, ending: Ending);
    fn end(&mut self, pool: &mut Pool, ending: Ending);
    fn outcome(&self) -> Option<Outcome>;
}

type Requests = Vec<Request<Chunk>>;

impl Rules for Connection<Chunk> {
    fn begin() -> Self {
        Connection::new()
    }

    fn received(&mut self, pool: &mut Pool, result: Result<Option<Chunk>, Errno>) -> Requests {
        Connection::received(self, pool, result).into_iter().collect()
    }

    fn sent(&mut self, pool: &mut Pool, result: Result<usize, Errno>, chunk: Chunk) -> Requests {
        Connection::sent(self, pool, result, chunk).into_iter().collect()
    }

    fn flushed(&mut self, pool: &mut Pool, r: Result<usize, Errno>, bytes: Vec<u8>) -> Requests {
        Connection::flushed(self, pool, r, bytes).into_iter().collect()
    }

    fn receive_now(&mut self) -> Requests {
        Connection::receive_now(self).into_iter().collect()
    }

    fn is_idle(&self) -> bool {
        Connection::is_idle(self)
    }

    fn is_lingering(&self) -> bool {
        Connection::is_lingering(self)
    }

    fn is_closing(&self) -> bool {
        Connection::is_closing(self)
    }

    fn linger(&mut self, ending: Ending) {
        Connection::linger(self, ending);
    }

    fn end(&mut self, pool: &mut Pool, ending: Ending) {
        Connection::close(self, pool, Outcome::of(ending));
    }

    fn outcome(&self) -> Option<Outcome> {
        Connection::outcome(self)
    }
}

/// A request that the kernel has, or its completion.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Entry {
    /// Waits for data. `true`: linked behind a send that has not been executed.
    Receive {
        linked: bool,
    },
    /// Waits for the next pass of the loop.
    Later,
    Send(Chunk),
    Flush(Vec<u8>, usize),
    Received(Result<Option<Chunk>, Errno>),
    Sent(Result<usize, Errno>, Chunk),
    Flushed(Result<usize, Errno>, Vec<u8>),
}

/// What may happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Move {
    /// The kernel executes the request at this index: it transfers so many bytes or fails.
    Execute(usize, Result<usize, Errno>),
    /// The engine sees the completion at this index.
    Deliver(usize),
    /// See [`Limits::uncancelled`].
    ExecuteLinked(usize),
    PeerSends,
    PeerFinishes,
    /// A drain or an idle limit: our FIN to a peer that says nothing.
    Linger,
    /// The time for the peer's FIN is over.
    StopLingering,
    /// An idle limit of a stalled peer, or the end of a drain.
    Abort,
}

/// One connection and everything around it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World<R> {
    rules: R,
    pool: Pool,
    entries: Vec<Entry>,
    /// Bytes that the peer has sent, that we have received, and that have gone out.
    from_peer: u8,
    received: u8,
    to_peer: Vec<u8>,
    peer_finished: bool,
    /// Our FIN is out: nothing more can be sent.
    fin_sent: bool,
    reset: bool,
    /// Failures that may still happen: a state space needs an end.
    failures: u8,
    limits: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Limits {
    bytes: u8,
    chunk: usize,
    /// A receive may be executed although the send that it is linked behind was short: kernels differ in whether a partial
    /// send with `MSG_WAITALL` breaks the link.
    uncancelled: bool,
}

const RECEIVE_FAILURES: [Errno; 4] = [Errno::NOBUFS, Errno::INTR, Errno::AGAIN, Errno::CONNRESET];
const SEND_FAILURES: [Errno; 3] = [Errno::AGAIN, Errno::INTR, Errno::PIPE];

impl<R: Rules> World<R> {
    fn new(limits: Limits, failures: u8, memory_is_short: bool) -> Self {
        World {
            rules: R::begin(),
            pool: Pool { out: 0, memory_is_short },
            entries: vec![Entry::Receive { linked: false }],
            from_peer: 0,
            received: 0,
            to_peer: Vec::new(),
            peer_finished: false,
            fin_sent: false,
            reset: false,
            failures,
            limits,
        }
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        if !self.peer_finished && !self.reset {
            if self.from_peer < self.limits.bytes {
                moves.push(Move::PeerSends);
            }
            moves.push(Move::PeerFinishes);
        }
        if self.rules.is_idle() {
            moves.push(Move::Linger);
        }
        if self.rules.is_lingering() {
            moves.push(Move::StopLingering);
        }
        if self.failures > 0 && !self.rules.is_closing() {
            moves.push(Move::Abort);
        }
        for (index, entry) in self.entries.iter().enumerate() {
            self.moves_of(index, entry, &mut moves);
        }
        moves
    }

    fn moves_of(&self, index: usize, entry: &Entry, moves: &mut Vec<Move>) {
        let may_fail = self.failures > 0;
        match entry {
            Entry::Received(_) | Entry::Sent(..) | Entry::Flushed(..) | Entry::Later => {
                moves.push(Move::Deliver(index));
            }
            Entry::Receive { linked: true } => {
                let received = usize::from(self.from_peer - self.received);
                if self.limits.uncancelled && received > 0 {
                    moves.push(Move::ExecuteLinked(index));
                }
            }
            Entry::Receive { linked: false } => {
                if self.reset {
                    return moves.push(Move::Execute(index, Err(Errno::CONNRESET)));
                }
                let waiting = usize::from(self.from_peer - self.received).min(self.limits.chunk);
                for n in 1..=waiting {
                    moves.push(Move::Execute(index, Ok(n)));
                }
                if waiting == 0 && self.peer_finished {
                    moves.push(Move::Execute(index, Ok(0)));
                }
                if may_fail {
                    let failures = RECEIVE_FAILURES.map(|errno| Move::Execute(index, Err(errno)));
                    moves.extend(failures);
                }
            }
            Entry::Send(bytes) => self.moves_of_send(index, bytes.len(), 1, moves),
            Entry::Flush(bytes, from) => {
                self.moves_of_send(index, bytes.len() - from, 1, moves);
            }
        }
    }

    /// Sends of every length, short ones included, and failures.
    fn moves_of_send(&self, index: usize, len: usize, least: usize, moves: &mut Vec<Move>) {
        if self.reset || self.fin_sent {
            return moves.push(Move::Execute(index, Err(Errno::PIPE)));
        }
        moves.extend((least..=len).map(|n| Move::Execute(index, Ok(n))));
        if self.failures > 0 {
            moves.extend(SEND_FAILURES.map(|errno| Move::Execute(index, Err(errno))));
        }
    }

    fn play(&mut self, next: &Move) {
        match next {
            Move::PeerSends => self.from_peer += 1,
            Move::PeerFinishes => self.peer_finished = true,
            Move::Linger => {
                self.rules.linger(Ending::Draining);
                self.fin_sent = true;
            }
            // shutdown(2) of the receiving side: what waits is still received, then EOF.
            Move::StopLingering => {
                self.rules.end(&mut self.pool, Ending::Draining);
                self.peer_finished = true;
            }
            Move::Abort => {
                self.failures -= 1;
                self.rules.end(&mut self.pool, Ending::Idle);
                self.reset = true;
            }
            Move::Execute(index, result) => self.execute(*index, *result),
            Move::ExecuteLinked(index) => {
                let bytes = self.take_from_peer(1);
                self.entries[*index] = Entry::Received(Ok(Some(bytes)));
            }
            Move::Deliver(index) => self.deliver(*index),
        }
    }

    fn take_from_peer(&mut self, n: usize) -> Chunk {
        let bytes = (self.received..).take(n).collect();
        self.received += n as u8;
        self.pool.out += 1;
        bytes
    }

    fn execute(&mut self, index: usize, result: Result<usize, Errno>) {
        if let Err(errno) = result {
            // What is the consequence of something else costs nothing.
            let forced = self.reset || self.fin_sent && errno == Errno::PIPE;
            self.failures -= u8::from(!forced);
            self.reset |= matches!(errno, Errno::CONNRESET | Errno::PIPE);
        }
        self.entries[index] = match self.entries[index].clone() {
            Entry::Receive { .. } => Entry::Received(match result {
                Ok(0) => Ok(None),
                Ok(n) => Ok(Some(self.take_from_peer(n))),
                Err(errno) => Err(errno),
            }),
            Entry::Send(bytes) => {
                let n = result.unwrap_or(0);
                self.to_peer.extend_from_slice(&bytes[..n]);
                // A linked request is started, or cancelled, when the one before it is executed.
                for entry in &mut self.entries {
                    if matches!(entry, Entry::Receive { linked: true }) {
                        *entry = if n == bytes.len() {
                            Entry::Receive { linked: false }
                        } else {
                            Entry::Received(Err(Errno::CANCELED))
                        };
                    }
                }
                Entry::Sent(result, bytes)
            }
            Entry::Flush(bytes, from) => {
                let n = result.unwrap_or(0);
                self.to_peer.extend_from_slice(&bytes[from..from + n]);
                Entry::Flushed(result, bytes)
            }
            other => other,
        };
    }

    fn deliver(&mut self, index: usize) {
        let requests = match self.entries.remove(index) {
            Entry::Received(result) => self.rules.received(&mut self.pool, result),
            Entry::Sent(result, chunk) => self.rules.sent(&mut self.pool, result, chunk),
            Entry::Flushed(result, bytes) => self.rules.flushed(&mut self.pool, result, bytes),
            Entry::Later => self.rules.receive_now(),
            waiting => unreachable!("{waiting:?} has not completed"),
        };
        for request in requests {
            match request {
                Request::Receive => self.entries.push(Entry::Receive { linked: false }),
                Request::ReceiveLater => self.entries.push(Entry::Later),
                Request::SendThenReceive(chunk) => {
                    self.entries.push(Entry::Send(chunk));
                    self.entries.push(Entry::Receive { linked: true });
                }
                Request::Flush(bytes, from) => self.entries.push(Entry::Flush(bytes, from)),
            }
        }
    }

    /// What must hold at any time.
    fn check(&self) -> Result<(), String> {
        let order: Vec<u8> = (0..self.to_peer.len() as u8).collect();
        if self.to_peer != order {
            return Err(format!("sent {:?}", self.to_peer));
        }
        let count = |what: fn(&Entry) -> bool| self.entries.iter().filter(|e| what(e)).count();
        let receives = count(|entry| {
            matches!(entry, Entry::Receive { .. } | Entry::Received(_) | Entry::Later)
        });
        if R::ONE_OF_A_KIND && (receives > 1 || self.entries.len() - receives > 1) {
            return Err("two requests of a kind".into());
        }
        let Some(outcome) = self.rules.outcome() else {
            // Something must be under way, or the connection would stay for ever.
            return if self.entries.is_empty() { Err("forgotten".into()) } else { Ok(()) };
        };
        if !self.entries.is_empty() {
            return Err(format!("closed with {:?} under way", self.entries));
        }
        if self.pool.out > 0 {
            return Err(format!("{} chunks were lost", self.pool.out));
        }
        let everything = self.to_peer.len() == usize::from(self.received)
            && (self.received == self.from_peer && self.peer_finished);
        match outcome.ending {
            Ending::Finished if !everything => Err("bytes are missing".into()),
            Ending::Finished | Ending::Draining | Ending::Idle => Ok(()),
            Ending::Limit if self.pool.memory_is_short => Ok(()),
            _ if self.reset => Ok(()),
            ending => Err(format!("{ending} although nothing failed: {:?}", outcome.call)),
        }
    }
}

/// Plays every sequence of moves. `Err` is the shortest way to a fault, depth first; `Ok` counts the states.
fn explore<R: Rules>(start: World<R>) -> Result<usize, String> {
    let mut seen = HashSet::new();
    let mut queue = std::collections::VecDeque::from([(start, Vec::<Move>::new())]);
    while let Some((world, way)) = queue.pop_front() {
        if world.rules.outcome().is_some() || !seen.insert(world.clone()) {
            continue;
        }
        for next in world.moves() {
            let mut after = world.clone();
            after.play(&next);
            let mut way = way.clone();
            way.push(next);
            after.check().map_err(|fault| format!("{fault}, after {way:?}"))?;
            queue.push_back((after, way));
        }
    }
    Ok(seen.len())
}

const SMALL: Limits = Limits { bytes: 4, chunk: 2, uncancelled: false };

#[test]
fn no_order_of_completions_loses_a_byte_or_resets_a_healthy_connection() {
    let states = explore(World::<Connection<Chunk>>::new(SMALL, 2, false)).unwrap();
    // The size of the state space; a smaller one means that the model has lost moves.
    assert!(states > 2_000, "{states} states");
}

/// The engine may close a connection before its requests complete.
#[test]
fn the_first_reason_to_end_is_known_while_requests_are_under_way() {
    let (draining, failed) =
        (Outcome::of(Ending::Draining), Outcome::no_room("send", Errno::NOMEM));
    for first in [Outcome::of(Ending::Idle), failed, draining] {
        let mut connection = Connection::new();
        let mut pool = Pool::default();
        assert_eq!(connection.reason(), None);
        connection.close(&mut pool, first);
        connection.close(&mut pool, draining);
        assert_eq!((connection.reason(), connection.outcome()), (Some(first), None));
    }
    let mut lingering = Connection::<Chunk>::new();
    lingering.linger(Ending::Idle);
    assert_eq!(lingering.reason(), Some(Outcome::of(Ending::Idle)));
}

#[test]
fn whole_chunks_go_out_in_pieces_of_every_length() {
    let limits = Limits { bytes: 7, chunk: 7, uncancelled: false };
    explore(World::<Connection<Chunk>>::new(limits, 0, false)).unwrap();
}

#[test]
fn a_receive_that_overtakes_its_send_keeps_its_bytes_in_order() {
    let limits = Limits { uncancelled: true, ..SMALL };
    explore(World::<Connection<Chunk>>::new(limits, 1, false)).unwrap();
}

#[test]
fn without_memory_for_what_is_pending_the_ending_says_so() {
    explore(World::<Connection<Chunk>>::new(SMALL, 1, true)).unwrap();
}

#[test]
fn the_previous_rules_are_found_wrong() {
    let fault = explore(World::<previous::Connection>::new(SMALL, 0, false)).unwrap_err();
    assert!(fault.starts_with("local-error although nothing failed"), "{fault}");
}

proptest! {
    /// The same rules in a space too large to be explored whole.
    #[test]
    fn longer_streams_come_back_whole(
        choices in proptest::collection::vec(any::<u16>(), 2000),
        failures in 0..6u8,
        chunk in 1..20usize,
        uncancelled: bool,
    ) {
        let limits = Limits { bytes: 100, chunk, uncancelled };
        let mut world = World::<Connection<Chunk>>::new(limits, failures, false);
        for choice in choices {
            if world.rules.outcome().is_some() {
                break;
            }
            let moves = world.moves();
            // The peer goes on for long, and ends are rare.
            let dull = |m: &&Move| !matches!(m, Move::PeerFinishes | Move::Linger | Move::Abort);
            let mut rare = moves.iter().collect::<Vec<_>>();
            if choice % 64 != 0 && moves.iter().any(|m| dull(&m)) {
                rare.retain(dull);
            }
            let next = rare[usize::from(choice / 64) % rare.len()].clone();
            world.play(&next);
            world.check().map_err(|fault| TestCaseError::fail(format!("{fault} {next:?}")))?;
        }
    }
}
