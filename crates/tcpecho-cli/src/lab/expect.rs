//! The known verdicts of a program: one for each trial that is not `right`.

use std::{collections::BTreeMap, path::Path};

use tcpecho_os::errno::io_words;

use super::names::near;
use super::verdict::{RIGHT, may_be_expected};

/// The expected verdicts by the trial's name; the default is `right`.
#[derive(Debug, Default)]
pub(super) struct Expectations(BTreeMap<String, String>);

impl Expectations {
    /// Reads lines of `NAME VERDICT`; `#` begins a comment.
    ///
    /// `list` says where the known names are.
    pub(super) fn read(file: &Path, known: &[&str], list: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("read {}: {}", file.display(), io_words(&error)))?;
        Self::parse(&text, known, list).map_err(|why| format!("{}: {why}", file.display()))
    }

    pub(super) fn parse(text: &str, known: &[&str], list: &str) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let (name, verdict) = match words.as_slice() {
                [] => continue,
                [name, verdict] => (*name, *verdict),
                _ => return Err(format!("line {number}: expected: NAME VERDICT")),
            };
            if !known.contains(&name) {
                let (shown, near) = (name.escape_debug(), near(name, known.iter().copied()));
                return Err(format!("line {number}: unknown trial '{shown}'{near}; {list}"));
            }
            if !may_be_expected(verdict) {
                return Err(format!("line {number}: not a verdict: '{}'", verdict.escape_debug()));
            }
            if all.insert(name.to_string(), verdict.to_string()).is_some() {
                return Err(format!("line {number}: {name} is given twice"));
            }
        }
        Ok(Expectations(all))
    }

    pub(super) fn of(&self, name: &str) -> &str {
        self.0.get(name).map_or(RIGHT, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_are_parsed_and_errors_name_the_line() {
        let known = ["refused", "half-close"];
        let all = Expectations::parse("# ours\n\nhalf-close hung # nc\n", &known, "").unwrap();
        assert_eq!((all.of("half-close"), all.of("refused")), ("hung", "right"));
        for (text, wanted) in [
            ("refused", "line 1: expected"),
            ("\nrefus hung", "line 2: unknown trial 'refus' (did you mean 'refused'?)"),
            ("refused hangs", "line 1: not a verdict: 'hangs'"),
            ("refused hung\nrefused late", "line 2: refused is given twice"),
        ] {
            assert!(
                Expectations::parse(text, &known, "").unwrap_err().starts_with(wanted),
                "{text}"
            );
        }
    }
}
