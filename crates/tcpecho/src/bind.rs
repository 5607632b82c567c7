//! Explains why bind(2) or listen(2) failed, from facts read on this host.
//!
//! Reading the facts and writing the sentences are separate; the second is a pure function.

mod in_use;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt},
};
use tcpecho_os::sysctl;

/// Why bind(2) failed, and what to do: each sentence is one cause, or one possibility.
#[derive(Debug, Default)]
pub struct Reasons {
    /// The causes, or the possible ones.
    pub causes: Vec<String>,
    /// What to do, a sentence for each possibility.
    pub advice: Vec<String>,
}

impl Reasons {
    fn cause(sentence: impl Into<String>) -> Self {
        Reasons { causes: vec![sentence.into()], advice: Vec::new() }
    }

    fn advise(mut self, sentence: impl Into<String>) -> Self {
        self.advice.push(sentence.into());
        self
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentences = self.causes.iter().chain(&self.advice);
        f.write_str(&sentences.map(String::as_str).collect::<Vec<_>>().join("; "))
    }
}

/// Explains why `bind` or `listen` on `addr` failed with `errno`.
///
/// `reuse_address` says whether the socket had `SO_REUSEADDR`. To be called soon after the failure:
/// the answer is read from netlink, /proc/PID/fd and /proc/sys now, for the network namespace of
/// the calling thread. It takes milliseconds; where something may not be read, a sentence says so.
#[must_use]
pub fn explain_bind(addr: SocketAddr, errno: Errno, reuse_address: bool) -> Reasons {
    match errno {
        Errno::ADDRINUSE if addr.port() == 0 => {
            none_free(sysctl::read("net.ipv4.ip_local_port_range").ok())
        }
        Errno::ADDRINUSE => in_use::reasons(&in_use::look(addr), reuse_address),
        _ => reasons(addr, errno, &Settings::read(addr)),
    }
}

