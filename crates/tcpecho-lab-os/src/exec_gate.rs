//! Holds a program between clone(2) and execve(2), so that a tracer can attach before its first instruction.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, IoSliceMut, retry_on_intr};
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags,
    SocketType, recv, recvmsg, send, socketpair,
};

/// The lab's end of the gate. If it is dropped without an answer, the program does not start (`ECANCELED`).
#[derive(Debug)]
pub struct ExecGate(OwnedFd);

impl ExecGate {
    /// Makes a gate. Returns the other end, too, which goes into [`Start`](crate::host_init::Start).
    ///
    /// # Errors
    /// socketpair(2): `EMFILE`, `ENFILE`.
    pub fn new() -> Result<(Self, OwnedFd), Errno> {
        let kind = SocketType::SEQPACKET;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        // The kernel adds the sender's process number as this process sees it (SCM_CREDENTIALS, unix(7)).
        set_socket_passcred(&ours, true)?;
        Ok((ExecGate(ours), theirs))
    }

    /// Waits for the process that will call execve(2). Returns its process number as this process sees it, or `None` if there
    /// will be none; then the host's [`Report`](crate::host_init::Report) has the reason.
    ///
    /// # Errors
    /// Those of recvmsg(2).
    pub fn process(&self) -> Result<Option<i32>, Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let mut parts = [IoSliceMut::new(&mut byte)];
        loop {
            match recvmsg(&self.0, &mut parts, &mut beside, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) if received.bytes == 0 => return Ok(None),
                Err(Errno::CONNRESET) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
                Ok(_) => break,
            }
        }
        Ok(beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmCredentials(who) => Some(who.pid.as_raw_pid()),
            _ => None,
        }))
    }

    /// Lets the program start, or makes its start fail with this errno.
    pub fn answer(self, permission: Result<(), Errno>) {
        let errno = permission.err().map_or(0, Errno::raw_os_error);
        // It fails only if the process is gone, and then nothing waits for the answer.
        let _ = send(&self.0, &errno.to_ne_bytes(), SendFlags::NOSIGNAL);
    }
}

impl AsFd for ExecGate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits at the gate, in the process that will call execve(2), and then installs the filter of
/// [`system_call`](crate::system_call). Async-signal-safe.
pub(crate) fn wait_for_permission(gate: &OwnedFd) -> Result<(), Errno> {
    retry_on_intr(|| send(gate, b"?", SendFlags::NOSIGNAL))?;
    let mut errno = [0; 4];
    match retry_on_intr(|| recv(gate, &mut errno, RecvFlags::empty()))?.0 {
        4 if errno == [0; 4] => crate::system_call::stop_at_those(),
        4 => Err(Errno::from_raw_os_error(i32::from_ne_bytes(errno))),
        _ => Err(Errno::CANCELED),
    }
}
