//! The limit on descriptors (getrlimit(2), `RLIMIT_NOFILE`), for callers that go on where a sandbox refuses to tell it.

use rustix::io::Errno;

use crate::errno::last_errno;

/// How many descriptors this process may have, and how far it may raise that itself. No limit is `u64::MAX`.
///
/// # Errors
/// `EPERM` or `ENOSYS` behind a seccomp filter.
pub fn descriptors() -> Result<(u64, u64), Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call only writes to `limit`, which lives through it.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } {
        0 => Ok((limit.rlim_cur, limit.rlim_max)),
        _ => Err(last_errno()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_soft_limit_is_within_the_hard_one() {
        let (soft, hard) = super::descriptors().unwrap();
        assert!(0 < soft && soft <= hard, "{soft} {hard}");
    }
}
