//! A program is held between clone(2) and execve(2), so that somebody can get hold of it from its first instruction.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, IoSliceMut, retry_on_intr};
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags,
    SocketType, recv, recvmsg, send, socketpair,
};

/// The lab's end. Dropped without a word, the program does not start (`ECANCELED`).
#[derive(Debug)]
pub struct ExecGate(OwnedFd);

impl ExecGate {
    /// A gate, and the end that goes with [`Start`](crate::host_init::Start).
    ///
    /// # Errors
    /// socketpair(2): `EMFILE`, `ENFILE`.
    pub fn new() -> Result<(Self, OwnedFd), Errno> {
        let kind = SocketType::SEQPACKET;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        // The kernel says who speaks, by the number that the process has here (unix(7)).
        set_socket_passcred(&ours, true)?;
        Ok((ExecGate(ours), theirs))
    }

    /// Waits for the process that is to become the program: its number as this process sees it. `None` if there will be
    /// none; then the report tells why.
    ///
    /// # Errors
    /// recvmsg(2)'s.
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

    /// Lets the program start, or not, for this reason.
    pub fn answer(self, permission: Result<(), Errno>) {
        let errno = permission.err().map_or(0, Errno::raw_os_error);
        // Should it be gone, there is nobody to tell.
        let _ = send(&self.0, &errno.to_ne_bytes(), SendFlags::NOSIGNAL);
    }
}

impl AsFd for ExecGate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// In the process that is to become the program; whoever holds the gate traces it now. No allocation.
pub(crate) fn wait_for_permission(gate: &OwnedFd) -> Result<(), Errno> {
    retry_on_intr(|| send(gate, b"?", SendFlags::NOSIGNAL))?;
    let mut errno = [0; 4];
    match retry_on_intr(|| recv(gate, &mut errno, RecvFlags::empty()))?.0 {
        4 if errno == [0; 4] => crate::system_call::stop_at_those(),
        4 => Err(Errno::from_raw_os_error(i32::from_ne_bytes(errno))),
        _ => Err(Errno::CANCELED),
    }
}