/// Returns whether a socket of this host can be bound to the address: bind(2) knows the interfaces of this network
/// namespace, disabled address families and net.*.ip_nonlocal_bind. `true` if that cannot be found out.
#[must_use]
pub fn is_local(ip: IpAddr) -> bool {
    let family = if ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let bound = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .and_then(|socket| bind(&socket, &SocketAddr::new(ip, 0)));
    !matches!(bound, Err(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

/// Explains why no client can connect to a listener on this address: it is a multicast or a broadcast address. Linux lets
/// an IPv4 socket be bound to it all the same. `None` for every other address.
#[must_use]
pub fn explain_unconnectable(ip: IpAddr) -> Option<Reasons> {
    let kind = match ip.to_canonical() {
        ip if ip.is_multicast() => "multicast",
        ip if is_broadcast(ip) => "broadcast",
        _ => return None,
    };
    Some(not_unicast(ip, kind))
}

fn not_unicast(ip: IpAddr, kind: &str) -> Reasons {
    let all = if ip.is_ipv4() { "0.0.0.0" } else { "[::]" };
    Reasons::cause(format!(
        "{ip} is a {kind} address, and TCP connects to unicast addresses only (RFC 1122 4.2.3.10): no client could connect"
    ))
    .advise(format!("listen on an address of this host (`ip addr` lists them), or on {all} for all of them"))
}

/// Returns whether the routing table calls this a broadcast address: connect(2) of a UDP socket fails with EACCES unless the
/// socket has SO_BROADCAST. Sends no packet.
fn is_broadcast(ip: IpAddr) -> bool {
    if !ip.is_ipv4() {
        return false;
    }
    let flags = SocketFlags::CLOEXEC;
    let Ok(socket) = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None) else {
        return false;
    };
    // UDP has a port, which does not matter here (RFC 863, discard).
    let peer = SocketAddr::new(ip, 9);
    connect(&socket, &peer) == Err(Errno::ACCESS)
        && sockopt::set_socket_broadcast(&socket, true).is_ok()
        && connect(&socket, &peer).is_ok()
}

/// The kernel's settings that decide what may be bound; `None` is one that could not be read.
#[derive(Debug, Default)]
struct Settings {
    /// `net.ipv4.ip_unprivileged_port_start`, which holds for IPv6 too.
    unprivileged_from: Option<u16>,
    /// `net.ipv4.ip_nonlocal_bind` or the same for IPv6.
    nonlocal_bind: Option<String>,
    /// `net.ipv6.conf.all.disable_ipv6` is 1.
    ipv6_disabled: bool,
}

impl Settings {
    fn read(addr: SocketAddr) -> Self {
        Settings {
            unprivileged_from: sysctl::number("net.ipv4.ip_unprivileged_port_start"),
            nonlocal_bind: sysctl::read(&format!("net.{}.ip_nonlocal_bind", family(addr))).ok(),
            ipv6_disabled: sysctl::number("net.ipv6.conf.all.disable_ipv6") == Some(1),
        }
    }
}

fn family(addr: SocketAddr) -> &'static str {
    if addr.is_ipv4() { "ipv4" } else { "ipv6" }
}

fn none_free(range: Option<String>) -> Reasons {
    let here = range.map_or(String::new(), |range| format!(", which is {range} here"));
    Reasons::cause(format!("no port is free in net.ipv4.ip_local_port_range{here}"))
        .advise("close sockets that are not needed, or widen that range")
}

fn reasons(addr: SocketAddr, errno: Errno, settings: &Settings) -> Reasons {
    match errno {
        Errno::ACCESS => not_permitted(addr.port(), settings.unprivileged_from),
        Errno::ADDRNOTAVAIL => not_here(addr, settings),
        Errno::INVAL if needs_scope(addr) => {
            let (ip, port) = (addr.ip(), addr.port());
            Reasons::cause(format!("{ip} is a link-local address, which needs an interface"))
                .advise(format!(
                    "write it as [{ip}%INTERFACE]:{port}; ip -br link lists the interfaces"
                ))
        }
        Errno::INVAL if addr.ip().is_multicast() => not_unicast(addr.ip(), "multicast"),
        Errno::INVAL => {
            Reasons::cause("the socket is already bound or connected, and binds only once")
        }
        Errno::NODEV => Reasons::cause("this host has no interface with the index after the %")
            .advise("`ip link` lists the interfaces"),
        Errno::AFNOSUPPORT => no_family(addr),
        Errno::PERM => Reasons::cause("a BPF program or a security module refuses this bind"),
        Errno::NOBUFS | Errno::NOMEM => {
            Reasons::cause("the kernel could not allocate memory for it")
        }
        _ => {
            Reasons::cause("the manual pages of bind(2) and listen(2) name no cause for this errno")
        }
    }
}

fn not_permitted(port: u16, unprivileged_from: Option<u16>) -> Reasons {
    let limit = unprivileged_from.unwrap_or(1024);
    if port >= limit {
        return Reasons::cause(format!(
            "ports from {limit} on need no privilege: a security module or a BPF program refuses it"
        ));
    }
    let source = if unprivileged_from.is_some() { "which is" } else { "usually" };
    Reasons::cause(format!(
        "port {port} is below net.ipv4.ip_unprivileged_port_start, {source} {limit} here"
    ))
    .advise(format!("take a port from {limit} on"))
    .advise(
        "or give the program CAP_NET_BIND_SERVICE (setcap cap_net_bind_service=+ep PROGRAM, or \
         AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit)",
    )
    .advise(format!("or set sysctl net.ipv4.ip_unprivileged_port_start={port}"))
}

fn not_here(addr: SocketAddr, settings: &Settings) -> Reasons {
    if addr.is_ipv6() && settings.ipv6_disabled {
        return Reasons::cause("IPv6 is switched off here: net.ipv6.conf.all.disable_ipv6 is 1");
    }
    let ip = addr.ip();
    let mut reasons = Reasons::cause(format!(
        "{ip} is not an address of this host, or of this network namespace"
    ))
    .advise("`ip addr` lists the addresses");
    if addr.is_ipv6() {
        let sentence = "a new IPv6 address is usable only after duplicate address detection";
        reasons.causes.push(sentence.into());
    }
    if let Some(value) = &settings.nonlocal_bind {
        let name = format!("net.{}.ip_nonlocal_bind", family(addr));
        reasons.advice.push(format!(
            "sysctl {name}=1 lets an address be bound before it exists; it is {value}"
        ));
    }
    reasons
}

fn needs_scope(addr: SocketAddr) -> bool {
    matches!(addr, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0)
}

fn no_family(addr: SocketAddr) -> Reasons {
    let (name, instead) = match addr.ip() {
        IpAddr::V4(_) => ("IPv4", "[::]"),
        IpAddr::V6(_) => ("IPv6", "0.0.0.0"),
    };
    Reasons::cause(format!("this kernel has no {name}, or a sandbox (seccomp) refuses it"))
        .advise(format!("listen on {instead} instead"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(addr: &str, errno: Errno) -> String {
        let settings = Settings {
            unprivileged_from: Some(1000),
            nonlocal_bind: Some("0".into()),
            ipv6_disabled: false,
        };
        reasons(addr.parse().unwrap(), errno, &settings).to_string()
    }

    #[test]
    fn every_errno_has_its_own_sentence() {
        let table = [
            ("0.0.0.0:80", Errno::ACCESS, "ip_unprivileged_port_start, which is 1000 here"),
            ("0.0.0.0:80", Errno::ACCESS, "CAP_NET_BIND_SERVICE"),
            ("[::]:80", Errno::ACCESS, "sysctl net.ipv4.ip_unprivileged_port_start=80"),
            ("0.0.0.0:1000", Errno::ACCESS, "security module"),
            ("192.0.2.1:80", Errno::ADDRNOTAVAIL, "192.0.2.1 is not an address of this host"),
            ("192.0.2.1:80", Errno::ADDRNOTAVAIL, "net.ipv4.ip_nonlocal_bind=1"),
            ("[2001:db8::1]:80", Errno::ADDRNOTAVAIL, "net.ipv6.ip_nonlocal_bind=1"),
            ("[fe80::1]:80", Errno::INVAL, "[fe80::1%INTERFACE]:80"),
            ("[fe80::1%7]:80", Errno::INVAL, "already bound"),
            ("[ff02::1]:80", Errno::INVAL, "ff02::1 is a multicast address"),
            ("[ff02::1]:80", Errno::INVAL, "or on [::] for all of them"),
            ("[fe80::1%7]:80", Errno::NODEV, "no interface"),
            ("[::1]:80", Errno::AFNOSUPPORT, "no IPv6"),
            ("0.0.0.0:80", Errno::PERM, "BPF"),
            ("0.0.0.0:80", Errno::NOBUFS, "could not allocate memory"),
            ("0.0.0.0:80", Errno::XDEV, "name no cause"),
        ];
        for (addr, errno, words) in table {
            assert!(said(addr, errno).contains(words), "{addr} {errno}: {}", said(addr, errno));
        }
    }

    #[test]
    fn disabled_ipv6_is_reported() {
        let off = Settings { ipv6_disabled: true, ..Settings::default() };
        let said = reasons("[::1]:80".parse().unwrap(), Errno::ADDRNOTAVAIL, &off);
        assert_eq!(said.causes, ["IPv6 is switched off here: net.ipv6.conf.all.disable_ipv6 is 1"]);
    }

    #[test]
    fn a_client_connects_to_unicast_addresses_only() {
        for (ip, kind) in [
            ("224.0.0.1", Some("multicast")),
            ("ff02::1", Some("multicast")),
            ("::ffff:224.0.0.1", Some("multicast")),
            ("255.255.255.255", Some("broadcast")),
            // Of the loopback interface.
            ("127.255.255.255", Some("broadcast")),
            ("127.0.0.1", None),
            ("0.0.0.0", None),
            ("::", None),
            ("::1", None),
            ("192.0.2.1", None),
        ] {
            let why = explain_unconnectable(ip.parse().unwrap()).map(|why| why.to_string());
            match kind {
                Some(kind) => assert!(why.unwrap().contains(kind), "{ip}"),
                None => assert_eq!(why, None, "{ip}"),
            }
        }
    }

    #[test]
    fn addresses_of_this_host_are_local() {
        assert!(is_local("127.0.0.1".parse().unwrap()));
        assert!(is_local("0.0.0.0".parse().unwrap()));
        let documentation = "192.0.2.1".parse().unwrap();
        assert!(!is_local(documentation) || sysctl::number("net.ipv4.ip_nonlocal_bind") == Some(1));
    }

    #[test]
    fn unread_settings_are_not_claimed() {
        let said = reasons("0.0.0.0:80".parse().unwrap(), Errno::ACCESS, &Settings::default());
        assert!(said.causes[0].ends_with("usually 1024 here"), "{said}");
    }
}
