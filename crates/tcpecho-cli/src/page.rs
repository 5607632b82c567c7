//! The frame of every HTML page: one style for light, dark, narrow screens and paper, without scripts or other files.
//!
//! States and series differ by pattern and name, not by colour alone. Every page ends with the command line that made it and
//! the facts of the host.

pub(crate) mod svg;

use std::time::SystemTime;

use tcpecho_os::text::spaced;

use crate::{
    machine::{Fact, facts},
    markup::escaped,
};

const STYLE: &str = include_str!("page/page.css");
/// The longest command line that is shown whole, in characters.
const LONGEST: usize = 2000;
/// The longest word of a command line that is kept on one line.
const SHORT: usize = 24;

/// The beginning of a page, up to its title as a heading.
pub(crate) fn head(title: &str) -> String {
    let title = escaped(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title><style>\n{STYLE}</style></head>\n<body>\
         <a class=\"skip\" href=\"#content\">Skip to the content</a>\n\
         <main id=\"content\"><h1>{title}</h1>\n"
    )
}

/// Where a page comes from: the command line, the program and the host, now.
pub(crate) struct Origin {
    command: Vec<String>,
    made: String,
    facts: Vec<Fact>,
}

impl Origin {
    /// Reads the command line of this process, the clock and the facts of this host.
    pub(crate) fn now() -> Self {
        let made = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Origin { command: command_line(), made, facts: facts() }
    }

    /// Whether these are the facts of this host.
    pub(crate) fn is_of<'a>(&self, facts: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
        let mut others: Vec<(&str, &str)> = facts.collect();
        let mut ours: Vec<(&str, &str)> =
            self.facts.iter().map(|(name, fact)| (*name, fact.as_str())).collect();
        others.sort_unstable();
        ours.sort_unstable();
        ours == others
    }

    /// The end of a page: its command line, the version, the date and the host.
    pub(crate) fn foot(&self) -> String {
        self.foot_with("")
    }

    /// As [`Origin::foot`], with more paragraphs before.
    pub(crate) fn foot_with(&self, more: &str) -> String {
        let facts = in_words(self.facts.iter().map(|(name, fact)| (*name, fact.as_str())));
        let (command, made) = (in_html(&self.command), escaped(&self.made));
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "</main>\n<footer>{more}<p>Made by <code>{command}</code></p>\
             <p>tcpecho {version}, {made}. {facts}.</p></footer></body></html>\n"
        )
    }
}

/// The facts of a host in one line of HTML.
pub(crate) fn in_words<'a>(facts: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let words = facts.map(|(name, fact)| format!("{}: {fact}", name.replace('_', " ")));
    escaped(&words.collect::<Vec<_>>().join("; "))
}

/// A block that scrolls sideways where it is too wide, also with the keyboard.
pub(crate) fn scrolled(name: &str, body: &str) -> String {
    let name = escaped(name);
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{name}\">{body}</div>"
    )
}

/// The command line of this process as a shell takes it, with the bare name of the program.
fn command_line() -> Vec<String> {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    quoted(std::iter::once("tcpecho".to_owned()).chain(words))
}

/// The words as a shell takes them, up to the longest command line that is shown.
fn quoted(words: impl Iterator<Item = String>) -> Vec<String> {
    let (mut shown, mut length) = (Vec::new(), 0);
    for word in words {
        let word = shell_words::quote(&spaced(&word)).into_owned();
        let room = LONGEST.saturating_sub(length);
        length += word.chars().count() + 1;
        if length > LONGEST {
            shown.push(word.chars().take(room).chain(['…']).collect());
            break;
        }
        shown.push(word);
    }
    shown
}

