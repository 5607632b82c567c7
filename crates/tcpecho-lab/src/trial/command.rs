//! The command line of a program under test, with placeholders for host and port.

use std::net::IpAddr;

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
    /// The command is empty, or a quote is not closed; the error says so.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = shell_words::split(text)
            .map_err(|error| format!("{}: {error}", text.escape_debug()))?;
        if words.is_empty() {
            return Err("an empty command".into());
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
        let host = Side::Server.address(family);
        let in_url = |ip: IpAddr| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        let fill = |word: &String| {
            word.replace("{address}", &format!("{}:{port}", in_url(host)))
                .replace("{host}", &host.to_string())
                .replace("{any}", &family.any().to_string())
                .replace("{port}", &port.to_string())
        };
        self.words.iter().map(fill).collect()
    }
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
        assert!(CommandLine::parse(" ").is_err() && CommandLine::parse("a 'b").is_err());
    }
}
