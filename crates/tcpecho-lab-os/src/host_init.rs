//! The first process (init) of a host: pid 1 of a PID namespace, in the host's network namespace, with the host's name.
//!
//! It starts programs that the lab asks for over a socket pair, reaps every process that ends, and reports how it ended. It
//! exits when the socket closes, because the lab has ended for any reason; when pid 1 ends, the kernel kills every other
//! process of the host (pid_namespaces(7)).
//!
//! It is a copy of the lab's process, not a new program, so that a library can have one. It only makes system calls and uses
//! memory that was allocated before the copy was made.

mod child;
mod message;
mod start;

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, fcntl_dupfd_cloexec, retry_on_intr};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::netns::NetNs;
use child::{Memory, run};
use message::{Answer, Header};
pub use start::{LONGEST_START, NotStarted, Start};
use tcpecho_os::failed::Failed;
use tcpecho_os::fork::clone_process;
use tcpecho_os::process::Exit;

/// A host's init, as the lab sees it. Dropping it kills every process of the host.
#[derive(Debug)]
pub struct HostInit {
    pid: i32,
    pidfd: OwnedFd,
    socket: OwnedFd,
}

/// A report of a host's init.
#[derive(Debug)]
pub enum Report {
    /// The program is running: execve(2) has succeeded.
    Started {
        /// The number in its [`Start`].
        id: u32,
        /// Its process number inside the host.
        pid: i32,
        /// The process itself (`pidfd_open`(2)).
        pidfd: OwnedFd,
    },
    /// It could not be started.
    NotStarted {
        /// The number in its [`Start`].
        id: u32,
        /// Why.
        why: NotStarted,
    },
    /// A process has ended: a program, or one that a program left behind.
    Ended {
        /// Its process number inside the host.
        pid: i32,
        /// How it ended.
        exit: Exit,
    },
}

impl HostInit {
    /// Starts the init of a host called `name` whose network is `netns`.
    ///
    /// # Errors
    /// clone(2): `EPERM` without `CAP_SYS_ADMIN`, `EAGAIN` or `ENOSPC` at a limit, `ENOMEM`; socketpair(2); setns(2).
    pub fn spawn(netns: &NetNs, name: &str) -> Result<Self, Failed> {
        let kind = SocketType::SEQPACKET;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
            .map_err(Failed::at("socketpair"))?;
        // Above the three that the init keeps for what programs inherit.
        let theirs = fcntl_dupfd_cloexec(&theirs, 10).map_err(Failed::at("fcntl(F_DUPFD)"))?;
        let cloned = netns.run(|| {
            let mut memory = Memory::new();
            let flags = libc::CLONE_NEWPID | libc::CLONE_NEWUTS;
            // SAFETY: the flags share nothing. `run` works in memory that was set aside here, with system calls only, and uses
            // no descriptor but its socket.
            unsafe { clone_process(flags, 0, || run(theirs.as_fd(), name.as_bytes(), &mut memory)) }
        })?;
        let (pid, pidfd) = cloned.map_err(Failed::at("clone(CLONE_NEWPID, CLONE_NEWUTS)"))?;
        Ok(HostInit { pid, pidfd, socket: ours })
    }

    /// Returns its process number as this process sees it. Processes of the host whose parents have ended become its children.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Asks the init to start a program; [`HostInit::report`] returns the outcome.
    ///
    /// # Errors
    /// `E2BIG` for more than [`LONGEST_START`] bytes, `EPIPE` or `ECONNRESET` if the host is off.
    pub fn start(&self, start: &Start<'_>) -> Result<(), Errno> {
        let text = message::encode(start)?;
        let header = Header::of(start).to_bytes();
        let parts = [IoSlice::new(&header), IoSlice::new(&text)];
        let [input, output, error] = start.stdio;
        match start.gate {
            None => message::send(self.socket.as_fd(), &parts, &start.stdio),
            Some(gate) => message::send(self.socket.as_fd(), &parts, &[input, output, error, gate]),
        }
    }

