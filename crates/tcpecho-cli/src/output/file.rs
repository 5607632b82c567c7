//! Files that verbs write.

use std::{fs::File, io::Write, path::Path};

use rustix::io::Errno;
use tcpecho_os::errno::io_words;

/// Writes `bytes` as the whole content of a file. The error names the file and the call that failed.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let failed = |op: &str, why: String| format!("{op} {}: {why}", path.display());
    let mut file = File::create(path).map_err(|error| failed("create", io_words(&error)))?;
    file.write_all(bytes).map_err(|error| failed("write", io_words(&error)))?;
    close(file).map_err(|errno| failed("close", tcpecho_os::errno::words(errno)))
}

/// Closes a file that was written. A network file system may report only here that there was no room.
pub(crate) fn close(file: File) -> Result<(), Errno> {
    nix::unistd::close(file).map_err(|errno| Errno::from_raw_os_error(errno as i32))
}
