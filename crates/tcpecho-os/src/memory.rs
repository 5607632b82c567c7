//! Tests whether address space is left.

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Returns whether `bytes` of address space could be mapped now (`RLIMIT_AS`, overcommit), without keeping any; false for 0.
///
/// Rust aborts the process when an ordinary allocation fails. Call this before a large allocation, to leave room for the small
/// ones of the rest of the process.
#[must_use]
pub fn has_room(bytes: usize) -> bool {
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no existing memory.
    let mapped = unsafe {
        mmap_anonymous(
            std::ptr::null_mut(),
            bytes,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    };
    match mapped {
        // SAFETY: exactly what was mapped, and nobody has seen the address.
        Ok(start) => unsafe { munmap(start, bytes) }.is_ok(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_can_be_had_and_all_of_memory_cannot() {
        assert!(has_room(4096));
        assert!(!has_room(usize::MAX / 2));
        assert!(!has_room(0));
    }
}
