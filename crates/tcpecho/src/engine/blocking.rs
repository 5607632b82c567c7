//! One session in the calling thread, from accept to close: what `iterative` and `thread` have in common.

use std::{
    collections::TryReserveError,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    echo::{self, BUFFER, Moved},
    phase::Phase,
    session::Session,
    shared::Shared,
    table::Table,
};

/// A buffer to echo through; pages are taken when first touched.
pub(super) fn buffer() -> Result<Vec<MaybeUninit<u8>>, TryReserveError> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(BUFFER)?;
    buffer.resize(BUFFER, MaybeUninit::uninit());
    Ok(buffer)
}

/// Calls [`Table::gone`] when dropped, however the session ends.
struct Presence<'a>(&'a Table);

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.0.gone();
    }
}

/// Serves one connection, announced by [`Table::coming`], until it is over.
pub(super) fn serve(
    shared: &Shared,
    fd: OwnedFd,
    mut session: Session,
    buffer: &mut [MaybeUninit<u8>],
) {
    let _presence = Presence(&shared.table);
    let fd = Arc::new(fd);
    let slot = shared.table.sit(Arc::clone(&fd));
    let mut count = |moved: Moved| match moved {
        Moved::Received(n) => session.received += n as u64,
        Moved::Sent(n) => {
            session.bytes += n as u64;
            shared.stats.bytes().fetch_add(n as u64, Relaxed);
        }
    };
    let was_reset = || shared.live.as_ref().is_some_and(|live| live.was_reset(&fd));
    let halted = || shared.table.phase() == Phase::Halted;
    let mut outcome = echo::serve(fd.as_fd(), buffer, &mut count, || halted() || was_reset());
    if halted() {
        outcome = outcome.while_letting_go(shared.failure());
    }
    shared.table.rise(slot);
    let tracked = shared.forget(&fd);
    drop(fd);
    shared.leave(&session, outcome, tracked);
}
