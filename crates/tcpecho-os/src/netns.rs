//! A network namespace as a value (`network_namespaces`(7)): it lives as long as its descriptor, or anything inside it.
//!
//! A namespace belongs to a thread. What is opened on a thread inside one (a socket, a TUN device) stays there and works
//! from every thread afterwards, so nothing is ever moved and the rest of the process never changes its place.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::resume_unwind;
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::failed::Failed;

/// How large the table of connections of namespaces is that are made from this one (ip-sysctl, Linux 6.1).
const CHILD_TABLE: &str = "net.ipv4.tcp_child_ehash_entries";
/// With the host's own table, which has hundreds of thousands of entries, each look at a namespace's sockets walks all of
/// them. Half as many connections can be in TIME_WAIT.
const CONNECTIONS: &str = "4096";

/// A network namespace, kept alive by a descriptor.
#[derive(Debug)]
pub struct NetNs {
    fd: OwnedFd,
}

impl NetNs {
    /// Makes an empty namespace. The calling thread stays where it is.
    ///
    /// # Errors
    /// unshare(2): `EPERM` without `CAP_SYS_ADMIN` in this user namespace, or behind a seccomp filter; `ENOSPC` at the
    /// limit `user.max_net_namespaces`. `EAGAIN` when no thread can be started.
    pub fn new() -> Result<Self, Failed> {
        on_a_thread(|| {
            enter_new()?;
            // Only what is made from here on has a table of its own; a kernel before 6.1 has no such setting.
            if write_sysctl(CHILD_TABLE, CONNECTIONS).is_ok() {
                enter_new()?;
            }
            Ok(NetNs { fd: current()? })
        })?
    }

    /// Runs `body` on a thread inside the namespace and waits for it. A panic of `body` goes on in the caller.
    ///
    /// # Errors
    /// setns(2): `EPERM` without `CAP_SYS_ADMIN`; `EAGAIN` when no thread can be started.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T, Failed> {
        on_a_thread(|| {
            move_into_link_name_space(self.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(Failed::at("setns(CLONE_NEWNET)"))?;
            Ok(body())
        })?
    }

    /// Sets a sysctl of the namespace, such as `net.ipv4.tcp_retries2`.
    ///
    /// # Errors
    /// `ENOENT` if this kernel has no such key, `EINVAL` for a value out of its range, `EROFS` where a container mounts
    /// `/proc/sys` read-only.
    pub fn set_sysctl(&self, key: &str, value: &str) -> Result<(), Failed> {
        self.run(|| write_sysctl(key, value))?
    }

    /// Reads a sysctl of the namespace, without the newline.
    ///
    /// # Errors
    /// `ENOENT` if this kernel has no such key, or does not show it in a namespace.
    pub fn sysctl(&self, key: &str) -> Result<String, Failed> {
        self.run(|| read_sysctl(key))?
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Moves the calling thread alone into a new, empty network namespace.
///
/// # Errors
/// As [`NetNs::new`].
pub fn enter_new() -> Result<(), Failed> {
    // SAFETY: CLONE_FILES, the flag that could take descriptors from other threads, is not passed.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.map_err(Failed::at("unshare(CLONE_NEWNET)"))
}

fn current() -> Result<OwnedFd, Failed> {
    let (path, flags) = ("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC);
    open(path, flags, Mode::empty()).map_err(Failed::at(format!("open {path}")))
}

/// Sets a sysctl of the calling thread's namespace: `/proc/sys/net` shows the namespace of who looks.
///
/// # Errors
/// As [`NetNs::set_sysctl`].
pub fn write_sysctl(key: &str, value: &str) -> Result<(), Failed> {
    std::fs::write(path_of(key), value).map_err(Failed::at_io(format!("write {key}={value}")))
}

/// Reads a sysctl of the calling thread's namespace, tabs as single spaces.
///
/// # Errors
/// As [`NetNs::sysctl`].
pub fn read_sysctl(key: &str) -> Result<String, Failed> {
    let text = std::fs::read_to_string(path_of(key));
    let text = text.map_err(Failed::at_io(format!("read {key}")))?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// As in sysctl(8): dots separate, and a slash stands for a dot within a name.
fn path_of(key: &str) -> String {
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path: String = key.chars().map(swap).collect();
    format!("/proc/sys/{path}")
}

fn on_a_thread<T: Send>(body: impl FnOnce() -> T + Send) -> Result<T, Failed> {
    thread::scope(|scope| {
        let started = thread::Builder::new().name("netns".into()).spawn_scoped(scope, body);
        let started: io::Result<_> = started;
        match started.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(error) => Err(Failed::at_io("start a thread")(error)),
        }
    })
}

/// Whether the errno says that this kernel lacks the thing, rather than that it was refused.
#[must_use]
pub fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::OPNOTSUPP | Errno::NODEV)
}
