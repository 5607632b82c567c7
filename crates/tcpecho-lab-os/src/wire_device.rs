//! The wire's end of a host's interface: read what the host sends, write what it receives.
//!
//! A TUN device without packet information and without offloads carries raw IP packets, never longer than the MTU and with
//! complete checksums (Documentation/networking/tuntap.rst).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, ioctl};

use tcpecho_os::failed::Failed;
use tcpecho_os::interface;

use crate::packet_socket::PacketSocket;

/// The name of a host's interface to the wire.
pub const WIRE: &str = "wire0";

/// The wire's end of a host's only interface. Non-blocking. Dropping it removes the interface.
#[derive(Debug)]
pub struct WireDevice {
    end: End,
}

#[derive(Debug)]
enum End {
    Tun(OwnedFd),
    Packet(PacketSocket),
}

impl WireDevice {
    /// Makes the TUN device [`WIRE`] in the network namespace of the calling thread. It is down and has no address.
    ///
    /// # Errors
    /// open(2): `ENOENT` or `ENODEV` without a TUN driver, `EACCES` if `/dev/net/tun` is not ours to open, `EPERM` in a
    /// container. `TUNSETIFF`: `EPERM` without `CAP_NET_ADMIN`.
    pub fn tun() -> Result<Self, Failed> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd =
            open(c"/dev/net/tun", flags, Mode::empty()).map_err(Failed::at("open /dev/net/tun"))?;
        set_interface(&fd).map_err(Failed::at("ioctl(TUNSETIFF)"))?;
        Ok(WireDevice { end: End::Tun(fd) })
    }

    /// Wraps the wire's end of a veth pair.
    #[must_use]
    pub fn packet(socket: PacketSocket) -> Self {
        WireDevice { end: End::Packet(socket) }
    }

    /// Reads one packet that the host sent, as many bytes of it as fit.
    ///
    /// # Errors
    /// `EAGAIN` if there is none; `EIO` or `ENETDOWN` if the interface is down or gone.
    pub fn read(&self, packet: &mut [u8]) -> Result<usize, Errno> {
        rustix::io::retry_on_intr(|| match &self.end {
            End::Tun(fd) => rustix::io::read(fd, &mut *packet),
            End::Packet(socket) => socket.read(packet),
        })
    }

    /// Writes one packet to the host. The host's kernel has processed it when this returns.
    ///
    /// # Errors
    /// `EIO` or `ENETDOWN` if the interface is down; `EINVAL` if it does not start like an IP packet; `EMSGSIZE`.
    pub fn write(&self, packet: &[u8]) -> Result<(), Errno> {
        rustix::io::retry_on_intr(|| match &self.end {
            End::Tun(fd) => rustix::io::write(fd, packet).map(drop),
            End::Packet(socket) => socket.write(packet),
        })
    }
}

impl AsFd for WireDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.end {
            End::Tun(fd) => fd.as_fd(),
            End::Packet(socket) => socket.as_fd(),
        }
    }
}

fn set_interface(tun: &OwnedFd) -> Result<(), Errno> {
    const TUNSETIFF: Opcode = libc::TUNSETIFF as Opcode;
    let mut request = interface::request(WIRE)?;
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    // SAFETY: TUNSETIFF takes a pointer to a struct ifreq, which `request` is.
    unsafe { ioctl(tun, Setter::<TUNSETIFF, libc::ifreq>::new(request)) }
}
