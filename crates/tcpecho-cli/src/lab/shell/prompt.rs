//! The source of commands: a line that is edited on a terminal, below everything that happens;
//! otherwise plain lines.

use std::{
    io::{self, BufRead, IsTerminal, Read},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nix::{errno::Errno, sys::signal::Signal};
use rustix::{
    event::{PollFd, PollFlags, poll},
    termios::{
        LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
    },
};
use unicode_width::UnicodeWidthChar;

use super::{
    complete::{Completion, in_columns},
    edit::{Completed, Edit, Event},
};
use crate::{
    lab::ladder::{Look, Sink},
    output::{self, OutputBuffer},
    signals::Signals,
};

pub(super) enum Prompt {
    Terminal(Box<Terminal>),
    Lines,
}

/// A command line, or another event.
pub(super) enum Typed {
    Line(String),
    End,
    /// A signal that ends the program; the terminal is restored.
    Signal(Signal),
}

/// The signals that a prompt on a terminal handles: the first ones end the program, the others
/// change the screen.
const SIGNALS: [Signal; 6] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGWINCH,
];

/// Catches the signals that a prompt needs, if there will be one. Called before any thread is
/// started.
pub(super) fn catch_signals() -> Result<Option<Signals>, Errno> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        Signals::catch(&SIGNALS).map(Some)
    } else {
        Ok(None)
    }
}

/// Longer lines are not commands; memory must not grow with them.
pub(super) const LONGEST: u64 = 64 * 1024;

const PROMPT: &str = "lab> ";

impl Prompt {
    /// Also the destination of everything that is shown, so that the edited line stays intact.
    /// There is a prompt if there are signals for it.
    pub(super) fn new(signals: Option<Signals>) -> (Self, Sink) {
        let Some(signals) = signals else {
            let mut stdout = OutputBuffer::text();
            let print: Sink = Box::new(move |line| stdout.line_or_exit(line));
            return (Prompt::Lines, print);
        };
        let typing = Arc::new(Mutex::new(Typing::default()));
        let below = Arc::clone(&typing);
        let print: Sink = Box::new(move |line| lock(&below).print_above(line));
        let terminal = Terminal { typing, read: Vec::new(), signals, raw: None };
        (Prompt::Terminal(Box::new(terminal)), print)
    }

    pub(super) fn is_interactive(&self) -> bool {
        matches!(self, Prompt::Terminal(_))
    }

    /// `complete` completes the text before the cursor.
    pub(super) fn next_line(&mut self, complete: &dyn Fn(&str) -> Completion) -> io::Result<Typed> {
        match self {
            Prompt::Terminal(terminal) => terminal.next_line(complete),
            Prompt::Lines => Ok(plain_line()?.map_or(Typed::End, Typed::Line)),
        }
    }

    /// Whether Ctrl-C was pressed since the last call, while a command was executed. A script has
    /// no such signal: SIGINT ends it.
    pub(super) fn is_interrupted(&self) -> bool {
        match self {
            Prompt::Terminal(terminal) => terminal.signals.next() == Some(Signal::SIGINT),
            Prompt::Lines => false,
        }
    }
}

/// Invalid UTF-8 is replaced.
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
    /// Keys that arrived with others and are not used yet, the next one last.
    read: Vec<u8>,
    signals: Signals,
    /// The state while a line is edited.
    raw: Option<Raw>,
}

/// What a terminal waits for.
enum Input {
    Key(u8),
    End,
    Signal(Signal),
}

/// The content of the lowest line.
#[derive(Default)]
struct Typing {
    edit: Edit,
    /// Whether the line is shown: not while a command is executed.
    on: bool,
}

