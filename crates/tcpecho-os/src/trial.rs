//! Trying what cannot be undone: in a copy of the process, which ends afterwards.

use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::os::fd::AsFd;

use crate::failed::Failed;
use crate::host_init::clone_process;

/// Runs `attempt` in a copy of the process and tells what came of it.
///
/// The copy has one thread, so it may enter a user namespace. It was made of a possibly multi-threaded process: `attempt`
/// may make system calls, and must neither allocate nor lock, or it may wait for ever.
///
/// # Errors
/// What `attempt` failed with, its operation cut to 60 bytes; else those of pipe(2) and clone(2), and `ECHILD` if the
/// attempt was killed.
pub fn try_in_child(attempt: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let (told, tell) = pipe_with(PipeFlags::CLOEXEC).map_err(Failed::at("pipe"))?;
    let child = clone_process(0, 0, || {
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
    });
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

    #[test]
    fn tells_success_failure_and_death() {
        assert_eq!(try_in_child(|| Ok(())), Ok(()));
        let failed = Failed { operation: "something".into(), errno: Errno::XDEV };
        assert_eq!(
            try_in_child(|| Err(Failed { operation: "something".into(), errno: Errno::XDEV })),
            Err(failed)
        );
        let died = try_in_child(|| {
            let me = rustix::process::getpid();
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
            Ok(())
        });
        assert_eq!(died.unwrap_err().errno, Errno::CHILD);
    }
}
