//! Equal buffers from which a receive takes one when it has something to put in it (io_uring_register_buf_ring(3)).

use std::{
    cell::Cell,
    fmt,
    ptr::NonNull,
    rc::Rc,
    sync::atomic::{AtomicU16, Ordering::Release},
};

use io_uring::{IoUring, types::BufRingEntry};
use rustix::{
    io::Errno,
    mm::{MapFlags, ProtFlags, mmap_anonymous, munmap},
};

/// The one buffer group of a ring.
pub(super) const GROUP: u16 = 0;

/// What a receive brought: the filled part of a buffer, which goes back to its pool when this is dropped.
///
/// A buffer belongs either to the kernel or to one chunk. The chunk keeps its pool's memory mapped, so it may outlive the
/// ring that it came from, and any ring may send it.
pub struct Chunk {
    pool: Rc<Pool>,
    index: u16,
    len: u32,
}

impl Chunk {
    /// Returns the bytes that were received.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the buffer is within the pool's memory, which the chunk keeps mapped, and `len` is at most its size. While
        // the chunk exists the kernel does not have the buffer to fill, and a send only reads it.
        unsafe { std::slice::from_raw_parts(self.pool.buffer(self.index), self.len as usize) }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.pool.give_to_kernel(self.index);
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len)
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
        // SAFETY: exactly what `new` mapped; a pool is dropped only when no chunk is left and
        // its owner has taken the buffers back from the kernel, see `Ring`'s `Drop`.
        let _ = unsafe { munmap(self.start.as_ptr(), self.len) };
    }
}

/// The buffers, and the ring through which they go to the kernel.
pub(super) struct Pool {
    ring: Mapping,
    memory: Mapping,
    count: u16,
    size: usize,
    tail: Cell<u16>,
}

impl Pool {
    /// `count` buffers (a power of two) of `size` bytes, all of them the kernel's to fill.
    pub(super) fn new(
        uring: &IoUring,
        count: u16,
        size: usize,
    ) -> Result<Rc<Self>, (&'static str, Errno)> {
        let map = |len| Mapping::new(len).map_err(|errno| ("mmap", errno));
        let ring = map(usize::from(count) * size_of::<BufRingEntry>())?;
        let memory = map(usize::from(count) * size)?;
        // SAFETY: the ring's memory is page-aligned, large enough for `count` entries, and outlives the registration: the
        // owner of the io_uring calls `unregister` before it lets go of the pool.
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
        let pool = Pool { ring, memory, count, size, tail: Cell::new(0) };
        for index in 0..count {
            pool.give_to_kernel(index);
        }
        Ok(Rc::new(pool))
    }

    /// What a receive of `n` bytes left in the buffer that it took; `None` at end of file.
    pub(super) fn filled(self: &Rc<Self>, taken: Option<u16>, n: usize) -> Option<Chunk> {
        let index = taken.filter(|index| *index < self.count)?;
        let chunk = Chunk { pool: Rc::clone(self), index, len: n.min(self.size) as u32 };
        (n > 0).then_some(chunk)
    }

    fn buffer(&self, index: u16) -> *mut u8 {
        debug_assert!(index < self.count);
        // SAFETY: only indices below `count` come here, and the memory has `count` buffers of `size` bytes.
        unsafe { self.memory.start.as_ptr().cast::<u8>().add(usize::from(index) * self.size) }
    }

    /// Appends a buffer, which nobody else has, to those that the kernel may fill.
    fn give_to_kernel(&self, index: u16) {
        let tail = self.tail.get();
        let base = self.ring.start.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the masked tail is an entry of the ring, which is ours to write until the tail is published; there are as
        // many entries as buffers, and each buffer is in the ring or in a chunk, so the entry is free. The tail itself is a
        // u16 inside the first entry, aligned as such, which the kernel reads with acquire order. Once the ring is
        // unregistered nobody reads either, and the memory is still mapped.
        unsafe {
            let entry = &mut *base.add(usize::from(tail & (self.count - 1)));
            entry.set_addr(self.buffer(index) as u64);
            entry.set_len(self.size as u32);
            entry.set_bid(index);
            self.tail.set(tail.wrapping_add(1));
            let published = BufRingEntry::tail(base).cast_mut();
            AtomicU16::from_ptr(published).store(self.tail.get(), Release);
        }
    }

    /// Takes the buffers back from the kernel, so that the memory may be unmapped when the last chunk is gone. If the kernel
    /// refuses, the memory stays for ever.
    pub(super) fn unregister(self: Rc<Self>, uring: &IoUring) {
        if uring.submitter().unregister_buf_ring(GROUP).is_err() {
            std::mem::forget(self);
        }
    }
}
