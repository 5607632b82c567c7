//! Begins a line of its own on a terminal at which the user types.
//!
//! In canonical mode the kernel echoes and keeps the line that is being typed, and does not tell its length before Enter
//! (termios(3)). So nobody here knows in which column the cursor is. The answer is what shells do before their prompt: write
//! as many spaces as a line has columns, less one, and then a carriage return. In the first column, the cursor is in the
//! same line afterwards, and in the first column of the next line from everywhere else.
//!
//! What was typed stays in the kernel and is sent with Enter; Ctrl-R (VREPRINT) shows it again.

use std::{
    env,
    io::{self, IsTerminal},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use rustix::{
    fs::{Stat, fstat},
    termios::{LocalModes, tcgetattr, tcgetwinsize},
};

/// Whether this program reads lines that are typed at a terminal.
static TYPED_AT: AtomicBool = AtomicBool::new(false);

/// Notes that stdin is read. Only where it is a terminal does that make a difference.
pub(crate) fn stdin_is_read() {
    TYPED_AT.store(io::stdin().is_terminal(), Relaxed);
}

/// What begins a fresh line on `screen`: `None` if nobody types there.
pub(crate) fn fresh_line(screen: impl AsFd) -> Option<String> {
    let is_typed_at = TYPED_AT.load(Relaxed) && echoes() && is_stdin(&screen);
    is_typed_at.then(|| match columns(&screen) {
        // An empty line does no harm.
        None => "\n".to_owned(),
        Some(columns) => format!("{:1$}\r\x1b[K", "", columns - 1),
    })
}

/// Whether stdin shows what is typed, and keeps it until the line is complete.
fn echoes() -> bool {
    let modes = LocalModes::ECHO | LocalModes::ICANON;
    tcgetattr(io::stdin()).is_ok_and(|terminal| terminal.local_modes.contains(modes))
}

fn is_stdin(screen: impl AsFd) -> bool {
    let terminal = |stat: Stat| (stat.st_dev, stat.st_ino, stat.st_rdev);
    let ours = fstat(io::stdin()).map(terminal);
    fstat(screen).map(terminal).is_ok_and(|theirs| ours == Ok(theirs))
}

/// The width of a terminal that wraps its lines; a dumb one may not.
fn columns(screen: impl AsFd) -> Option<usize> {
    let is_dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let columns = tcgetwinsize(screen).ok().map(|size| usize::from(size.ws_col))?;
    (columns > 1 && !is_dumb).then_some(columns)
}
