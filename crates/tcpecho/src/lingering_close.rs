//! Closes a connection that the peer has not closed: our FIN when it is idle, then a moment for the peer's.
//!
//! Closing with unread data sends RST, which can destroy what the peer has not read yet (RFC 1122 4.2.2.13); so we stop
//! sending, discard input, and close when the peer has closed or the time is over.

use std::{
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{
        Timespec,
        epoll::{self, EventData, EventFlags},
        poll,
    },
    io::Errno,
    net::{RecvFlags, Shutdown, recv, shutdown},
};
use tcpecho_os::{
    socket::{unread, unsent},
    socket_signal::SocketSignal,
    tcp_info::tcp_info,
    tcp_state::TcpState,
};

use crate::timeout::until;

/// How long no data must have been sent or received before a connection counts as idle, beyond one round trip.
const QUIET: Duration = Duration::from_millis(50);
/// The least time until a sender probes a window that is too small for it: the least retransmission timeout, twice.
const PERSIST: Duration = Duration::from_millis(400);
/// How long to wait for the peer's FIN after ours.
pub(crate) const LINGER: Duration = Duration::from_millis(500);

/// A connection's state.
pub(crate) fn state(fd: BorrowedFd<'_>) -> TcpState {
    tcp_info(fd).map_or(TcpState::Close, |info| info.state)
}

/// Milliseconds since a segment with data last went out.
pub(crate) fn sent_ago(fd: BorrowedFd<'_>) -> u32 {
    tcp_info(fd).map_or(u32::MAX, |info| info.last_data_sent_ms)
}

/// In how long the connection will have been quiet if nothing comes: zero if it has been. One that waits to be read is not
/// quiet, however long ago that came; nor one whose peer has not acknowledged all that we sent: it may have much more to
/// send, and close(2) while it does sends RST, which destroys what it has not read; nor one that we have just answered.
pub(crate) fn quiet_in(fd: BorrowedFd<'_>) -> Duration {
    let Ok(info) = tcp_info(fd) else { return Duration::ZERO };
    let waits = |bytes: Result<u32, Errno>| bytes.is_ok_and(|bytes| bytes > 0);
    if waits(unread(fd)) || waits(unsent(fd)) {
        return QUIET;
    }
    let silence = info.last_data_recv_ms.min(info.last_data_sent_ms);
    let silence = Duration::from_millis(u64::from(silence));
    let mut needed = QUIET + Duration::from_micros(u64::from(info.rtt_us));
    // A window smaller than a segment may have stopped a peer that has more to say. We told it nothing new, so it tries again
    // when its persist timer expires (RFC 9293 3.8.6.1), after its retransmission timeout.
    if info.rcv_wnd.is_some_and(|window| window < 2 * info.rcv_mss) {
        needed += PERSIST;
    }
    needed.saturating_sub(silence)
}

/// Sends our FIN and waits for the peer's, at most for the given time. Works whether or not our reading side is shut.
pub(crate) fn lingering_close(fd: BorrowedFd<'_>, limit: Duration) {
    if shutdown(fd, Shutdown::Write).is_err() {
        return;
    }
    let events = SocketEvents::of(fd);
    let deadline = Instant::now() + limit;
    loop {
        discard_input(fd);
        if peer_has_closed(fd) || !events.wait(deadline) {
            return;
        }
    }
}

/// After our FIN, the peer's takes the connection out of these two states.
pub(crate) fn peer_has_closed(fd: BorrowedFd<'_>) -> bool {
    !matches!(state(fd), TcpState::FinWait1 | TcpState::FinWait2)
}

/// Discards input.
pub(crate) fn discard_input(fd: BorrowedFd<'_>) {
    let mut sink = [MaybeUninit::uninit(); 4096];
    while matches!(recv(fd, &mut sink, RecvFlags::DONTWAIT), Ok((_, n)) if n > 0) {}
}

/// Tells when something happens to a socket after this was made: make it, look at the socket, then wait.
///
/// A socket whose reading side is shut is readable all the time, so only the edge tells.
pub(crate) enum SocketEvents<'fd> {
    Epoll(OwnedFd),
    /// Where no descriptor can be had, as in a forked child.
    Signal(SocketSignal<'fd>),
    /// Where neither is allowed; then nothing is told in time.
    None,
}

impl<'fd> SocketEvents<'fd> {
    pub(crate) fn of(fd: BorrowedFd<'fd>) -> Self {
        match Self::watch(fd) {
            Ok(epoll) => SocketEvents::Epoll(epoll),
            Err(_) => SocketSignal::of(fd).map_or(SocketEvents::None, SocketEvents::Signal),
        }
    }

    fn watch(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            fd,
            EventData::new_u64(0),
            EventFlags::IN | EventFlags::RDHUP | EventFlags::ET,
        )?;
        // The first edge is the state at hand.
        let mut events = [const { MaybeUninit::uninit() }; 1];
        epoll::wait(&epoll, &mut events, Some(&Timespec::default()))?;
        Ok(epoll)
    }

    /// Returns false if nothing happened in time.
    pub(crate) fn wait(&self, deadline: Instant) -> bool {
        let epoll = match self {
            SocketEvents::Epoll(epoll) => epoll,
            SocketEvents::Signal(signal) => {
                return signal.wait(deadline.saturating_duration_since(Instant::now()));
            }
            SocketEvents::None => {
                let _ = poll(&mut [], Some(&until(deadline)));
                return false;
            }
        };
        let mut events = [const { MaybeUninit::uninit() }; 1];
        loop {
            match epoll::wait(epoll, &mut events, Some(&until(deadline))) {
                Ok((events, _)) => return !events.is_empty(),
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}
