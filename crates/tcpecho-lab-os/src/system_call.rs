//! Numbers and names of the system calls of network programs, and the filter that stops a tracee at them (seccomp(2)).

#![allow(
    clippy::unnecessary_cast,
    reason = "libc has them as long, which has 32 bits on some machines"
)]

/// This machine's number for seccomp(2) and ptrace(2) (`AUDIT_ARCH_` in linux/audit.h); 0 for one whose registers
/// [`crate::ptrace`] does not know.
pub(crate) const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else if cfg!(target_arch = "aarch64") {
    0xc000_00b7
} else {
    0
};

/// accept4(2), which some C libraries also call for accept(3).
pub const ACCEPT4: i64 = libc::SYS_accept4 as i64;
/// connect(2).
pub const CONNECT: i64 = libc::SYS_connect as i64;
/// rt_sigreturn(2): the end of a signal handler.
pub const SIGRETURN: i64 = libc::SYS_rt_sigreturn as i64;
/// restart_syscall(2): how an interrupted poll(2) continues.
pub const RESTART: i64 = libc::SYS_restart_syscall as i64;

macro_rules! names {
    ($($(#[$only:meta])? $number:ident $name:literal)*) => {
        /// Returns the name of the system call with this number, if it concerns sockets, streams, waiting or processes.
        #[must_use]
        pub fn name(number: i64) -> Option<&'static str> {
            match number as libc::c_long {
                $($(#[$only])? libc::$number => Some($name),)*
                _ => None,
            }
        }

        /// All that are named, and those that end a signal handler or go on with an interrupted call.
        const OF_INTEREST: &[i64] = &[SIGRETURN, RESTART, $($(#[$only])? (libc::$number as i64),)*];
    };
}

names! {
    SYS_socket "socket"
    SYS_bind "bind"
    SYS_connect "connect"
    SYS_listen "listen"
    SYS_accept "accept"
    SYS_accept4 "accept4"
    SYS_getsockname "getsockname"
    SYS_getpeername "getpeername"
    SYS_setsockopt "setsockopt"
    SYS_getsockopt "getsockopt"
    SYS_sendto "sendto"
    SYS_sendmsg "sendmsg"
    SYS_recvfrom "recvfrom"
    SYS_recvmsg "recvmsg"
    SYS_read "read"
    SYS_write "write"
    SYS_readv "readv"
    SYS_writev "writev"
    SYS_sendfile "sendfile"
    SYS_splice "splice"
    SYS_close "close"
    SYS_shutdown "shutdown"
    SYS_fcntl "fcntl"
    SYS_ioctl "ioctl"
    #[cfg(target_arch = "x86_64")] SYS_poll "poll"
    SYS_ppoll "ppoll"
    #[cfg(target_arch = "x86_64")] SYS_select "select"
    SYS_pselect6 "pselect6"
    #[cfg(target_arch = "x86_64")] SYS_epoll_wait "epoll_wait"
    SYS_epoll_pwait "epoll_pwait"
    SYS_epoll_pwait2 "epoll_pwait2"
    SYS_epoll_ctl "epoll_ctl"
    #[cfg(target_arch = "x86_64")] SYS_fork "fork"
    #[cfg(target_arch = "x86_64")] SYS_vfork "vfork"
    SYS_clone "clone"
    SYS_clone3 "clone3"
    SYS_wait4 "wait4"
    SYS_waitid "waitid"
    SYS_execve "execve"
    SYS_exit_group "exit_group"
}

/// Stops a tracee at these calls, and at no others.
const FILTER: [libc::sock_filter; OF_INTEREST.len() + 5] = {
    // Classic BPF (linux/filter.h) over struct seccomp_data: the call's number at 0, the machine at 4.
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const fn line(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code, jt, jf, k }
    }
    let count = OF_INTEREST.len();
    let mut filter = [line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW); OF_INTEREST.len() + 5];
    filter[0] = line(LOAD, 0, 0, 4);
    // Of another machine: to the line before the last.
    filter[1] = line(JUMP_IF_EQUAL, 0, count as u8 + 1, ARCHITECTURE);
    filter[2] = line(LOAD, 0, 0, 0);
    let mut row = 0;
    while row < count {
        filter[3 + row] = line(JUMP_IF_EQUAL, (count - row) as u8, 0, OF_INTEREST[row] as u32);
        row += 1;
    }
    filter[4 + count] = line(RETURN, 0, 0, libc::SECCOMP_RET_TRACE);
    filter
};

/// Installs the filter: from now on the calling thread, its children and the programs that they execute stop for their tracer
/// at the named calls. Without a tracer the calls fail with `ENOSYS`. It cannot be undone. Async-signal-safe.
///
/// # Errors
/// `EACCES` without `CAP_SYS_ADMIN`, `EINVAL` where the kernel has no filters.
pub(crate) fn stop_at_those() -> Result<(), rustix::io::Errno> {
    let mut filter = FILTER;
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: `program` describes an array of that length, which the kernel copies and checks before the call returns.
    let done = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0)
    };
    if done == 0 { Ok(()) } else { Err(tcpecho_os::errno::last_errno()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_names() {
        assert_eq!((name(ACCEPT4), name(CONNECT)), (Some("accept4"), Some("connect")));
        assert_eq!((name(SIGRETURN), name(-1)), (None, None));
    }

    /// What the kernel would do with the filter.
    fn verdict(machine: u32, number: u32) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let line = FILTER[at];
            at += 1;
            match line.code {
                0x20 => loaded = if line.k == 4 { machine } else { number },
                0x15 => at += usize::from(if loaded == line.k { line.jt } else { line.jf }),
                _ => return line.k,
            }
        }
    }

    #[test]
    fn the_filter_stops_at_what_has_a_name() {
        let here = ARCHITECTURE;
        for number in 0..600 {
            let named = name(number).is_some() || [SIGRETURN, RESTART].contains(&number);
            let wanted = if named { libc::SECCOMP_RET_TRACE } else { libc::SECCOMP_RET_ALLOW };
            assert_eq!(verdict(here, number as u32), wanted, "{number}");
            assert_eq!(verdict(1, number as u32), libc::SECCOMP_RET_ALLOW, "{number}");
        }
    }
}
