//! Configures interfaces, addresses and routes of the calling thread's network namespace (rtnetlink(7)).
//!
//! Nothing here allocates unless it fails, so that a forked child may call it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use tcpecho_os::failed::Failed;

/// Access to the interfaces of one network namespace: that of the thread which opened it. Any thread may use it.
#[derive(Debug)]
pub struct Links {
    netlink: OwnedFd,
}

/// What a route does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Sends it out of the interface with this index, without a gateway.
    Device(u32),
    /// Refuses it: `EHOSTUNREACH`.
    Unreachable,
    /// Refuses it: `EACCES`.
    Prohibit,
    /// Refuses it with `EINVAL`, and drops forwarded packets.
    Blackhole,
    /// Delivers it to this host, by way of the interface with this index.
    Local(u32),
}

impl Links {
    /// Opens rtnetlink in the namespace of the calling thread.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn open() -> Result<Self, Failed> {
        // NETLINK_ROUTE is protocol 0.
        net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .map(|netlink| Links { netlink })
            .map_err(Failed::at("socket(AF_NETLINK, NETLINK_ROUTE)"))
    }

    /// Returns the index of the interface called `name`.
    ///
    /// # Errors
    /// `ENODEV` if there is none.
    pub fn index(&self, name: &str) -> Result<u32, Failed> {
        // SIOCGIFINDEX is answered by any socket.
        let index = net::netdevice::name_to_index(&self.netlink, name);
        index.map_err(|errno| Failed::at(format!("find interface {name}"))(errno))
    }

    /// Sets an interface up or down.
    ///
    /// # Errors
    /// rtnetlink's answer: `EPERM` without `CAP_NET_ADMIN`, `ENODEV`.
    pub fn set_up(&self, index: u32, up: bool) -> Result<(), Failed> {
        let flags = if up { libc::IFF_UP as u32 } else { 0 };
        self.change(index, flags, libc::IFF_UP as u32, None, "set link up or down")
    }

    /// Sets an interface's MTU, in bytes.
    ///
    /// # Errors
    /// rtnetlink's answer: `EINVAL` for a size that the device does not support.
    pub fn set_mtu(&self, index: u32, mtu: u32) -> Result<(), Failed> {
        self.change(index, 0, 0, Some(mtu), "set link mtu")
    }

    /// Turns ARP and neighbour discovery off (`ip link set … arp off`).
    ///
    /// # Errors
    /// As [`Links::set_up`].
    pub fn without_arp(&self, index: u32) -> Result<(), Failed> {
        let flag = libc::IFF_NOARP as u32;
        self.change(index, flag, flag, None, "set link arp off")
    }

    fn change(
        &self,
        index: u32,
        flags: u32,
        changed: u32,
        mtu: Option<u32>,
        operation: &'static str,
    ) -> Result<(), Failed> {
        let mut message = Message::new(libc::RTM_NEWLINK, 0);
        message.link(index, flags, changed);
        if let Some(mtu) = mtu {
            message.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
        }
        self.ask(message, operation)
    }

    /// Adds an address to an interface; an IPv6 address is usable at once (no duplicate address detection).
    ///
    /// # Errors
    /// rtnetlink's answer: `EEXIST` if it has the address, `EPERM`, `ENODEV`.
    pub fn add_address(&self, index: u32, address: IpAddr, prefix: u8) -> Result<(), Failed> {
        const IFA_F_NODAD: u8 = 2;
        let flags = if address.is_ipv6() { IFA_F_NODAD } else { 0 };
        let mut message = Message::new(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        message.push(&[family(address), prefix, flags, 0]);
        message.push(&index.to_ne_bytes());
        message.address(libc::IFA_LOCAL, address);
        message.address(libc::IFA_ADDRESS, address);
        self.ask(message, "add address")
    }

    /// Adds a route to `destination`/`prefix`; the unspecified address with prefix 0 is the default route.
    ///
    /// # Errors
    /// rtnetlink's answer: `EEXIST`, `ENETDOWN` if the interface is down, `EPERM`.
    pub fn add_route(&self, destination: IpAddr, prefix: u8, route: Route) -> Result<(), Failed> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        self.ask(route_message(libc::RTM_NEWROUTE, flags, destination, prefix, route), "add route")
    }

    /// Sets the minimum RTO of new connections over an existing route, and locks it, so that it overrides
    /// sysctls and socket options (`rto_min`, ip-route(8)). It is rounded up to milliseconds, and is at least one.
    ///
    /// # Errors
    /// rtnetlink's answer: `ENOENT` if the route does not exist, `EPERM`.
    pub fn set_rto_min(
        &self,
        destination: IpAddr,
        prefix: u8,
        route: Route,
        least: Duration,
    ) -> Result<(), Failed> {
        let mut message =
            route_message(libc::RTM_NEWROUTE, libc::NLM_F_REPLACE, destination, prefix, route);
        message.rto_min(least);
        self.ask(message, "set the route's rto_min")
    }

    /// As [`Links::set_rto_min`], for connections over loopback, to 127.0.0.1 and ::1. `loopback` is the interface's index; it
    /// must be up.
    ///
    /// # Errors
    /// rtnetlink's answer: `ESRCH` if the interface has no such address, `EPERM`.
    pub fn set_loopback_rto_min(&self, loopback: u32, least: Duration) -> Result<(), Failed> {
        let route = Route::Local(loopback);
        self.set_rto_min(Ipv4Addr::LOCALHOST.into(), 32, route, least)?;
        // The kernel's own route has a priority that no request can name, so it can be deleted and not replaced.
        let destination = Ipv6Addr::LOCALHOST.into();
        let kernels = route_message(libc::RTM_DELROUTE, 0, destination, 128, route);
        self.ask(kernels, "delete the route to ::1")?;
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut message = route_message(libc::RTM_NEWROUTE, flags, destination, 128, route);
        message.rto_min(least);
        self.ask(message, "add a route to ::1")
    }

    /// Makes a pair of virtual Ethernet devices: `near` here, `far` in the namespace `elsewhere`.
    ///
    /// # Errors
    /// rtnetlink's answer: `EOPNOTSUPP` if this kernel has no veth, `EPERM`, `EEXIST`.
    pub fn add_veth(&self, near: &str, far: &str, elsewhere: BorrowedFd<'_>) -> Result<(), Failed> {
        const VETH_INFO_PEER: u16 = 1;
        let mut message = Message::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        message.link(0, 0, 0);
        message.text(libc::IFLA_IFNAME, near);
        message.nested(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "veth");
            info.nested(libc::IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |peer| {
                    peer.link(0, 0, 0);
                    peer.text(libc::IFLA_IFNAME, far);
                    let fd = elsewhere.as_raw_fd().to_ne_bytes();
                    peer.attribute(libc::IFLA_NET_NS_FD, &fd);
                });
            });
        });
        self.ask(message, "add veth pair")
    }

    fn ask(&self, mut message: Message, operation: &'static str) -> Result<(), Failed> {
        let request = message.finish();
        self.exchange(request).map_err(Failed::at(operation))
    }

    fn exchange(&self, request: &[u8]) -> Result<(), Errno> {
        retry_on_intr(|| net::send(&self.netlink, request, SendFlags::empty()))?;
        let mut answer = [0_u8; 1024];
        // rtnetlink has answered when send(2) returns.
        retry_on_intr(|| net::recv(&self.netlink, &mut answer[..], RecvFlags::DONTWAIT))?;
        let kind = u16::from_ne_bytes([answer[4], answer[5]]);
        let error = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
        match (i32::from(kind), error) {
            (libc::NLMSG_ERROR, 0) => Ok(()),
            (libc::NLMSG_ERROR, -4095..0) => Err(Errno::from_raw_os_error(-error)),
            _ => Err(Errno::BADMSG),
        }
    }
}

