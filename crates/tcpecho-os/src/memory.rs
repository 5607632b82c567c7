//! Tests whether address space is left.

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Tests whether `bytes` of address space could be mapped now (`RLIMIT_AS`, overcommit), without keeping any.
///
/// Rust aborts the process when an ordinary allocation fails. Call this before a large allocation, to leave room for the small
/// ones of the rest of the process.
///
/// # Errors
/// mmap(2): `ENOMEM`, `EAGAIN` for locked memory; `EINVAL` for 0.
pub fn has_room(bytes: usize) -> Result<(), Errno> {
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no existing memory.
    let mapped = unsafe {
        mmap_anonymous(
            std::ptr::null_mut(),
            bytes,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    };
    // SAFETY: exactly what was mapped, and nobody has seen the address.
    unsafe { munmap(mapped?, bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_can_be_had_and_all_of_memory_cannot() {
        assert_eq!(has_room(4096), Ok(()));
        assert_eq!(has_room(usize::MAX / 2), Err(Errno::NOMEM));
        assert_eq!(has_room(0), Err(Errno::INVAL));
    }
}
