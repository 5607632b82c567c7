//! The wire without `/dev/net/tun`: a veth pair (veth(4)) whose other end a packet(7) socket reads and writes.
//!
//! Call [`without_offload`] on the host's end: with transmit offload on, checksums are incomplete and segments may exceed the
//! MTU when they reach the wire.

use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl};

use tcpecho_os::errno::last_errno;
use tcpecho_os::failed::Failed;
use tcpecho_os::interface::{self, any_socket};

/// The wire's end of a veth pair. It carries IP packets without a link-layer header.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    index: u32,
    host_mac: [u8; 6],
}

impl PacketSocket {
    /// Opens a socket on the interface with this index, in the calling thread's namespace; `host_mac` is the address of
    /// the other end, [`mac_of`].
    ///
    /// # Errors
    /// socket(2): `EPERM` without `CAP_NET_RAW`. bind(2): `ENODEV`, `ENETDOWN`.
    pub fn open(index: u32, host_mac: [u8; 6]) -> Result<Self, Failed> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let every = i32::from((libc::ETH_P_ALL as u16).to_be());
        // SAFETY: socket(2) takes no pointers.
        let fd = checked(unsafe { libc::socket(libc::AF_PACKET, kind, every) })
            .map_err(Failed::at("socket(AF_PACKET)"))?;
        // SAFETY: the descriptor is new and owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let socket = PacketSocket { fd, index, host_mac };
        socket.ignore_outgoing().map_err(Failed::at("setsockopt(PACKET_IGNORE_OUTGOING)"))?;
        socket.bind().map_err(Failed::at("bind(AF_PACKET)"))?;
        Ok(socket)
    }

    fn ignore_outgoing(&self) -> Result<(), Errno> {
        let on: libc::c_int = 1;
        // SAFETY: the option takes an int, and its address and size are passed.
        checked(unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_IGNORE_OUTGOING,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as u32,
            )
        })
        .map(drop)
    }

    fn bind(&self) -> Result<(), Errno> {
        let address = self.address(libc::ETH_P_ALL as u16);
        // SAFETY: `address` is a sockaddr_ll and its size is passed.
        checked(unsafe {
            libc::bind(
                self.fd.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as u32,
            )
        })
        .map(drop)
    }

    fn address(&self, protocol: u16) -> libc::sockaddr_ll {
        // SAFETY: sockaddr_ll is plain data, for which all zero is valid.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol.to_be();
        address.sll_ifindex = self.index as i32;
        address.sll_halen = 6;
        address.sll_addr[..6].copy_from_slice(&self.host_mac);
        address
    }

    pub(crate) fn read(&self, packet: &mut [u8]) -> Result<usize, Errno> {
        rustix::net::recv(&self.fd, packet, rustix::net::RecvFlags::empty())
            .map(|(length, _)| length)
    }

    pub(crate) fn write(&self, packet: &[u8]) -> Result<(), Errno> {
        let protocol = match packet.first().map(|byte| byte >> 4) {
            Some(4) => libc::ETH_P_IP,
            Some(6) => libc::ETH_P_IPV6,
            _ => return Err(Errno::INVAL),
        };
        let address = self.address(protocol as u16);
        // SAFETY: the packet and the sockaddr_ll are passed with their sizes and only read.
        let sent = unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const address).cast(),
                size_of_val(&address) as u32,
            )
        };
        if sent >= 0 { Ok(()) } else { Err(last_errno()) }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Tests whether a veth pair and a packet socket can be made in this network namespace. Leaves the pair. Allocates only on
/// failure, so that a forked child may call it.
///
/// # Errors
/// As [`Links::add_veth`](crate::link::Links::add_veth) and [`PacketSocket::open`].
pub fn probe(links: &crate::link::Links) -> Result<(), Failed> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let here = open(c"/proc/thread-self/ns/net", flags, Mode::empty());
    let here = here.map_err(Failed::at("open /proc/thread-self/ns/net"))?;
    links.add_veth("probe0", "probe1", here.as_fd())?;
    let index = links.index("probe0")?;
    links.set_up(index, true)?;
    PacketSocket::open(index, [0; 6]).map(drop)
}

/// Returns the Ethernet address of an interface of the calling thread's namespace.
///
/// # Errors
/// `ENODEV` if there is none.
pub fn mac_of(name: &str) -> Result<[u8; 6], Failed> {
    const SIOCGIFHWADDR: Opcode = libc::SIOCGIFHWADDR as Opcode;
    let operation = "ioctl(SIOCGIFHWADDR)";
    let mut request = interface::request(name).map_err(Failed::at(operation))?;
    let socket = any_socket().map_err(Failed::at(operation))?;
    // SAFETY: SIOCGIFHWADDR takes a struct ifreq and fills in its hardware address.
    unsafe { ioctl(&socket, Updater::<SIOCGIFHWADDR, libc::ifreq>::new(&mut request)) }
        .map_err(Failed::at(operation))?;
    // SAFETY: the kernel filled this member of the union; it is plain data.
    let data = unsafe { request.ifr_ifru.ifru_hwaddr.sa_data };
    Ok(std::array::from_fn(|byte| data[byte] as u8))
}

/// Turns transmit offload off: the kernel computes checksums and cuts segments before a packet leaves the host.
///
/// # Errors
/// `ENODEV`, or `EPERM` without `CAP_NET_ADMIN`. Segmentation settings that the kernel cannot change are ignored.
pub fn without_offload(name: &str) -> Result<(), Failed> {
    const ETHTOOL_STXCSUM: u32 = 0x17;
    const ETHTOOL_STSO: u32 = 0x1f;
    const ETHTOOL_SGSO: u32 = 0x24;
    let set = |command| ethtool(name, [command, 0]);
    set(ETHTOOL_STXCSUM).map_err(Failed::at("ioctl(SIOCETHTOOL, ETHTOOL_STXCSUM)"))?;
    // Both follow from the first on most kernels, which then refuse.
    let _ = (set(ETHTOOL_STSO), set(ETHTOOL_SGSO));
    Ok(())
}

/// `struct ethtool_value`: a command and its number.
fn ethtool(name: &str, mut value: [u32; 2]) -> Result<(), Errno> {
    const SIOCETHTOOL: Opcode = 0x8946;
    let mut request = interface::request(name)?;
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    let socket = any_socket()?;
    // SAFETY: SIOCETHTOOL takes a struct ifreq whose data points to the command's structure, alive during the call.
    unsafe { ioctl(&socket, Updater::<SIOCETHTOOL, libc::ifreq>::new(&mut request)) }
}

fn checked(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result >= 0 { Ok(result) } else { Err(last_errno()) }
}
