//! The networks that promises are kept in.
//!
//! A tiny or lossy network is a namespace of the promise's own thread, in which the server starts its threads and
//! processes; so tests run beside each other, and no setting of the machine is touched.

use std::{cell::Cell, fs, os::fd::AsFd, time::Duration};

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use tcpecho_lab_os::{link::Links, netns, socket_filter};
use tcpecho_os::{sock_diag::tcp_sockets, sysctl, tcp_state::TcpState};

/// What lies between the clients and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Loopback as it is.
    Plain,
    /// Socket buffers of 4 KiB and packets of 1,500 bytes, so that most sends are short.
    Tiny,
    /// One segment in a hundred is lost in either direction, and repeated after 5 ms. Socket buffers of 64 KiB.
    Lossy,
}

/// The part of the segments that a lossy network loses.
const LOSS: f64 = 0.01;

thread_local! {
    static HERE: Cell<Network> = const { Cell::new(Network::Plain) };
}

impl Network {
    /// As at the end of a test's name.
    pub fn named(name: Option<&str>) -> Network {
        match name {
            None => Network::Plain,
            Some("tiny") => Network::Tiny,
            Some("lossy") => Network::Lossy,
            Some(other) => panic!("no network is called {other}"),
        }
    }

    /// Runs `body` in the network; `Err` says why it cannot be had.
    pub fn run(self, body: impl FnOnce() + Send) -> Result<(), String> {
        if self == Network::Plain {
            body();
            return Ok(());
        }
        let inside = || {
            self.set_up().map_err(|why| format!("no network of its own: {why}"))?;
            HERE.set(self);
            body();
            Ok(())
        };
        let ended = std::thread::scope(|scope| scope.spawn(inside).join());
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn set_up(self) -> Result<(), tcpecho_os::failed::Failed> {
        netns::enter_new()?;
        let links = Links::open()?;
        let lo = links.index("lo")?;
        if self == Network::Tiny {
            links.set_mtu(lo, 1500)?;
            for key in ["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"] {
                sysctl::write(key, "4096 4096 4096")?;
            }
        } else {
            for key in ["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"] {
                sysctl::write(key, "4096 65536 65536")?;
            }
            sysctl::write("net.ipv4.tcp_congestion_control", "reno")?;
        }
        links.set_up(lo, true)?;
        if self == Network::Lossy {
            links.set_loopback_rto_min(lo, Duration::from_millis(5))?;
        }
        Ok(())
    }
}

/// Whether the calling thread's network loses segments.
#[allow(dead_code, reason = "not all test binaries ask")]
pub fn loses() -> bool {
    HERE.get() == Network::Lossy
}

/// Has a socket lose what the calling thread's network loses.
pub fn impair(socket: impl AsFd) {
    if HERE.get() == Network::Lossy {
        socket_filter::drop_received(socket, LOSS).unwrap();
    }
}

/// The same for the listeners of a server in this process, whose connections inherit it.
pub fn impair_listeners(port: u16) {
    if HERE.get() != Network::Lossy {
        return;
    }
    let sockets = tcp_sockets(port).unwrap();
    let listeners: Vec<String> = sockets
        .iter()
        .filter(|socket| socket.state == TcpState::Listen)
        .map(|socket| format!("socket:[{}]", socket.inode))
        .collect();
    let ourselves = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let mut found = 0;
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        if listeners.iter().any(|listener| target.as_os_str() == listener.as_str()) {
            let number = entry.file_name().to_string_lossy().parse().unwrap();
            impair(pidfd_getfd(&ourselves, number, PidfdGetfdFlags::empty()).unwrap());
            found += 1;
        }
    }
    assert!(found > 0, "no listener on port {port} among our descriptors");
}
