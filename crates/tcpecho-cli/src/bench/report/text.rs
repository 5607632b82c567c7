//! Text from a file, made fit for a terminal and a page.

/// A text from a file is shown as far as this.
const LONGEST: usize = 1000;

/// Makes the text printable ([`tcpecho_os::text::printable`]), and cuts it where it is longer than any text of ours.
pub(in crate::bench) fn printable(text: &str) -> String {
    let cut = text.char_indices().nth(LONGEST).map(|(at, _)| at);
    let shown = tcpecho_os::text::printable(&text[..cut.unwrap_or(text.len())]);
    if cut.is_some() { format!("{shown}…") } else { shown.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(printable("a\x1b[2J"), "a\\u{1b}[2J");
        assert_eq!(printable(&"x".repeat(LONGEST)), "x".repeat(LONGEST));
        assert_eq!(printable(&"µ".repeat(LONGEST + 5)), "µ".repeat(LONGEST) + "…");
    }
}
