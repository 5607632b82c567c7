//! Memory that a process shares with its forked children, for counters and for a child's result.

use std::{ops::Deref, ptr::NonNull, sync::atomic::AtomicU64};

use rustix::{
    io::Errno,
    mm::{MapFlags, ProtFlags, mmap_anonymous, munmap},
};

/// An array of 64-bit words, initially zero. After fork(2), parent and child see the same words (`MAP_SHARED`).
#[derive(Debug)]
pub struct SharedWords {
    start: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: the mapping is owned by this value alone and reached only through atomics.
unsafe impl Send for SharedWords {}
// SAFETY: as above; every access is an atomic one.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Maps `len` words of 8 bytes. A page takes memory only once it is touched.
    ///
    /// # Errors
    /// mmap(2): `ENOMEM`; `EINVAL` for no words, or more than there are addresses.
    pub fn new(len: usize) -> Result<Self, Errno> {
        let bytes = len.checked_mul(size_of::<AtomicU64>()).filter(|b| *b > 0);
        let bytes = bytes.ok_or(Errno::INVAL)?;
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, prot, flags) }?;
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(SharedWords { start, len })
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, `len` words long, zeroed by the kernel, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped, and no reference outlives `self`.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len * size_of::<AtomicU64>()) };
    }
}