    /// Waits for the next report; returns `None` if the host is off. The descriptor of `self` is readable when there is one.
    ///
    /// # Errors
    /// Those of recvmsg(2); `EBADMSG` for a malformed report.
    pub fn report(&self) -> Result<Option<Report>, Errno> {
        let mut bytes = [0; Answer::SIZE];
        let (length, [descriptor, ..]) = match message::receive(self.socket.as_fd(), &mut bytes) {
            Ok((0, _)) | Err(Errno::CONNRESET) => return Ok(None),
            received => received?,
        };
        let answer = Answer::from_bytes(bytes.get(..length).ok_or(Errno::BADMSG)?)?;
        match (answer, descriptor) {
            (Answer::Started { id, pid }, Some(pidfd)) => {
                Ok(Some(Report::Started { id, pid, pidfd }))
            }
            (Answer::NotStarted { id, errno }, _) => {
                Ok(Some(Report::NotStarted { id, why: NotStarted::from_number(errno) }))
            }
            (Answer::Ended { pid, status }, _) => {
                Ok(Some(Report::Ended { pid, exit: exit_of(status) }))
            }
            (Answer::Started { .. }, None) => Err(Errno::BADMSG),
        }
    }

    /// Kills the host and returns when every process in it is gone. Does nothing if it is off already.
    pub fn kill(&self) {
        if pidfd_send_signal(&self.pidfd, Signal::KILL).is_err() {
            // If signals are refused, the init still exits when it finds its socket closed.
            let _ = shutdown(&self.socket, Shutdown::Both);
        }
        // A child whose end is not announced by a signal is only waited for with __WALL; so no waitpid(-1) of the
        // program around us can take it.
        let options = WaitIdOptions::EXITED | WaitIdOptions::from_bits_retain(libc::__WALL as u32);
        let _ = retry_on_intr(|| waitid(WaitId::PidFd(self.pidfd.as_fd()), options));
    }
}

impl AsFd for HostInit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for HostInit {
    fn drop(&mut self) {
        self.kill();
    }
}

fn exit_of(status: i32) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Killed(libc::WTERMSIG(status))
    } else {
        Exit::Exited(libc::WEXITSTATUS(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where there can be no host, the reason.
    fn host() -> Option<HostInit> {
        let made = NetNs::new().and_then(|netns| HostInit::spawn(&netns, "test"));
        made.inspect_err(|failed| println!("SKIP: {failed}")).ok()
    }

    /// A zombie would stay until the lab ends, one for each host that there was.
    #[test]
    fn an_init_that_is_dropped_is_gone_and_leaves_no_zombie() {
        let Some(init) = host() else { return };
        let process = std::path::PathBuf::from(format!("/proc/{}", init.pid()));
        assert!(process.exists());
        drop(init);
        assert!(!process.exists());
    }

    /// It neither tries again for ever nor waits on: the host is off.
    #[test]
    fn an_init_that_is_told_nonsense_ends() {
        let Some(init) = host() else { return };
        message::send(init.as_fd(), &[IoSlice::new(b"?")], &[]).unwrap();
        assert!(matches!(init.report(), Ok(None)));
    }

    #[test]
    fn a_program_without_its_streams_is_an_answer() {
        let Some(init) = host() else { return };
        let (path, null) = (c"/bin/sh", std::fs::File::open("/dev/null").unwrap());
        let stdio = [null.as_fd(); 3];
        let (argv, env) = ([path.to_owned()], []);
        let start = Start {
            id: 7,
            path,
            argv: &argv,
            env: &env,
            directory: c"/",
            ordinary_ports: false,
            stdio,
            gate: None,
        };
        let (header, text) = (Header::of(&start).to_bytes(), message::encode(&start).unwrap());
        let parts = [IoSlice::new(&header), IoSlice::new(&text)];
        message::send(init.as_fd(), &parts, &stdio[..2]).unwrap();
        let report = init.report().unwrap();
        let is_told =
            matches!(report, Some(Report::NotStarted { id: 7, why: NotStarted::DescriptorsLost }));
        assert!(is_told, "{report:?}");
        // And it is still there.
        init.start(&start).unwrap();
        assert!(matches!(init.report(), Ok(Some(Report::Started { id: 7, .. }))));
    }
}
