//! How wide the terminal is.

use std::{env, io};

/// The widest that a paragraph is written, in columns: longer lines are hard to read.
const WIDEST: usize = 100;
/// The narrowest that is respected.
const NARROWEST: usize = 40;

/// Returns the width for paragraphs, in columns: that of the terminal that stdout or stderr is, else `$COLUMNS`, and
/// 100 at most.
pub(crate) fn columns() -> usize {
    let of_terminal = [
        rustix::termios::tcgetwinsize(io::stdout()).ok(),
        rustix::termios::tcgetwinsize(io::stderr()).ok(),
    ]
    .into_iter()
    .flatten()
    .map(|size| usize::from(size.ws_col))
    .find(|&columns| columns > 0);
    let of_environment = || env::var("COLUMNS").ok()?.parse().ok();
    of_terminal.or_else(of_environment).unwrap_or(WIDEST).clamp(NARROWEST, WIDEST)
}
