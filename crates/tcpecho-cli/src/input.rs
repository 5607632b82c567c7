//! Stdin, for the verbs that read it.

use rustix::io::Errno;
use tcpecho_os::stdio::stdin_was_closed;

/// The call, as messages name it.
pub(crate) const READ: &str = "read from stdin";

/// Whether stdin can be read at all.
///
/// # Errors
/// It was closed when the program started. Descriptor 0 is /dev/null now, and would pass for an empty input.
pub(crate) fn check() -> Result<(), Errno> {
    if stdin_was_closed() { Err(Errno::BADF) } else { Ok(()) }
}

/// Says what is wrong with stdin.
pub(crate) fn sentence(errno: Errno) -> String {
    let advice = match errno {
        Errno::BADF => "; stdin is closed: use < /dev/null for an empty input",
        _ => "",
    };
    format!("{READ}: {}{advice}", tcpecho_os::errno::words(errno))
}
