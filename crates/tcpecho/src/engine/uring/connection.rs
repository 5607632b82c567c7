//! The states of a connection served by completions, and the rules between them. No ring, no socket, no clock.
//!
//! A completion goes in, the next request comes out. io_uring(7) delivers the completions of different requests in any
//! order, so no rule depends on it: the connection remembers which of its requests are under way, at most one receive and
//! at most one send, and takes each completion for what it is whenever it arrives. The rules:
//!
//! * What was received is sent, and the next receive is linked behind that send. If the send is short or fails, the kernel
//!   cancels the receive (`ECANCELED`), which only means that no receive is under way any more.
//! * What a send left over is *pending*. It is flushed before anything else is sent, and nothing more is received
//!   meanwhile. A receive that completes during a send or a flush keeps its chunk until it is its turn.
//! * The peer's FIN counts once everything received before it has been sent.
//! * A received byte is sent, or the connection ends with an outcome other than [`Outcome::FINISHED`].
//!
//! The tests play every order of completions against a model of the kernel.

use rustix::io::Errno;

use crate::{Ending, session::Outcome};

/// The memory that received bytes are in.
pub(super) trait Buffers {
    /// A buffer with received bytes. It has to go to a send or back to the pool.
    type Chunk;

    fn len(&self, chunk: &Self::Chunk) -> usize;

    /// Copies the bytes from offset `from` on.
    fn tail(&self, chunk: &Self::Chunk, from: usize) -> Result<Vec<u8>, OutOfMemory>;

    fn recycle(&mut self, chunk: Self::Chunk);
}

/// There is no memory for pending bytes.
pub(super) struct OutOfMemory;

