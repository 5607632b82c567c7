//! `tcpecho lab explain`: what a scenario or a trial is about, as text for a terminal or as Markdown.

use std::{collections::BTreeSet, fmt::Write as _, process::ExitCode};

use clap::{Args, ValueEnum};
use tcpecho_lab::{
    scenario::SCENARIOS,
    source::cited,
    text::Text,
    trial::{self, Trial},
};

use super::{
    all_names,
    ladder::{BOLD, GREEN, Look},
    names, unknown,
};
use crate::{
    output,
    width::{columns, hang, hang_command},
};

/// Explain scenarios: the question, what the book and the RFCs say, what Linux does, the steps and claims
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Scenarios, groups such as queues, `all`, or patterns such as 'segment-*'
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,

    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Paragraphs that fit the terminal
    Text,
    /// Markdown, one chapter for each
    Markdown,
}

/// The titles of the two parts of an explanation.
pub(super) const BOOK: &str = "The book and the RFCs";
pub(super) const KERNEL: &str = "This Linux";

/// A scenario, or what it becomes for a program of the user.
enum Subject {
    Scenario(&'static Text),
    Trial(&'static Trial),
}

pub(super) fn explain(args: &ExplainArgs) -> ExitCode {
    let mut subjects = Vec::new();
    for name in &args.names {
        let found = subjects_named(name);
        if found.is_empty() {
            return unknown(name, all_names().chain(["all"]));
        }
        subjects.extend(found);
    }
    let printed = match args.format {
        Format::Text => {
            let (look, width) = (Look::of_stdout(), columns());
            let pages: Vec<String> =
                subjects.iter().map(|subject| subject.text(look, width)).collect();
            output::print_text(&pages.join("\n"), None)
        }
        Format::Markdown => {
            let pages: Vec<String> = subjects.iter().map(Subject::markdown).collect();
            output::print(&pages.join("\n"), None)
        }
    };
    ExitCode::from(printed.map_or_else(|why| why.status(0), |()| 0))
}

fn subjects_named(name: &str) -> Vec<Subject> {
    let texts = SCENARIOS.iter().map(|scenario| &scenario.text);
    let scenarios = texts.filter(|text| name == "all" || names::selects(name, text));
    // `all` is the scenarios: the page of a trial says the same of a program.
    let trials = trial::all().filter(|trial| names::selects(name, &trial.text));
    scenarios.map(Subject::Scenario).chain(trials.map(Subject::Trial)).collect()
}

impl Subject {
    fn about(&self) -> &'static Text {
        match self {
            Subject::Scenario(text) => text,
            Subject::Trial(trial) => &trial.text,
        }
    }

    /// Its name and its condition.
    fn heading(&self) -> String {
        let Text { name, title, source, .. } = self.about();
        let whose = match self {
            Subject::Scenario(_) => String::new(),
            Subject::Trial(trial) => {
                let sides: Vec<&str> = trial.sides.iter().map(|side| side.word()).collect();
                format!("your {}: ", sides.join(" and "))
            }
        };
        format!("{name}: {whose}{title} ({source})")
    }

    /// The command that shows it.
    fn command(&self) -> String {
        let name = self.about().name;
        let Subject::Trial(trial) = self else { return format!("tcpecho lab run {name}") };
        let programs: String = trial
            .sides
            .iter()
            .map(|side| match side {
                tcpecho_lab::Side::Client => " --client 'COMMAND {host} {port}'",
                tcpecho_lab::Side::Server => " --server 'COMMAND {port}'",
            })
            .collect();
        format!("tcpecho lab run {name}{programs}")
    }

    fn markdown(&self) -> String {
        markdown(&self.heading(), self.about())
    }

    fn text(&self, look: Look, width: usize) -> String {
        let text = self.about();
        let mut page = String::new();
        let heading = |page: &mut String, words: &str| {
            let mut lines = String::new();
            hang(&mut lines, "", "    ", words, width);
            for line in lines.lines() {
                let _ = writeln!(page, "{}", look.paint(BOLD, line));
            }
        };
        heading(&mut page, &self.heading());
        page.push('\n');
        hang(&mut page, "", "", text.question, width);
        for (title, passages) in [(BOOK, text.book), (KERNEL, text.kernel)] {
            // A trial has neither: its scenario has.
            if !passages.is_empty() {
                page.push('\n');
                heading(&mut page, title);
            }
            for passage in passages {
                hang(&mut page, "  ", "  ", &cited(&[*passage]), width);
            }
        }
        page.push('\n');
        heading(&mut page, "Steps and claims");
        for (number, step) in (1..).zip(text.steps) {
            hang(&mut page, &format!("  {number}. "), "     ", step.does, width);
            for claim in step.claims {
                let first = format!("     {} ", look.paint(GREEN, "claim:"));
                hang(&mut page, &first, "            ", claim, width);
            }
        }
        page.push('\n');
        hang_command(&mut page, "$ ", "    ", &self.command(), width);
        page
    }
}

/// A chapter in Markdown that is readable as text.
pub(super) fn chapter(text: &'static Text) -> String {
    Subject::Scenario(text).markdown()
}

fn markdown(heading: &str, text: &Text) -> String {
    let mut page = format!("# {heading}\n\n{}\n\n", text.question);
    for (title, passages) in [(BOOK, text.book), (KERNEL, text.kernel)] {
        if !passages.is_empty() {
            let _ = write!(page, "{title}: {}\n\n", cited(passages));
        }
    }
    for step in text.steps {
        let _ = writeln!(page, "- {}", step.does);
        for claim in step.claims {
            let _ = writeln!(page, "  - claim: {claim}");
        }
    }
    let sources = text.book.iter().chain(text.kernel).flat_map(|(_, sources)| sources.iter());
    let links: BTreeSet<String> =
        sources.filter_map(|source| source.url().map(|url| format!("[{source}]: {url}"))).collect();
    if !links.is_empty() {
        page.push('\n');
    }
    for link in links {
        let _ = writeln!(page, "{link}");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passages(text: &Text) -> impl Iterator<Item = &'static str> {
        text.book.iter().chain(text.kernel).map(|(passage, _)| *passage)
    }

    /// Every sentence of every page is there, wrapped at words, and no line is too wide.
    #[test]
    fn a_page_fits_and_has_no_markup() {
        for width in [60, 80, 100] {
            for subject in subjects_named("*") {
                let page = subject.text(Look::default(), width);
                for line in page.lines() {
                    assert!(crate::width::columns_of(line) <= width, "{width}: {line}");
                    assert!(!line.starts_with(['#', '-', '*', '`']), "{line}");
                }
                let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
                let text = subject.about();
                let said = text.steps.iter().map(|step| step.does).chain(passages(text));
                for sentence in said.chain([text.question]) {
                    assert!(words.contains(sentence), "{sentence}\n{page}");
                }
            }
        }
    }

    /// Nothing in these texts needs a renderer: there is no code span, no link and no emphasis.
    #[test]
    fn texts_of_scenarios_have_no_markup() {
        for subject in subjects_named("*") {
            let text = subject.about();
            let claims = text.claims().map(|(_, claim)| claim);
            let said = text.steps.iter().map(|step| step.does).chain(claims).chain(passages(text));
            for sentence in said.chain([text.title, text.question]) {
                let markup = ["`", "](", "**", "http:", "https:", "\n", "  "];
                assert!(markup.iter().all(|mark| !sentence.contains(mark)), "{sentence}");
            }
        }
    }
}
