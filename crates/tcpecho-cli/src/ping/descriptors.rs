//! How many connections fit into the descriptors that this process may have.

use std::fs;

use tcpecho_os::limits::raise_descriptors;
use tcpecho_probe::{MOST_CONNECTIONS, Mode};

/// Descriptors that come and go beside connections: a lookup and its pipe, /proc, the resolver's files.
const SPARE: u64 = 24;

/// What fits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    /// Connections of each target at the same time.
    pub(super) links: usize,
    /// The addresses of a name may be tried beside each other.
    pub(super) overlap: bool,
}

/// Raises the soft limit to the hard one: a connection is a descriptor. Gives the limit then in force.
pub(super) fn raise_limit() -> u64 {
    // Where a sandbox does not tell it, this is what most processes have; no limit at all is a very large one.
    raise_descriptors().unwrap_or(1024).min(u64::from(u32::MAX))
}

/// Descriptors that are open now; a few where /proc does not tell.
pub(super) fn in_use() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(16, |all| all.count() as u64)
}

/// What fits for so many targets with so many addresses in all, or why it does not.
pub(super) fn capacity(
    mode: Mode,
    targets: usize,
    addrs: usize,
    limit: u64,
    in_use: u64,
) -> Result<Capacity, String> {
    let (targets, addrs) = (targets.max(1) as u64, addrs.max(1) as u64);
    let left = limit.saturating_sub(in_use.saturating_add(SPARE));
    if left < targets {
        let needed = limit - left + targets;
        return Err(format!(
            "{targets} targets need {needed} descriptors, and this process may have {limit}: raise the hard limit \
             (ulimit -Hn), or name fewer targets"
        ));
    }
    // At most so many addresses of one target are tried at once.
    let overlap = left >= addrs;
    let each = if overlap { addrs.div_ceil(targets) } else { 1 };
    let links = match mode {
        Mode::Stay => 1,
        Mode::Reconnect | Mode::Connect => usize::try_from(left / targets / each)
            .unwrap_or(MOST_CONNECTIONS)
            .clamp(1, MOST_CONNECTIONS),
    };
    Ok(Capacity { links, overlap })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_limited_by_the_descriptors() {
        let capacity = |mode, targets, addrs, limit| capacity(mode, targets, addrs, limit, 8);
        let fits = |links, overlap| Ok(Capacity { links, overlap });
        assert_eq!(capacity(Mode::Stay, 1000, 2000, 4096), fits(1, true));
        assert_eq!(capacity(Mode::Stay, 1000, 2000, 1032), fits(1, false));
        assert_eq!(capacity(Mode::Connect, 1, 2, 1 << 20), fits(MOST_CONNECTIONS, true));
        assert_eq!(capacity(Mode::Connect, 10, 20, 132), fits(5, true));
        assert_eq!(capacity(Mode::Reconnect, 100, 100, 132), fits(1, true));
        let why = capacity(Mode::Stay, 1100, 1100, 1024).unwrap_err();
        assert!(
            why.contains("1100 targets need 1132 descriptors, and this process may have 1024"),
            "{why}"
        );
        assert!(capacity(Mode::Connect, 1, 1, 0).is_err());
    }
}
