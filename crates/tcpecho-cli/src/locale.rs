//! Whether the terminal, or the reader of a pipe, shows UTF-8, and text for those that do not.

use std::{borrow::Cow, env, io::IsTerminal};

/// Returns whether text may have characters beyond ASCII: the character set of the locale (locale(7): LC_ALL, LC_CTYPE, LANG)
/// is UTF-8, or none of these variables is set, as in most containers.
pub(crate) fn is_utf8() -> bool {
    let values = ["LC_ALL", "LC_CTYPE", "LANG"].map(|name| env::var(name).unwrap_or_default());
    names_utf8(values.iter().map(String::as_str))
}

/// Returns whether text for this stream is ASCII: by the locale, or because the stream is a terminal and TERM is `dumb`.
pub(crate) fn is_ascii(stream: &impl IsTerminal) -> bool {
    let is_dumb = || env::var_os("TERM").is_some_and(|term| term == "dumb");
    !is_utf8() || stream.is_terminal() && is_dumb()
}

/// Returns text as this stream shows it.
pub(crate) fn shown<'a>(text: &'a str, stream: &impl IsTerminal) -> Cow<'a, str> {
    if text.is_ascii() || !is_ascii(stream) { text.into() } else { ascii(text).into() }
}

/// Returns text with the program's own characters beyond ASCII spelled in ASCII, and a question mark for every other one.
pub(crate) fn ascii(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            'µ' => spelled.push('u'),
            '±' => spelled.push_str("+-"),
            '→' => spelled.push_str("->"),
            '←' => spelled.push_str("<-"),
            '…' => spelled.push_str("..."),
            '▶' => spelled.push('>'),
            '◀' => spelled.push('<'),
            '─' | '–' | '·' => spelled.push('-'),
            '│' => spelled.push('|'),
            '┊' => spelled.push('!'),
            '└' | '┬' => spelled.push('+'),
            '✓' => spelled.push('v'),
            '✗' | '×' => spelled.push('x'),
            '█'..='▏' => spelled.push('#'),
            ascii if ascii.is_ascii() => spelled.push(ascii),
            _ => spelled.push('?'),
        }
    }
    spelled
}

/// The first variable that is not empty counts.
fn names_utf8<'a>(mut values: impl Iterator<Item = &'a str>) -> bool {
    let Some(locale) = values.find(|value| !value.is_empty()) else { return true };
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_characters_have_a_spelling() {
        assert_eq!(ascii("1.5 µs ± 2 → ─▶ ◀─ ✓ █▏ …"), "1.5 us +- 2 -> -> <- v ## ...");
        assert_eq!(ascii("│ ┊"), "| !");
        assert_eq!(ascii("é\n"), "?\n");
    }

    #[test]
    fn the_first_variable_that_is_set_names_the_character_set() {
        for (values, utf8) in [
            (["", "", ""], true),
            (["", "", "en_US.UTF-8"], true),
            (["C.utf8", "C", "C"], true),
            (["C", "", "en_US.UTF-8"], false),
            (["", "de_DE.ISO-8859-1", "en_US.UTF-8"], false),
            (["", "", "POSIX"], false),
        ] {
            assert_eq!(names_utf8(values.into_iter()), utf8, "{values:?}");
        }
    }
}
