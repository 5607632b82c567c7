//! Waits for a socket without a descriptor to wait with: signal-driven I/O (UNP 25, fcntl(2) `F_SETOWN_EX`, `O_ASYNC`).

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, Result};

use crate::errno::last_errno;
use crate::signal::SignalMask;

/// `F_SETOWN_EX` and `F_OWNER_TID` (fcntl.h), which libc lacks for glibc.
const SET_OWNER: libc::c_int = 15;
const THREAD: libc::c_int = 0;
const ASYNC: OFlags = OFlags::from_bits_retain(libc::O_ASYNC as u32);

/// `struct f_owner_ex`.
#[repr(C)]
struct Owner {
    kind: libc::c_int,
    id: libc::pid_t,
}

/// SIGIO for what happens to one socket, while this lives. The signal goes to the thread that made this and is blocked
/// there, so no handler of the program sees it; the program's own SIGIO, if that thread gets one, may be taken, too.
///
/// Async-signal-safe: nothing allocates or locks. Works where no descriptor can be opened, for example in a child of
/// [`crate::process::fork_session`].
pub struct SocketSignal<'fd> {
    socket: BorrowedFd<'fd>,
    mask: SignalMask,
    /// Signal and mask are the thread's.
    _thread: PhantomData<*const ()>,
}

impl<'fd> SocketSignal<'fd> {
    /// Starts to collect the signal. What happened before is not told: look at the socket, then wait.
    ///
    /// # Errors
    /// fcntl(2): `EINVAL` or `ENOTTY` for a file without signals.
    pub fn of(socket: BorrowedFd<'fd>) -> Result<Self> {
        let mask = SignalMask::block(libc::SIGIO);
        let this = SocketSignal { socket, mask, _thread: PhantomData };
        let owner = Owner { kind: THREAD, id: rustix::thread::gettid().as_raw_nonzero().get() };
        // SAFETY: the command reads a `struct f_owner_ex`, which lives through the call.
        if unsafe { libc::fcntl(socket.as_raw_fd(), SET_OWNER, &raw const owner) } != 0 {
            return Err(last_errno());
        }
        fcntl_setfl(socket, fcntl_getfl(socket)? | ASYNC)?;
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
        if let Ok(flags) = fcntl_getfl(self.socket) {
            let _ = fcntl_setfl(self.socket, flags - ASYNC);
        }
        // No more are sent now. One that is left would be delivered, and its default action ends the process.
        while matches!(take(Duration::ZERO), Ok(()) | Err(Errno::INTR)) {}
        self.mask.restore();
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

    #[test]
    fn a_file_has_no_signals() {
        let file = std::fs::File::open("/dev/null").unwrap();
        // Some kernels take the flag and never send one.
        if let Ok(signal) = SocketSignal::of(file.as_fd()) {
            assert!(!signal.wait(Duration::ZERO));
        }
    }
}
