//! The line client's loop: two bounded pipes that cross, input to socket and socket to output (UNP 6.4, `str_cli` with poll
//! instead of a blocking read, and half-close instead of exit).
//!
//! Only the one poll(2) blocks. So each side may be slow: memory stays bounded, and the end of the connection and the caller's
//! interrupts are seen whatever the other descriptors do. While the output is blocked and a turn's worth of bytes waits for
//! it, the socket is not read: an ending behind unread bytes is reported after them.
//!
//! A FIN ends its sender's direction only (RFC 9293 3.6). An echo that is cut short cannot be completed, so with
//! [`Rules::check`] the peer's FIN ends the run. Without it, the peer is sent the rest of the input and our FIN, and the run
//! succeeds when both are acknowledged.

mod check;
mod evidence;
mod half_closed;
mod pipe;
mod soft_error;
mod trace;

use std::{
    io::IsTerminal,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{self, RecvFlags, SendFlags, Shutdown},
};

pub use self::check::Difference;
use self::{
    check::check,
    half_closed::FIRST_LOOK,
    pipe::{Pipe, TURN},
    soft_error::SoftError,
};
use super::{Connection, Tracer};
use crate::{Ending, Evidence, counted::bytes};

/// The most bytes sent ahead of the echo, which are remembered for the check. Then input waits for the echo.
const WINDOW: usize = 16 << 20;

/// How long a blocked output may keep the loop from reading before the user timeout is lifted.
const HELD_UP: Duration = Duration::from_millis(200);

/// How often within the timeout the acknowledgements are checked: bytes may leave the kernel's buffer although none passes
/// through the loop.
const LOOKS: u32 = 4;

/// Where received bytes go. The descriptor is polled for writing.
pub trait Output: AsFd {
    /// Writes what the output takes without blocking, and returns how much that is.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it takes nothing now, `EPIPE` if its reader has left; others end the run.
    fn write(&self, bytes: &[u8]) -> Result<usize, Errno>;
}

/// How the caller ends a run. The descriptor is polled for reading.
pub trait Interrupts: AsFd {
    /// Returns the interrupt that has come, if one has.
    fn next(&self) -> Option<Interrupt>;
}

/// Why the caller ends a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The user wants it.
    User,
    /// The reader of the output has left.
    OutputClosed,
}

/// What the caller expects of the conversation.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Every byte sent has to come back, and nothing else.
    pub check: bool,
    /// Time limit for an expected answer while no byte moves in either direction.
    pub timeout: Option<Duration>,
    /// The socket's TCP_USER_TIMEOUT, if it has one.
    pub user_timeout: Option<Duration>,
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The connection ended.
    Connection {
        /// How.
        ending: Ending,
        /// The call that showed it.
        op: &'static str,
        /// The error of the call; `None` for end of file.
        errno: Option<Errno>,
    },
    /// An answer was expected and no byte moved for this time.
    Silence(Duration),
    /// What came back is not what was sent.
    Different(Difference),
    /// The user ended it.
    Interrupted,
    /// The reader of the output has left.
    OutputClosed,
    /// The input could not be read.
    Input(Errno),
    /// The output could not be written.
    Output(Errno),
    /// poll(2) failed.
    Poll(Errno),
}

/// How the conversation went.
#[derive(Debug)]
pub struct Relayed {
    /// Why it ended.
    pub end: End,
    /// Bytes given to the socket.
    pub sent: u64,
    /// Bytes read from the socket.
    pub received: u64,
    /// Bytes read from the input and not given to the socket.
    pub unsent: u64,
    /// Bytes read from the socket and not taken by the output.
    pub unwritten: u64,
    /// The facts at the end, if it was a failure.
    pub evidence: Evidence,
}

