//! The limit on descriptors (getrlimit(2), `RLIMIT_NOFILE`), for callers that go on where a sandbox refuses to tell it.

use rustix::io::Errno;

use crate::errno::last_errno;

/// Returns how many descriptors this process may have, and how far it may raise that itself: the soft and the hard limit.
/// No limit is `u64::MAX`.
///
/// # Errors
/// getrlimit(2): `EPERM` or `ENOSYS` behind a seccomp filter.
pub fn descriptors() -> Result<(u64, u64), Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call only writes to `limit`, which lives through it.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } {
        0 => Ok((limit.rlim_cur, limit.rlim_max)),
        _ => Err(last_errno()),
    }
}

/// Sets the soft and the hard limit; children inherit them.
///
/// # Errors
/// setrlimit(2): `EPERM` for a hard limit above the present one without `CAP_SYS_RESOURCE`, or above `fs.nr_open`.
pub fn set_descriptors(soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the call only reads `limit`, which lives through it.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// Raises the soft limit to the hard one, where that is allowed. Returns the limit then in force.
///
/// # Errors
/// As [`descriptors`].
pub fn raise_descriptors() -> Result<u64, Errno> {
    let (soft, hard) = descriptors()?;
    if soft < hard && set_descriptors(hard, hard).is_ok() { Ok(hard) } else { Ok(soft) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_soft_limit_is_within_the_hard_one_and_raised_to_it() {
        let (soft, hard) = super::descriptors().unwrap();
        assert!(0 < soft && soft <= hard, "{soft} {hard}");
        assert_eq!(super::raise_descriptors(), Ok(hard));
        assert_eq!(super::descriptors(), Ok((hard, hard)));
    }
}