/// What the engine is to ask of the kernel. Every request completes exactly once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Request<C> {
    /// Receive into a chunk.
    Receive,
    /// The same, but after the completions at hand have been handled: there was no free buffer.
    ReceiveLater,
    /// Send as much as the socket takes without waiting; receive if that is all of it.
    SendThenReceive(C),
    /// Wait for room in the socket and send what fits of the bytes from this offset on.
    Flush(Vec<u8>, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    /// Echoes.
    Echoing,
    /// Our FIN is sent; input is discarded until the peer's FIN.
    Lingering(Ending),
    /// Over, as soon as no request is under way.
    Closing(Outcome),
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Connection<C> {
    phase: Phase,
    receiving: bool,
    sending: bool,
    /// The peer's FIN came.
    at_eof: bool,
    /// A flush is under way: the pending bytes are the kernel's, and so many of them were sent before.
    flushed: usize,
    /// Received while a send was under way.
    held: Option<C>,
}

impl<C> Connection<C> {
    /// A connection that starts with [`Request::Receive`].
    pub(super) fn new() -> Self {
        Connection {
            phase: Phase::Echoing,
            receiving: true,
            sending: false,
            at_eof: false,
            flushed: 0,
            held: None,
        }
    }

    /// [`Request::Receive`], or the receive of [`Request::SendThenReceive`], completed: `Ok(None)` is the peer's FIN.
    pub(super) fn received<B: Buffers<Chunk = C>>(
        &mut self,
        buffers: &mut B,
        result: Result<Option<C>, Errno>,
    ) -> Option<Request<C>> {
        self.receiving = false;
        if let Phase::Closing(_) = self.phase {
            if let Ok(Some(chunk)) = result {
                buffers.recycle(chunk);
            }
            return None;
        }
        match result {
            Ok(Some(chunk)) if self.is_lingering() => {
                buffers.recycle(chunk);
                Some(self.receive())
            }
            Ok(Some(chunk)) if self.sending => {
                self.held = Some(chunk);
                None
            }
            Ok(Some(chunk)) => Some(self.send(chunk)),
            Ok(None) => {
                self.at_eof = true;
                self.go_on(buffers)
            }
            // The send that it was linked behind did not send everything.
            Err(Errno::CANCELED) => self.go_on(buffers),
            Err(Errno::NOBUFS | Errno::INTR | Errno::AGAIN) => {
                self.receiving = true;
                Some(Request::ReceiveLater)
            }
            Err(errno) => {
                self.close(buffers, Outcome::failed("recv", errno));
                None
            }
        }
    }

    /// The send of [`Request::SendThenReceive`] completed, and the chunk is ours again.
    pub(super) fn sent<B: Buffers<Chunk = C>>(
        &mut self,
        buffers: &mut B,
        result: Result<usize, Errno>,
        chunk: C,
    ) -> Option<Request<C>> {
        self.sending = false;
        let sent = self.count(buffers, result);
        let request = match sent {
            None => None,
            Some(sent) if sent >= buffers.len(&chunk) => self.next_chunk(buffers),
            Some(sent) => {
                if let Ok(pending) = buffers.tail(&chunk, sent) {
                    Some(self.flush(pending, 0))
                } else {
                    self.close(buffers, Outcome::no_room("malloc", Errno::NOMEM));
                    None
                }
            }
        };
        buffers.recycle(chunk);
        request
    }

    /// [`Request::Flush`] completed or was given up, and its bytes are ours again.
    pub(super) fn flushed<B: Buffers<Chunk = C>>(
        &mut self,
        buffers: &mut B,
        result: Result<usize, Errno>,
        pending: Vec<u8>,
    ) -> Option<Request<C>> {
        self.sending = false;
        let sent = self.flushed + self.count(buffers, result)?;
        if sent < pending.len() {
            return Some(self.flush(pending, sent));
        }
        self.next_chunk(buffers)
    }

    /// The time for a [`Request::ReceiveLater`] has come.
    pub(super) fn receive_now(&mut self) -> Option<Request<C>> {
        self.receiving = false;
        match self.phase {
            Phase::Closing(_) => None,
            _ => Some(self.receive()),
        }
    }

    /// Waits for the peer to say something, with nothing pending: only then may [`Connection::linger`] be called.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Echoing && !self.sending && !self.at_eof
    }

    /// Our FIN went out, and the connection ends so after the peer's.
    pub(super) fn linger(&mut self, ending: Ending) {
        debug_assert!(self.is_idle());
        self.phase = Phase::Lingering(ending);
    }

    pub(super) fn is_lingering(&self) -> bool {
        matches!(self.phase, Phase::Lingering(_))
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing(_))
    }

    /// How it ended, once no request is under way: time to close the descriptor.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match self.phase {
            Phase::Closing(outcome) if !self.receiving && !self.sending => Some(outcome),
            _ => None,
        }
    }

    /// Returns why it ended or ends, although requests may be under way.
    pub(super) fn reason(&self) -> Option<Outcome> {
        match self.phase {
            Phase::Echoing => None,
            Phase::Lingering(ending) => Some(Outcome::of(ending)),
            Phase::Closing(outcome) => Some(outcome),
        }
    }

    /// What a send came to; nothing if the connection is over.
    fn count<B: Buffers<Chunk = C>>(
        &mut self,
        buffers: &mut B,
        result: Result<usize, Errno>,
    ) -> Option<usize> {
        if self.is_closing() {
            return None;
        }
        match result {
            Ok(sent) => Some(sent),
            Err(Errno::AGAIN | Errno::INTR) => Some(0),
            Err(errno) => {
                self.close(buffers, Outcome::failed("send", errno));
                None
            }
        }
    }

    /// Everything before it has been sent.
    fn next_chunk<B: Buffers<Chunk = C>>(&mut self, buffers: &mut B) -> Option<Request<C>> {
        match self.held.take() {
            Some(chunk) => Some(self.send(chunk)),
            None => self.go_on(buffers),
        }
    }

    /// Receives unless there is a reason not to.
    fn go_on<B: Buffers<Chunk = C>>(&mut self, buffers: &mut B) -> Option<Request<C>> {
        if self.sending || self.receiving {
            return None;
        }
        if self.at_eof {
            self.close(buffers, Outcome::FINISHED);
            return None;
        }
        Some(self.receive())
    }

    fn receive(&mut self) -> Request<C> {
        self.receiving = true;
        Request::Receive
    }

    fn send(&mut self, chunk: C) -> Request<C> {
        self.sending = true;
        self.receiving = true;
        Request::SendThenReceive(chunk)
    }

    fn flush(&mut self, pending: Vec<u8>, sent: usize) -> Request<C> {
        self.sending = true;
        self.flushed = sent;
        Request::Flush(pending, sent)
    }

    /// Ends the connection. The first reason to end is the one that counts, and one that lingers has it already. The engine
    /// wakes the requests that are under way; their completions are the last.
    pub(super) fn close<B: Buffers<Chunk = C>>(&mut self, buffers: &mut B, outcome: Outcome) {
        self.phase = Phase::Closing(match self.phase {
            Phase::Echoing => outcome,
            Phase::Lingering(ending) => Outcome::of(ending),
            Phase::Closing(first) => first,
        });
        if let Some(chunk) = self.held.take() {
            buffers.recycle(chunk);
        }
    }
}

#[cfg(test)]
mod tests;
