//! Kernel settings by their names, such as `net.ipv4.tcp_retries2` (sysctl(8); `/proc/sys`, proc(5)).
//!
//! `/proc/sys/net` shows the network namespace of the thread that looks.

use crate::failed::Failed;

/// Returns the file of a setting. As in sysctl(8), dots separate, and a slash stands for a dot within a name.
#[must_use]
pub fn path(key: &str) -> String {
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path: String = key.chars().map(swap).collect();
    format!("/proc/sys/{path}")
}

/// Reads a setting: its words, separated by single spaces.
///
/// # Errors
/// `ENOENT` if this kernel has no such setting, or does not show it in a namespace; `EACCES` if only root may read it.
pub fn read(key: &str) -> Result<String, Failed> {
    let text = std::fs::read_to_string(path(key));
    let text = text.map_err(Failed::at_io(format!("read {key}")))?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Reads a setting that is a number; `None` if it is not there or not a number.
#[must_use]
pub fn number<N: std::str::FromStr>(key: &str) -> Option<N> {
    read(key).ok()?.parse().ok()
}

/// Sets a setting.
///
/// # Errors
/// `ENOENT` if this kernel has no such setting, `EACCES` or `EPERM` without the right to set it, `EINVAL` for a value out of
/// its range, `EROFS` where a container mounts `/proc/sys` read-only.
pub fn write(key: &str, value: &str) -> Result<(), Failed> {
    std::fs::write(path(key), value).map_err(Failed::at_io(format!("write {key}={value}")))
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn settings_are_read_by_name() {
        assert_eq!(path("net.ipv4.conf.eth0/1.mtu"), "/proc/sys/net/ipv4/conf/eth0.1/mtu");
        assert!(number::<u32>("kernel.pid_max").is_some());
        assert_eq!(number::<u32>("kernel.ostype"), None);
        let range = read("net.ipv4.ip_local_port_range").unwrap();
        assert_eq!(range.split(' ').count(), 2, "{range}");
        let failed = read("net.nonsense").unwrap_err();
        assert_eq!((failed.errno, &*failed.operation), (Errno::NOENT, "read net.nonsense"));
    }
}
