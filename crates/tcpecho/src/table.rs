//! The sessions in which a thread is blocked, so that another thread can end them.
//!
//! A blocked reader is woken by shutting its socket down, not by polling before each read: the plain loop stays the book's
//! two calls per echo. Shutting only the reading side lets the reader see everything that has come, and then end of file.

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use rustix::net::Shutdown;
use slab::Slab;
use tcpecho_os::socket::{abort_echo, reset, unsent};

use crate::phase::Phase;

struct Inner {
    sockets: Slab<Arc<OwnedFd>>,
    /// Announced sessions that have not called [`Table::gone`] yet.
    present: usize,
    /// The most of them at a time.
    most: usize,
    phase: Phase,
    /// The server cannot go on.
    failed: bool,
}

/// Sockets by slot.
pub(crate) struct Table {
    inner: Mutex<Inner>,
    emptied: Condvar,
}

impl Default for Table {
    fn default() -> Self {
        let inner = Inner {
            sockets: Slab::new(),
            present: 0,
            most: 0,
            phase: Phase::Serving,
            failed: false,
        };
        Table { inner: Mutex::new(inner), emptied: Condvar::new() }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a session, which ends with [`gone`](Table::gone).
    pub(crate) fn coming(&self) {
        self.lock().present += 1;
    }

    /// Notes that everything for the announced sessions could be had.
    pub(crate) fn note_size(&self) {
        let mut inner = self.lock();
        inner.most = inner.most.max(inner.present);
    }

    /// Returns whether there were more sessions at a time than now.
    pub(crate) fn has_been_larger(&self) -> bool {
        let inner = self.lock();
        inner.present < inner.most
    }

    /// Enters a session; after the drain has begun its socket is shut down at once.
    pub(crate) fn sit(&self, socket: Arc<OwnedFd>) -> usize {
        let mut inner = self.lock();
        if inner.failed {
            cut_off(&socket);
        } else {
            shut(inner.phase, &socket);
        }
        inner.sockets.insert(socket)
    }

    /// Removes a session. The descriptor closes when the caller drops its reference.
    pub(crate) fn rise(&self, slot: usize) {
        self.lock().sockets.try_remove(slot);
    }

    /// Ends a session that [`coming`](Table::coming) announced.
    pub(crate) fn gone(&self) {
        let mut inner = self.lock();
        inner.present -= 1;
        if inner.present == 0 {
            self.emptied.notify_all();
        }
    }

    /// Asks every session to finish, or ends it.
    pub(crate) fn advance(&self, phase: Phase) {
        let mut inner = self.lock();
        inner.phase = inner.phase.max(phase);
        if inner.failed {
            // They are reset already.
            return;
        }
        for (_, socket) in &inner.sockets {
            shut(phase, socket);
        }
    }

    /// Resets every connection, because the server cannot go on.
    pub(crate) fn cut_off(&self) {
        let mut inner = self.lock();
        inner.phase = Phase::Halted;
        inner.failed = true;
        for (_, socket) in &inner.sockets {
            cut_off(socket);
        }
    }

    /// Returns the phase of the server.
    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Waits until all sessions have ended.
    pub(crate) fn wait_empty(&self) {
        let mut inner = self.lock();
        while inner.present > 0 {
            inner = self.emptied.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Resets a connection and wakes the thread that is blocked on it.
pub(crate) fn cut_off(socket: &OwnedFd) {
    reset(socket);
    // Where the kernel keeps the association because a thread waits on the socket, this wakes a thread that sends.
    if unsent(socket).is_ok_and(|bytes| bytes > 0) {
        abort_echo(socket);
    }
}

fn shut(phase: Phase, socket: &OwnedFd) {
    match phase {
        Phase::Serving => {}
        // It can only fail because the connection is over, and then its reader knows.
        Phase::Draining => drop(rustix::net::shutdown(socket, Shutdown::Read)),
        Phase::Halted => abort_echo(socket),
    }
}
