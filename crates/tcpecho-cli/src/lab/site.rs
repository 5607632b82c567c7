//! `tcpecho lab site`: every scenario as a page, with an index, the quiz and tables of verdicts.

mod folder;
mod quiz;
mod verdicts;

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::Args;
use tcpecho_lab::{
    Family, doctor,
    run::{Run, Verdict},
    scenario::{SCENARIOS, Scenario},
    stage::Stage,
    text::{Group, Text},
};
use tcpecho_os::text::printable;

use self::folder::Folder;
use super::{
    all_names, enter, names,
    page::{class, introduction, ladder, legend, verdict},
    playing::{self, Drawing, Plan, Playable, Played},
    programs::{Verb, needs_a_program},
    refuse, report, status, unknown,
    verdicts::Table,
};
use crate::{
    exit,
    markup::escaped,
    number::number,
    output::{OutputBuffer, lost_as_text},
    page::{Origin, head},
    tell::say,
};

/// Run all scenarios and write them as a static web site.
///
/// The site has an index, a page for each scenario with its ladders over IPv4 and IPv6, and the questions of `lab learn`.
/// The pages work from a directory, without a server and without scripts.
#[derive(Debug, Args)]
pub(super) struct SiteArgs {
    /// Directory to write to: an empty one, a new one, or one that this command has made
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Scenarios, groups such as queues, or patterns such as 'segment-*' [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Result of `lab test --format json`, for a page with the verdicts on programs; may be repeated
    #[arg(long, value_name = "FILE")]
    verdicts: Vec<PathBuf>,

    /// Scenarios to run in parallel
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = number::<u8>(1, 64))]
    jobs: u8,

    /// Seed of the wire's random decisions, and of the questions
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::<u64>(0, u64::MAX))]
    seed: u64,
}

pub(super) fn run(args: &SiteArgs) -> ExitCode {
    match make(args) {
        Ok(status) | Err(status) => status,
    }
}

fn make(args: &SiteArgs) -> Result<ExitCode, ExitCode> {
    let scenarios = args.scenarios()?;
    let tables = args.verdicts.iter().map(|file| Table::read(file));
    let tables: Vec<Table> = tables.collect::<Result<_, _>>().map_err(refuse)?;
    let mut folder = Folder::look(&args.dir).map_err(refuse)?;
    let signals = playing::catch_signals_without_reader()?;
    let cable = enter()?;
    folder.create().map_err(refuse)?;
    let observes = doctor::try_observing().is_ok();
    let seed = args.seed;
    let wanted = scenarios
        .iter()
        .flat_map(|scenario| Family::BOTH.map(|family| (Playable::Scenario(scenario), family)));
    let plan = Plan {
        wanted: wanted.collect(),
        programs: Vec::new(),
        port: 7,
        cable,
        jobs: args.jobs.into(),
        drawing: Drawing::Nothing,
        prepare: Box::new(move |stage: &mut Stage| {
            stage.two().wire.seed(seed);
            if observes {
                stage.observe_calls();
            }
        }),
        is_last: |_| false,
    };
    let Played { runs, interrupted_by } = playing::play(plan, signals)?;
    if let Some(signal) = interrupted_by {
        let dir = printable(&args.dir.display().to_string()).into_owned();
        say(&format!("interrupted by {signal}: nothing was written to {dir}"));
        return Ok(ExitCode::from(exit::interrupted_by(signal)));
    }
    let site = Site { runs: &runs, tables: &tables, seed, origin: Origin::now() };
    let files = site.files();
    folder.write(&files).map_err(refuse)?;
    let mut out = OutputBuffer::stdout(lost_as_text);
    // The writer reports its failure itself.
    let _ = report::summary(&mut out, &runs, seed);
    let index = args.dir.join("index.html").display().to_string();
    out.report_line(&format!("{} pages, from {}", files.len(), printable(&index)));
    Ok(ExitCode::from(out.end(status(&runs))))
}

impl SiteArgs {
    fn scenarios(&self) -> Result<Vec<&'static Scenario>, ExitCode> {
        let mut scenarios: Vec<&'static Scenario> = Vec::new();
        for name in &self.names {
            let is_wanted = |scenario: &&&'static Scenario| {
                name == "all" || names::selects(name, &scenario.text)
            };
            let before = scenarios.len();
            scenarios.extend(SCENARIOS.iter().filter(is_wanted));
            if scenarios.len() == before {
                return Err(needs_a_program(name, Verb::Other)
                    .unwrap_or_else(|| unknown(name, all_names().chain(["all"]))));
            }
        }
        if self.names.is_empty() {
            scenarios.extend(SCENARIOS);
        }
        // A page has one name.
        let mut once: Vec<&'static Scenario> = Vec::new();
        for scenario in scenarios {
            if once.iter().all(|other| other.text.name != scenario.text.name) {
                once.push(scenario);
            }
        }
        Ok(once)
    }
}

/// What the pages show.
struct Site<'a> {
    runs: &'a [Run],
    tables: &'a [Table],
    seed: u64,
    origin: Origin,
}