fn route_message(kind: u16, flags: i32, destination: IpAddr, prefix: u8, route: Route) -> Message {
    let (host, link) = match destination {
        IpAddr::V4(_) => (libc::RT_SCOPE_HOST, libc::RT_SCOPE_LINK),
        // IPv6 routes have no scope.
        IpAddr::V6(_) => (libc::RT_SCOPE_UNIVERSE, libc::RT_SCOPE_UNIVERSE),
    };
    let (does, scope) = match route {
        Route::Device(_) => (libc::RTN_UNICAST, link),
        Route::Local(_) => (libc::RTN_LOCAL, host),
        Route::Unreachable => (libc::RTN_UNREACHABLE, libc::RT_SCOPE_UNIVERSE),
        Route::Prohibit => (libc::RTN_PROHIBIT, libc::RT_SCOPE_UNIVERSE),
        Route::Blackhole => (libc::RTN_BLACKHOLE, libc::RT_SCOPE_UNIVERSE),
    };
    let table = match route {
        Route::Local(_) => libc::RT_TABLE_LOCAL,
        _ => libc::RT_TABLE_MAIN,
    };
    let mut message = Message::new(kind, flags);
    // A route is deleted whoever made it.
    let protocol = if kind == libc::RTM_DELROUTE { libc::RTPROT_UNSPEC } else { libc::RTPROT_BOOT };
    message.push(&[family(destination), prefix, 0, 0, table, protocol, scope, does]);
    message.push(&[0; 4]);
    if prefix > 0 {
        message.address(libc::RTA_DST, destination);
    }
    if let Route::Device(index) | Route::Local(index) = route {
        message.attribute(libc::RTA_OIF, &index.to_ne_bytes());
    }
    message
}

