//! Where a sentence of a scenario comes from: a section of the book or of an RFC, a page of the
//! manual, the kernel's documentation or code, or a claim that the scenario itself measures.

use std::fmt;

/// What a sentence relies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A section of Stevens, Fenner and Rudoff, UNIX Network Programming, volume 1, third edition.
    Book(&'static str),
    /// A section of an RFC, by their numbers; "" for all of a short one.
    Rfc(u16, &'static str),
    /// A page of the Linux manual: `tcp(7)`.
    Man(&'static str),
    /// A setting of the kernel, as its documentation describes it: `net.ipv4.tcp_retries2`.
    Sysctl(&'static str),
    /// A function or a constant of the kernel, and its file.
    Code(&'static str, &'static str),
    /// Another scenario, which measures it.
    Lab(&'static str),
    /// A claim of the same scenario, in its words.
    Measured(&'static str),
}

/// One to three sentences, and what they rely on.
pub type Passage = (&'static str, &'static [Source]);

impl Source {
    /// The address where it can be read; the book and the laboratory have none.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        Some(match self {
            Source::Rfc(number, "") => format!("https://www.rfc-editor.org/rfc/rfc{number}"),
            Source::Rfc(number, section) => {
                format!("https://www.rfc-editor.org/rfc/rfc{number}#section-{section}")
            }
            Source::Man(page) => {
                let (name, rest) = page.split_once('(')?;
                let section = rest.strip_suffix(')')?;
                format!("https://man7.org/linux/man-pages/man{section}/{name}.{section}.html")
            }
            Source::Sysctl(_) => "https://docs.kernel.org/networking/ip-sysctl.html".into(),
            Source::Code(_, file) => format!("{KERNEL}/{file}"),
            Source::Book(_) | Source::Lab(_) | Source::Measured(_) => return None,
        })
    }

    /// Whether it is a claim of the scenario, and which.
    #[must_use]
    pub fn claim(&self) -> Option<&'static str> {
        match self {
            Source::Measured(claim) => Some(claim),
            _ => None,
        }
    }
}

/// Where the files of the kernel are.
const KERNEL: &str = "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree";

impl fmt::Display for Source {
    /// The short form: `RFC 9293 3.6.1`. All claims are `measured`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Book(section) => write!(f, "UNP {section}"),
            Source::Rfc(number, "") => write!(f, "RFC {number}"),
            Source::Rfc(number, section) => write!(f, "RFC {number} {section}"),
            Source::Man(name) | Source::Sysctl(name) => f.write_str(name),
            Source::Code(name, _) => write!(f, "{name}"),
            Source::Lab(scenario) => f.write_str(scenario),
            Source::Measured(_) => f.write_str("measured"),
        }
    }
}

/// The sources of a passage, each once in its short form.
pub fn short(sources: &[Source]) -> impl Iterator<Item = &Source> {
    let is_first = |place: usize, source: &Source| {
        let (before, words) = (&sources[..place], source.to_string());
        before.iter().all(|other| other.to_string() != words)
    };
    let numbered = sources.iter().enumerate();
    numbered.filter(move |(place, source)| is_first(*place, source)).map(|(_, source)| source)
}

/// The passages as one text, each followed by its sources in brackets.
#[must_use]
pub fn cited(passages: &[Passage]) -> String {
    let one = |(text, sources): &Passage| {
        let sources: Vec<String> = short(sources).map(|source| format!("[{source}]")).collect();
        format!("{text} {}", sources.join(" "))
    };
    passages.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::Source::*;
    use super::*;

    #[test]
    fn a_passage_is_followed_by_its_sources_each_once() {
        let passages: &[Passage] = &[
            ("A FIN is sent.", &[Book("2.6"), Rfc(9293, "3.6.1"), Measured("a"), Measured("b")]),
            ("It lasts.", &[Sysctl("net.ipv4.tcp_fin_timeout"), Man("tcp(7)"), Lab("refused")]),
        ];
        let text = "A FIN is sent. [UNP 2.6] [RFC 9293 3.6.1] [measured] \
                    It lasts. [net.ipv4.tcp_fin_timeout] [tcp(7)] [refused]";
        assert_eq!(cited(passages), text);
        let url = |source: Source| source.url().unwrap_or_default();
        assert_eq!(url(Rfc(9293, "3.6.1")), "https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1");
        assert_eq!(url(Man("tcp(7)")), "https://man7.org/linux/man-pages/man7/tcp.7.html");
        assert!(
            url(Code("tcp_ack", "net/ipv4/tcp_input.c")).ends_with("tree/net/ipv4/tcp_input.c")
        );
        assert_eq!(
            (Book("2.6").url(), Measured("a").url(), Lab("refused").url()),
            (None, None, None)
        );
    }
}
