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

#[cfg(test)]
mod tests {
    use std::{os::fd::AsFd, sync::atomic::Ordering::Relaxed};

    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    /// Whether shared memory of this process is at an address (proc(5), `/proc/PID/maps`).
    fn is_mapped(address: usize) -> bool {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().any(|line| {
            let (range, _) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|text| usize::from_str_radix(text, 16).unwrap());
            (start..end).contains(&address) && line.contains("/dev/zero")
        })
    }

    /// In a child too, which is what they are for.
    #[test]
    fn words_are_shared_with_a_child_and_all_of_them_are_given_back() {
        // The one word of a server's statistics, and some pages.
        for len in [1, 100_000] {
            let words = SharedWords::new(len).unwrap();
            assert_eq!(words.len(), len);
            let store = || {
                words[len - 1].store(7, Relaxed);
                0
            };
            // SAFETY: no flags, and the body does one atomic store.
            let (_, pidfd) = unsafe { crate::fork::clone_process(0, 0, store) }.unwrap();
            let options =
                WaitIdOptions::EXITED | WaitIdOptions::from_bits_retain(libc::__WALL as u32);
            waitid(WaitId::PidFd(pidfd.as_fd()), options).unwrap();
            assert_eq!(words[len - 1].load(Relaxed), 7);
            let ends = [&raw const words[0] as usize, &raw const words[len - 1] as usize];
            assert_eq!(ends.map(is_mapped), [true; 2]);
            drop(words);
            assert_eq!(ends.map(is_mapped), [false; 2], "{len} words");
        }
    }

    #[test]
    fn no_words_and_too_many_are_errors() {
        for len in [0, usize::MAX, usize::MAX / 8 + 1] {
            assert!(SharedWords::new(len).is_err(), "{len}");
        }
    }
}
