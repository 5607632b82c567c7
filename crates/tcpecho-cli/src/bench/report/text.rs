//! Text of others, made fit for a terminal and a page.

/// A text from a file is shown as far as this.
const LONGEST: usize = 1000;

/// The text with everything that a terminal would obey or hide written as an escape, and cut where it is
/// longer than any text of ours.
pub(in crate::bench) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for (place, character) in text.chars().enumerate() {
        if place == LONGEST {
            out.push('…');
            break;
        }
        if is_plain(character) {
            out.push(character);
        } else {
            out.extend(character.escape_default());
        }
    }
    out
}

/// Whether it is neither a control character nor one that changes how those around it are shown.
fn is_plain(character: char) -> bool {
    let format = matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !character.is_control() && !format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing() {
        for text in ["plain", "p99 5 µs – 2 ms", "日本語", "quoted \" and \\"] {
            assert_eq!(printable(text), text);
        }
        assert_eq!(printable("\x1b]0;t\x07\r\n"), "\\u{1b}]0;t\\u{7}\\r\\n");
        assert_eq!(printable("\u{9b}31m \u{202e}x"), "\\u{9b}31m \\u{202e}x");
        assert_eq!(printable(&"x".repeat(LONGEST + 5)).chars().count(), LONGEST + 1);
    }
}
