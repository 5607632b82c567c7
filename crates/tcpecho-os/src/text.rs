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
