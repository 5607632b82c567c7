//! Numbers and names of system calls, those that a network program's life consists of.

#![allow(
    clippy::unnecessary_cast,
    reason = "libc has them as long, which has 32 bits on some machines"
)]

/// accept4(2), also for programs that say accept(2) to a library that has only this.
pub const ACCEPT4: i64 = libc::SYS_accept4 as i64;
/// connect(2).
pub const CONNECT: i64 = libc::SYS_connect as i64;
/// rt_sigreturn(2): what a signal handler ends with.
pub const SIGRETURN: i64 = libc::SYS_rt_sigreturn as i64;
/// restart_syscall(2): what the kernel has an interrupted poll(2) go on with.
pub const RESTART: i64 = libc::SYS_restart_syscall as i64;

macro_rules! names {
    ($($(#[$only:meta])? $number:ident $name:literal)*) => {
        /// The name of the system call with this number, if it is one of the network's or of processes' lives.
        #[must_use]
        pub fn name(number: i64) -> Option<&'static str> {
            match number as libc::c_long {
                $($(#[$only])? libc::$number => Some($name),)*
                _ => None,
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_names() {
        assert_eq!((name(ACCEPT4), name(CONNECT)), (Some("accept4"), Some("connect")));
        assert_eq!((name(SIGRETURN), name(-1)), (None, None));
    }
}
