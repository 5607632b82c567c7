//! Network interfaces of the calling thread's network namespace, by name or index (netdevice(7)).

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};

/// Whether the interface called `name` is up.
///
/// # Errors
/// `ENODEV` if there is no such interface, and those of socket(2).
pub fn is_up(name: &str) -> Result<bool, Errno> {
    const SIOCGIFFLAGS: Opcode = libc::SIOCGIFFLAGS as Opcode;
    let mut request = request(name)?;
    // SAFETY: SIOCGIFFLAGS reads the name in the struct ifreq that it is given, and writes the flags there.
    unsafe { ioctl(any_socket()?, Updater::<SIOCGIFFLAGS, libc::ifreq>::new(&mut request)) }?;
    // SAFETY: the kernel has written this member of the union, and any bits are a valid number.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(libc::c_int::from(flags) & libc::IFF_UP != 0)
}

/// Whether an interface has this index.
///
/// # Errors
/// Those of socket(2).
pub fn exists(index: u32) -> Result<bool, Errno> {
    match net::netdevice::index_to_name(any_socket()?, index) {
        Ok(_) => Ok(true),
        Err(Errno::NODEV | Errno::NXIO) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// A `struct ifreq` that names an interface; all else is zero.
///
/// # Errors
/// `ENODEV` for a name of 16 bytes or more, which no interface has.
pub fn request(name: &str) -> Result<libc::ifreq, Errno> {
    // SAFETY: ifreq is plain data, for which all zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays NUL.
    if name.len() >= request.ifr_name.len() {
        return Err(Errno::NODEV);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// A socket for interface ioctls, which any socket answers.
///
/// # Errors
/// Those of socket(2).
pub fn any_socket() -> Result<OwnedFd, Errno> {
    net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indices_are_looked_up() {
        assert!(is_up("lo").is_ok());
        assert_eq!(is_up("no-such-dev"), Err(Errno::NODEV));
        assert_eq!(is_up("a-name-of-16-byt"), Err(Errno::NODEV));
        assert_eq!(exists(u32::MAX >> 1), Ok(false));
    }
}
