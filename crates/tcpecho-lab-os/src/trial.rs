//! Tries out whether a host can be made here, in a copy of the process that ends afterwards.

use std::os::fd::AsFd;

use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tcpecho_os::failed::Failed;
use tcpecho_os::fork::clone_process;

use crate::link::Links;
use crate::netns::enter_new;
use crate::packet_socket;
use crate::user_namespace::enter_user_namespace;
use crate::wire_device::WireDevice;

/// What to try, in this order: a user namespace, a network namespace, a device for the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Enters a user namespace first ([`enter_user_namespace`]).
    pub user_namespace: bool,
    /// Makes a veth pair and a packet socket ([`packet_socket::probe`]) instead of a TUN device ([`WireDevice::tun`]).
    pub veth: bool,
}

impl Attempt {
    /// Makes the attempt in a copy of this process, which has one thread and so may enter a user namespace.
    ///
    /// # Errors
    /// What the attempt failed with, its operation cut to 60 bytes; those of pipe(2) and clone(2); `ECHILD` if the copy was
    /// killed before it said anything.
    pub fn make(self) -> Result<(), Failed> {
        // SAFETY: the operations make system calls only and share nothing. A failure may allocate its name, but none that
        // the lab meets does: their names are literals.
        unsafe { try_in_child(|| self.here()) }
    }

    fn here(self) -> Result<(), Failed> {
        if self.user_namespace {
            enter_user_namespace()?;
        }
        enter_new()?;
        if self.veth { packet_socket::probe(&Links::open()?) } else { WireDevice::tun().map(drop) }
    }
}

/// # Safety
/// As [`clone_process`] says of its body.
unsafe fn try_in_child(attempt: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let (told, tell) = pipe_with(PipeFlags::CLOEXEC).map_err(Failed::at("pipe"))?;
    let body = || {
        let mut message = [0; 64];
        if let Err(failed) = attempt() {
            let text = failed.operation.as_bytes();
            let length = text.len().min(60);
            message[..4].copy_from_slice(&failed.errno.raw_os_error().to_ne_bytes());
            message[4..4 + length].copy_from_slice(&text[..length]);
            // What the failure owns is not freed: the copy's allocator may not be used.
            std::mem::forget(failed);
        }
        let _ = rustix::io::write(&tell, &message);
        0
    };
    // SAFETY: no flags, and the caller answers for `attempt`; what is around it makes one system call.
    let child = unsafe { clone_process(0, 0, body) };
    let (_, pidfd) = child.map_err(Failed::at("clone"))?;
    drop(tell);
    let mut message = [0; 64];
    let length = retry_on_intr(|| rustix::io::read(&told, &mut message)).unwrap_or(0);
    let options = WaitIdOptions::EXITED | WaitIdOptions::from_bits_retain(libc::__WALL as u32);
    let _ = retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), options));
    verdict(&message[..length])
}

fn verdict(message: &[u8]) -> Result<(), Failed> {
    let Some((errno, text)) = message.split_first_chunk() else {
        return Err(Failed { operation: "a trial in a child process".into(), errno: Errno::CHILD });
    };
    match i32::from_ne_bytes(*errno) {
        0 => Ok(()),
        errno => {
            let text = String::from_utf8_lossy(text).trim_end_matches('\0').to_string();
            let errno = Errno::from_raw_os_error(errno);
            Err(Failed { operation: text.into(), errno })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(attempt: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
        // SAFETY: the attempts here make system calls only.
        unsafe { try_in_child(attempt) }
    }

    #[test]
    fn a_process_is_root_in_the_user_namespace_it_enters() {
        let entered = tried(|| {
            enter_user_namespace()?;
            let who = (rustix::process::geteuid(), rustix::process::getegid());
            let is_root = who.0.is_root() && who.1.is_root();
            let wanted = if is_root { Ok(()) } else { Err(Errno::ILSEQ) };
            wanted.map_err(|errno| Failed { operation: "look who we are".into(), errno })
        });
        match entered {
            Ok(()) => {}
            // Forbidden here: by a sysctl, by a security module or by a seccomp filter.
            Err(failed) if matches!(failed.errno, Errno::PERM | Errno::ACCESS | Errno::NOSPC) => {
                println!("SKIP: {failed}");
            }
            Err(failed) => panic!("{failed}"),
        }
    }

    #[test]
    fn tells_success_failure_and_death() {
        assert_eq!(tried(|| Ok(())), Ok(()));
        let failed = Failed { operation: "something".into(), errno: Errno::XDEV };
        assert_eq!(
            tried(|| Err(Failed { operation: "something".into(), errno: Errno::XDEV })),
            Err(failed)
        );
        let died = tried(|| {
            let me = rustix::process::getpid();
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
            Ok(())
        });
        assert_eq!(died.unwrap_err().errno, Errno::CHILD);
    }
}