impl Site<'_> {
    /// Every page with its name.
    fn files(&self) -> Vec<(String, String)> {
        let mut files = vec![("index.html".to_owned(), self.index())];
        let texts = self.texts();
        for (place, text) in texts.iter().enumerate() {
            let before = place.checked_sub(1).and_then(|place| texts.get(place));
            let page = self.scenario(text, before.copied(), texts.get(place + 1).copied());
            files.push((file_of(text.name), page));
        }
        files.push((QUIZ.to_owned(), self.quiz()));
        if !self.tables.is_empty() {
            files.push((VERDICTS.to_owned(), self.verdicts()));
        }
        files
    }

    /// The scenarios in the order of the index.
    fn texts(&self) -> Vec<&'static Text> {
        Group::ALL.into_iter().flat_map(|group| self.texts_of(group)).collect()
    }

    fn texts_of(&self, group: Group) -> impl Iterator<Item = &'static Text> {
        let ours = SCENARIOS.iter().filter(move |scenario| scenario.text.group == Some(group));
        ours.filter_map(|scenario| self.runs_of(scenario.text.name).next().map(|run| run.text))
    }

    fn runs_of<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b Run> {
        self.runs.iter().filter(move |run| run.text.name == name)
    }

    fn index(&self) -> String {
        let mut page = head("tcpecho lab");
        let held = self.runs.iter().filter(|run| matches!(run.verdict, Verdict::Held(_))).count();
        let _ = write!(
            page,
            "<p>Boundary conditions of TCP between two virtual hosts, played on this kernel over \
             IPv4 and IPv6: every packet, state and claim. {held} of {} runs held.</p>\
             <nav aria-label=\"Site\"><ul><li><a href=\"{QUIZ}\">Quiz</a>: predict what happens</li>",
            self.runs.len()
        );
        if !self.tables.is_empty() {
            let _ = write!(
                page,
                "<li><a href=\"{VERDICTS}\">Verdicts</a>: how programs behave in these conditions</li>"
            );
        }
        page.push_str("</ul></nav><div class=\"groups\">");
        for group in Group::ALL {
            let here: Vec<&Text> = self.texts_of(group).collect();
            if here.is_empty() {
                continue;
            }
            let _ = write!(page, "<section><h2>{}</h2><ul>", title(group));
            for text in here {
                self.entry(&mut page, text.name);
            }
            page.push_str("</ul></section>");
        }
        page + "</div>" + &self.origin.foot()
    }

    fn entry(&self, page: &mut String, name: &str) {
        let title = self.runs_of(name).next().map_or("", |run| run.text.title);
        let _ = write!(page, "<li><a href=\"{}\">{name}</a>: {}", file_of(name), escaped(title));
        for run in self.runs_of(name) {
            let (class, words) = (class(&run.verdict), report::words(&run.verdict));
            // The reasons are on its page.
            let word = words.split(':').next().unwrap_or_default();
            let _ = write!(
                page,
                ", <span class=\"whole {class}\">{} {}</span>",
                run.family,
                escaped(word)
            );
        }
        page.push_str("</li>");
    }

    fn scenario(&self, text: &Text, before: Option<&Text>, next: Option<&Text>) -> String {
        let name = text.name;
        let mut page = head(name);
        page.push_str(
            "<nav class=\"trail\" aria-label=\"Site\"><a href=\"index.html\">All scenarios</a>",
        );
        for (word, other) in [("before", before), ("next", next)] {
            if let Some(other) = other {
                let (file, other) = (file_of(other.name), other.name);
                let _ = write!(page, " · {word}: <a href=\"{file}\">{other}</a>");
            }
        }
        if self.runs_of(name).any(quiz::is_asked) {
            let _ = write!(page, " · <a href=\"{QUIZ}#{name}\">quiz</a>");
        }
        let _ = write!(page, "</nav>{}{}", introduction(text), legend());
        for run in self.runs_of(name) {
            let family = run.family;
            let _ = write!(
                page,
                "<section class=\"run\" aria-labelledby=\"{family}\"><h2 id=\"{family}\">Over {family}</h2>"
            );
            let mut drawn = Vec::new();
            // A vector takes everything.
            let _ = verdict(&mut drawn, run, self.seed).and_then(|()| ladder(&mut drawn, run));
            page.push_str(&String::from_utf8_lossy(&drawn));
            page.push_str("</section>");
        }
        page + &self.origin.foot()
    }

    fn quiz(&self) -> String {
        let mut page = head("Quiz");
        page.push_str(
            "<nav class=\"trail\" aria-label=\"Site\"><a href=\"index.html\">All scenarios</a></nav>\
             <p>Predict what happens in each step. Select an answer to see whether it is right. \
             Questions and answers come from the runs over IPv4; <code>tcpecho lab learn NAME</code> \
             asks them on a terminal.</p>",
        );
        for text in self.texts() {
            for run in self.runs_of(text.name).filter(|run| quiz::is_asked(run)) {
                quiz::section(&mut page, run, self.seed, &file_of(text.name));
            }
        }
        page + &self.origin.foot()
    }

    fn verdicts(&self) -> String {
        let mut page = head("Verdicts on programs");
        page.push_str(
            "<nav class=\"trail\" aria-label=\"Site\"><a href=\"index.html\">All scenarios</a></nav>\
             <p><code>tcpecho lab test</code> has run each program in every condition that applies to \
             it, and judged it.</p>",
        );
        let has_page = |name: &str| self.runs_of(name).next().is_some();
        let link = |name: &str| {
            let shown = escaped(name);
            if has_page(name) {
                format!("<a href=\"{}\">{shown}</a>", file_of(name))
            } else {
                shown
            }
        };
        verdicts::write(&mut page, self.tables, &link);
        page + &self.origin.foot()
    }
}

const QUIZ: &str = "quiz.html";
const VERDICTS: &str = "verdicts.html";

fn file_of(name: &str) -> String {
    format!("{name}.html")
}

/// `Data transfer`.
fn title(group: Group) -> String {
    let mut letters = group.words().chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
