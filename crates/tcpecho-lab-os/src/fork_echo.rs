//! A child as the book's servers have it (UNP 4.8, 5.9): its end raises SIGCHLD, and it stays a zombie until somebody
//! waits for it. For programs only; [`tcpecho_os::process`] makes children that a library may have.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use tcpecho_os::fork::{clone_process, close_all_but, reset_signals};

/// Forks a child that serves this connection: it sends back what it receives, and exits at the end. It keeps no other
/// descriptor, and every signal has its default action. The parent's copy of the socket is closed. Gives the child's
/// process number.
///
/// # Errors
/// fork(2): `EAGAIN` at a limit on processes, `ENOMEM`; `EMFILE`.
pub fn fork_echo(socket: OwnedFd) -> Result<i32, Errno> {
    // SAFETY: no flags. The body makes system calls on memory of its own stack, uses no descriptor but the socket, and shares
    // nothing.
    let child = unsafe {
        clone_process(0, libc::SIGCHLD, || {
            reset_signals();
            close_all_but(socket.as_fd());
            echo(&socket)
        })
    };
    child.map(|(pid, _)| pid)
}

/// Its status: 0 at the end of the stream, 1 if the connection was broken.
fn echo(socket: &OwnedFd) -> i32 {
    let mut buffer = [0; 4096];
    loop {
        let mut left = match recv(socket, &mut buffer, RecvFlags::empty()) {
            Ok((0, _)) => return 0,
            Ok((length, _)) => &buffer[..length],
            Err(_) => return 1,
        };
        while !left.is_empty() {
            match send(socket, left, SendFlags::NOSIGNAL) {
                Ok(sent) => left = &left[sent..],
                Err(_) => return 1,
            }
        }
    }
}
