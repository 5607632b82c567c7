//! Waits for a socket without a descriptor to wait with: signal-driven I/O (UNP 25, fcntl(2) `F_SETOWN_EX`, `O_ASYNC`).

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, Result};

use crate::errno::last_errno;
use crate::signal::SignalMask;

/// `F_SETSIG`, `F_GETSIG`, `F_SETOWN_EX`, `F_GETOWN_EX` and `F_OWNER_TID` (fcntl.h), which libc lacks for glibc.
const SET_SIGNAL: libc::c_int = 10;
const GET_SIGNAL: libc::c_int = 11;
const SET_OWNER: libc::c_int = 15;
const GET_OWNER: libc::c_int = 16;
const THREAD: libc::c_int = 0;
const ASYNC: OFlags = OFlags::from_bits_retain(libc::O_ASYNC as u32);

thread_local! {
    /// A [`SocketSignal`] of this thread lives.
    static IN_USE: Cell<bool> = const { Cell::new(false) };
}

/// `struct f_owner_ex`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    kind: libc::c_int,
    id: libc::pid_t,
}

/// Which signals a file sends, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sending {
    is_on: bool,
    /// Zero means SIGIO.
    signal: libc::c_int,
    owner: Owner,
}

impl Sending {
    fn of(file: BorrowedFd<'_>) -> Result<Self> {
        let is_on = fcntl_getfl(file)?.contains(ASYNC);
        let mut owner = Owner { kind: THREAD, id: 0 };
        // SAFETY: the command writes a `struct f_owner_ex`, which lives through the call.
        if unsafe { libc::fcntl(file.as_raw_fd(), GET_OWNER, &raw mut owner) } != 0 {
            return Err(last_errno());
        }
        // SAFETY: the command takes no argument.
        match unsafe { libc::fcntl(file.as_raw_fd(), GET_SIGNAL) } {
            -1 => Err(last_errno()),
            signal => Ok(Sending { is_on, signal, owner }),
        }
    }

    fn set(self, file: BorrowedFd<'_>) -> Result<()> {
        // SAFETY: the command takes a number.
        if unsafe { libc::fcntl(file.as_raw_fd(), SET_SIGNAL, self.signal) } != 0 {
            return Err(last_errno());
        }
        // SAFETY: the command reads a `struct f_owner_ex`, which lives through the call.
        if unsafe { libc::fcntl(file.as_raw_fd(), SET_OWNER, &raw const self.owner) } != 0 {
            return Err(last_errno());
        }
        let mut flags = fcntl_getfl(file)?;
        flags.set(ASYNC, self.is_on);
        fcntl_setfl(file, flags)
    }

    fn stop(file: BorrowedFd<'_>) {
        if let Ok(flags) = fcntl_getfl(file) {
            let _ = fcntl_setfl(file, flags - ASYNC);
        }
    }
}

/// Why a [`SocketSignal`] could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSignal {
    /// The thread already has a [`SocketSignal`].
    InUse,
    /// A call of fcntl(2) failed: `EINVAL` or `ENOTTY` for a file that sends no signals.
    Refused(Errno),
}

impl From<Errno> for NoSignal {
    fn from(errno: Errno) -> Self {
        NoSignal::Refused(errno)
    }
}

impl fmt::Display for NoSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoSignal::InUse => f.write_str("this thread already waits for the signal of a socket"),
            NoSignal::Refused(errno) => write!(f, "fcntl: {errno}"),
        }
    }
}

impl std::error::Error for NoSignal {}

/// SIGIO for what happens to one socket, while this lives. The signal goes to the thread that made this and is blocked
/// there, so no handler of the program sees it; the program's own SIGIO, if that thread gets one, may be taken, too. Dropping
/// it restores what the file sent before, and whether the thread blocks SIGIO. A thread has one of these at a time; while it
/// lives, neither the thread's blocking of SIGIO nor the signals of the socket may be changed.
///
/// Async-signal-safe: nothing allocates or locks. Works where no descriptor can be opened, for example in a child of
/// [`crate::process::fork_session`].
pub struct SocketSignal<'fd> {
    socket: BorrowedFd<'fd>,
    before: Sending,
    was_blocked: bool,
    /// Signal and mask are the thread's.
    _thread: PhantomData<*const ()>,
}

impl<'fd> SocketSignal<'fd> {
    /// Starts to collect the signal. Events before this call send none: look at the socket first, then wait.
    ///
    /// # Errors
    /// [`NoSignal::InUse`] if the thread has another one; [`NoSignal::Refused`] if fcntl(2) fails.
    pub fn of(socket: BorrowedFd<'fd>) -> std::result::Result<Self, NoSignal> {
        let before = Sending::of(socket)?;
        if IN_USE.replace(true) {
            return Err(NoSignal::InUse);
        }
        let was_blocked = SignalMask::block(libc::SIGIO).blocks(libc::SIGIO);
        let this = SocketSignal { socket, before, was_blocked, _thread: PhantomData };
        let owner = Owner { kind: THREAD, id: rustix::thread::gettid().as_raw_nonzero().get() };
        Sending { is_on: true, signal: 0, owner }.set(socket)?;
        Ok(this)
    }

