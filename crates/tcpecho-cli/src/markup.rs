//! Text of others inside HTML and XML.

use tcpecho_os::text::spaced;

/// Escapes text for an element or an attribute. Control characters are not allowed there at all, and become spaces.
pub(crate) fn escaped(text: &str) -> String {
    spaced(text).chars().fold(String::with_capacity(text.len()), |mut escaped, letter| {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_escape_sequences_are_text() {
        assert_eq!(escaped("<b a=\"1\">&\x1b[2J"), "&lt;b a=&quot;1&quot;&gt;&amp; [2J");
    }
}
