//! The line editor: keys in, text and cursor out. Independent of terminals, so it can be tested.
//!
//! Written here because the editors that were tried either lag when several keys arrive at once
//! while other threads print above the prompt, or bring dozens of crates.

/// The effect of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Only the display changes.
    Changed,
    /// Enter: this line.
    Line(String),
    /// Ctrl-C: this line is discarded, not the laboratory.
    Discarded(String),
    /// Ctrl-D on an empty line.
    End,
    /// Ctrl-Z; the line does not change.
    Suspend,
    /// Tab: the word before the cursor wants to be completed ([`Edit::complete`]).
    Complete,
}

/// The effect of a completion.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Completed {
    /// The line has changed.
    Line,
    /// There is nothing to add: ring the bell.
    Nothing,
    /// Tab again, and still nothing to add: show the candidates.
    Ambiguous,
}

#[derive(Default)]
pub(super) struct Edit {
    line: Vec<char>,
    cursor: usize,
    history: Vec<String>,
    /// The shown line of the history; past the last one is the new line.
    place: usize,
    /// The beginning of a character or of an escape sequence.
    begun: Vec<u8>,
    /// Whether the last key was a Tab that left several candidates.
    is_ambiguous: bool,
}

/// Longer lines are not commands.
pub(super) const LONGEST: usize = 4096;

impl Edit {
    pub(super) fn feed(&mut self, byte: u8) -> Event {
        if byte == 3 {
            self.begun.clear();
        }
        if !self.begun.is_empty() {
            self.begun.push(byte);
            self.go_on();
            return Event::Changed;
        }
        if byte == b'\t' {
            return Event::Complete;
        }
        self.is_ambiguous = false;
        match byte {
            b'\r' | b'\n' => return Event::Line(self.take()),
            4 if self.line.is_empty() => return Event::End,
            26 => return Event::Suspend,
            3 => {
                self.cursor = 0;
                self.place = self.history.len();
                return Event::Discarded(std::mem::take(&mut self.line).into_iter().collect());
            }
            4 => self.delete(),
            1 => self.cursor = 0,
            5 => self.cursor = self.line.len(),
            2 => self.cursor = self.cursor.saturating_sub(1),
            6 => self.cursor = (self.cursor + 1).min(self.line.len()),
            8 | 127 => self.rub_out(1),
            11 => self.line.truncate(self.cursor),
            21 => self.rub_out(self.cursor),
            23 => self.rub_out(self.length_of_word()),
            14 => self.remember(self.place.saturating_add(1)),
            16 => self.remember(self.place.saturating_sub(1)),
            0x1b | 0xc0..=0xff => self.begun.push(byte),
            b' '..=b'~' => self.insert(char::from(byte)),
            _ => {}
        }
        Event::Changed
    }

    /// The text, and the number of bytes before the cursor.
    pub(super) fn shown(&self) -> (&[char], usize) {
        (&self.line, self.cursor)
    }

    /// The text before the cursor.
    pub(super) fn before_cursor(&self) -> String {
        self.line[..self.cursor].iter().collect()
    }

    /// Completes the last letters before the cursor: one candidate replaces them and is followed by
    /// a blank, except a placeholder (`{server}:7`); of several, as much as they have in common.
    pub(super) fn complete(&mut self, typed: usize, candidates: &[String]) -> Completed {
        let start = self.cursor.saturating_sub(typed);
        let Some(first) = candidates.first() else {
            self.is_ambiguous = false;
            return Completed::Nothing;
        };
        let is_again = std::mem::replace(&mut self.is_ambiguous, candidates.len() > 1);
        let mut word: Vec<char> = first.chars().collect();
        for other in candidates {
            let same = word.iter().zip(other.chars()).take_while(|(ours, its)| **ours == *its);
            word.truncate(same.count());
        }
        let is_whole = candidates.len() == 1 && !word.ends_with(&['}']);
        if is_whole && self.line.get(self.cursor) != Some(&' ') {
            word.push(' ');
        }
        let adds = word.len() >= typed && self.line[start..self.cursor] != word;
        if adds && self.line.len() + word.len() < LONGEST {
            let length = word.len();
            self.line.splice(start..self.cursor, word);
            self.cursor = start + length;
            return Completed::Line;
        }
        if is_again { Completed::Ambiguous } else { Completed::Nothing }
    }

