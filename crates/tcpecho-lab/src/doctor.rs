//! Finds out whether a laboratory can be made here: tries each way, the best first, and reports
//! what is missing and what to try.
//!
//! Everything is tried in a child process that exits afterwards, so the caller does not change.

use std::fs::read_to_string;

use rustix::io::Errno;
use tcpecho_lab_os::trial::Attempt;
use tcpecho_lab_os::user_namespace::enter_user_namespace;
use tcpecho_os::failed::Failed;
use tcpecho_os::sysctl;

use crate::host::Cable;

/// A way to make a laboratory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// With the privileges the process has, and TUN devices.
    RootTun,
    /// In a user namespace, with TUN devices.
    UserTun,
    /// In a user namespace, with veth pairs and packet sockets.
    UserVeth,
}

/// The result of trying one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The way.
    pub way: Way,
    /// The operation that failed, and its errno; `None` if this way works.
    pub failed: Option<Failed>,
    /// What to try if it failed.
    pub ways_out: Vec<String>,
}

impl Way {
    /// All ways, the best first.
    pub const ALL: [Way; 3] = [Way::RootTun, Way::UserTun, Way::UserVeth];

    /// The way in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Way::RootTun => "root, TUN devices",
            Way::UserTun => "user namespace, TUN devices",
            Way::UserVeth => "user namespace, veth pairs",
        }
    }

    /// Prepares the process for this way: enters a user namespace if it needs one. Call it at the
    /// beginning of `main`, while the process has one thread.
    ///
    /// # Errors
    /// As [`enter_user_namespace`].
    pub fn enter(self) -> Result<(), Failed> {
        if self.needs_user_namespace() { enter_user_namespace() } else { Ok(()) }
    }

    /// Whether it needs a user namespace, in which the user is root.
    #[must_use]
    pub fn needs_user_namespace(self) -> bool {
        self != Way::RootTun
    }

    /// The kind of cable of this way.
    #[must_use]
    pub fn cable(self) -> Cable {
        if self == Way::UserVeth { Cable::Veth } else { Cable::Tun }
    }

    /// Tries the critical operations, in order, in a child process.
    fn attempt(self) -> Result<(), Failed> {
        let (user_namespace, veth) = (self.needs_user_namespace(), self.cable() == Cable::Veth);
        Attempt { user_namespace, veth }.make()
    }
}

/// Tries every way.
#[must_use]
pub fn examine() -> Vec<Finding> {
    Way::ALL.map(examine_one).into()
}

/// Returns the best way that works.
///
/// # Errors
/// All findings, if no way works.
pub fn best() -> Result<Way, Vec<Finding>> {
    let findings = examine();
    let open = findings.iter().find(|finding| finding.failed.is_none()).map(|finding| finding.way);
    open.ok_or(findings)
}

fn examine_one(way: Way) -> Finding {
    let failed = way.attempt().err();
    let ways_out = failed.as_ref().map(|failed| ways_out(way, failed)).unwrap_or_default();
    Finding { way, failed, ways_out }
}

fn ways_out(way: Way, failed: &Failed) -> Vec<String> {
    let mut out = Vec::new();
    let operation = failed.operation.as_ref();
    let refused = matches!(failed.errno, Errno::PERM | Errno::ACCESS);
    if operation.contains("/dev/net/tun") || operation.contains("TUNSETIFF") {
        out.extend(tun_ways_out(way, failed.errno));
    }
    if way.needs_user_namespace() && !operation.contains("tun") {
        out.extend(SWITCHES.iter().filter_map(Switch::advice));
    }
    if refused && way == Way::RootTun && operation.contains("CLONE_NEWNET") {
        out.push("run it as root (sudo)".into());
    }
    if refused && in_a_container() {
        out.push(
            "in a container: give it --cap-add SYS_ADMIN --cap-add NET_ADMIN --device /dev/net/tun \
             --security-opt seccomp=unconfined, or --privileged"
                .into(),
        );
    }
    if failed.errno == Errno::NOSPC {
        out.push("a limit of namespaces is reached: sysctl user.max_net_namespaces".into());
    }
    out
}

fn tun_ways_out(way: Way, errno: Errno) -> Vec<String> {
    match errno {
        Errno::NOENT => vec![
            "modprobe tun; mkdir -p /dev/net; mknod /dev/net/tun c 10 200; chmod 666 /dev/net/tun"
                .into(),
        ],
        Errno::NODEV | Errno::NXIO => vec!["load the driver: modprobe tun".into()],
        Errno::ACCESS => vec!["let users open it: chmod 666 /dev/net/tun".into()],
        Errno::PERM if way == Way::RootTun => vec!["run it as root (sudo)".into()],
        Errno::PERM => vec!["the device is not allowed here: --device /dev/net/tun".into()],
        _ => Vec::new(),
    }
}

