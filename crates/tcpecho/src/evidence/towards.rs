//! Counts the sockets of this host that are connected to an address and use up the local ports (connect(2), ip(7)).

use std::net::SocketAddr;

use tcpecho_os::{
    sock_diag::{MOST, TcpSocket, tcp_sockets},
    tcp_state::TcpState,
};

/// This host's sockets towards one address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Towards {
    /// All of them, `TIME_WAIT` included.
    pub sockets: usize,
    /// Those in `TIME_WAIT`.
    pub time_wait: usize,
    /// The table was not read to its end: there may be more.
    pub or_more: bool,
}

/// Counts them.
#[must_use]
pub(super) fn sockets_towards(addr: SocketAddr) -> Option<Towards> {
    tcp_sockets(0).ok().map(|all| count(&all, addr))
}

/// Counts them among `all`, at most [`MOST`] of each family.
fn count(all: &[TcpSocket], addr: SocketAddr) -> Towards {
    let of_family = all.iter().filter(|socket| socket.local.is_ipv4() == addr.is_ipv4()).count();
    let there = || all.iter().filter(|socket| socket.remote == addr);
    Towards {
        sockets: there().count(),
        time_wait: there().filter(|socket| socket.state == TcpState::TimeWait).count(),
        or_more: of_family >= MOST,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        time::{Duration, Instant},
    };

    use tcpecho_lab_os::{link::Links, netns};
    use tcpecho_os::failed::Failed;

    use super::*;

    /// For what the kernel does at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// In a network with no other sockets.
    #[test]
    fn the_sockets_to_one_address_are_counted() {
        let inside = || match alone() {
            Ok(()) => ["127.0.0.1", "::1"].into_iter().for_each(counts),
            Err(failed) => println!("SKIP: {failed}"),
        };
        std::thread::scope(|scope| scope.spawn(inside).join()).unwrap();
    }

    fn alone() -> Result<(), Failed> {
        netns::enter_new()?;
        let links = Links::open()?;
        links.set_up(links.index("lo")?, true)
    }

    fn counts(ip: &str) {
        let Ok(listener) = TcpListener::bind((ip, 0)) else {
            return println!("SKIP: there is no {ip}");
        };
        let addr = listener.local_addr().unwrap();
        let none = Towards { sockets: 0, time_wait: 0, or_more: false };
        assert_eq!(sockets_towards(addr), Some(none));
        let clients = [(); 3].map(|()| TcpStream::connect(addr).unwrap());
        let accepted = [(); 3].map(|()| listener.accept().unwrap().0);
        assert_eq!(sockets_towards(addr), Some(Towards { sockets: 3, ..none }));
        // Who closes first waits (UNP 2.7); the server's ends go the other way.
        drop(clients);
        drop(accepted);
        let start = Instant::now();
        while sockets_towards(addr) != Some(Towards { sockets: 3, time_wait: 3, ..none }) {
            assert!(start.elapsed() < PATIENCE, "{:?}", sockets_towards(addr));
            std::thread::yield_now();
        }
    }

    /// What was read of a family is cut at [`MOST`], so that many may be more; the other family does not matter.
    #[test]
    fn a_full_table_may_hold_more() {
        let addr: SocketAddr = ([192, 0, 2, 1], 7).into();
        let one = TcpSocket {
            state: TcpState::Established,
            local: ([192, 0, 2, 2], 50000).into(),
            remote: addr,
            v6only: false,
            inode: 1,
            uid: 0,
            rqueue: 0,
            wqueue: 0,
            time_wait_ms: None,
        };
        let count_of = |many, addr| count(&vec![one; many], addr);
        let most = Towards { sockets: MOST - 1, time_wait: 0, or_more: false };
        assert_eq!(count_of(MOST - 1, addr), most);
        let full = Towards { sockets: MOST, time_wait: 0, or_more: true };
        assert_eq!(count_of(MOST, addr), full);
        let other = Towards { sockets: 0, time_wait: 0, or_more: false };
        assert_eq!(count_of(MOST, ([0, 0, 0, 0, 0, 0, 0, 1], 7).into()), other);
    }
}
