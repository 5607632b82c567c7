//! Finds the processes that hold a socket: those whose `/proc/PID/fd` shows its inode (proc(5)).

use std::fs;
use std::path::Path;

use crate::text::printable;

/// A process that has a descriptor of the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id, as this process's PID namespace numbers it.
    pub pid: u32,
    /// Its name (at most 15 bytes, `/proc/PID/comm`). A process chooses its name, so this is made [`printable`].
    pub comm: String,
}

/// Returns the processes that hold the socket with this inode, in order of process id.
///
/// The list may be incomplete: descriptors of other users' processes can be read only with
/// `CAP_SYS_PTRACE`, and processes of other PID namespaces not at all. An empty list does not mean
/// that no process holds the socket.
#[must_use]
pub fn holders(inode: u32) -> Vec<Holder> {
    if inode == 0 {
        return Vec::new();
    }
    let link = format!("socket:[{inode}]");
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut found: Vec<Holder> = pids.filter_map(|pid| holder(pid, &link)).collect();
    found.sort_by_key(|holder| holder.pid);
    found
}

fn holder(pid: u32, link: &str) -> Option<Holder> {
    let process = format!("/proc/{pid}");
    let mut descriptors = fs::read_dir(format!("{process}/fd")).ok()?.flatten();
    let holds =
        descriptors.any(|fd| fs::read_link(fd.path()).is_ok_and(|at| at == Path::new(link)));
    holds.then(|| Holder {
        pid,
        comm: name(&fs::read(format!("{process}/comm")).unwrap_or_default()),
    })
}

fn name(comm: &[u8]) -> String {
    let comm = comm.strip_suffix(b"\n").unwrap_or(comm);
    printable(&String::from_utf8_lossy(comm)).into_owned()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;
    use std::os::linux::fs::MetadataExt;

    use super::*;

    #[test]
    fn this_process_holds_its_own_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = format!("/proc/self/fd/{}", listener.as_raw_fd());
        let inode = fs::metadata(link).unwrap().st_ino() as u32;
        assert!(holders(inode).iter().any(|holder| holder.pid == std::process::id()));
        drop(listener);
        assert_eq!(holders(0), []);
    }

    #[test]
    fn names_are_made_printable() {
        assert_eq!(name(b"a b\x1b[2J\xff\n"), "a b\\u{1b}[2J\u{fffd}");
    }
}
