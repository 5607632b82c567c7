//! What the tracer reads of a program: its memory, and the kinds of its descriptors.

/// A stopped process, or a picture of one for a test.
pub(super) trait Subject {
    /// Reads this number of bytes, or as many of them as are readable.
    fn bytes(&self, address: u64, length: usize) -> Vec<u8>;

    /// Whether this descriptor is a socket.
    fn is_socket(&self, descriptor: i32) -> bool;

    /// A number of 16 bits.
    fn short(&self, address: u64) -> Option<u16> {
        self.array(address).map(u16::from_ne_bytes)
    }

    /// A number of 32 bits.
    fn int(&self, address: u64) -> Option<i32> {
        self.array(address).map(i32::from_ne_bytes)
    }

    /// A number of 64 bits.
    fn long(&self, address: u64) -> Option<u64> {
        self.array(address).map(u64::from_ne_bytes)
    }

    /// Reads exactly this number of bytes, from anywhere except the beginning of the address space.
    fn array<const LENGTH: usize>(&self, address: u64) -> Option<[u8; LENGTH]> {
        if address == 0 {
            return None;
        }
        self.bytes(address, LENGTH).try_into().ok()
    }
}

/// A stopped process, by the number of one of its threads.
pub(super) struct Live(pub(super) i32);

impl Subject for Live {
    fn bytes(&self, address: u64, length: usize) -> Vec<u8> {
        tcpecho_lab_os::ptrace::read_memory(self.0, address, length)
    }

    fn is_socket(&self, descriptor: i32) -> bool {
        let target = std::fs::read_link(format!("/proc/{}/fd/{descriptor}", self.0));
        target.is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    }
}
