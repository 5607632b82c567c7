//! The wire's thread: waits for packets and for the time of delayed ones.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tcpecho_lab_os::wire_device::WireDevice;

use super::{Shared, Switch};
use crate::side::Side;
use crate::timeline::{Place, Timeline, What};

/// More than any packet of an interface.
const LONGEST: usize = 65536;

/// The wire must not wait for a processor: where it may, its thread gets a higher priority
/// (setpriority(2)). On an overloaded machine, packets would otherwise be late enough for kernels
/// to retransmit them.
const NICENESS: i32 = -10;

/// The number of packets of one host that are processed before the other host's turn.
const TURN: usize = 16;

/// Returns when the wire is stopping.
pub(super) fn carry(wire: &Shared) {
    tcpecho_os::thread::block_signals();
    // Affects this thread only. An ordinary user may not; then packets take longer.
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
        let sides = match wait(wire, &ends, timeout) {
            Ok(sides) => sides,
            Err(errno) => return out_of_order(wire, errno),
        };
        for side in sides {
            if let Some(device) = &ends[side.index()] {
                take(wire, side, device, &mut buffer);
            }
        }
    }
}

/// The sides that have sent packets.
fn wait(
    wire: &Shared,
    ends: &[Option<Arc<WireDevice>>; 2],
    timeout: Option<Duration>,
) -> Result<Vec<Side>, Errno> {
    let plugged = Side::BOTH.iter().filter_map(|side| Some((*side, ends[side.index()].as_ref()?)));
    let plugged: Vec<_> = plugged.collect();
    let mut wanted = vec![PollFd::new(&wire.wake, PollFlags::IN)];
    wanted.extend(
        plugged.iter().map(|(_, device)| PollFd::from_borrowed_fd(device.as_fd(), PollFlags::IN)),
    );
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut wanted, timeout.as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(Vec::new()),
        Err(errno) => return Err(errno),
    }
    if !wanted[0].revents().is_empty() {
        wire.wake.clear();
    }
    let ready = plugged.iter().zip(&wanted[1..]).filter(|(_, wanted)| !wanted.revents().is_empty());
    Ok(ready.map(|((side, _), _)| *side).collect())
}

/// No event can be waited for, and trying again would spin. No packet passes any more.
fn out_of_order(wire: &Shared, errno: Errno) {
    let mut switch = wire.lock();
    switch.ends = [None, None];
    let trouble = format!("the wire: ppoll: {}", tcpecho_os::errno::words(errno));
    wire.timeline.record(Place::Wire, What::Trouble(trouble));
}

fn take(wire: &Shared, side: Side, device: &Arc<WireDevice>, buffer: &mut [u8]) {
    for _ in 0..TURN {
        let look = {
            // Read under the lock, too: whoever holds it knows that a packet is either recorded or
            // still in the device.
            let mut switch = wire.lock();
            // The host may have been switched off since the packet was sent.
            if !is_plugged(&switch.ends, side, device) {
                return;
            }
            let length = match device.read(buffer) {
                Ok(length) => length,
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(errno) => return lost(&mut switch, side, errno, &wire.timeline),
            };
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

/// The interface is gone: unless the host is unplugged, the thread would spin.
fn lost(switch: &mut Switch, side: Side, errno: Errno, timeline: &Timeline) {
    switch.ends[side.index()] = None;
    let trouble = format!("{side}: the interface is lost: {}", tcpecho_os::errno::words(errno));
    timeline.record(Place::Wire, What::Trouble(trouble));
}
