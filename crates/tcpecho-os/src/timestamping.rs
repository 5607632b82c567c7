//! Kernel time stamps of a TCP connection (`SO_TIMESTAMPING`; Documentation/networking/timestamping.rst).
//!
//! There is one for a packet handed to the driver, one for its acknowledgement, and one for a received packet. None includes
//! the time until this process was woken. They are times of the wall clock (`CLOCK_REALTIME`).

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::io::{Errno, Result};

use crate::control::receive_message;
use crate::errno::last_errno;

/// Software stamps for what is sent, acknowledged and received; each report carries the offset of the byte it is about,
/// and no copy of the data.
const FLAGS: libc::c_uint = libc::SOF_TIMESTAMPING_TX_SOFTWARE
    | libc::SOF_TIMESTAMPING_TX_ACK
    | libc::SOF_TIMESTAMPING_RX_SOFTWARE
    | libc::SOF_TIMESTAMPING_SOFTWARE
    | libc::SOF_TIMESTAMPING_OPT_ID
    | libc::SOF_TIMESTAMPING_OPT_TSONLY;

/// Handed to the driver, and acknowledged: `SCM_TSTAMP_SND` and `SCM_TSTAMP_ACK` (linux/errqueue.h), which libc lacks.
const LEFT: u32 = 0;
const ACKNOWLEDGED: u32 = 2;

/// What happened to a byte that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It was handed to the network driver.
    Left,
    /// The peer's kernel acknowledged it.
    Acknowledged,
}

/// A time stamp of something that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// What happened.
    pub what: Sent,
    /// The offset of the last byte of the send(2), counted from [`enable()`], modulo 2³².
    pub offset: u32,
    /// Time since the epoch.
    pub at: Duration,
}

/// Enables the stamps on a connection that is established and has sent nothing yet.
///
/// # Errors
/// `EINVAL` for a socket that is not connected or a kernel that lacks one of the stamps (Linux 4.5 has them all).
pub fn enable(fd: impl AsFd) -> Result<()> {
    let flags = FLAGS;
    let size = size_of_val(&flags) as libc::socklen_t;
    let raw = fd.as_fd().as_raw_fd();
    // SAFETY: the option takes an unsigned int, and its address and size are passed.
    let result = unsafe {
        let value = (&raw const flags).cast();
        libc::setsockopt(raw, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, value, size)
    };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Receives as recv(2) does, without blocking. Returns the number of bytes and, if there is a stamp, when the last of them
/// was received.
///
/// # Errors
/// Those of recv(2); `EAGAIN` if nothing is queued.
pub fn receive(fd: impl AsFd, buffer: &mut [u8]) -> Result<(usize, Option<Duration>)> {
    let mut stamp = None;
    let count = receive_message(fd, buffer, 0, |level, kind, data| {
        if (level, kind) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) {
            stamp = software_stamp(data);
        }
    })?;
    Ok((count, stamp))
}

/// Returns the next report on what was sent, if there is one. Drops other messages of the error queue.
///
/// # Errors
/// Those of recvmsg(2).
pub fn next_report(fd: impl AsFd) -> Result<Option<Report>> {
    loop {
        let (mut at, mut about) = (None, None);
        let received =
            receive_message(&fd, &mut [], libc::MSG_ERRQUEUE, |level, kind, data| {
                match (level, kind) {
                    (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => at = software_stamp(data),
                    (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR) => {
                        about = subject(data);
                    }
                    _ => {}
                }
            });
        match received {
            Err(Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(errno),
            Ok(_) => {}
        }
        if let (Some(at), Some((what, offset))) = (at, about) {
            return Ok(Some(Report { what, offset, at }));
        }
    }
}

/// The first of the three `timespec`s is the software stamp; zero where there is none.
fn software_stamp(data: &[u8]) -> Option<Duration> {
    let number = |at: usize| {
        let bytes = data.get(at..)?.first_chunk()?;
        u64::try_from(i64::from_ne_bytes(*bytes)).ok()
    };
    let at = Duration::new(number(0)?, u32::try_from(number(8)?).ok()?);
    Some(at).filter(|at| !at.is_zero())
}

/// What a `sock_extended_err` (linux/errqueue.h) says, if it is about a time.
fn subject(data: &[u8]) -> Option<(Sent, u32)> {
    let number = |at: usize| Some(u32::from_ne_bytes(*data.get(at..)?.first_chunk()?));
    if *data.get(4)? != libc::SO_EE_ORIGIN_TIMESTAMPING {
        return None;
    }
    let what = match number(8)? {
        LEFT => Sent::Left,
        ACKNOWLEDGED => Sent::Acknowledged,
        _ => return None,
    };
    Some((what, number(12)?))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    use super::*;

    /// Once there is something.
    fn wait<T>(mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < end, "nothing came");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_sent_is_seen_to_leave_to_be_acknowledged_and_to_come_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        enable(&client).unwrap();
        assert_eq!(next_report(&client), Ok(None));
        let mut buffer = [0; 100];
        let mut last = None;
        let end = Instant::now() + Duration::from_secs(10);
        for round in 1.. {
            client.write_all(b"hello").unwrap();
            server.read_exact(&mut [0; 5]).unwrap();
            server.write_all(b"hello").unwrap();
            // Whatever is sent again is reported again.
            let mut reports = Vec::new();
            wait(|| {
                reports.extend(next_report(&client).unwrap());
                let told = |what| {
                    reports.iter().any(|one| (one.what, one.offset) == (what, round * 5 - 1))
                };
                (told(Sent::Left) && told(Sent::Acknowledged)).then_some(())
            });
            let (count, came) = wait(|| receive(&client, &mut buffer).ok());
            assert_eq!(count, 5);
            last = came;
            // The stamps of what comes in are switched on a moment after they were asked for.
            if last.is_some() && round > 3 {
                break;
            }
            assert!(Instant::now() < end, "no stamp ever came");
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let came = last.unwrap();
        assert!(now.abs_diff(came) < Duration::from_secs(3600), "{came:?} {now:?}");
        assert_eq!(receive(&client, &mut buffer), Err(Errno::AGAIN));
        drop(server);
        assert_eq!(wait(|| receive(&client, &mut buffer).ok()), (0, None));
    }

    #[test]
    fn a_socket_that_is_not_connected_has_no_stamps() {
        assert_eq!(enable(TcpListener::bind("127.0.0.1:0").unwrap()), Err(Errno::INVAL));
        assert_eq!(enable(std::fs::File::open("/dev/null").unwrap()), Err(Errno::NOTSOCK));
    }

    #[test]
    fn short_messages_say_nothing() {
        for length in 0..16 {
            let bytes = [4_u8; 16];
            assert_eq!(software_stamp(&bytes[..length]), None);
            assert_eq!(subject(&bytes[..length]), None);
        }
    }
}
