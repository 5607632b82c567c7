//! The messages between lab and init: one datagram each, numbers in native byte order, descriptors as `SCM_RIGHTS`.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::start::{LONGEST_START, Start};

/// Precedes the strings of a start: path, directory, arguments, environment, each ended by NUL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) id: u32,
    pub(super) arguments: u32,
    pub(super) variables: u32,
    pub(super) ordinary_ports: bool,
    pub(super) gated: bool,
}

impl Header {
    pub(super) const SIZE: usize = 16;

    pub(super) fn of(start: &Start<'_>) -> Self {
        Header {
            id: start.id,
            arguments: start.argv.len() as u32,
            variables: start.env.len() as u32,
            ordinary_ports: start.ordinary_ports,
            gated: start.gate.is_some(),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; Self::SIZE] {
        let flags = u32::from(self.ordinary_ports) | u32::from(self.gated) << 1;
        words([self.id, self.arguments, self.variables, flags])
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [id, arguments, variables, flags] = words_of(bytes)?;
        let (ordinary_ports, gated) = (flags & 1 != 0, flags & 2 != 0);
        Some(Header { id, arguments, variables, ordinary_ports, gated })
    }
}

/// The strings of a start, one after the other.
pub(super) fn encode(start: &Start<'_>) -> Result<Vec<u8>, Errno> {
    let mut text = start.path.to_bytes_with_nul().to_vec();
    text.extend(start.directory.to_bytes_with_nul());
    for string in start.argv.iter().chain(start.env) {
        text.extend(string.as_bytes_with_nul());
    }
    if text.len() + Header::SIZE > LONGEST_START || start.argv.is_empty() {
        return Err(Errno::TOOBIG);
    }
    Ok(text)
}

/// A message of the init.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Started { id: u32, pid: i32 },
    NotStarted { id: u32, errno: i32 },
    Ended { pid: i32, status: i32 },
}

impl Answer {
    pub(super) const SIZE: usize = 16;

    pub(super) fn to_bytes(self) -> [u8; Self::SIZE] {
        words(match self {
            Answer::Started { id, pid } => [1, id, pid.cast_unsigned(), 0],
            Answer::NotStarted { id, errno } => [2, id, errno.cast_unsigned(), 0],
            Answer::Ended { pid, status } => [3, 0, pid.cast_unsigned(), status.cast_unsigned()],
        })
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Errno> {
        let [kind, id, value, status] = words_of(bytes).ok_or(Errno::BADMSG)?;
        let value = value.cast_signed();
        match kind {
            1 => Ok(Answer::Started { id, pid: value }),
            2 => Ok(Answer::NotStarted { id, errno: value }),
            3 => Ok(Answer::Ended { pid: value, status: status.cast_signed() }),
            _ => Err(Errno::BADMSG),
        }
    }
}

fn words(words: [u32; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

fn words_of(bytes: &[u8]) -> Option<[u32; 4]> {
    let mut words = [0; 4];
    for (at, word) in words.iter_mut().enumerate() {
        *word = u32::from_ne_bytes(*bytes.get(at * 4..)?.first_chunk()?);
    }
    Some(words)
}

pub(super) fn send(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    retry_on_intr(|| {
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            beside.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        sendmsg(socket, parts, &mut beside, SendFlags::NOSIGNAL)
    })
    .map(drop)
}

/// Receives one datagram and up to four descriptors; a length of 0 means that the other end is closed.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
) -> Result<(usize, [Option<OwnedFd>; 4]), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let length = loop {
        match recvmsg(socket, &mut parts, &mut beside, flags) {
            Err(Errno::INTR) => {}
            received => break received?.bytes,
        }
    };
    let mut descriptors = [None, None, None, None];
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            for (place, descriptor) in descriptors.iter_mut().zip(received) {
                *place = Some(descriptor);
            }
        }
    }
    Ok((length, descriptors))
}