fn family(address: IpAddr) -> u8 {
    (if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8
}

/// Builds a netlink message of at most 512 bytes, which is more than any message here needs.
struct Message {
    bytes: [u8; 512],
    length: usize,
}

impl Message {
    fn new(kind: u16, flags: i32) -> Self {
        let mut message = Message { bytes: [0; 512], length: 4 };
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let ([k0, k1], [f0, f1]) = (kind.to_ne_bytes(), flags.to_ne_bytes());
        message.push(&[k0, k1, f0, f1]);
        message.push(&[0; 8]);
        message
    }

    /// Everything in netlink is padded to four bytes.
    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end.next_multiple_of(4);
    }

    /// `struct ifinfomsg`.
    fn link(&mut self, index: u32, flags: u32, changed: u32) {
        for word in [0, index, flags, changed] {
            self.push(&word.to_ne_bytes());
        }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = (4 + value.len()) as u16;
        let [l0, l1] = length.to_ne_bytes();
        let [k0, k1] = kind.to_ne_bytes();
        self.push(&[l0, l1, k0, k1]);
        self.push(value);
    }

    fn address(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(ip) => self.attribute(kind, &ip.octets()),
            IpAddr::V6(ip) => self.attribute(kind, &ip.octets()),
        }
    }

    /// A locked metric of a route, in milliseconds (linux/rtnetlink.h; the lock is a set of bits, one for each metric).
    fn rto_min(&mut self, least: Duration) {
        const RTAX_LOCK: u16 = 1;
        const RTAX_RTO_MIN: u16 = 13;
        let millis = u32::try_from(least.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX).max(1);
        self.nested(libc::RTA_METRICS, |metrics| {
            metrics.attribute(RTAX_LOCK, &(1_u32 << RTAX_RTO_MIN).to_ne_bytes());
            metrics.attribute(RTAX_RTO_MIN, &millis.to_ne_bytes());
        });
    }

    fn text(&mut self, kind: u16, text: &str) {
        let mut value = [0; 32];
        let length = text.len().min(value.len() - 1);
        value[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.attribute(kind, &value[..=length]);
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.length;
        self.attribute(kind, &[]);
        fill(self);
        let length = (self.length - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn finish(&mut self) -> &[u8] {
        let length = self.length;
        self.bytes[..4].copy_from_slice(&(length as u32).to_ne_bytes());
        &self.bytes[..length]
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::netns;
    use tcpecho_os::tcp_info::tcp_info;

    /// The timeouts of both ends of a connection over loopback, in a network with this smallest one.
    fn timeouts(least: Option<Duration>, address: IpAddr) -> Result<[Duration; 2], Failed> {
        netns::enter_new()?;
        let links = Links::open()?;
        let lo = links.index("lo")?;
        links.set_up(lo, true)?;
        if let Some(least) = least {
            links.set_loopback_rto_min(lo, least)?;
        }
        let listener = TcpListener::bind((address, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let timeout = |end: &TcpStream| tcp_info(end).unwrap().rto_us.into();
        Ok([&client, &server].map(timeout).map(Duration::from_micros))
    }

    #[test]
    fn an_interface_is_down_up_or_not_there() {
        use tcpecho_os::interface::is_up;
        let inside = || {
            netns::enter_new()?;
            let links = Links::open()?;
            let lo = links.index("lo")?;
            assert_eq!(is_up("lo"), Ok(false));
            links.set_up(lo, true)?;
            assert_eq!(is_up("lo"), Ok(true));
            links.set_up(lo, false)?;
            assert_eq!(is_up("lo"), Ok(false));
            for name in ["nowhere", "a-name-of-sixteen", ""] {
                assert_eq!(is_up(name), Err(Errno::NODEV), "{name}");
            }
            Ok::<(), Failed>(())
        };
        if let Err(failed) = std::thread::spawn(inside).join().unwrap() {
            println!("SKIP: {failed}");
        }
    }

    #[test]
    fn loopback_has_the_smallest_timeout_that_it_was_given() {
        for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let tried =
                |least| std::thread::spawn(move || timeouts(least, address)).join().unwrap();
            let own = match tried(None) {
                Ok(own) => own,
                Err(failed) => return eprintln!("SKIP: {failed}"),
            };
            assert!(own.iter().all(|timeout| timeout.as_millis() >= 200), "{own:?}");
            let long = tried(Some(Duration::from_secs(7))).unwrap();
            assert!(long.iter().all(|timeout| timeout.as_secs() >= 7), "{long:?}");
            let short = tried(Some(Duration::from_millis(5))).unwrap();
            assert!(short.iter().all(|timeout| *timeout < own[0]), "{short:?}, {own:?}");
        }
    }
}
