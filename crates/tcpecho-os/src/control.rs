//! Receives data together with its control messages, such as time stamps and queued errors (recvmsg(2), cmsg(3)).

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Result;

use crate::errno::last_errno;

/// Room for the control messages of one call: three `timespec`s, an error with an address, and their headers take 144 bytes.
const CONTROL: usize = 512;

/// Calls recvmsg(2) without blocking. Returns the number of bytes received, and calls `each` with level, type and data of each
/// control message that came with them; what does not fit into 512 bytes is lost.
///
/// # Errors
/// Those of recvmsg(2); `EAGAIN` if nothing is queued.
pub(crate) fn receive_message(
    fd: impl AsFd,
    buffer: &mut [u8],
    flags: libc::c_int,
    mut each: impl FnMut(libc::c_int, libc::c_int, &[u8]),
) -> Result<usize> {
    // Aligned as `cmsghdr` has to be.
    let mut control = [0_u64; CONTROL / 8];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all-zero bytes are a valid msghdr: no name, no parts, no control.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = CONTROL as _;
    let flags = flags | libc::MSG_DONTWAIT;
    let raw = fd.as_fd().as_raw_fd();
    // SAFETY: the header points to one part and to the control buffer, both ours for the call, with their true lengths.
    let count = unsafe { libc::recvmsg(raw, &raw mut message, flags) };
    let count = usize::try_from(count).map_err(|_| last_errno())?;
    // SAFETY: recvmsg(2) has set msg_controllen to what it wrote; the buffer behind it is unmoved.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !next.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give pointers to whole, aligned headers within the control buffer.
        let header = unsafe { *next };
        // SAFETY: CMSG_LEN(0) only computes the length of a header.
        let head = unsafe { libc::CMSG_LEN(0) } as usize;
        let length = (header.cmsg_len as usize).saturating_sub(head);
        // SAFETY: the kernel wrote `cmsg_len` bytes, header included, within the buffer; a u8 needs no alignment.
        let data = unsafe { std::slice::from_raw_parts(libc::CMSG_DATA(next), length) };
        each(header.cmsg_level, header.cmsg_type, data);
        // SAFETY: as above; it gives null behind the last one.
        next = unsafe { libc::CMSG_NXTHDR(&raw const message, next) };
    }
    Ok(count)
}