/// A command line in HTML; a browser would break the line inside of `--html`.
fn in_html(words: &[String]) -> String {
    let word = |word: &String| {
        let shown = escaped(word);
        let is_short = word.chars().count() <= SHORT;
        if is_short && word.contains('-') {
            format!("<span class=\"whole\">{shown}</span>")
        } else {
            shown
        }
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_given_to_a_shell_again_and_is_text() {
        let words = ["tcpecho", "lab", "--client", "nc {host} <1>", "a\x1bb"].map(str::to_owned);
        let command = quoted(words.into_iter());
        assert_eq!(command.join(" "), "tcpecho lab --client 'nc {host} <1>' 'a b'");
        let long = quoted(["a".to_owned(), "x".repeat(3000), "b".to_owned()].into_iter());
        assert_eq!(long.join(" ").chars().count(), LONGEST + 1);
        let origin = Origin { command, made: "now".into(), facts: vec![("a_b", "<c>".into())] };
        let foot = origin.foot();
        let option = "<span class=\"whole\">--client</span>";
        let shown = format!("<code>tcpecho lab {option} 'nc {{host}} &lt;1&gt;' 'a b'</code>");
        assert!(foot.contains(&shown), "{foot}");
        assert!(foot.contains("a b: &lt;c&gt;"), "{foot}");
    }

    /// The colours of the style by name, in light and in dark.
    fn colours() -> [Vec<(&'static str, [f64; 3])>; 2] {
        let (light, rest) =
            STYLE.split_once("@media screen and (prefers-color-scheme: dark)").unwrap();
        let dark = rest.split_once("\n}").unwrap().0;
        [light, dark].map(|block| {
            let pairs = block.split("--").skip(1).filter_map(|text| text.split_once(": #"));
            let colour = |hex: &str| {
                let hex = hex.split(';').next().unwrap();
                let digits = hex.chars().map(|digit| digit.to_digit(16).unwrap());
                let digits: Vec<u32> = digits.collect();
                let values: Vec<u32> = match digits.len() {
                    3 => digits.iter().map(|digit| digit * 17).collect(),
                    _ => digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect(),
                };
                [values[0], values[1], values[2]].map(|value| f64::from(value) / 255.0)
            };
            pairs.map(|(name, hex)| (name, colour(hex))).collect()
        })
    }

    /// WCAG 2.2, relative luminance and contrast ratio.
    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let luminance = |colour: [f64; 3]| {
            let [red, green, blue] = colour.map(|value| {
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            });
            0.2126 * red + 0.7152 * green + 0.0722 * blue
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// WCAG 2.2: 1.4.3 for text, 1.4.11 for lines and states.
    #[test]
    fn text_and_lines_can_be_told_from_their_background() {
        let [light, dark] = colours();
        assert_eq!(light.len(), dark.len(), "a colour of one scheme is not in the other");
        for (scheme, colours) in [("light", light), ("dark", dark)] {
            let of = |name: &str| colours.iter().find(|(one, _)| *one == name).unwrap().1;
            for background in ["paper", "card"] {
                for text in ["ink", "soft", "link", "good", "bad", "warn"] {
                    let ratio = contrast(of(text), of(background));
                    assert!(ratio >= 4.5, "{scheme}: {text} on {background}: {ratio:.2}");
                }
                let lines = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "opening"];
                let states = ["established", "first", "second", "wait", "listen", "closed"];
                for line in lines.into_iter().chain(states) {
                    let ratio = contrast(of(line), of(background));
                    assert!(ratio >= 3.0, "{scheme}: {line} on {background}: {ratio:.2}");
                }
            }
        }
    }

    /// Links have the browser's dark blue unless they are given a colour, and series and states must not differ by colour only.
    #[test]
    fn links_have_a_colour_and_series_and_states_a_pattern() {
        assert!(STYLE.contains("\na { color: var(--link); }"));
        let patterns: Vec<&str> = (1..8)
            .map(|place| {
                let rule = STYLE.split_once(&format!(".s{place} {{")).unwrap().1;
                rule.split('}').next().unwrap().split_once("stroke-dasharray:").unwrap().1
            })
            .collect();
        for (place, pattern) in patterns.iter().enumerate() {
            assert!(!patterns[..place].contains(pattern), "s{}: {pattern}", place + 1);
        }
        let groups = ["listen", "opening", "established", "first", "second", "wait", "closed"];
        let patterns: Vec<String> = groups
            .iter()
            .map(|group| {
                let rule = STYLE.split_once(&format!(".g-{group} {{")).unwrap().1;
                rule.split('}').next().unwrap().replace(&format!("var(--{group})"), "COLOUR")
            })
            .collect();
        for (place, pattern) in patterns.iter().enumerate() {
            assert!(!patterns[..place].contains(pattern), "{}: {pattern}", groups[place]);
        }
    }
}
