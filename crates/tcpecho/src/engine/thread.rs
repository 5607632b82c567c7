//! A thread for each client (UNP 26.4). One that cannot be started ends its connection, never the server.

use std::{mem::MaybeUninit, os::fd::OwnedFd, sync::Arc};

use rustix::{io::Errno, net::SocketFlags};
use tcpecho_os::{memory::has_room, thread::spawn_detached};

use super::blocking;
use crate::{
    Error,
    acceptor::{Acceptor, Context},
    echo::BUFFER,
    session::{Outcome, Session},
    shared::Shared,
};

/// Bytes of stack; the buffer is not on it.
const STACK: usize = 128 << 10;
/// Bytes of address space that threads leave free, so that no small allocation fails because of one more client.
const HEADROOM: usize = 8 << 20;

struct Task {
    shared: Arc<Shared>,
    fd: OwnedFd,
    session: Session,
    buffer: Vec<MaybeUninit<u8>>,
}

pub(super) fn run(context: Context) -> Result<(), Error> {
    let shared = Arc::clone(&context.shared);
    let mut acceptor = Acceptor::open(context, SocketFlags::empty())?;
    let result = loop {
        match acceptor.accept() {
            Ok(Some((fd, session))) => start(&shared, fd, session),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if let Err(error) = &result {
        shared.fail(error);
    }
    shared.table.wait_empty();
    result
}

fn start(shared: &Arc<Shared>, fd: OwnedFd, session: Session) {
    // What threads had that have ended need not be free again as address space: malloc keeps buffers, and the C library keeps
    // stacks, for those that come.
    if !shared.table.has_been_larger()
        && let Err(errno) = has_room(STACK + BUFFER + HEADROOM)
    {
        return shared.close(fd, &session, Outcome::no_room("mmap", errno));
    }
    let Ok(buffer) = blocking::buffer() else {
        return shared.close(fd, &session, Outcome::no_room("malloc", Errno::NOMEM));
    };
    shared.table.coming();
    let task = Task { shared: Arc::clone(shared), fd, session, buffer };
    let run =
        |mut task: Task| blocking::serve(&task.shared, task.fd, task.session, &mut task.buffer);
    if let Err((errno, task)) = spawn_detached(STACK, task, run) {
        shared.close(task.fd, &task.session, Outcome::no_room("pthread_create", errno));
        shared.table.gone();
    } else {
        shared.table.note_size();
    }
}
