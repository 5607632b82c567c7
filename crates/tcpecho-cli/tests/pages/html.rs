//! As much of HTML as the pages use; anything else in one is an error.

use std::collections::BTreeSet;

/// Elements without an end.
const VOID: &[&str] = &["meta", "wbr"];

/// A page, taken apart.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) ids: BTreeSet<String>,
    /// The values of all `href`.
    pub(crate) links: Vec<String>,
    /// The text, with its entities.
    pub(crate) text: String,
    pub(crate) complaints: Vec<String>,
}

impl Page {
    pub(crate) fn read(html: &str) -> Self {
        let mut page = Page::default();
        let Some(body) = html.strip_prefix("<!DOCTYPE html>\n") else {
            page.complaints.push("no doctype".into());
            return page;
        };
        let (mut open, mut rest, mut in_style) = (Vec::new(), body, false);
        let mut references: Vec<String> = Vec::new();
        while let Some(at) = rest.find('<') {
            if !in_style {
                page.text.push_str(&rest[..at]);
            }
            // Quoted values have no angle brackets.
            let Some(end) = rest[at..].find('>') else {
                page.complaints.push("a tag without an end".into());
                break;
            };
            let tag = &rest[at + 1..at + end];
            rest = &rest[at + end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                if open.pop() != Some(name) {
                    page.complaints.push(format!("</{name}> ends another element"));
                }
                in_style = false;
                continue;
            }
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            let name = name.trim_end_matches('/');
            page.attributes(name, attributes, &mut references);
            in_style = name == "style";
            if !VOID.contains(&name) && !tag.ends_with('/') {
                open.push(name);
            }
        }
        if !open.is_empty() || rest.trim() != "" {
            page.complaints.push(format!("not ended: {open:?} {rest:?}"));
        }
        for reference in references {
            if !page.ids.contains(&reference) {
                page.complaints.push(format!("no id {reference:?} for aria-labelledby"));
            }
        }
        page
    }

    fn attributes(&mut self, name: &str, attributes: &str, references: &mut Vec<String>) {
        if name == "script" || name == "link" || name == "iframe" || name == "object" {
            self.complaints.push(format!("<{name}> is not allowed"));
        }
        let mut rest = attributes.trim_end_matches('/').trim();
        let mut named = false;
        while !rest.is_empty() {
            let quoted = rest.split_once("=\"").and_then(|(key, after)| {
                let (value, after) = after.split_once('"')?;
                Some((key, value, after))
            });
            let Some((key, value, after)) = quoted else {
                self.complaints
                    .push(format!("<{name} {attributes}>: {rest:?} is not an attribute"));
                return;
            };
            match key {
                "id" if !self.ids.insert(value.to_owned()) => {
                    self.complaints.push(format!("the id {value:?} twice"));
                }
                "href" => self.links.push(value.to_owned()),
                "aria-labelledby" => references.push(value.to_owned()),
                "src" | "action" => self.complaints.push(format!("{key} is not allowed")),
                key if key.starts_with("on") => self.complaints.push(format!("{key} is a script")),
                "aria-label" => named |= !value.is_empty(),
                // A chart in bars has its numbers beside it; these are decoration.
                "aria-hidden" => named = true,
                _ => {}
            }
            rest = after.trim_start();
        }
        if name == "svg" && !named {
            self.complaints.push("a chart without a name".into());
        }
    }

    /// Fails on everything that no page may have.
    pub(crate) fn check(&self, name: &str) {
        assert!(self.complaints.is_empty(), "{name}: {:?}", self.complaints);
        for part in ["NaN", "\u{1b}"] {
            assert!(!self.text.contains(part), "{name}: {part:?} in the text");
        }
        assert!(self.ids.contains("content") && self.text.contains("Made by "), "{name}");
        for link in &self.links {
            let leads_out = link.contains(':') && !is_a_source(link);
            assert!(!leads_out, "{name}: {link} leads out of the pages");
        }
    }
}

/// Whether it is the address of what a sentence of a scenario relies on.
pub(crate) fn is_a_source(link: &str) -> bool {
    let texts = tcpecho_lab::scenario::SCENARIOS.iter().map(|scenario| &scenario.text);
    let passages = texts.flat_map(|text| text.book.iter().chain(text.kernel));
    let mut sources = passages.flat_map(|(_, sources)| sources.iter());
    sources.any(|source| source.url().is_some_and(|url| url == link))
}