    fn take(&mut self) -> String {
        let line: String = std::mem::take(&mut self.line).into_iter().collect();
        self.cursor = 0;
        if !line.trim().is_empty() && self.history.last() != Some(&line) {
            self.history.push(line.clone());
        }
        self.place = self.history.len();
        line
    }

    /// Another byte of an incomplete sequence.
    fn go_on(&mut self) {
        if self.begun.first() == Some(&0x1b) {
            return self.escape();
        }
        match std::str::from_utf8(&self.begun) {
            Ok(letters) => {
                let letter = letters.chars().next();
                self.begun.clear();
                if let Some(letter) = letter {
                    self.insert(letter);
                }
            }
            // Incomplete or invalid.
            Err(error) if error.error_len().is_some() || self.begun.len() > 4 => self.begun.clear(),
            Err(_) => {}
        }
    }

    /// `ESC [ A`, `ESC O A`, `ESC [ 3 ~`.
    fn escape(&mut self) {
        let end = self.line.len();
        match self.begun.as_slice() {
            [_, b'[' | b'O'] => return,
            [_, b'[', b'0'..=b'9' | b';', ..] | [_, b'O', b'0'..=b'9', ..]
                if self.begun.len() < 16
                    && self.begun.last().is_some_and(|last| matches!(last, b'0'..=b'9' | b';')) =>
            {
                return;
            }
            [_, _, b'A'] => self.remember(self.place.saturating_sub(1)),
            [_, _, b'B'] => self.remember(self.place.saturating_add(1)),
            [_, _, b'C'] => self.cursor = (self.cursor + 1).min(end),
            [_, _, b'D'] => self.cursor = self.cursor.saturating_sub(1),
            [_, _, b'H'] | [_, _, b'1' | b'7', b'~'] => self.cursor = 0,
            [_, _, b'F'] | [_, _, b'4' | b'8', b'~'] => self.cursor = end,
            [_, _, b'3', b'~'] => self.delete(),
            _ => {}
        }
        self.begun.clear();
    }

    fn insert(&mut self, letter: char) {
        if self.line.len() < LONGEST && !letter.is_control() {
            self.line.insert(self.cursor, letter);
            self.cursor += 1;
        }
    }

    fn delete(&mut self) {
        if self.cursor < self.line.len() {
            self.line.remove(self.cursor);
        }
    }

    fn rub_out(&mut self, letters: usize) {
        let start = self.cursor.saturating_sub(letters);
        self.line.drain(start..self.cursor);
        self.cursor = start;
    }

    /// The start of the word before the cursor, with the blanks after it.
    fn length_of_word(&self) -> usize {
        let before = self.line[..self.cursor].iter().rev();
        let blanks = before.clone().take_while(|letter| letter.is_whitespace()).count();
        blanks + before.skip(blanks).take_while(|letter| !letter.is_whitespace()).count()
    }

