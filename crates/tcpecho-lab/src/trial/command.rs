//! The command line of a program under test, with placeholders for host and port.

use std::net::SocketAddr;

use crate::side::{Family, Side};

/// A command with `{host}`, `{port}`, `{address}` and `{any}` in it.
#[derive(Debug, Clone)]
pub struct CommandLine {
    words: Vec<String>,
}

impl CommandLine {
    /// Splits it like a shell. A command that needs a shell (pipes, variables, redirections) is
    /// given to `/bin/sh`.
    ///
    /// # Errors
    /// The command is empty, a quote is not closed, or a placeholder does not exist; the error says so.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = shell_words::split(text)
            .map_err(|error| format!("{}: {error}", text.escape_debug()))?;
        if words.is_empty() {
            return Err("an empty command".into());
        }
        if let Some(word) = unknown_placeholder(text) {
            return Err(format!(
                "unknown placeholder {word}: expected {}; quote it ('{word}') if it is meant for the program",
                PLACEHOLDERS.join(", ")
            ));
        }
        let words = if needs_a_shell(text) {
            vec!["/bin/sh".into(), "-c".into(), text.into()]
        } else {
            words
        };
        Ok(CommandLine { words })
    }

    /// Whether the server's port is part of the command, as `{port}` or in `{address}`.
    #[must_use]
    pub fn names_the_port(&self) -> bool {
        self.words.iter().any(|word| word.contains("{port}") || word.contains("{address}"))
    }

    /// The words to execute, for a server at this port.
    #[must_use]
    pub fn words(&self, family: Family, port: u16) -> Vec<String> {
        self.words_at(family, SocketAddr::new(Side::Server.address(family), port))
    }

    /// The words to execute, for a server at this address, which is of this family.
    #[must_use]
    pub fn words_at(&self, family: Family, server: SocketAddr) -> Vec<String> {
        let fill = |word: &String| {
            word.replace("{address}", &server.to_string())
                .replace("{host}", &server.ip().to_string())
                .replace("{any}", &family.any().to_string())
                .replace("{port}", &server.port().to_string())
        };
        self.words.iter().map(fill).collect()
    }
}

/// What is replaced in a command.
const PLACEHOLDERS: [&str; 4] = ["{host}", "{port}", "{address}", "{any}"];

/// Returns the first `{word}` outside quotes that is not a placeholder. A quoted one may be code, as in
/// `awk '{print}'`, and `${word}` is a variable of the shell.
fn unknown_placeholder(text: &str) -> Option<&str> {
    let (mut quote, mut escaped, mut before) = (None, false, ' ');
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, '{') if before != '$' => {
                let word = text[at..].split_inclusive('}').next().unwrap_or_default();
                let inside = word.trim_start_matches('{').trim_end_matches('}');
                let is_word = inside.starts_with(|first: char| first.is_ascii_alphabetic())
                    && inside.chars().all(|one| one.is_ascii_alphanumeric() || "-_".contains(one));
                if word.ends_with('}') && is_word && !PLACEHOLDERS.contains(&word) {
                    return Some(word);
                }
            }
            _ => {}
        }
        before = letter;
    }
    None
}

/// Whether it contains a character that is special to a shell, outside quotes.
fn needs_a_shell(text: &str) -> bool {
    let (mut quote, mut escaped) = (None, false);
    for letter in text.chars() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (Some('\''), '\'') => quote = None,
            (Some('\''), _) => {}
            (Some(_), '"') => quote = None,
            (Some(_), letter) if "$`".contains(letter) => return true,
            (None, '\'' | '"') => quote = Some(letter),
            (None, letter) if "|&;<>()$`\n*?~#".contains(letter) => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_and_a_shell_is_used_only_where_needed() {
        let words = |text: &str| CommandLine::parse(text).unwrap().words(Family::V6, 7);
        assert_eq!(words("nc -N {host} {port}"), ["nc", "-N", "2001:db8:2::20", "7"]);
        assert_eq!(words("curl 'telnet://{address}'"), ["curl", "telnet://[2001:db8:2::20]:7"]);
        assert_eq!(words("serve \"{any}\" a\\ b"), ["serve", "::", "a b"]);
        assert_eq!(words("cat | nc {host}"), ["/bin/sh", "-c", "cat | nc 2001:db8:2::20"]);
        assert_eq!(words("echo \"$HOME\"")[0], "/bin/sh");
        assert_eq!(words("echo '$HOME | x'"), ["echo", "$HOME | x"]);
        let v4 = CommandLine::parse("x {address}").unwrap().words(Family::V4, 7);
        assert_eq!(v4, ["x", "198.51.100.20:7"]);
        for (text, word) in [
            ("nc {hst} {port}", "{hst}"),
            ("cat | nc {Host}:{port}", "{Host}"),
            ("x --to={address} {server}", "{server}"),
        ] {
            let why = CommandLine::parse(text).unwrap_err();
            assert!(why.contains(&format!("placeholder {word}:")), "{why}");
            assert!(why.contains("{host}, {port}, {address}, {any}"), "{why}");
        }
        for text in [
            "nc {host} {port} | awk '{print}'",
            "awk \"{print}\" {port}",
            "x ${HOME}{port}",
            "f() { nc {host} {port}; }; f",
            "echo {a,b} {1..3} {} { } {port",
            "find . -exec x {} +",
            "x \\{hst}",
        ] {
            assert!(CommandLine::parse(text).is_ok(), "{text}");
        }
        assert!(CommandLine::parse(" ").is_err() && CommandLine::parse("a 'b").is_err());
    }
}
