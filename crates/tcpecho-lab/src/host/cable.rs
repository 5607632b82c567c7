//! Makes a host's interface and the wire's end of it, and reads the kernel's counters.

use rustix::io::Errno;
use tcpecho_lab_os::link::Links;
use tcpecho_lab_os::netns::NetNs;
use tcpecho_lab_os::packet_socket::{PacketSocket, mac_of, without_offload};
use tcpecho_lab_os::wire_device::{WIRE, WireDevice};
use tcpecho_os::failed::Failed;

/// The kind of devices that the wire uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cable {
    /// A TUN device in each host.
    #[default]
    Tun,
    /// A veth pair for each host, read and written by packet sockets: where `/dev/net/tun` cannot be opened.
    Veth,
}

impl Cable {
    /// Makes the interface, down and without addresses. Runs on a thread inside the host's network.
    pub(super) fn lay(self, host: &NetNs, links: &Links) -> Result<WireDevice, Failed> {
        match self {
            Cable::Tun => WireDevice::tun(),
            Cable::Veth => {
                // The far end lives in a network namespace of its own, which the socket keeps
                // alive.
                let far = NetNs::new()?;
                far.run(|| pair(host))??;
                without_offload(WIRE)?;
                links.without_arp(links.index(WIRE)?)?;
                let host_mac = mac_of(WIRE)?;
                far.run(|| PacketSocket::open(Links::open()?.index(FAR)?, host_mac))?
                    .map(WireDevice::packet)
            }
        }
    }
}

const FAR: &str = "far0";

fn pair(host: &NetNs) -> Result<(), Failed> {
    use std::os::fd::AsFd;
    let links = Links::open()?;
    links.add_veth(FAR, WIRE, host.as_fd())?;
    let far = links.index(FAR)?;
    // The wire itself must send nothing. A kernel without IPv6 has no such key, and nothing to
    // disable.
    let _ = tcpecho_os::sysctl::write(&format!("net.ipv6.conf.{FAR}.disable_ipv6"), "1");
    links.without_arp(far)?;
    links.set_mtu(far, 65535)?;
    links.set_up(far, true)
}

/// Finds `Tcp.InCsumErrors` in the tables.
pub(super) fn counter(name: &str) -> Result<u64, Failed> {
    let counters = counters()?;
    let found = counters.into_iter().find(|(known, _)| known == name);
    let none = || Failed { operation: format!("counter {name}").into(), errno: Errno::NOENT };
    found.map(|(_, count)| count).ok_or_else(none)
}

/// The counters of this thread's network, from two tables whose lines come in pairs: names, then
/// numbers.
pub(super) fn counters() -> Result<Vec<(String, u64)>, Failed> {
    let mut counters = Vec::new();
    for file in ["/proc/thread-self/net/snmp", "/proc/thread-self/net/netstat"] {
        let text = std::fs::read_to_string(file).map_err(Failed::at_io(format!("read {file}")))?;
        let mut lines = text.lines();
        while let (Some(names), Some(numbers)) = (lines.next(), lines.next()) {
            let mut pairs = names.split(' ').zip(numbers.split(' '));
            let title = pairs.next().map_or("", |(title, _)| title.trim_end_matches(':'));
            counters.extend(pairs.map(|(column, number)| {
                (format!("{title}.{column}"), number.parse().unwrap_or_default())
            }));
        }
    }
    Ok(counters)
}
