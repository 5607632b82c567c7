//! A child as UNP's servers have it (UNP 4.8, 5.9): its end raises SIGCHLD, and it stays a zombie until its parent waits for
//! it. For programs only; [`tcpecho_os::process`] makes children that a library may have.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use tcpecho_os::fork::{clone_process, close_all_but, reset_signals};

/// Forks a child that echoes this connection until end of file, and closes the parent's copy of the socket. Returns the
/// child's process number.
///
/// The child has no other descriptor, and every signal has its default action. It exits with status 0 at end of file and 1
/// if the connection failed.
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
    drop(socket);
    child.map(|(pid, _)| pid)
}

/// Returns the exit status.
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use rustix::net::sockopt::set_socket_linger;
    use rustix::process::{Pid, WaitOptions, waitpid};

    use super::*;

    /// A client, and the process number of the child that serves it.
    fn served() -> (TcpStream, i32) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, fork_echo(listener.accept().unwrap().0.into()).unwrap())
    }

    fn status_of(child: i32) -> Option<i32> {
        let (_, status) = waitpid(Pid::from_raw(child), WaitOptions::empty()).unwrap().unwrap();
        status.exit_status()
    }

    #[test]
    fn a_child_sends_back_what_it_receives_and_exits_at_the_end() {
        let (mut client, child) = served();
        // More than the child's buffer holds.
        let sent: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
        client.write_all(&sent).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        assert!(received == sent, "{} bytes of {}", received.len(), sent.len());
        assert_eq!(status_of(child), Some(0));
    }

    #[test]
    fn a_reset_is_a_status_of_its_own() {
        let (client, child) = served();
        set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
        drop(client);
        assert_eq!(status_of(child), Some(1));
    }
}
