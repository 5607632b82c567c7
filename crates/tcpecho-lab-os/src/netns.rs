//! A network namespace as a value (network_namespaces(7)): it exists as long as its descriptor, or a process or socket in it.
//!
//! Each thread is in one namespace. A socket or TUN device stays in the namespace of the thread that opened it, and works from
//! every thread afterwards. So only short-lived threads enter namespaces, and the rest of the process stays where it is.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::resume_unwind;
use std::thread;

use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use tcpecho_os::failed::Failed;
use tcpecho_os::sysctl;

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
            if sysctl::write(CHILD_TABLE, CONNECTIONS).is_ok() {
                enter_new()?;
            }
            Ok(NetNs { fd: current()? })
        })?
    }

    /// Runs `body` on a thread inside the namespace and waits for it. A panic of `body` continues in the caller.
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

    /// Sets a sysctl of the namespace, such as `net.ipv4.tcp_retries2`. Call it from outside the namespace.
    ///
    /// # Errors
    /// `EPERM` for a key that is not the namespace's own but the whole machine's, `ENOENT` if this kernel has no such key,
    /// `EINVAL` for a value out of its range, `EROFS` where a container mounts `/proc/sys` read-only.
    pub fn set_sysctl(&self, key: &str, value: &str) -> Result<(), Failed> {
        self.check_own("set", key)?;
        self.run(|| sysctl::write(key, value))?
    }

    /// Reads a sysctl of the namespace: its words, separated by single spaces. Call it from outside the namespace.
    ///
    /// # Errors
    /// `EPERM` for a key that is not the namespace's own but the whole machine's, `ENOENT` if this kernel has no such key,
    /// or does not show it in a namespace.
    pub fn sysctl(&self, key: &str) -> Result<String, Failed> {
        self.check_own("read", key)?;
        self.run(|| sysctl::read(key))?
    }

    /// Refuses a key that is not the namespace's own.
    ///
    /// The kernel registers a table of sysctls for one network namespace or for all. A file of a table for all is the same
    /// inode wherever it is looked at; one of a namespace's own is another inode than the same path outside, or is not
    /// there. Nothing is written to find out. What a namespace's own table shows of a value that is global is read-only
    /// there (Linux 5.13).
    fn check_own(&self, verb: &str, key: &str) -> Result<(), Failed> {
        let refused = |errno, why: &str| {
            let operation = format!("{verb} {key}, which {why}");
            Err(Failed { operation: operation.into(), errno })
        };
        let path = sysctl::path(key);
        if path.split('/').skip(1).any(|name| matches!(name, "" | "." | "..")) {
            return refused(Errno::INVAL, "is not the name of a setting");
        }
        if !path.starts_with("/proc/sys/net/") {
            return refused(Errno::PERM, MACHINE_WIDE);
        }
        let look = || open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        // Both are held open while they are compared, so that neither inode goes away and its number to another.
        let inside = self.run(look)?.map_err(Failed::at(format!("{verb} {key}")))?;
        let outside = match look() {
            Err(Errno::NOENT) => return Ok(()),
            looked => looked.map_err(Failed::at(format!("look at {path}")))?,
        };
        let inode = |file: &OwnedFd| {
            let stat = fstat(file).map_err(Failed::at(format!("stat {path}")))?;
            Ok((stat.st_dev, stat.st_ino))
        };
        if inode(&inside)? == inode(&outside)? {
            return refused(Errno::PERM, MACHINE_WIDE);
        }
        Ok(())
    }
}

/// Why a key is refused.
const MACHINE_WIDE: &str = "belongs to the whole machine; only what a network namespace has of its own (below net.) \
                            belongs to a host";

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

/// Returns whether the errno means that this kernel lacks a facility, rather than that it was refused.
#[must_use]
pub fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::OPNOTSUPP | Errno::NODEV)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A namespace, or the reason why there is none.
    fn namespace() -> Option<NetNs> {
        NetNs::new().inspect_err(|failed| println!("SKIP: {failed}")).ok()
    }

    #[test]
    fn what_belongs_to_the_machine_is_neither_written_nor_read() {
        let Some(netns) = namespace() else { return };
        let before = sysctl::read("vm.stat_interval").unwrap();
        for key in ["vm.stat_interval", "kernel.hostname", "net.//.vm.stat_interval", "net", ""] {
            let failed = netns.set_sysctl(key, &before).unwrap_err();
            assert!(matches!(failed.errno, Errno::PERM | Errno::INVAL), "{key}: {failed}");
            assert!(netns.sysctl(key).is_err(), "{key}");
        }
        let failed = netns.set_sysctl("vm.stat_interval", &before).unwrap_err().to_string();
        assert!(
            failed.contains("vm.stat_interval, which belongs to the whole machine"),
            "{failed}"
        );
    }

    #[test]
    fn what_is_the_namespace_s_own_is_set_there_alone() {
        let Some(netns) = namespace() else { return };
        let key = "net.ipv4.tcp_retries2";
        let outside = sysctl::read(key).unwrap();
        let other = if outside == "7" { "8" } else { "7" };
        netns.set_sysctl(key, other).unwrap();
        assert_eq!(netns.sysctl(key).unwrap(), other);
        assert_eq!(sysctl::read(key).unwrap(), outside);
        assert_eq!(netns.sysctl("net.ipv4.nonsense").unwrap_err().errno, Errno::NOENT);
    }

    /// The criterion itself: the kernel shows a namespace's own tables as files of their own, and shared ones as the same.
    #[test]
    fn a_shared_file_is_the_same_inode_and_an_own_one_another() {
        let Some(netns) = namespace() else { return };
        let inodes = |key: &str| {
            let look = || {
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                open(sysctl::path(key), flags, Mode::empty()).unwrap()
            };
            let (inside, outside) = (netns.run(look).unwrap(), look());
            [inside, outside].map(|file| fstat(&file).unwrap().st_ino)
        };
        let [inside, outside] = inodes("vm.stat_interval");
        assert_eq!(inside, outside);
        let [inside, outside] = inodes("net.ipv4.tcp_retries2");
        assert_ne!(inside, outside);
    }
}
