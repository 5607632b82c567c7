//! Calls in a loop, for a peer that makes its own calls: an agent that echoes or reads such a
//! stream cannot get a command for each call.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::Answer;

/// A test pattern in lines of 64 bytes, each different.
pub(super) fn lines(count: usize) -> Vec<u8> {
    (0..count).map(pattern).collect()
}

fn pattern(at: usize) -> u8 {
    if at % 64 == 63 { b'\n' } else { b'a' + (at % 61 % 26) as u8 }
}

/// Echoes in pieces of this size, until this number of bytes or the peer's FIN.
pub(super) fn echo(socket: &OwnedFd, until: usize, piece: usize) -> Answer {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    while total < until {
        let wanted = buffer.len().min(until - total);
        let (length, _) = recv(socket, &mut buffer[..wanted], RecvFlags::empty())?;
        if length == 0 {
            break;
        }
        for piece in buffer[..length].chunks(piece.max(1)) {
            send_all(socket, piece)?;
        }
        total += length;
    }
    Ok(total.to_string())
}

pub(super) fn send_all(socket: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let sent = send(socket, bytes, SendFlags::empty())?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

/// Sends [`lines`] without reading, until the peer has taken nothing for half a second.
pub(super) fn stuff(socket: &OwnedFd, count: usize) -> Answer {
    let bytes = lines(count);
    let mut total = 0;
    while total < count {
        match send(socket, &bytes[total..], SendFlags::DONTWAIT) {
            Ok(sent) => total += sent,
            Err(Errno::AGAIN) => {
                let half = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
                if poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&half))? == 0 {
                    break;
                }
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(total.to_string())
}

/// Reads this number of bytes, or until the peer's FIN, and compares them with [`lines`].
pub(super) fn drain(socket: &OwnedFd, until: usize) -> Answer {
    let mut buffer = vec![0; 64 * 1024];
    let (mut total, mut right) = (0, true);
    while total < until {
        let wanted = buffer.len().min(until - total);
        let (length, _) = recv(socket, &mut buffer[..wanted], RecvFlags::empty())?;
        if length == 0 {
            break;
        }
        right &= (total..).zip(&buffer[..length]).all(|(at, byte)| *byte == pattern(at));
        total += length;
    }
    Ok(format!("{total} {}", if right { "right" } else { "changed" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_can_be_typed_and_told_apart() {
        let stream = lines(4096);
        let all: Vec<&[u8]> = stream.split_inclusive(|byte| *byte == b'\n').collect();
        assert_eq!(all.len(), 64);
        for (at, line) in all.iter().enumerate() {
            assert_eq!(line.len(), 64);
            assert!(line[..63].iter().all(u8::is_ascii_lowercase), "{}", line.escape_ascii());
            assert!(at == 0 || all[at - 1] != *line, "line {at} is as the one before");
        }
    }
}