/// A system setting that forbids user namespaces.
struct Switch {
    key: &'static str,
    forbids: fn(u64) -> bool,
    advice: &'static str,
}

const SWITCHES: [Switch; 3] = [
    Switch {
        key: "kernel.apparmor_restrict_unprivileged_userns",
        forbids: |value| value == 1,
        advice: "AppArmor restricts user namespaces: run as root (sudo), give the program a profile with `userns,`, or \
                 sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    },
    Switch {
        key: "kernel.unprivileged_userns_clone",
        forbids: |value| value == 0,
        advice: "sysctl kernel.unprivileged_userns_clone=1",
    },
    Switch {
        key: "user.max_user_namespaces",
        forbids: |value| value == 0,
        advice: "sysctl user.max_user_namespaces=10000",
    },
];

impl Switch {
    fn advice(&self) -> Option<String> {
        (self.forbids)(sysctl::number(self.key)?).then(|| self.advice.into())
    }
}

/// Checks whether system calls can be traced here ([`crate::Launch::observed`]).
///
/// # Errors
/// The operation that failed; [`observing_ways_out`] says what to try.
pub fn try_observing() -> Result<(), Failed> {
    let actions = sysctl::read("kernel.seccomp.actions_avail").unwrap_or_default();
    if !actions.split_whitespace().any(|action| action == "trace") {
        return Err(Failed { operation: "seccomp(SECCOMP_RET_TRACE)".into(), errno: Errno::NOSYS });
    }
    tcpecho_lab_os::ptrace::probe()
}

/// What to try if [`try_observing`] failed.
#[must_use]
pub fn observing_ways_out(failed: &Failed) -> Vec<String> {
    let mut out = Vec::new();
    if failed.errno == Errno::NOSYS {
        out.push(
            "it can be done on x86-64 and ARM64, from Linux 5.3 on, with CONFIG_SECCOMP_FILTER"
                .into(),
        );
        return out;
    }
    match sysctl::read("kernel.yama.ptrace_scope").as_deref() {
        Ok("2") => out.push("Yama lets only administrators trace: run as root (sudo), or sysctl kernel.yama.ptrace_scope=1".into()),
        Ok("3") => out.push("Yama forbids tracing (kernel.yama.ptrace_scope=3) until the next boot".into()),
        _ => {}
    }
    if is_traced() {
        out.push(
            "the lab itself is traced with its children (strace -f, a debugger): run it without"
                .into(),
        );
    }
    if in_a_container() {
        out.push(
            "in a container: give it --cap-add SYS_PTRACE, or --security-opt seccomp=unconfined"
                .into(),
        );
    }
    out
}

fn is_traced() -> bool {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

fn in_a_container() -> bool {
    let marked = |path: &str| std::path::Path::new(path).exists();
    marked("/.dockerenv") || marked("/run/.containerenv")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What depends on the machine (switches, containers) is left out.
    #[test]
    fn each_obstacle_has_its_way_out() {
        use Way::{RootTun, UserTun, UserVeth};
        for (way, operation, errno, wanted) in [
            (RootTun, "open /dev/net/tun", Errno::NOENT, "mknod /dev/net/tun c 10 200"),
            (UserTun, "open /dev/net/tun", Errno::NODEV, "modprobe tun"),
            (RootTun, "open /dev/net/tun", Errno::NXIO, "modprobe tun"),
            (UserTun, "open /dev/net/tun", Errno::ACCESS, "chmod 666 /dev/net/tun"),
            (RootTun, "ioctl(TUNSETIFF)", Errno::PERM, "run it as root (sudo)"),
            (UserTun, "ioctl(TUNSETIFF)", Errno::PERM, "--device /dev/net/tun"),
            (RootTun, "unshare(CLONE_NEWNET)", Errno::PERM, "run it as root (sudo)"),
            (UserVeth, "unshare(CLONE_NEWNET)", Errno::NOSPC, "sysctl user.max_net_namespaces"),
        ] {
            let out = ways_out(way, &Failed { operation: operation.into(), errno });
            assert!(out.iter().any(|line| line.contains(wanted)), "{way:?}, {operation}: {out:?}");
        }
        let failed = Failed { operation: "socket(AF_NETLINK)".into(), errno: Errno::MFILE };
        assert_eq!(ways_out(RootTun, &failed), Vec::<String>::new());
    }

    #[test]
    fn a_kernel_that_cannot_observe_is_told_what_can() {
        let failed = Failed { operation: "seccomp(SECCOMP_RET_TRACE)".into(), errno: Errno::NOSYS };
        let [out] = &observing_ways_out(&failed)[..] else { panic!() };
        assert!(out.contains("CONFIG_SECCOMP_FILTER"), "{out}");
    }
}
