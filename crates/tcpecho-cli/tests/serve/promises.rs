//! What is promised of the accepted sockets, seen from outside: their options through pidfd_getfd(2), and how long a
//! connection lingers.

use std::{
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{getpeername, sockopt},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open},
};

use crate::common::{
    process::{children, descriptors},
    *,
};

/// The server's end of a connection, in whatever process of its it is; nothing, with SKIP, where it may not be taken.
fn other_end(server: &Serving, client: &TcpStream) -> Option<OwnedFd> {
    let ours = client.local_addr().unwrap();
    let family = children(server.pid()).into_iter().chain([server.pid()]);
    for pid in family {
        let sockets = descriptors(pid).into_iter().filter(|(_, link)| link.starts_with("socket:"));
        for (number, _) in sockets {
            match copy(pid, number) {
                Ok(socket) if peer_of(&socket) == Some(ours) => return Some(socket),
                Err(Errno::PERM | Errno::NOSYS) => {
                    eprintln!("SKIP: pidfd_getfd(2) is not permitted here");
                    return None;
                }
                _ => {}
            }
        }
    }
    panic!("no process of the server has the connection from {ours}")
}

fn copy(pid: Pid, number: i32) -> Result<OwnedFd, Errno> {
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty())
}

fn peer_of(socket: &OwnedFd) -> Option<SocketAddr> {
    let peer = SocketAddr::try_from(getpeername(socket).ok()??).ok()?;
    Some(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
}

/// `None` where keepalive is off.
fn keepalive(socket: &OwnedFd) -> Option<(u64, u64, u32)> {
    let seconds = |time: rustix::io::Result<Duration>| time.unwrap().as_secs();
    sockopt::socket_keepalive(socket).unwrap().then(|| {
        (
            seconds(sockopt::tcp_keepidle(socket)),
            seconds(sockopt::tcp_keepintvl(socket)),
            sockopt::tcp_keepcnt(socket).unwrap(),
        )
    })
}

#[test]
fn accepted_sockets_have_their_options() {
    // The default of the option is 2 minutes and 4 probes half a minute apart.
    for (more, expected, timeout) in [
        (&[][..], Some((120, 30, 4)), 0),
        (&["--keepalive", "10s", "--user-timeout", "7s"][..], Some((10, 2, 4)), 7000),
        (&["--keepalive", "0"][..], None, 0),
    ] {
        for (engine, at) in everywhere() {
            let server = Serving::start(engine, at, more);
            let mut client = server.connects();
            echoes(&mut client, b"hello");
            let Some(socket) = other_end(&server, &client) else { return };
            assert!(sockopt::tcp_nodelay(&socket).unwrap(), "{engine} {at}: TCP_NODELAY");
            assert!(sockopt::socket_oobinline(&socket).unwrap(), "{engine} {at}: SO_OOBINLINE");
            assert_eq!(keepalive(&socket), expected, "{engine} {at}: keepalive");
            assert_eq!(sockopt::tcp_user_timeout(&socket), Ok(timeout), "{engine} {at}");
        }
    }
}

#[test]
fn a_connection_lingers_for_half_a_second_after_our_fin() {
    together(everywhere(), |(engine, at)| {
        let server = Serving::start(engine, at, &["--drain-timeout", "1h"]);
        let mut client = server.connects();
        echoes(&mut client, b"hello");
        let start = std::time::Instant::now();
        server.gets(Signal::TERM);
        // FIN, and not our own in answer.
        sees_the_end(&mut client);
        server.ends().with(0).within(AT_ONCE);
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(500), "{engine} {at}: it waited only {took:?}");
        drop(client);
    });
}
