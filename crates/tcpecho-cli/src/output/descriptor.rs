//! Stdout as a descriptor that is written to without blocking.

use std::{
    io::{self, IsTerminal},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{self, FileType, Mode, OFlags},
    io::Errno,
    net::{self, SendFlags},
};
use tcpecho::internal::relay;
use tcpecho_os::stdio::stdout_was_closed;

/// What a pipe that polls writable takes without blocking (`PIPE_BUF`, pipe(7)).
const SAFE: usize = 4096;

/// Standard output, and how it is written without blocking.
///
/// Never by `O_NONBLOCK` on the descriptor we were given: that flag belongs to the open file, which
/// the shell and the other programs of a pipeline share.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: io::Stdout,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// It was closed when the program started, and is /dev/null now.
    Closed,
    /// The same pipe or terminal, opened once more for ourselves and non-blocking.
    Own(OwnedFd),
    /// A socket takes the wish with every call.
    Socket,
    /// As given; so much at a time, and only after it polled writable.
    Shared(usize),
}

impl Output {
    /// This process's standard output.
    pub(crate) fn stdout() -> Self {
        let stdout = io::stdout();
        let kind = fs::fstat(&stdout).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let way = match kind {
            _ if stdout_was_closed() => Way::Closed,
            Ok(FileType::Socket) => Way::Socket,
            Ok(FileType::RegularFile) => Way::Shared(usize::MAX),
            Ok(FileType::Fifo) => reopened(),
            _ if stdout.is_terminal() => reopened(),
            _ => Way::Shared(SAFE),
        };
        Output { stdout, way }
    }

    /// Writes what can be taken now of `bytes`. Call it when the descriptor polls writable.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match &self.way {
            Way::Closed => Err(Errno::BADF),
            Way::Own(fd) => rustix::io::write(fd, bytes),
            Way::Socket => {
                net::send(&self.stdout, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
            }
            Way::Shared(most) => rustix::io::write(&self.stdout, &bytes[..bytes.len().min(*most)]),
        }
    }
}

/// Whether stdout and stderr are one file: who reads the one reads the other.
pub(crate) fn is_stdout_stderr() -> bool {
    let file = |stat: fs::Stat| (stat.st_dev, stat.st_ino, stat.st_rdev);
    let (stdout, stderr) = (fs::fstat(io::stdout()).map(file), fs::fstat(io::stderr()).map(file));
    stdout.is_ok_and(|stdout| stderr == Ok(stdout))
}

impl relay::Output for Output {
    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        self.write(bytes)
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.way {
            Way::Own(fd) => fd.as_fd(),
            _ => self.stdout.as_fd(),
        }
    }
}

/// Without /proc, without permission or without a reader left, the descriptor we were given has to
/// do.
fn reopened() -> Way {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    fs::open("/proc/self/fd/1", flags, Mode::empty()).map_or(Way::Shared(SAFE), Way::Own)
}
