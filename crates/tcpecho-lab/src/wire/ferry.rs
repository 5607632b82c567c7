//! The wire's thread: waits for packets and for the hour of delayed ones.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tcpecho_os::wire_device::WireDevice;

use super::Shared;
use crate::side::Side;
use crate::timeline::{Place, What};

/// Longer than any packet that an interface lets out.
const LONGEST: usize = 65536;

/// A wire does not wait for a processor: where it may, its thread comes before others (setpriority(2)). On a machine with more
/// to do than it can, packets would else take long enough for kernels to send them again.
const NICENESS: i32 = -10;

/// As many packets of one host as are taken before the other gets its turn.
const TURN: usize = 16;

/// Ends when the wire is stopping.
pub(super) fn carry(wire: &Shared) {
    tcpecho_os::thread::block_signals();
    // Of this thread alone. An ordinary user may not; then packets take as long as they take.
    let _ = rustix::process::setpriority_process(None, NICENESS);
    let mut buffer = vec![0; LONGEST];
    loop {
        let (ends, timeout) = {
            let mut switch = wire.lock();
            if switch.stopping {
                return;
            }
            let due = switch.deliver_what_is_due(Instant::now());
            (switch.ends.clone(), due)
        };
        for side in wait(wire, &ends, timeout) {
            if let Some(device) = &ends[side.index()] {
                take(wire, side, device, &mut buffer);
            }
        }
    }
}

/// The sides that have something to say.
fn wait(
    wire: &Shared,
    ends: &[Option<Arc<WireDevice>>; 2],
    timeout: Option<Duration>,
) -> Vec<Side> {
    let plugged = Side::BOTH.iter().filter_map(|side| Some((*side, ends[side.index()].as_ref()?)));
    let plugged: Vec<_> = plugged.collect();
    let mut wanted = vec![PollFd::new(&wire.wake, PollFlags::IN)];
    wanted.extend(
        plugged.iter().map(|(_, device)| PollFd::from_borrowed_fd(device.as_fd(), PollFlags::IN)),
    );
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    // Interrupted, or out of memory for a moment: both are tried again.
    let _ = poll(&mut wanted, timeout.as_ref());
    if !wanted[0].revents().is_empty() {
        let _ = rustix::io::read(&wire.wake, &mut [0_u8; 8]);
    }
    let ready = plugged.iter().zip(&wanted[1..]).filter(|(_, wanted)| !wanted.revents().is_empty());
    ready.map(|((side, _), _)| *side).collect()
}

fn take(wire: &Shared, side: Side, device: &Arc<WireDevice>, buffer: &mut [u8]) {
    for _ in 0..TURN {
        let length = match device.read(buffer) {
            Ok(length) => length,
            Err(Errno::AGAIN) => return,
            Err(errno) => return lost(wire, side, device, errno),
        };
        let look = {
            let mut switch = wire.lock();
            // The host may have been switched off since the packet was sent.
            if !is_plugged(&switch.ends, side, device) {
                return;
            }
            switch.take(side, &buffer[..length]);
            switch.look.clone()
        };
        if let Some(look) = look {
            look();
        }
    }
}

fn is_plugged(ends: &[Option<Arc<WireDevice>>; 2], side: Side, device: &Arc<WireDevice>) -> bool {
    ends[side.index()].as_ref().is_some_and(|now| Arc::ptr_eq(now, device))
}

/// The interface is gone: without its plug taken out the thread would spin.
fn lost(wire: &Shared, side: Side, device: &Arc<WireDevice>, errno: Errno) {
    let mut switch = wire.lock();
    if is_plugged(&switch.ends, side, device) {
        switch.ends[side.index()] = None;
        let trouble = format!("{side}: the interface is lost: {}", tcpecho_os::errno::words(errno));
        wire.timeline.record(Place::Wire, What::Trouble(trouble));
    }
}
