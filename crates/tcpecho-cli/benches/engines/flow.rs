//! One connection of the generator: it sends by its plan and checks what comes back.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::pattern::{Pattern, TURN};
use crate::plan::Plan;

pub(crate) struct Flow {
    pub(crate) plan: Plan,
    /// Bytes sent and received since the flow began, over all its connections.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) ended: bool,
    /// What epoll watches for it at present.
    pub(crate) watched: EventFlags,
    number: usize,
    socket: TcpStream,
    since: Instant,
    shut: bool,
}

/// A connection that is ready at once or soon: loopback mostly answers within the call.
fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let family = AddressFamily::INET;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(errno) => Err(errno.into()),
    }
}

fn transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl Flow {
    pub(crate) fn open(to: SocketAddr, number: usize, plan: Plan) -> io::Result<Self> {
        Ok(Self {
            plan,
            sent: 0,
            received: 0,
            ended: false,
            watched: EventFlags::empty(),
            number,
            socket: connect(to)?,
            since: Instant::now(),
            shut: false,
        })
    }

    /// The next connection of the same flow. The old one is reset, so that neither side keeps
    /// a `TIME_WAIT` and the ports of the machine last.
    pub(crate) fn reopen(&mut self, to: SocketAddr) -> io::Result<()> {
        sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO))?;
        self.since = Instant::now();
        self.plan.quota = self.plan.quota.saturating_add(self.plan.message);
        self.watched = EventFlags::empty();
        self.socket = connect(to)?;
        Ok(())
    }

    /// Leaves with a reset instead of a FIN.
    pub(crate) fn abandon(&self) -> io::Result<()> {
        Ok(sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO))?)
    }

    fn due(&self) -> u64 {
        self.plan.horizon(self.received).saturating_sub(self.sent)
    }

    /// What epoll should watch: never writability when nothing may be written.
    pub(crate) fn wants(&self) -> EventFlags {
        let mut wants = EventFlags::empty();
        wants.set(EventFlags::IN, self.plan.reads);
        wants.set(EventFlags::OUT, self.due() > 0);
        wants
    }

    /// Sends what may be sent, once.
    pub(crate) fn push(&mut self, pattern: &Pattern) -> Result<(), String> {
        let length = self.due().min(TURN as u64) as usize;
        if length == 0 {
            return Ok(());
        }
        match self.socket.write(pattern.at(self.number, self.sent, length)) {
            Ok(sent) => self.sent += sent as u64,
            Err(error) if transient(&error) => {}
            Err(error) => return Err(format!("write after {} bytes: {error}", self.sent)),
        }
        Ok(())
    }

    /// Reads once and checks it. Returns the time the message took if it completed one.
    pub(crate) fn pull(
        &mut self,
        pattern: &Pattern,
        buffer: &mut [u8],
    ) -> Result<Option<Duration>, String> {
        let count = match self.socket.read(buffer) {
            Ok(count) => count,
            Err(error) if transient(&error) => return Ok(None),
            Err(error) => return Err(format!("read after {} bytes: {error}", self.received)),
        };
        if count == 0 {
            return self.finish();
        }
        self.check(&buffer[..count], pattern)?;
        let before = self.received / self.plan.message;
        self.received += count as u64;
        if self.received / self.plan.message == before || self.plan.under_way != 1 {
            return Ok(None);
        }
        let now = Instant::now();
        Ok(Some(now - std::mem::replace(&mut self.since, now)))
    }

    fn finish(&mut self) -> Result<Option<Duration>, String> {
        if !self.shut {
            return Err(format!("closed early: {} of {} bytes back", self.received, self.sent));
        }
        self.ended = true;
        Ok(None)
    }

    fn check(&self, back: &[u8], pattern: &Pattern) -> Result<(), String> {
        if self.received + back.len() as u64 > self.sent {
            return Err(format!("more came back than the {} bytes sent", self.sent));
        }
        let sent = pattern.at(self.number, self.received, back.len());
        if back == sent {
            return Ok(());
        }
        let at = back.iter().zip(sent).position(|(back, sent)| back != sent).unwrap_or_default();
        let (place, number) = (self.received + at as u64, self.number);
        let (sent, back) = (sent[at], back[at]);
        Err(format!(
            "byte {place} of connection {number} was sent {sent:02x} and came back {back:02x}"
        ))
    }

    /// Whether all that it has sent is back, and nothing more is to be sent.
    pub(crate) fn complete(&self) -> bool {
        self.received == self.sent && self.due() == 0
    }

    /// Our FIN, once everything is back.
    pub(crate) fn shut(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.shut, true) {
            self.socket.shutdown(std::net::Shutdown::Write)?;
        }
        Ok(())
    }
}

impl AsFd for Flow {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