/// Relays until the connection, the caller or the output ends it.
pub fn relay(
    connection: &Connection,
    input: BorrowedFd<'_>,
    output: &dyn Output,
    interrupts: &dyn Interrupts,
    rules: Rules,
    tracer: Option<&dyn Tracer>,
) -> Relayed {
    let mut relay = Relay {
        socket: connection.as_fd(),
        input,
        output,
        interrupts,
        rules,
        up: Pipe::new(WINDOW),
        down: Pipe::new(TURN),
        fin_sent: false,
        peer_fin: false,
        send_error: None,
        ended: None,
        moved: Instant::now(),
        acknowledged: 0,
        last_returned: None,
        settling: FIRST_LOOK,
        soft_error: SoftError::begin(connection),
        tracer,
    };
    let begun = Instant::now();
    let end = loop {
        if let Err(end) = relay.turn() {
            break end;
        }
    };
    Relayed {
        end,
        evidence: relay.evidence(end, connection, begun.elapsed()),
        sent: relay.up.passed(),
        received: relay.down.taken(),
        unsent: relay.up.taken() - relay.up.passed(),
        unwritten: relay.down.taken() - relay.down.passed(),
    }
}

struct Relay<'a> {
    socket: BorrowedFd<'a>,
    input: BorrowedFd<'a>,
    output: &'a dyn Output,
    interrupts: &'a dyn Interrupts,
    rules: Rules,
    /// Input to the socket; remembers what was sent until it has come back.
    up: Pipe,
    /// The socket to output.
    down: Pipe,
    fin_sent: bool,
    /// The peer has ended its direction and need not echo, so ours goes on.
    peer_fin: bool,
    /// Why nothing more can be sent. What can still be read knows better why than this does.
    send_error: Option<Errno>,
    /// The conversation is over, and only what it brought is still to be delivered.
    ended: Option<End>,
    /// When a byte last moved between us and the peer, or when there was last no reason for one to.
    moved: Instant,
    /// Bytes of ours that the peer's kernel had acknowledged when that was last looked at.
    acknowledged: u64,
    /// The last byte that came.
    last_returned: Option<u8>,
    /// How long until the acknowledgement of our FIN is looked for again.
    settling: Duration,
    /// What routers report.
    soft_error: SoftError,
    tracer: Option<&'a dyn Tracer>,
}

/// What poll(2) has reported.
// Four descriptors, each ready or not.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Default)]
struct Ready {
    interrupts: bool,
    output: bool,
    input: bool,
    socket: bool,
}

