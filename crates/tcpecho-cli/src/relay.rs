//! The line client's loop: two pipes that cross, standard input to the socket and the socket to
//! standard output (UNP 6.4, `str_cli` with poll instead of a blocking read, and half-close instead
//! of exit).
//!
//! Nothing here blocks but the one poll, so that each side may be as slow as it likes: memory stays
//! bounded, and the peer's end and the user's signals are seen whatever the other descriptors do.
//! While standard output is blocked and a turn's worth of bytes waits for it, the socket is not
//! read: an ending that hides behind unread bytes is told after them.
//!
//! A FIN ends its sender's direction only (RFC 9293 3.6). An echo that is cut short cannot be made
//! up for, so there the peer's FIN ends the run; a peer that need not echo is sent the rest of the
//! input and our FIN, and the run succeeds once both are acknowledged.

mod account;
mod check;
mod doubt;
mod half_closed;
mod pipe;

use std::{
    io::IsTerminal,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{self, RecvFlags, SendFlags, Shutdown},
};
use tcpecho::{Connection, Ending, Evidence};

pub(crate) use self::check::Difference;
use self::{
    account::explain_recv,
    check::check,
    doubt::Doubt,
    half_closed::FIRST_LOOK,
    pipe::{Pipe, TURN},
};
use crate::{explain::Explain, input, output::Output, signals::Signals};

/// The most that is sent ahead of the echo: what is remembered for the check. Then input waits for
/// the echo.
const WINDOW: usize = 16 << 20;

/// How long our own output may keep us from reading before the kernel is told not to blame the peer.
const HELD_UP: Duration = Duration::from_millis(200);

/// How often within the time allowed for silence the acknowledgements are looked at: bytes that the kernel holds may
/// move although none passes through here.
const LOOKS: u32 = 4;