fn lock(typing: &Mutex<Typing>) -> MutexGuard<'_, Typing> {
    typing.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Terminal {
    /// Signals are caught while a line is edited. Otherwise they act as usual, except SIGINT:
    /// Ctrl-C ends a waiting command.
    fn next_line(&mut self, complete: &dyn Fn(&str) -> Completion) -> io::Result<Typed> {
        self.signals.hold();
        let typed = self.take_terminal().and_then(|()| self.edited(complete));
        lock(&self.typing).switch(false);
        self.raw = None;
        self.signals.let_through_all_but(Signal::SIGINT);
        typed
    }

    /// Sets up the terminal and draws the prompt. Another program may have used the terminal
    /// before.
    fn take_terminal(&mut self) -> io::Result<()> {
        self.raw = None;
        self.raw = Some(Raw::enter()?);
        lock(&self.typing).switch(true);
        Ok(())
    }

    fn edited(&mut self, complete: &dyn Fn(&str) -> Completion) -> io::Result<Typed> {
        loop {
            let event = match self.next_input()? {
                Input::Key(key) => lock(&self.typing).edit.feed(key),
                Input::Signal(Signal::SIGTSTP) => Event::Suspend,
                // After SIGSTOP the shell has set up the terminal for itself.
                Input::Signal(Signal::SIGCONT) => {
                    self.take_terminal()?;
                    Event::Changed
                }
                Input::Signal(Signal::SIGWINCH) => Event::Changed,
                Input::Signal(signal) => {
                    self.give_terminal_back(None);
                    return Ok(Typed::Signal(signal));
                }
                Input::End => return Ok(Typed::End),
            };
            match event {
                Event::Discarded(line) => {
                    lock(&self.typing).redraw(&format!("{PROMPT}{line}^C\n"));
                }
                Event::Changed if self.read.is_empty() => lock(&self.typing).redraw(""),
                Event::Changed => {}
                Event::Line(line) => {
                    self.give_terminal_back(Some(&line));
                    return Ok(Typed::Line(line));
                }
                Event::End => {
                    self.give_terminal_back(None);
                    return Ok(Typed::End);
                }
                Event::Suspend => self.suspend()?,
                Event::Complete => self.complete(complete),
            }
        }
    }

    fn complete(&self, complete: &dyn Fn(&str) -> Completion) {
        let before = lock(&self.typing).edit.before_cursor();
        // It may take a moment, and events are shown meanwhile.
        let Completion { typed, candidates } = complete(&before);
        let mut typing = lock(&self.typing);
        match typing.edit.complete(typed, &candidates) {
            Completed::Line => typing.redraw(""),
            Completed::Nothing => write("\x07"),
            Completed::Ambiguous => {
                let width = Look::of_stdout().width.unwrap_or(80);
                typing.redraw(&format!("{PROMPT}{before}\n{}\n", in_columns(&candidates, width)));
            }
        }
    }

    /// Restores the terminal and stops the process group, as Ctrl-Z does elsewhere; returns when
    /// the shell continues it.
    fn suspend(&mut self) -> io::Result<()> {
        self.give_terminal_back(None);
        Signals::suspend_group()?;
        self.take_terminal()
    }

    /// Sets up the terminal as it was, then shows the line: from then on Ctrl-C and Ctrl-Z act as
    /// usual.
    fn give_terminal_back(&mut self, line: Option<&str>) {
        self.raw = None;
        let mut typing = lock(&self.typing);
        match line {
            Some(line) => typing.leave_line(line),
            None => typing.leave(),
        }
    }

    fn next_input(&mut self) -> io::Result<Input> {
        loop {
            if let Some(key) = self.read.pop() {
                return Ok(Input::Key(key));
            }
            let stdin = io::stdin();
            let mut watched =
                [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
            rustix::io::retry_on_intr(|| poll(&mut watched, None))?;
            let can_read = !watched[0].revents().is_empty();
            if let Some(signal) = self.signals.next() {
                return Ok(Input::Signal(signal));
            }
            if can_read {
                let mut buffer = [0; 256];
                match rustix::io::retry_on_intr(|| rustix::io::read(&stdin, &mut buffer))? {
                    0 => return Ok(Input::End),
                    count => self.read.extend(buffer[..count].iter().rev()),
                }
            }
        }
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

    /// The line stays as it was edited, and the cursor moves below it.
    fn leave(&mut self) {
        let line: String = self.edit.shown().0.iter().collect();
        self.leave_line(&line);
    }

    fn leave_line(&mut self, line: &str) {
        self.on = false;
        write(&format!("\r\x1b[J{PROMPT}{line}\n"));
    }

    /// One write, so that nothing comes between. Of a line that is too long for the terminal, the
    /// part around the cursor is shown.
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
        // Saves the cursor after the text before it, writes the rest, and restores the cursor.
        write(&format!("\r\x1b[J{above}{PROMPT}{before}\x1b7{after}\x1b8"));
    }
}

fn write(text: &str) {
    // A terminal that is gone ends the input as well.
    let _ = output::print_text(text, None);
}

/// Puts the terminal into raw mode; dropping it restores the old mode.
struct Raw(Termios);

impl Raw {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        // Other threads print while a line is edited, with plain newlines.
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
