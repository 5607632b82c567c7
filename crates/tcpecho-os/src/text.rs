//! Text of others, such as a process's name or what a program writes, made fit for a terminal, a log and a page.

use std::borrow::Cow;

/// Returns whether a character is neither a control character nor one that is invisible or changes how those around it are
/// shown (Unicode's format characters, among them those of the bidirectional algorithm, and line separators).
#[must_use]
pub fn is_plain(character: char) -> bool {
    let format = matches!(character, '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}' | '\u{e0000}'..='\u{e007f}');
    !character.is_control() && !format
}

/// Returns the text with every character that is not [plain](is_plain) written as Rust does: `\u{1b}`, `\n`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_plain(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown.into()
}

/// Returns the text with every character that is not [plain](is_plain) replaced by a space.
#[must_use]
pub fn spaced(text: &str) -> String {
    text.chars().map(|character| if is_plain(character) { character } else { ' ' }).collect()
}

/// What [`next_visible`] has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible {
    /// The text of this many bytes was appended.
    Bytes(usize),
    /// The bytes end here, perhaps within a character.
    End,
}

/// Appends the first character of `bytes` to `text`, in a form that does not control a terminal: a
/// [plain](is_plain) character, a tab or a newline as it is, the bytes of everything else as by [`cat_v`]. Without `utf8`,
/// only ASCII is plain. The beginning of a character whose other bytes are missing is [`Visible::End`].
pub fn next_visible(bytes: &[u8], utf8: bool, text: &mut Vec<u8>) -> Visible {
    let Some(&first) = bytes.first() else { return Visible::End };
    if first.is_ascii() || !utf8 {
        cat_v(first, text);
        return Visible::Bytes(1);
    }
    let most = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(most) {
        Ok(valid) => valid,
        Err(error) => match (error.valid_up_to(), error.error_len()) {
            (0, None) => return Visible::End,
            (0, Some(_)) => {
                cat_v(first, text);
                return Visible::Bytes(1);
            }
            (valid, _) => std::str::from_utf8(&most[..valid]).unwrap_or_default(),
        },
    };
    let Some(character) = valid.chars().next() else { return Visible::End };
    let whole = &bytes[..character.len_utf8()];
    if is_plain(character) {
        text.extend_from_slice(whole);
    } else {
        for byte in whole {
            cat_v(*byte, text);
        }
    }
    Visible::Bytes(whole.len())
}

/// Appends a byte as `cat -v` shows it: `^[` for ESC, `^?` for DEL, `M-` before the form of a byte with the eighth bit. A tab
/// and a newline stay.
pub fn cat_v(byte: u8, text: &mut Vec<u8>) {
    let low = byte & 0x7f;
    if byte != low {
        text.extend_from_slice(b"M-");
    }
    match low {
        b'\t' | b'\n' if byte == low => text.push(low),
        0x7f => text.extend_from_slice(b"^?"),
        ..0x20 => text.extend_from_slice(&[b'^', low + 0x40]),
        _ => text.push(low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing() {
        for text in ["", "plain", "p99 5 µs – 2 ms", "日本語", "quoted \" and \\"] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
            assert_eq!(spaced(text), text);
        }
        assert_eq!(printable("\x1b]0;t\x07\r\n"), "\\u{1b}]0;t\\u{7}\\r\\n");
        assert_eq!(printable("\u{9b}31m \u{202e}x"), "\\u{9b}31m \\u{202e}x");
        assert_eq!(spaced("a\x1b[2J\u{2066}b\n"), "a [2J b ");
    }

    #[test]
    fn bytes_are_visible_as_by_cat_v() {
        let visible = |bytes: &[u8], utf8| {
            let (mut text, mut rest) = (Vec::new(), bytes);
            while let Visible::Bytes(count) = next_visible(rest, utf8, &mut text) {
                rest = &rest[count..];
            }
            (String::from_utf8(text).unwrap(), rest.len())
        };
        assert_eq!(
            visible(b"\0a\t\n\x1b[m\x7f\x80\xff", true),
            ("^@a\t\n^[[m^?M-^@M-^?".into(), 0)
        );
        assert_eq!(visible("é\u{9b}".as_bytes(), true), ("éM-BM-^[".into(), 0));
        assert_eq!(visible("é".as_bytes(), false), ("M-CM-)".into(), 0));
        assert_eq!(visible(&[b'x', 0xe6, 0x97], true), ("x".into(), 2));
        assert_eq!(visible(&[0xe6, b'x'], true), ("M-fx".into(), 0));
        assert_eq!(visible(&[0x8a, 0x89], true), ("M-^JM-^I".into(), 0));
    }

    /// What std's `{:?}` escapes besides quotes, backslashes, and what has no shape of its own, is not plain either.
    #[test]
    fn what_std_escapes_as_a_format_character_is_not_plain() {
        for character in [
            '\u{ad}',
            '\u{200d}',
            '\u{200e}',
            '\u{202a}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
            '\u{7f}',
            '\0',
        ] {
            assert_ne!(character.escape_debug().count(), 1, "{character:?}");
            assert!(!is_plain(character), "{character:?}");
        }
    }
}