/// What the user wants of the conversation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Every byte has to come back, and nothing else.
    pub(crate) check: bool,
    /// How long an answer may be owed without a byte moving either way.
    pub(crate) timeout: Option<Duration>,
    /// The socket's TCP_USER_TIMEOUT, if it has one.
    pub(crate) user_timeout: Option<Duration>,
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection ended so; by which call, and what that said unless it was end of file.
    Connection { ending: Ending, op: &'static str, errno: Option<Errno> },
    /// No byte moved for the time allowed.
    Silence(Duration),
    /// Something else came back than was sent.
    Different(Difference),
    /// The user ended it.
    Signal(Signal),
    /// Whoever read our standard output has had enough.
    OutputClosed,
    /// Standard input or output failed.
    Local { op: &'static str, errno: Errno },
}

/// How the conversation went.
#[derive(Debug)]
pub(crate) struct Relayed {
    pub(crate) end: End,
    /// Bytes handed to the socket.
    pub(crate) sent: u64,
    /// Bytes read from the socket.
    pub(crate) received: u64,
    /// Bytes read from standard input and not handed to the socket.
    pub(crate) unsent: u64,
    /// Bytes read from the socket that standard output has not taken.
    pub(crate) unwritten: u64,
    /// What was known at the end, where that was a failure.
    pub(crate) evidence: Evidence,
}

/// Relays until the connection, the user or standard output ends it.
pub(crate) fn relay(
    connection: &Connection,
    input: BorrowedFd<'_>,
    output: &Output,
    signals: &Signals,
    rules: Rules,
    explain: Option<&Explain>,
) -> Relayed {
    let mut relay = Relay {
        socket: connection.as_fd(),
        input,
        output,
        signals,
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
        doubt: Doubt::begin(connection),
        explain,
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
    output: &'a Output,
    signals: &'a Signals,
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
    /// What routers say against the connection.
    doubt: Doubt,
    explain: Option<&'a Explain>,
}

/// What poll has something to say about.
// Four descriptors, each ready or not.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Default)]
struct Ready {
    signals: bool,
    output: bool,
    input: bool,
    socket: bool,
}

impl Relay<'_> {
    /// One wait and what it made possible. An error is the end.
    fn turn(&mut self) -> Result<(), End> {
        let ready = self.wait()?;
        // The user ended it.
        if ready.signals
            && let Some(signal) = self.signals.next()
        {
            return Err(match signal {
                Signal::SIGPIPE => self.output_closed(),
                signal => End::Signal(signal),
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
        // is left out, and asking the signals for nothing stands in its place.
        let nothing = PollFd::new(self.signals, PollFlags::empty());
        let mut watched = [
            PollFd::new(self.signals, PollFlags::IN),
            PollFd::new(self.output, to_output),
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
        let left = [left, self.doubt.left(), held_up, settling].into_iter().flatten().min();
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let polled = poll(&mut watched, left.as_ref());
        let error = watched[3].revents().contains(PollFlags::ERR);
        let [signals, output, input, socket] = watched.map(|fd| !fd.revents().is_empty());
        if error {
            self.doubt.hear(self.socket);
        }
        if polled == Ok(0) && held_up.is_some() {
            self.lift_user_timeout();
        }
        // A router's word that has stood for a while, and nothing has got through since.
        if self.ended.is_none()
            && let Some((op, errno)) = self.doubt.settled(self.socket)
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
            (Ok(_), _) => Ok(Ready { signals, output, input, socket }),
            (Err(errno), _) => Err(End::Local { op: "poll", errno }),
        }
    }

    /// Whether the peer has something to do: bytes to take or to give back, or its FIN to send
    /// after ours, or to acknowledge.
    fn is_owed(&self) -> bool {
        !self.up.is_empty() || self.fin_sent
    }

    fn take_input(&mut self) -> Result<(), End> {
        match self.up.fill(|room| rustix::io::read(self.input, room)) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            // Standard input failed; what is the user's to send is not known any more.
            Err(errno) => Err(End::Local { op: input::READ, errno }),
        }
    }

    /// Sends what waits and, after the last of it, our FIN.
    fn send(&mut self) {
        if self.ended.is_some() || self.send_error.is_some() {
            return;
        }
        while !self.up.waiting().is_empty() {
            match net::send(self.socket, self.up.waiting(), SendFlags::NOSIGNAL) {
                Ok(count) => self.sent(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(errno) if self.doubt.takes("send", errno, self.socket) => return,
                Err(errno) => {
                    self.explain("send", String::new(), Err(errno));
                    self.send_error = Some(errno);
                    // The call was refused and the connection lives: nothing to read would tell more.
                    if !self.is_closed() {
                        self.ended = Some(broken("send", errno));
                    }
                    return;
                }
            }
        }
        if self.up.ended() && !self.fin_sent {
            // It fails only where the connection is gone, which the next read says better.
            let shut = net::shutdown(self.socket, Shutdown::Write);
            self.fin_sent = true;
            self.explain("shutdown", "SHUT_WR".into(), shut.map(|()| "FIN sent".into()));
        }
    }

    fn sent(&mut self, count: usize) {
        self.moved = Instant::now();
        self.explain("send", String::new(), Ok(format!("{count} bytes")));
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
        if let Some(explain) = self.explain {
            explain_recv(explain, socket, filled.as_deref());
        }
        self.ended = match filled {
            Ok([]) => self.end_of_file(),
            Ok(answer) => {
                self.moved = Instant::now();
                self.last_returned = answer.last().copied();
                self.doubt.forget();
                // A byte came back that was not sent there.
                let checked = if self.rules.check { check(&mut self.up, answer) } else { Ok(()) };
                checked.err().map(End::Different)
            }
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(errno) if self.doubt.takes("recv", errno, socket) => None,
            // The kernel says what became of the connection.
            Err(errno) => {
                let (op, errno) = self.doubt.explains("recv", errno);
                Some(broken(op, errno))
            }
        };
    }

    /// What the peer's FIN means, where it is the end.
    fn end_of_file(&mut self) -> Option<End> {
        match self.send_error {
            // An earlier send has used up the reason, which is more than a FIN. EPIPE is no more
            // than a FIN: that is what Linux says when an RST follows one.
            Some(errno) if errno != Errno::PIPE => Some(broken("send", errno)),
            // A server that does not echo may end its direction when it likes; ours goes on.
            _ if !self.rules.check => {
                self.peer_fin = true;
                // Nobody is asked to type more for a peer that says no more.
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

    /// What it means that nobody reads our output any more: the end, which does not undo a failure that was seen before.
    fn output_closed(&self) -> End {
        self.ended.filter(End::is_failure).unwrap_or(End::OutputClosed)
    }

    fn deliver(&mut self) -> Result<(), End> {
        let bytes = self.down.waiting();
        // Nothing was asked and still something is said: the reader is gone.
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
            // Whoever read our output has had enough, as head(1) has.
            Err(Errno::PIPE) => Err(self.output_closed()),
            // The disk is full, or the like.
            Err(errno) => Err(End::Local { op: "write to stdout", errno }),
        }
    }
}

/// Both sides have ended their direction, and nothing is missing.
const FINISHED: End = End::Connection { ending: Ending::Finished, op: "recv", errno: None };
/// The peer ended its direction, and something is missing.
const CLOSED_EARLY: End = End::Connection { ending: Ending::ClosedEarly, op: "recv", errno: None };

impl End {
    /// Whether the conversation itself failed.
    fn is_failure(&self) -> bool {
        matches!(self, End::Connection { .. } | End::Silence(_) | End::Different(_))
            && *self != FINISHED
    }
}

fn broken(op: &'static str, errno: Errno) -> End {
    End::Connection { ending: Ending::of_established(errno), op, errno: Some(errno) }
}