    /// Waits until something happens to the socket, or another signal is handled. Returns false if `limit` passed first.
    #[must_use]
    pub fn wait(&self, limit: Duration) -> bool {
        match take(limit) {
            Ok(()) | Err(Errno::INTR) => true,
            Err(Errno::AGAIN) => false,
            // Where the call is forbidden, the caller must not spin.
            Err(_) => {
                std::thread::sleep(limit);
                false
            }
        }
    }
}

impl Drop for SocketSignal<'_> {
    fn drop(&mut self) {
        Sending::stop(self.socket);
        // No more are sent now. One that is left would be delivered, and its default action ends the process.
        while matches!(take(Duration::ZERO), Ok(()) | Err(Errno::INTR)) {}
        // It can only fail because the owner is gone. Then nobody gets a signal.
        let _ = self.before.set(self.socket);
        if !self.was_blocked {
            SignalMask::unblock(libc::SIGIO);
        }
        IN_USE.set(false);
    }
}

/// Takes a pending SIGIO of this thread.
fn take(limit: Duration) -> Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    let timeout = libc::timespec {
        tv_sec: limit.as_secs().min(1 << 20) as libc::time_t,
        tv_nsec: limit.subsec_nanos() as libc::c_long,
    };
    // SAFETY: sigemptyset(3) initialises the set; the other two calls read it and the timeout, and no details are asked for.
    let taken = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGIO);
        libc::sigtimedwait(set.as_ptr(), std::ptr::null_mut(), &raw const timeout)
    };
    if taken == libc::SIGIO { Ok(()) } else { Err(last_errno()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    /// As a drain has it: the reading side is shut, so the socket is readable all the time.
    #[test]
    fn bytes_fin_and_rst_are_told_and_silence_is_not() {
        for end in 0..2 {
            let (mut client, server) = pair();
            server.shutdown(Shutdown::Read).unwrap();
            let signal = SocketSignal::of(server.as_fd()).unwrap();
            assert!(!signal.wait(Duration::from_millis(10)));
            for _ in 0..3 {
                client.write_all(b"hello").unwrap();
                assert!(signal.wait(LONG));
            }
            // The bytes may have been told of twice.
            while signal.wait(Duration::from_millis(10)) {}
            match end {
                0 => client.shutdown(Shutdown::Write).unwrap(),
                _ => crate::socket::reset(&client),
            }
            assert!(signal.wait(LONG));
        }
    }

    /// A signal that is left over would end this process.
    #[test]
    fn nothing_is_left_when_it_is_dropped() {
        let (mut client, server) = pair();
        for _ in 0..100 {
            let signal = SocketSignal::of(server.as_fd()).unwrap();
            client.write_all(b"hello").unwrap();
            drop(signal);
            client.write_all(b"hello").unwrap();
        }
        let before = fcntl_getfl(&server).unwrap();
        assert!(!before.contains(ASYNC));
    }

    /// Of two in one thread, the end of the first would let through the signals of the second, which end this process.
    #[test]
    fn a_thread_has_one_at_a_time() {
        let ((mut client, server), (_other_client, other)) = (pair(), pair());
        let signal = SocketSignal::of(server.as_fd()).unwrap();
        assert_eq!(SocketSignal::of(other.as_fd()).err(), Some(NoSignal::InUse));
        client.write_all(b"hello").unwrap();
        assert!(signal.wait(LONG));
        drop(signal);
        SocketSignal::of(other.as_fd()).unwrap();
    }

    #[test]
    fn what_the_caller_had_set_is_restored() {
        let (mut client, server) = pair();
        // A signal that is ignored, to this process.
        let owner = Owner { kind: 1, id: rustix::process::getpid().as_raw_nonzero().get() };
        let before = Sending { is_on: true, signal: libc::SIGURG, owner };
        before.set(server.as_fd()).unwrap();
        let _ = SignalMask::block(libc::SIGIO);
        let signal = SocketSignal::of(server.as_fd()).unwrap();
        client.write_all(b"hello").unwrap();
        assert!(signal.wait(LONG));
        // The end of the other one must not undo this.
        let _ = SignalMask::block(libc::SIGUSR1);
        drop(signal);
        assert_eq!(Sending::of(server.as_fd()), Ok(before));
        let mask = SignalMask::block(libc::SIGUSR1);
        assert!(mask.blocks(libc::SIGIO) && mask.blocks(libc::SIGUSR1));
    }

    #[test]
    fn a_file_has_no_signals() {
        let file = std::fs::File::open("/dev/null").unwrap();
        // Some kernels take the flag and never send one.
        if let Ok(signal) = SocketSignal::of(file.as_fd()) {
            assert!(!signal.wait(Duration::ZERO));
        }
    }
}
