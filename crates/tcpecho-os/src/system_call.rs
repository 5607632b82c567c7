//! Numbers of system calls, as `/proc/PID/syscall` shows what a process sleeps in.

#![allow(
    clippy::unnecessary_cast,
    reason = "libc has them as long, which has 32 bits on some machines"
)]

/// accept4(2), also for programs that say accept(2) to a library that has only this.
pub const ACCEPT4: i64 = libc::SYS_accept4 as i64;
/// connect(2).
pub const CONNECT: i64 = libc::SYS_connect as i64;
