//! Explains why bind(2) or listen(2) failed, from facts read on this host.
//!
//! Reading the facts and writing the sentences are separate; the second is a pure function.

mod in_use;

use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;
use tcpecho_os::sysctl;

/// Explains why `bind` or `listen` on `addr` failed with `errno`: each sentence names one cause or one solution. They
/// fit [`Error::note`](crate::Error::note).
///
/// `reuse_address` says whether the socket had `SO_REUSEADDR`. Call it soon after the failure: it reads netlink,
/// /proc/PID/fd and /proc/sys for the network namespace of the calling thread. This takes milliseconds. If something
/// cannot be read for lack of permission, a sentence says so.
///
/// ```
/// let first = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let addr = first.local_addr()?;
/// if let Err(error) = std::net::TcpListener::bind(addr) {
///     let errno = rustix::io::Errno::from_io_error(&error).expect("a bind error has an errno");
///     let sentences = tcpecho::internal::explain_bind(addr, errno, true);
///     assert!(sentences[0].ends_with(&format!("listening on {addr}")));
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn explain_bind(addr: SocketAddr, errno: Errno, reuse_address: bool) -> Vec<String> {
    match errno {
        Errno::ADDRINUSE if addr.port() == 0 => {
            vec![none_free(sysctl::read("net.ipv4.ip_local_port_range").ok())]
        }
        Errno::ADDRINUSE => in_use::sentences(&in_use::look(addr), reuse_address),
        _ => sentences(addr, errno, &Settings::read(addr)),
    }
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

fn none_free(range: Option<String>) -> String {
    let here = range.map_or(String::new(), |range| format!(", which is {range} here"));
    format!("no port is free in net.ipv4.ip_local_port_range{here}")
}

fn sentences(addr: SocketAddr, errno: Errno, settings: &Settings) -> Vec<String> {
    match errno {
        Errno::ACCESS => not_permitted(addr.port(), settings.unprivileged_from),
        Errno::ADDRNOTAVAIL => not_here(addr, settings),
        Errno::INVAL if needs_scope(addr) => vec![
            format!("{} is link-local and exists on every interface", addr.ip()),
            format!("name the interface: [{}%INTERFACE]:{}", addr.ip(), addr.port()),
        ],
        Errno::INVAL => {
            vec!["the socket is already bound or connected, and can be bound only once".into()]
        }
        Errno::NODEV => vec!["this host has no interface with the index after the %".into()],
        Errno::AFNOSUPPORT => no_family(addr),
        Errno::PERM => vec!["a BPF program or a security module forbids this bind".into()],
        Errno::NOBUFS | Errno::NOMEM => vec!["the kernel could not allocate memory".into()],
        _ => vec!["the manual pages of bind(2) and listen(2) name no cause for this errno".into()],
    }
}

fn not_permitted(port: u16, unprivileged_from: Option<u16>) -> Vec<String> {
    let limit = unprivileged_from.unwrap_or(1024);
    if port >= limit {
        return vec![format!(
            "ports from {limit} up need no privilege: a security module or a BPF program forbids \
             the bind"
        )];
    }
    let source = if unprivileged_from.is_some() { "which is" } else { "usually" };
    vec![
        format!("port {port} is below net.ipv4.ip_unprivileged_port_start, {source} {limit} here"),
        format!("first solution: a port from {limit} on"),
        "second: the capability CAP_NET_BIND_SERVICE (setcap cap_net_bind_service=+ep PROGRAM, or \
         AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit)"
            .into(),
        format!("third: sysctl net.ipv4.ip_unprivileged_port_start={port}"),
    ]
}

fn not_here(addr: SocketAddr, settings: &Settings) -> Vec<String> {
    if addr.is_ipv6() && settings.ipv6_disabled {
        return vec!["IPv6 is switched off here: net.ipv6.conf.all.disable_ipv6 is 1".into()];
    }
    let ip = addr.ip();
    let mut said =
        vec![format!("{ip} is not an address of this host, or of this network namespace")];
    if addr.is_ipv6() {
        said.push("a new IPv6 address is usable only after duplicate address detection".into());
    }
    if let Some(value) = &settings.nonlocal_bind {
        let name = format!("net.{}.ip_nonlocal_bind", family(addr));
        said.push(format!(
            "{name} is {value}; with 1, an address can be bound before an interface has it"
        ));
    }
    said
}

fn needs_scope(addr: SocketAddr) -> bool {
    matches!(addr, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0)
}

fn no_family(addr: SocketAddr) -> Vec<String> {
    let (name, instead) = match addr.ip() {
        IpAddr::V4(_) => ("IPv4", "[::]"),
        IpAddr::V6(_) => ("IPv6", "0.0.0.0"),
    };
    vec![
        format!("this kernel has no {name}, or a sandbox (seccomp) refuses it"),
        format!("listen on {instead} instead"),
    ]
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
        sentences(addr.parse().unwrap(), errno, &settings).join("; ")
    }

    #[test]
    fn every_errno_has_its_own_sentence() {
        let table = [
            ("0.0.0.0:80", Errno::ACCESS, "ip_unprivileged_port_start, which is 1000 here"),
            ("0.0.0.0:80", Errno::ACCESS, "CAP_NET_BIND_SERVICE"),
            ("[::]:80", Errno::ACCESS, "sysctl net.ipv4.ip_unprivileged_port_start=80"),
            ("0.0.0.0:1000", Errno::ACCESS, "security module"),
            ("192.0.2.1:80", Errno::ADDRNOTAVAIL, "192.0.2.1 is not an address of this host"),
            ("192.0.2.1:80", Errno::ADDRNOTAVAIL, "net.ipv4.ip_nonlocal_bind is 0"),
            ("[2001:db8::1]:80", Errno::ADDRNOTAVAIL, "net.ipv6.ip_nonlocal_bind is 0"),
            ("[fe80::1]:80", Errno::INVAL, "[fe80::1%INTERFACE]:80"),
            ("[fe80::1%7]:80", Errno::INVAL, "already bound"),
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
        let said = sentences("[::1]:80".parse().unwrap(), Errno::ADDRNOTAVAIL, &off);
        assert_eq!(said, ["IPv6 is switched off here: net.ipv6.conf.all.disable_ipv6 is 1"]);
    }

    #[test]
    fn unread_settings_are_not_claimed() {
        let said = sentences("0.0.0.0:80".parse().unwrap(), Errno::ACCESS, &Settings::default());
        assert!(said[0].ends_with("usually 1024 here"), "{said:?}");
    }
}
