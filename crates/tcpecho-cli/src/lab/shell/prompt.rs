//! Where commands come from: a line that is edited on a terminal, below all that happens; else plain lines.

use std::{
    io::{self, BufRead, IsTerminal, Read},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use unicode_width::UnicodeWidthChar;

use super::edit::{Edit, Event};
use crate::{
    lab::ladder::{Look, Sink},
    output::{self, OutputBuffer, lost_as_text},
};

pub(super) enum Prompt {
    Terminal(Terminal),
    Lines,
}

/// Longer lines are no commands; memory must not grow with them.
const LONGEST: u64 = 64 * 1024;

const PROMPT: &str = "lab> ";

impl Prompt {
    /// And where everything that is shown goes, so that it does not tear the line that is being typed.
    pub(super) fn new() -> (Self, Sink) {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            let mut stdout = OutputBuffer::stdout(lost_as_text);
            let print: Sink = Box::new(move |line| stdout.line_or_exit(line));
            return (Prompt::Lines, print);
        }
        let typing = Arc::new(Mutex::new(Typing::default()));
        let below = Arc::clone(&typing);
        let print: Sink = Box::new(move |line| lock(&below).print_above(line));
        (Prompt::Terminal(Terminal { typing, read: Vec::new() }), print)
    }

    pub(super) fn is_interactive(&self) -> bool {
        matches!(self, Prompt::Terminal(_))
    }

    /// The next line; `None` at the end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<String>> {
        match self {
            Prompt::Terminal(terminal) => terminal.next_line(),
            Prompt::Lines => plain_line(),
        }
    }
}

/// Bytes that are no UTF-8 are replaced.
fn plain_line() -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    Read::take(io::stdin().lock(), LONGEST).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).into()))
}

pub(super) struct Terminal {
    typing: Arc<Mutex<Typing>>,
    /// Keys that came with others and were not needed yet, the next one last.
    read: Vec<u8>,
}

/// What stands in the lowest line.
#[derive(Default)]
struct Typing {
    edit: Edit,
    /// Whether the line is there at all: not while a command is carried out.
    on: bool,
}

fn lock(typing: &Mutex<Typing>) -> MutexGuard<'_, Typing> {
    typing.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Terminal {
    fn next_line(&mut self) -> io::Result<Option<String>> {
        let _raw = Raw::enter()?;
        lock(&self.typing).switch(true);
        let line = self.edited();
        lock(&self.typing).switch(false);
        line
    }

    fn edited(&mut self) -> io::Result<Option<String>> {
        loop {
            let Some(key) = self.next_key()? else { return Ok(None) };
            let mut typing = lock(&self.typing);
            match typing.edit.feed(key) {
                Event::Changed if self.read.is_empty() => typing.redraw(""),
                Event::Changed => {}
                Event::Line(line) => {
                    typing.leave(&line);
                    return Ok(Some(line));
                }
                Event::End => {
                    typing.leave("");
                    return Ok(None);
                }
            }
        }
    }

    fn next_key(&mut self) -> io::Result<Option<u8>> {
        if self.read.is_empty() {
            let mut buffer = [0; 256];
            let stdin = io::stdin();
            let count = rustix::io::retry_on_intr(|| rustix::io::read(&stdin, &mut buffer))?;
            self.read.extend(buffer[..count].iter().rev());
        }
        Ok(self.read.pop())
    }
}

impl Typing {
    fn switch(&mut self, on: bool) {
        self.on = on;
        if on {
            self.redraw("");
        }
    }

    fn print_above(&mut self, line: &str) {
        if self.on {
            self.redraw(&format!("{line}\n"));
        } else {
            write(&format!("{line}\n"));
        }
    }

    /// The line as it was typed stays, and the cursor goes below it.
    fn leave(&mut self, line: &str) {
        self.on = false;
        write(&format!("\r\x1b[J{PROMPT}{line}\n"));
    }

    /// One write, so that nothing comes between. Of a line too long for the terminal the part around the cursor is shown.
    fn redraw(&self, above: &str) {
        let width = Look::of_stdout().width.unwrap_or(80);
        let room = width.saturating_sub(PROMPT.len() + 1).max(1);
        let (line, cursor) = self.edit.shown();
        let columns = |letter: &char| letter.width().unwrap_or(0);
        let mut start = cursor;
        let mut used = 0;
        while let Some(letter) = start.checked_sub(1).and_then(|before| line.get(before))
            && used + columns(letter) <= room
        {
            used += columns(letter);
            start -= 1;
        }
        let before: String = line[start..cursor].iter().collect();
        let mut left = room - used;
        let after: String = line[cursor..]
            .iter()
            .take_while(|letter| {
                let fits = columns(letter) <= left;
                left = left.saturating_sub(columns(letter));
                fits
            })
            .collect();
        // Saves the cursor behind what is before it, writes the rest, and comes back.
        write(&format!("\r\x1b[J{above}{PROMPT}{before}\x1b7{after}\x1b8"));
    }
}

fn write(text: &str) {
    // A terminal that is gone ends the input as well.
    let _ = output::print(text, None);
}

/// The terminal hands over each key; dropping it makes it as it was.
struct Raw(Termios);

impl Raw {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        // Others print while a line is typed, with plain newlines.
        raw.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        raw.local_modes.remove(LocalModes::ISIG);
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
