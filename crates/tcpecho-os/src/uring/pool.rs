//! Equal buffers that the kernel takes from a ring of their own when it needs one (io_uring_register_buf_ring(3)).

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicU16, Ordering::Release},
};

use io_uring::{IoUring, types::BufRingEntry};
use rustix::{
    io::Errno,
    mm::{MapFlags, ProtFlags, mmap_anonymous, munmap},
};

/// The one buffer group of a ring.
pub(super) const GROUP: u16 = 0;

/// A filled buffer on loan from a ring's pool. Dropping it loses the buffer, not the memory's safety.
#[derive(Debug)]
#[must_use = "give it to `send` or `recycle`, or the pool loses a buffer"]
pub struct Chunk {
    index: u16,
}

impl Chunk {
    pub(super) fn into_index(self) -> usize {
        usize::from(self.index)
    }
}

/// Private anonymous memory, page-aligned and zero at first.
struct Mapping {
    start: NonNull<std::ffi::c_void>,
    len: usize,
}

impl Mapping {
    fn new(len: usize) -> Result<Self, Errno> {
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), len, prot, flags) }?;
        NonNull::new(start).map(|start| Mapping { start, len }).ok_or(Errno::NOMEM)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped; the owner has made sure that neither we nor the kernel use it any more.
        let _ = unsafe { munmap(self.start.as_ptr(), self.len) };
    }
}

/// The buffers, and the ring through which they go to the kernel.
pub(super) struct Pool {
    ring: Mapping,
    memory: Mapping,
    /// How much of each buffer is filled.
    lens: Vec<u32>,
    size: usize,
    tail: u16,
}

impl Pool {
    /// `count` buffers (a power of two) of `size` bytes, all of them the kernel's to fill.
    pub(super) fn new(
        uring: &IoUring,
        count: u16,
        size: usize,
    ) -> Result<Self, (&'static str, Errno)> {
        let map = |len| Mapping::new(len).map_err(|errno| ("mmap", errno));
        let ring = map(usize::from(count) * size_of::<BufRingEntry>())?;
        let memory = map(usize::from(count) * size)?;
        // SAFETY: the ring's memory is page-aligned, large enough for `count` entries, and outlives the registration:
        // `release` unregisters before unmapping, and a pool that cannot be released is leaked.
        let registered = unsafe {
            uring.submitter().register_buf_ring_with_flags(
                ring.start.as_ptr() as u64,
                count,
                GROUP,
                0,
            )
        };
        registered.map_err(|error| {
            ("io_uring_register IORING_REGISTER_PBUF_RING", super::errno(&error))
        })?;
        let mut pool = Pool { ring, memory, lens: vec![0; usize::from(count)], size, tail: 0 };
        for index in 0..count {
            pool.recycle(Chunk { index });
        }
        Ok(pool)
    }

    /// The filled part of a buffer on loan.
    pub(super) fn bytes(&self, chunk: &Chunk) -> &[u8] {
        let index = usize::from(chunk.index);
        let len = self.lens[index] as usize;
        // SAFETY: `index` is a buffer of this pool and `len` no more than its size (see `filled`); while the chunk
        // exists the kernel neither has the buffer to fill, nor does it ever write to what it sends.
        unsafe {
            std::slice::from_raw_parts(
                self.memory.start.as_ptr().cast::<u8>().add(index * self.size),
                len,
            )
        }
    }

    /// What a receive of `n` bytes left in the buffer it took; nothing at end of file, and then the buffer stays here.
    pub(super) fn filled(&mut self, taken: Option<u16>, n: usize) -> Option<Chunk> {
        let index = taken.filter(|index| usize::from(*index) < self.lens.len())?;
        let chunk = Chunk { index };
        if n == 0 {
            self.recycle(chunk);
            return None;
        }
        self.lens[usize::from(index)] = n.min(self.size) as u32;
        Some(chunk)
    }

    /// The chunk that a completed send had taken.
    pub(super) fn returned(&self, index: usize) -> Chunk {
        debug_assert!(index < self.lens.len());
        Chunk { index: index as u16 }
    }

    /// Gives a buffer to the kernel to fill.
    #[allow(clippy::needless_pass_by_value, reason = "the loan ends here")]
    pub(super) fn recycle(&mut self, chunk: Chunk) {
        let mask = self.lens.len() as u16 - 1;
        let base = self.ring.start.as_ptr().cast::<BufRingEntry>();
        let index = usize::from(chunk.index);
        // SAFETY: the masked tail is an entry of the ring, which is ours to write until the tail is published; there are as
        // many entries as buffers, and each buffer is in the ring or on loan, so the entry is free. The tail itself is a
        // u16 inside the first entry, aligned as such, which the kernel reads with acquire order.
        unsafe {
            let entry = &mut *base.add(usize::from(self.tail & mask));
            entry.set_addr(self.memory.start.as_ptr().cast::<u8>().add(index * self.size) as u64);
            entry.set_len(self.size as u32);
            entry.set_bid(chunk.index);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(base).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Release);
        }
    }

    /// Takes the buffers back from the kernel and frees them. Nothing may be under way.
    pub(super) fn release(self, uring: &IoUring) {
        if uring.submitter().unregister_buf_ring(GROUP).is_err() {
            std::mem::forget(self);
        }
    }
}