    fn remember(&mut self, place: usize) {
        self.place = place.min(self.history.len());
        let line = self.history.get(self.place).map_or("", |line| line);
        self.line = line.chars().collect();
        self.cursor = self.line.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line after these keys, with `|` for the cursor.
    fn typed(edit: &mut Edit, keys: &str) -> String {
        keys.bytes().for_each(|byte| assert_eq!(edit.feed(byte), Event::Changed));
        let (line, cursor) = edit.shown();
        let (before, after) = line.split_at(cursor);
        format!("{}|{}", before.iter().collect::<String>(), after.iter().collect::<String>())
    }

    #[test]
    fn keys_edit_the_line_as_usual() {
        for (keys, shown) in [
            ("abc", "abc|"),
            ("abc\x7f\x08d", "ad|"),
            ("abc\x1b[D\x1b[Dx", "ax|bc"),
            ("abc\x01\x1b[Cx\x05y", "axbcy|"),
            ("abc\x1bOH\x1b[3~", "|bc"),
            ("one two  \x17", "one |"),
            ("one two\x15x", "x|"),
            ("abc\x02\x02\x0b", "a|"),
            ("grüße\x7f", "grüß|"),
            ("a\x1b[1;5Cb\x1b[99~c", "abc|"),
        ] {
            assert_eq!(typed(&mut Edit::default(), keys), shown, "{keys:?}");
        }
    }

    #[test]
    fn a_tab_completes_and_a_second_one_lists() {
        let mut edit = Edit::default();
        let mut tab = |keys: &str, typed, candidates: &[&str]| {
            let shown = self::typed(&mut edit, keys);
            assert_eq!(edit.feed(b'\t'), Event::Complete, "{shown}");
            let candidates: Vec<String> = candidates.iter().map(|one| (*one).into()).collect();
            let completed = edit.complete(typed, &candidates);
            (completed, self::typed(&mut edit, ""))
        };
        let changed = |line: &str| (Completed::Line, line.to_string());
        let same = |completed, line: &str| (completed, line.to_string());
        assert_eq!(tab("x", 1, &[]), same(Completed::Nothing, "x|"));
        assert_eq!(tab("\x15dr", 2, &["drop"]), changed("drop |"));
        assert_eq!(tab("sy", 2, &["SYN", "SYN-ACK"]), changed("drop SYN|"));
        assert_eq!(tab("", 3, &["SYN", "SYN-ACK"]), same(Completed::Ambiguous, "drop SYN|"));
        assert_eq!(tab("-", 4, &["SYN-ACK"]), changed("drop SYN-ACK |"));
        // What follows a placeholder belongs to the same word.
        assert_eq!(tab("\x15{ser", 4, &["{server}"]), changed("{server}|"));
        // Another key between two Tabs: the second one is a first one.
        let two = ["next", "all"];
        assert_eq!(tab("\x15drop ", 0, &two), same(Completed::Nothing, "drop |"));
        assert_eq!(tab("n\x7f", 0, &two), same(Completed::Nothing, "drop |"));
        assert_eq!(tab("", 0, &two), same(Completed::Ambiguous, "drop |"));
        // Within the line: a blank that is there is enough.
        assert_eq!(tab("\x15st x\x02\x02", 2, &["states"]), changed("states| x"));
    }

    #[test]
    fn the_history_keeps_lines() {
        let mut edit = Edit::default();
        for line in ["first", "second"] {
            typed(&mut edit, line);
            assert_eq!(edit.feed(b'\r'), Event::Line(line.into()));
        }
        assert_eq!(typed(&mut edit, "\x1b[A\x1b[A\x1b[A"), "first|");
        assert_eq!(typed(&mut edit, "\x1b[B"), "second|");
        assert_eq!(typed(&mut edit, "\x1b[B"), "|");
        typed(&mut edit, "third\x1b");
        assert_eq!(edit.feed(3), Event::Discarded("third".into()));
        assert_eq!(typed(&mut edit, "x\x7f"), "|");
        assert_eq!(edit.feed(26), Event::Suspend);
        assert_eq!(edit.feed(4), Event::End);
    }

    proptest::proptest! {
        #[test]
        fn no_keys_make_it_panic(keys: Vec<u8>) {
            let mut edit = Edit::default();
            for key in keys {
                if edit.feed(key) == Event::Complete {
                    edit.complete(usize::from(key), &["grüße".into(), "grün".into()]);
                }
                let (line, cursor) = edit.shown();
                proptest::prop_assert!(cursor <= line.len());
            }
        }
    }
}
