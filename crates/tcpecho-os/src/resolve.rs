//! Name resolution by getaddrinfo(3), with its error codes, which `std` reduces to a text.

use std::ffi::{CStr, CString};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use rustix::io::Errno;

use crate::errno::last_errno;

/// Why the resolver returned no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unresolved {
    /// The name does not exist (`EAI_NONAME`).
    NoName,
    /// The name exists and has no address (`EAI_NODATA`).
    NoAddress,
    /// No name server answered, or none could be reached (`EAI_AGAIN`).
    Again,
    /// A name server reported a permanent failure (`EAI_FAIL`).
    Fail,
    /// No TCP service has the name (`EAI_SERVICE`).
    NoService,
    /// A system call failed (`EAI_SYSTEM`).
    System(Errno),
    /// Any other `EAI_` code.
    Other(i32),
}

/// Not among the constants of libc for Linux, though glibc returns it (netdb.h).
const EAI_NODATA: libc::c_int = -5;

/// Returns the addresses of a name, or of a numeric address with an optional `%scope`, for a stream socket, in the resolver's
/// order (RFC 6724). Blocks, for many seconds if name servers do not answer.
///
/// # Errors
///
/// The resolver's code.
pub fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
    let host = CString::new(host).map_err(|_| Unresolved::NoName)?;
    lookup(Some(&host), None, |entry| {
        // SAFETY: the entry's address is as long as its family says, and null only where the family is none of ours.
        let addr = unsafe { socket_addr(entry) };
        addr.map(|mut addr| {
            addr.set_port(port);
            addr
        })
    })
}

/// Returns the port of a TCP service, such as 7 for `echo` (services(5)). A text of digits is a port already.
///
/// # Errors
///
/// The resolver's code: [`Unresolved::NoService`] if no TCP service has the name.
pub fn service_port(name: &str) -> Result<u16, Unresolved> {
    let name = CString::new(name).map_err(|_| Unresolved::NoService)?;
    let ports = lookup(None, Some(&name), |entry| {
        // SAFETY: as in `addresses`.
        unsafe { socket_addr(entry) }.map(|addr| addr.port())
    })?;
    ports.first().copied().ok_or(Unresolved::NoService)
}

/// Calls getaddrinfo(3) for stream sockets and returns what `read` finds in its entries.
fn lookup<T>(
    host: Option<&CStr>,
    service: Option<&CStr>,
    read: impl Fn(&libc::addrinfo) -> Option<T>,
) -> Result<Vec<T>, Unresolved> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: all-zero bytes are a valid addrinfo: null pointers and no wishes.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list: *mut libc::addrinfo = std::ptr::null_mut();
    // SAFETY: the texts end with a NUL or are null, the hints and the place for the list live through the call.
    let code = unsafe {
        libc::getaddrinfo(pointer(host), pointer(service), &raw const hints, &raw mut list)
    };
    if code != 0 {
        return Err(unresolved(code));
    }
    let mut found = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: a successful getaddrinfo(3) gives a list of whole entries that lives until freeaddrinfo(3).
        let entry = unsafe { &*next };
        found.extend(read(entry));
        next = entry.ai_next;
    }
    // SAFETY: the list is getaddrinfo's own, is freed once, and nothing borrowed from it is left.
    unsafe { libc::freeaddrinfo(list) };
    if found.is_empty() { Err(Unresolved::NoAddress) } else { Ok(found) }
}

/// # Safety
///
/// The entry's `ai_addr` must be null or point to an address of the entry's family.
unsafe fn socket_addr(entry: &libc::addrinfo) -> Option<SocketAddr> {
    if entry.ai_addr.is_null() {
        return None;
    }
    match entry.ai_family {
        libc::AF_INET => {
            // SAFETY: the caller promises a sockaddr_in; it may lie unaligned.
            let addr = unsafe { entry.ai_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(addr.sin_addr.s_addr));
            Some((ip, u16::from_be(addr.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, a sockaddr_in6.
            let addr = unsafe { entry.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(addr.sin6_addr.s6_addr);
            let port = u16::from_be(addr.sin6_port);
            Some(SocketAddrV6::new(ip, port, 0, addr.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn unresolved(code: libc::c_int) -> Unresolved {
    match code {
        libc::EAI_NONAME => Unresolved::NoName,
        EAI_NODATA => Unresolved::NoAddress,
        libc::EAI_AGAIN => Unresolved::Again,
        libc::EAI_FAIL => Unresolved::Fail,
        libc::EAI_SERVICE => Unresolved::NoService,
        libc::EAI_SYSTEM => Unresolved::System(last_errno()),
        code => Unresolved::Other(code),
    }
}

impl Unresolved {
    /// Returns the resolver's own text (gai_strerror(3)).
    #[must_use]
    pub fn words(self) -> String {
        let code = match self {
            Unresolved::NoName => libc::EAI_NONAME,
            Unresolved::NoAddress => EAI_NODATA,
            Unresolved::Again => libc::EAI_AGAIN,
            Unresolved::Fail => libc::EAI_FAIL,
            Unresolved::NoService => libc::EAI_SERVICE,
            Unresolved::System(errno) => return crate::errno::words(errno),
            Unresolved::Other(code) => code,
        };
        // SAFETY: gai_strerror(3) takes any number and gives a text that lives as long as the program.
        unsafe { CStr::from_ptr(libc::gai_strerror(code)) }.to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_ports() {
        assert_eq!(service_port("no-such-service-here"), Err(Unresolved::NoService));
        assert_eq!(service_port("ec\0ho"), Err(Unresolved::NoService));
        match service_port("echo") {
            Ok(port) => assert_eq!(port, 7),
            Err(why) => eprintln!("SKIP: echo is not in the services database here: {why:?}"),
        }
    }

    #[test]
    fn numbers_resolve_to_themselves_and_nonsense_does_not() {
        assert_eq!(addresses("127.0.0.1", 7), Ok(vec!["127.0.0.1:7".parse().unwrap()]));
        assert_eq!(addresses("::1", 7), Ok(vec!["[::1]:7".parse().unwrap()]));
        assert_eq!(addresses("a\0b", 7), Err(Unresolved::NoName));
        assert!(addresses("", 7).is_err());
        assert_eq!(Unresolved::NoName.words(), "Name or service not known");
    }
}
