//! The listeners of one loop, shared with the thread that begins the drain.
//!
//! A blocking engine may be waiting for a peer when the drain begins, and under steady traffic an accept queue is never
//! empty. So the thread that begins the drain accepts the connections that are queued at that moment and closes the
//! listeners; the loop serves these connections later.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::{
    io::Errno,
    net::{SocketAddrAny, SocketFlags, acceptfrom_with},
};
use tcpecho_os::tcp_info::listen_queue;

use crate::{accept_backoff::Advice, listener::Listener, shared::Shared};

/// An accepted connection that is not served yet.
pub(crate) type Accepted = (OwnedFd, SocketAddr);

/// One listener, and what is known of its queue.
pub(crate) struct Queue {
    pub(crate) listener: Listener,
    /// It may hold a connection.
    pub(crate) ready: bool,
    /// While draining, how many connections were queued and are still to be accepted.
    pub(crate) left: Option<u32>,
}

/// What the mutex protects.
pub(crate) struct Queues {
    /// Empty once all listeners are closed.
    pub(crate) open: Vec<Queue>,
    /// Accepted when the drain began, and not served yet.
    pub(crate) taken: VecDeque<Accepted>,
    /// Connections that were given to the loop.
    pub(crate) given: u64,
    /// Of the accepted sockets.
    pub(crate) flags: SocketFlags,
}

/// The accept queues of one loop.
pub(crate) struct AcceptQueue(Mutex<Queues>);

impl AcceptQueue {
    pub(crate) fn new(listeners: Vec<Listener>) -> Self {
        let queue = |listener| Queue { listener, ready: false, left: None };
        let open = listeners.into_iter().map(queue).collect();
        AcceptQueue(Mutex::new(Queues {
            open,
            taken: VecDeque::new(),
            given: 0,
            flags: SocketFlags::CLOEXEC,
        }))
    }

    /// Held only for calls that do not block.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts the connections that are queued now and closes the listeners. A listener whose queue cannot be emptied, for
    /// lack of a descriptor or of memory, stays open for those that are left in it and takes no more (listen(2) with 0).
    pub(crate) fn begin_drain(&self, shared: &Shared) {
        let mut queues = self.lock();
        let Queues { open, taken, flags, .. } = &mut *queues;
        for queue in open.iter_mut() {
            // Without a number, as many as can be there.
            let length = listen_queue(&queue.listener).map_or(u32::MAX, |queue| queue.length);
            queue.left = Some(length);
            queue.ready = true;
            while queue.left > Some(0) && shared.may_accept().is_ok() {
                match queue.accept(*flags) {
                    Ok(accepted) => {
                        shared.accept_worked();
                        taken.push_back(accepted);
                    }
                    Err(Errno::AGAIN) => queue.left = Some(0),
                    Err(errno) => {
                        if shared.accept_failed(errno) != Advice::Again {
                            break;
                        }
                    }
                }
            }
        }
        open.retain(|queue| queue.left > Some(0));
        for queue in open {
            // It can only fail where the listener is broken, which the loop finds out.
            let _ = rustix::net::listen(&queue.listener, 0);
        }
    }

    /// Counts the connections that have arrived: given to the loop, or still queued.
    pub(crate) fn arrived(&self) -> u64 {
        let queues = self.lock();
        let length = |queue: &Queue| listen_queue(&queue.listener).map_or(0, |queue| queue.length);
        let queued: u64 = queues.open.iter().map(|queue| u64::from(length(queue))).sum();
        queues.given + queues.taken.len() as u64 + queued
    }

    /// Closes the listeners at once.
    pub(crate) fn close(&self) {
        self.lock().open.clear();
    }
}

impl Queue {
    /// One call of accept(2).
    pub(crate) fn accept(&mut self, flags: SocketFlags) -> Result<Accepted, Errno> {
        let (fd, peer) = acceptfrom_with(&self.listener, flags)?;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok((fd, address(peer)))
    }
}

/// The kernel names the peer even of a connection that was reset before it was accepted.
fn address(peer: Option<SocketAddrAny>) -> SocketAddr {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    peer.and_then(|peer| SocketAddr::try_from(peer).ok()).unwrap_or(unknown)
}
