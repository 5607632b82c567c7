//! One client at a time: the book's first server (UNP 1.5). The next client waits in the accept queue.

use std::sync::Arc;

use rustix::{io::Errno, net::SocketFlags};

use super::blocking;
use crate::{
    Error,
    acceptor::{Acceptor, Context},
};

pub(super) fn run(context: Context) -> Result<(), Error> {
    let shared = Arc::clone(&context.shared);
    let mut buffer = blocking::buffer().map_err(|_| Error::new("malloc", Errno::NOMEM))?;
    let mut acceptor = Acceptor::open(context, SocketFlags::empty())?;
    while let Some((fd, session)) = acceptor.accept()? {
        shared.table.coming();
        blocking::serve(&shared, fd, session, &mut buffer);
    }
    Ok(())
}
