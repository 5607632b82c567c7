//! The bytes of the peer on stdout: raw, or on a terminal with control characters made visible.
//!
//! Only what is written changes. The relay compares and counts the bytes that came.

use std::{
    cell::RefCell,
    io::{self, IsTerminal},
    os::fd::{AsFd, BorrowedFd},
};

use rustix::io::Errno;
use tcpecho::internal::relay;
use tcpecho_os::text::{Visible, next_visible};

use crate::{
    fresh_line::fresh_line,
    locale::is_utf8,
    output::Output,
    stderr::{stdout_is_at, stdout_is_within_line},
};

/// The most bytes of the peer per write: as many fit into a pipe or a terminal when they are four times as long.
const CHUNK: usize = 1024;

/// Stdout of `connect`.
#[derive(Debug)]
pub(super) struct Screen {
    output: Output,
    is_terminal: bool,
    /// On a terminal, without `--raw`.
    visible: Option<RefCell<Partial>>,
    /// The rest of what begins a fresh line.
    line_start: RefCell<Option<Vec<u8>>>,
}

/// What is left of the last write.
#[derive(Debug)]
struct Partial {
    /// Whether the terminal shows UTF-8.
    utf8: bool,
    /// The beginning of a character whose other bytes have not come.
    incomplete: Vec<u8>,
    /// How much of the next character's text has been written.
    written: usize,
}

impl Screen {
    /// This process's stdout. `raw` passes every byte on, also to a terminal.
    pub(super) fn stdout(raw: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let partial = || Partial { utf8: is_utf8(), incomplete: Vec::new(), written: 0 };
        let visible = (is_terminal && !raw).then(|| RefCell::new(partial()));
        let line_start = RefCell::default();
        Screen { output: Output::stdout(), is_terminal, visible, line_start }
    }

    /// Begins a line for the data if it begins one itself: the user may have typed half of one. Fails with `EAGAIN` if the
    /// terminal does not take all of it.
    fn begin_line(&self, partial: &Partial) -> Result<(), Errno> {
        let mut line_start = self.line_start.borrow_mut();
        if line_start.is_none() && partial.written == 0 && !stdout_is_within_line() {
            *line_start = fresh_line(io::stdout()).map(String::into_bytes);
        }
        if let Some(rest) = &mut *line_start {
            let written = self.output.write(rest)?;
            rest.drain(..written);
            if !rest.is_empty() {
                return Err(Errno::AGAIN);
            }
        }
        *line_start = None;
        Ok(())
    }

    /// Shows the bytes of a character that has not been completed.
    pub(super) fn finish(&self) {
        let Some(visible) = &self.visible else { return };
        let mut partial = visible.borrow_mut();
        let mut text = Vec::new();
        for byte in std::mem::take(&mut partial.incomplete) {
            tcpecho_os::text::cat_v(byte, &mut text);
        }
        if !text.is_empty() && self.output.write(&text).is_ok() {
            stdout_is_at(b'.');
        }
    }
}

impl relay::Output for Screen {
    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let Some(visible) = &self.visible else {
            let count = self.output.write(bytes)?;
            if self.is_terminal
                && let Some(last) = bytes[..count].last()
            {
                stdout_is_at(*last);
            }
            return Ok(count);
        };
        let bytes = &bytes[..bytes.len().min(CHUNK)];
        self.begin_line(&visible.borrow())?;
        visible.borrow_mut().write(bytes, |text| self.output.write(text))
    }
}

impl AsFd for Screen {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}

impl Partial {
    /// Writes the visible text of `bytes` and returns how many of them have been written or are kept: those of an
    /// incomplete character at the end.
    fn write(
        &mut self,
        bytes: &[u8],
        write: impl FnOnce(&[u8]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let before = self.incomplete.len();
        let all = [self.incomplete.as_slice(), bytes].concat();
        // The end of each character, in the bytes and in the text.
        let (mut ends, mut text) = (Vec::new(), Vec::new());
        let mut at = 0;
        while let Visible::Bytes(count) = next_visible(&all[at..], self.utf8, &mut text) {
            at += count;
            ends.push((at, text.len()));
        }
        if text.len() > self.written {
            let written = self.written + write(&text[self.written..])?;
            let whole = ends.iter().take_while(|(_, end)| *end <= written).last();
            let (taken, shown) = whole.copied().unwrap_or((0, 0));
            if let Some(last) = text[..written].last() {
                stdout_is_at(*last);
            }
            self.written = written - shown;
            if written < text.len() {
                self.incomplete.drain(..taken.min(before));
                return Ok(taken.saturating_sub(before));
            }
        }
        self.written = 0;
        self.incomplete = all[at..].to_vec();
        Ok(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Shows the bytes, in pieces of this size, on a terminal that takes so much at a time.
    fn shown(bytes: &[u8], piece: usize, room: usize) -> String {
        let mut partial = Partial { utf8: true, incomplete: Vec::new(), written: 0 };
        let (mut screen, mut waiting) = (Vec::new(), bytes);
        while !waiting.is_empty() {
            let piece = &waiting[..piece.min(waiting.len())];
            let taken = partial.write(piece, |text| {
                let count = text.len().min(room);
                screen.extend_from_slice(&text[..count]);
                Ok(count)
            });
            waiting = &waiting[taken.unwrap()..];
        }
        for byte in partial.incomplete {
            tcpecho_os::text::cat_v(byte, &mut screen);
        }
        String::from_utf8(screen).unwrap()
    }

    #[test]
    fn control_characters_are_visible() {
        let text = b"a\x1b]0;t\x07\r\n\tb\x7f";
        assert_eq!(shown(text, 100, 100), "a^[]0;t^G^M\n\tb^?");
        assert_eq!(shown("é日\u{9b}\u{202e}".as_bytes(), 100, 100), "é日M-BM-^[M-bM-^@M-.");
        assert_eq!(shown(b"\xff\xe6\x97", 100, 100), "M-^?M-fM-^W");
    }

    proptest! {
        #[test]
        fn pieces_and_a_full_terminal_change_nothing(
            text in "(\\PC|[\x00-\x7f]|é|日|\u{202e}){0,40}", wild in any::<Vec<u8>>(), piece in 1..9_usize, room in 1..9_usize,
        ) {
            for bytes in [text.as_bytes(), &wild] {
                prop_assert_eq!(shown(bytes, piece, room), shown(bytes, usize::MAX, usize::MAX));
            }
        }
    }
}