impl Relay<'_> {
    /// Waits once and does what is possible then. An error is the end.
    fn turn(&mut self) -> Result<(), End> {
        let ready = self.wait()?;
        if ready.interrupts
            && let Some(interrupt) = self.interrupts.next()
        {
            return Err(match interrupt {
                Interrupt::OutputClosed => self.output_closed(),
                Interrupt::User => End::Interrupted,
            });
        }
        // Input goes first: its end of file decides whether the peer's is early.
        if ready.input {
            self.take_input()?;
        }
        self.send();
        if ready.socket {
            self.receive();
        }
        self.see_to_half_close(ready.socket);
        if ready.output {
            self.deliver()?;
        }
        match self.ended {
            // The conversation is over and all it brought is delivered.
            Some(end) if self.down.is_empty() => Err(end),
            _ => Ok(()),
        }
    }

    fn wait(&mut self) -> Result<Ready, End> {
        let sendable = self.ended.is_none() && self.send_error.is_none();
        let over = self.ended.is_some() || self.peer_fin;
        let reads = !over && self.down.room() > 0;
        let when = |condition, flags| if condition { flags } else { PollFlags::empty() };
        let to_output = when(!self.down.is_empty(), PollFlags::OUT);
        let from_socket = when(reads, PollFlags::IN | PollFlags::RDHUP);
        let to_socket = when(sendable && !self.up.waiting().is_empty(), PollFlags::OUT);
        let on_socket = from_socket | to_socket;

        // A descriptor that is not even asked about would still report its hang-up, without end: it
        // is left out, and the interrupts, polled for nothing, stand in its place.
        let (interrupts, output) = (self.interrupts.as_fd(), self.output.as_fd());
        let nothing = PollFd::new(&interrupts, PollFlags::empty());
        let mut watched = [
            PollFd::new(&interrupts, PollFlags::IN),
            PollFd::new(&output, to_output),
            nothing.clone(),
            nothing,
        ];
        if sendable && self.up.room() > 0 {
            watched[2] = PollFd::new(&self.input, PollFlags::IN);
        }
        // Until both FINs are there, a hang-up says that the connection broke.
        let hangs_up = self.ended.is_none() && self.peer_fin && !self.fin_sent;
        if !on_socket.is_empty() || hangs_up {
            watched[3] = PollFd::new(&self.socket, on_socket);
        }

        // While our own output keeps us from reading, silence is not the peer's.
        let blocked = !over && !reads;
        let owed = self.ended.is_none() && !blocked && self.is_owed();
        let patience = self.rules.timeout.filter(|_| owed);
        let left = patience.map(|limit| {
            let left = limit.saturating_sub(self.moved.elapsed());
            left.min(limit / LOOKS)
        });
        let held_up = (blocked && self.rules.user_timeout.is_some()).then_some(HELD_UP);
        let settling = self.is_settling().then_some(self.settling);
        let left = [left, self.soft_error.left(), held_up, settling].into_iter().flatten().min();
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let polled = poll(&mut watched, left.as_ref());
        let error = watched[3].revents().contains(PollFlags::ERR);
        let [interrupts, output, input, socket] = watched.map(|fd| !fd.revents().is_empty());
        if error {
            self.soft_error.hear(self.socket);
        }
        if polled == Ok(0) && held_up.is_some() {
            self.lift_user_timeout();
        }
        // A router's error has lasted for a while, and nothing has been acknowledged since.
        if self.ended.is_none()
            && let Some((op, errno)) = self.soft_error.settled(self.socket)
        {
            self.ended = Some(broken(op, errno));
            return Ok(Ready::default());
        }
        match patience {
            None => self.moved = Instant::now(),
            Some(_) if polled == Ok(0) => self.note_acknowledged(),
            Some(_) => {}
        }
        let waited_out = patience.is_some_and(|limit| self.moved.elapsed() >= limit);
        match (polled, patience.filter(|_| waited_out)) {
            // An answer is owed and no byte moved for as long as the user allows.
            (Ok(0), Some(limit)) => {
                self.ended = Some(End::Silence(limit));
                Ok(Ready::default())
            }
            // A signal that is not ours, or the return from being stopped.
            (Ok(0) | Err(Errno::INTR), _) => Ok(Ready::default()),
            (Ok(_), _) => Ok(Ready { interrupts, output, input, socket }),
            (Err(errno), _) => Err(End::Poll(errno)),
        }
    }

    /// Returns whether something is expected of the peer: to take or to return bytes, to acknowledge our FIN or to send its own.
    fn is_owed(&self) -> bool {
        !self.up.is_empty() || self.fin_sent
    }

    fn take_input(&mut self) -> Result<(), End> {
        match self.up.fill(|room| rustix::io::read(self.input, room)) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            // The input failed: what there is to send is not known any more.
            Err(errno) => Err(End::Input(errno)),
        }
    }

    /// Sends what waits and, after the last byte, our FIN.
    fn send(&mut self) {
        if self.ended.is_some() || self.send_error.is_some() {
            return;
        }
        while !self.up.waiting().is_empty() {
            match net::send(self.socket, self.up.waiting(), SendFlags::NOSIGNAL) {
                Ok(count) => self.sent(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(errno) if self.soft_error.takes("send", errno, self.socket) => return,
                Err(errno) => {
                    self.trace("send", String::new(), Err(errno));
                    self.send_error = Some(errno);
                    // The call was refused and the connection is open: reading would not tell more.
                    if !self.is_closed() {
                        self.ended = Some(broken("send", errno));
                    }
                    return;
                }
            }
        }
        if self.up.ended() && !self.fin_sent {
            // It fails only if the connection is gone, which the next read reports better.
            let shut = net::shutdown(self.socket, Shutdown::Write);
            self.fin_sent = true;
            self.trace("shutdown", "SHUT_WR".into(), shut.map(|()| "FIN sent".into()));
        }
    }

    fn sent(&mut self, count: usize) {
        self.moved = Instant::now();
        self.trace("send", String::new(), Ok(bytes(count as u64)));
        self.up.pass(count);
        if !self.rules.check {
            self.up.release(count);
        }
    }

    fn receive(&mut self) {
        if self.ended.is_some() || self.peer_fin || self.down.room() == 0 {
            return;
        }
        let socket = self.socket;
        let read = |room: &mut [u8]| net::recv(socket, room, RecvFlags::empty()).map(|(n, _)| n);
        let filled = self.down.fill(read);
        if let Some(tracer) = self.tracer {
            trace::received(tracer, socket, filled.as_deref());
        }
        self.ended = match filled {
            Ok([]) => self.end_of_file(),
            Ok(answer) => {
                self.moved = Instant::now();
                self.last_returned = answer.last().copied();
                self.soft_error.forget();
                // A byte came back that was not sent there.
                let checked = if self.rules.check { check(&mut self.up, answer) } else { Ok(()) };
                checked.err().map(End::Different)
            }
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(errno) if self.soft_error.takes("recv", errno, socket) => None,
            // The kernel says what became of the connection.
            Err(errno) => {
                let (op, errno) = self.soft_error.explains("recv", errno);
                Some(broken(op, errno))
            }
        };
    }

    /// Returns what the peer's FIN means, if it is the end.
    fn end_of_file(&mut self) -> Option<End> {
        match self.send_error {
            // An earlier send has used up the reason, which is more than a FIN. EPIPE is no more
            // than a FIN: that is what Linux says when an RST follows one.
            Some(errno) if errno != Errno::PIPE => Some(broken("send", errno)),
            // A server that does not echo may end its direction when it likes; ours goes on.
            _ if !self.rules.check => {
                self.peer_fin = true;
                // A user need not type more for a peer that has ended.
                if self.input.is_terminal() {
                    self.up.end();
                    self.send();
                }
                None
            }
            // Both sides have sent FIN and every byte came back.
            _ if self.fin_sent && self.up.is_empty() => Some(FINISHED),
            // Bytes are still owed, or the user had not finished.
            _ => Some(CLOSED_EARLY),
        }
    }

    /// Ends the run because the reader of the output has left, unless a failure was seen before.
    fn output_closed(&self) -> End {
        self.ended.filter(End::is_failure).unwrap_or(End::OutputClosed)
    }

    fn deliver(&mut self) -> Result<(), End> {
        let bytes = self.down.waiting();
        // Nothing was polled for and something is reported: the reader has left.
        if bytes.is_empty() {
            return Err(self.output_closed());
        }
        match self.output.write(bytes) {
            Ok(count) => {
                self.down.pass(count);
                self.down.release(count);
                Ok(())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            // Its reader has left, as head(1) does.
            Err(Errno::PIPE) => Err(self.output_closed()),
            // The disk is full, for example.
            Err(errno) => Err(End::Output(errno)),
        }
    }
}

/// Both sides have ended their direction, and nothing is missing.
const FINISHED: End = End::Connection { ending: Ending::Finished, op: "recv", errno: None };
/// The peer ended its direction, and something is missing.
const CLOSED_EARLY: End = End::Connection { ending: Ending::ClosedEarly, op: "recv", errno: None };

impl End {
    /// Returns whether the conversation failed.
    fn is_failure(&self) -> bool {
        matches!(self, End::Connection { .. } | End::Silence(_) | End::Different(_))
            && *self != FINISHED
    }
}

fn broken(op: &'static str, errno: Errno) -> End {
    End::Connection { ending: Ending::of_established(errno), op, errno: Some(errno) }
}
