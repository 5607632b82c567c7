//! Completion by Tab: what may stand at the end of a command line, from the table that parses it
//! ([`COMMANDS`]) and from the parser of the wire's rules.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};

use nix::sys::signal::Signal;
use tcpecho_lab::{
    Matcher, Rule, Side, TcpState,
    impairment::{NextWord, VERBS},
};

use super::command::{self, COMMANDS, Row};
use crate::width::columns_of;

/// What exists now and can be named.
#[derive(Default)]
pub(super) struct Known {
    /// The numbers of programs and rules.
    pub(super) programs: Vec<usize>,
    pub(super) rules: Vec<usize>,
    /// The ports of sockets.
    pub(super) ports: BTreeSet<u16>,
    pub(super) counters: Vec<String>,
}

/// The word before the cursor, and what it may become.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Completion {
    /// The number of characters of the word.
    pub(super) typed: usize,
    /// Each begins with the word, in any case if none has its letters.
    pub(super) candidates: Vec<String>,
}

/// Completes the last word of the line before the cursor; a blank at its end begins a new word.
/// `known` is asked only if a value is wanted.
pub(super) fn complete(line: &str, known: impl FnOnce() -> Known) -> Completion {
    let word = line.rsplit(char::is_whitespace).next().unwrap_or_default();
    let before = &line[..line.len() - word.len()];
    let before = before.trim();
    // Within quotes stands a text.
    if before.matches('"').count() % 2 == 1 || word.starts_with(['"', '#']) {
        return Completion::default();
    }
    let candidates = following(before, known);
    let fits = |known: &String| known.starts_with(word);
    let fits_roughly = |known: &String| {
        known.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    let mut fitting: Vec<String> = candidates.iter().filter(|one| fits(one)).cloned().collect();
    if fitting.is_empty() {
        fitting = candidates.into_iter().filter(fits_roughly).collect();
    }
    let mut seen = BTreeSet::new();
    fitting.retain(|one| seen.insert(one.clone()));
    Completion { typed: word.chars().count(), candidates: fitting }
}

/// What may follow this beginning of a command.
fn following(before: &str, known: impl FnOnce() -> Known) -> Vec<String> {
    let mut words = before.split_whitespace();
    let Some(verb) = words.next() else {
        let names = COMMANDS.iter().map(|row| row.name).chain(VERBS.iter().map(|(verb, _)| *verb));
        return names.map(String::from).collect();
    };
    if command::is_rule(verb) {
        return Values { before, known: known() }.of_next_words(Rule::next_words(before));
    }
    let Some(row) = Row::named(verb) else { return Vec::new() };
    let words: Vec<&str> = words.collect();
    let values = Values { before, known: known() };
    let forms = row.forms.iter().map(|(arguments, _)| Argument::all(arguments));
    forms.flat_map(|arguments| values.after(&arguments, &words)).collect()
}

/// A word in the arguments of a form.
#[derive(Debug, Clone, Copy)]
struct Argument<'a> {
    word: &'a str,
    may_be_missing: bool,
}

impl<'a> Argument<'a> {
    fn all(arguments: &'a str) -> Vec<Self> {
        let argument = |word: &'a str| Argument {
            word: word.trim_matches(['[', ']']),
            may_be_missing: word.starts_with('['),
        };
        arguments.split_whitespace().map(argument).collect()
    }

    /// Whether it stands for a value.
    fn is_value(self) -> bool {
        self.word.contains(|letter: char| letter.is_ascii_uppercase())
    }

    /// Whether a word can be this argument.
    fn takes(self, word: &str) -> bool {
        self.is_value() || self.word.split('|').any(|one| one == word)
    }
}

struct Values<'a> {
    before: &'a str,
    known: Known,
}

impl Values<'_> {
    /// Returns what may follow these words, which are at the place of these arguments.
    fn after(&self, arguments: &[Argument<'_>], words: &[&str]) -> Vec<String> {
        let Some((argument, rest)) = arguments.split_first() else { return Vec::new() };
        match (argument.word, words) {
            ("PACKET", _) => self.of_next_words(Matcher::next_words(&words.join(" "))),
            ("CMD...", []) => programs(),
            ("CMD...", _) => Side::BOTH.map(|side| format!("{{{side}}}")).into(),
            // Whatever stands before must be complete.
            ("...", []) => Vec::new(),
            ("...", _) => {
                let next = rest.first().map_or("", |next| next.word);
                let is_said = words.contains(&next);
                let is_complete = !is_said && command::parse(self.before).is_ok();
                is_complete.then(|| next.to_owned()).into_iter().collect()
            }
            (_, []) => {
                let mut all = self.of(*argument);
                if argument.may_be_missing {
                    all.extend(self.after(rest, words));
                }
                all
            }
            (_, [word, others @ ..]) if argument.takes(word) => self.after(rest, others),
            _ if argument.may_be_missing => self.after(rest, words),
            _ => Vec::new(),
        }
    }

    /// The words that this argument can be.
    fn of(&self, argument: Argument<'_>) -> Vec<String> {
        let numbers = |all: &[usize]| all.iter().map(usize::to_string).collect();
        match argument.word {
            "N" => numbers(&self.known.programs),
            "RULE" => numbers(&self.known.rules),
            "STATE" => command::tcp_states().map(|state| TcpState::word(state).into()).collect(),
            "SIGNAL" => {
                let names = Signal::iterator().map(Signal::as_str);
                names.map(|name| name.trim_start_matches("SIG").into()).collect()
            }
            "KEY" => keys(),
            "COUNTER" => self.known.counters.clone(),
            // A text or a time.
            _ if argument.is_value() => Vec::new(),
            word => word.split('|').map(String::from).collect(),
        }
    }

    fn of_next_words(&self, words: Vec<NextWord>) -> Vec<String> {
        let of = |word| match word {
            NextWord::Word(word) => vec![word.to_owned()],
            NextWord::Port => self.known.ports.iter().map(u16::to_string).collect(),
        };
        words.into_iter().flat_map(of).collect()
    }
}

/// The sysctls that a key without a dot names.
fn keys() -> Vec<String> {
    let entries = fs::read_dir("/proc/sys/net/ipv4").into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// This program, and the executable files in the folders of PATH.
fn programs() -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).filter_map(|folder| fs::read_dir(folder).ok());
    let is_program = |file: &fs::DirEntry| {
        let about = fs::metadata(file.path());
        about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    let files = folders.flatten().flatten().filter(is_program);
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    names.chain(["tcpecho".into()]).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Most that are listed.
const MOST: usize = 100;

/// Writes words in columns, each column from top to bottom.
pub(super) fn in_columns(words: &[String], width: usize) -> String {
    let shown = &words[..words.len().min(MOST)];
    let widest = shown.iter().map(|word| columns_of(word)).max().unwrap_or(0) + 2;
    // The last column has no blanks behind it.
    let columns = ((width + 2) / widest).max(1);
    let rows = shown.len().div_ceil(columns).max(1);
    let mut lines = vec![String::new(); rows];
    for (at, word) in shown.iter().enumerate() {
        let line = &mut lines[at % rows];
        let filled = (at / rows) * widest;
        let used = columns_of(line);
        line.push_str(&" ".repeat(filled.saturating_sub(used)));
        line.push_str(word);
    }
    if words.len() > shown.len() {
        lines.push(format!("and {} more: type the next letter", words.len() - shown.len()));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known {
            programs: vec![1, 2],
            rules: vec![3],
            ports: [7, 40_000].into(),
            counters: vec!["Tcp.InSegs".into(), "TcpExt.ListenDrops".into()],
        }
    }

    fn completed(line: &str) -> String {
        complete(line, known).candidates.join(" ")
    }

    #[test]
    fn words_of_a_command_are_completed() {
        for (line, candidates) in [
            ("sta", "states"),
            ("re", "release reset remove reorder"),
            ("d", "discard drop delay double"),
            ("# d", ""),
            ("explode ", ""),
            ("crash ", "client server"),
            ("crash s", "server"),
            ("crash server ", ""),
            ("close ", "1 2"),
            ("> ", "1 2"),
            ("remove ", "3"),
            ("wait 2 ", "within"),
            ("wait 2 within ", ""),
            ("signal 1 us", "USR1 USR2"),
            ("counter server TcpE", "TcpExt.ListenDrops"),
            ("sysctl client tcp_retries", "tcp_retries1 tcp_retries2"),
            ("drop ne", "next"),
            ("drop next sy", "SYN SYN-ACK"),
            ("drop data from ", "client server"),
            ("drop data port ", "7 40000"),
            ("answer SYN with icmp host", "host-unreachable"),
            ("reset ne", "next"),
            ("release F", "FIN"),
            ("expect st", "state"),
            ("expect pa", "packet"),
            ("expect packet RS", "RST"),
            ("expect RST from server w", "within"),
            ("expect RST from w", ""),
            (
                "expect state client ",
                "ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT \
                                      CLOSED CLOSE_WAIT LAST_ACK LISTEN CLOSING",
            ),
            ("expect state client time", "TIME_WAIT"),
            ("expect state client TIME_WAIT ", "within"),
            ("expect state client TIME_WAIT within ", ""),
            ("expect \"a b", ""),
            ("expect \"a b\" ", "within"),
            ("client tcpech", "tcpecho"),
            ("client tcpecho connect {s", "{server}"),
            ("say 1 ", ""),
            ("pause ", ""),
            ("expect \u{df}", ""),
            ("crash\u{a0}s", "server"),
        ] {
            assert_eq!(completed(line), candidates, "{line}");
        }
        let completion = complete("drop next sy", known);
        assert_eq!(completion.typed, 2);
        assert_eq!(complete("crash ", known).typed, 0);
    }

    /// A new placeholder in the table needs its values here, or a reason to have none.
    #[test]
    fn every_argument_is_known() {
        let free = ["TEXT", "\"TEXT\"", "TIME", "VALUE"];
        for row in COMMANDS {
            for (arguments, _) in row.forms {
                for argument in Argument::all(arguments) {
                    let values = Values { before: "", known: known() };
                    let is_special = ["PACKET", "CMD...", "..."].contains(&argument.word);
                    let is_free = free.contains(&argument.word);
                    assert!(
                        is_special || is_free == values.of(argument).is_empty(),
                        "{} {argument:?}",
                        row.name
                    );
                }
            }
        }
    }

    /// Whatever is proposed, word after word, makes a command in the end, or waits for a value.
    #[test]
    fn what_is_proposed_is_understood() {
        let mut lines: Vec<String> = vec![String::new()];
        for _ in 0..5 {
            let mut longer = Vec::new();
            for line in &lines {
                let Completion { candidates, .. } = complete(line, known);
                for word in candidates.iter().take(12) {
                    let line = format!("{line}{word}");
                    if let Err(why) = command::parse(&line) {
                        let waits = why.contains("missing: ")
                            || why.contains("takes a")
                            || why.contains("put it in quotes")
                            || ["state", "longer", "port"].contains(&word.as_str());
                        assert!(waits, "{line}: {why}");
                    }
                    longer.push(line + " ");
                }
            }
            // A sample keeps the number small.
            let step = longer.len() / 400 + 1;
            lines = longer.into_iter().step_by(step).collect();
        }
    }

    #[test]
    fn columns_fit() {
        let words: Vec<String> = (1..=7).map(|n| "x".repeat(n)).collect();
        assert_eq!(
            in_columns(&words, 20),
            "x        xxxxx\nxx       xxxxxx\nxxx      xxxxxxx\nxxxx"
        );
        assert_eq!(in_columns(&words[..3], 1), "x\nxx\nxxx");
        assert_eq!(in_columns(&words[..2], 80), "x   xx");
        for width in [20, 60, 80] {
            for line in in_columns(&words, width).lines() {
                assert!(line.len() <= width, "{line:?}");
            }
        }
        let many: Vec<String> = (0..300).map(|n| n.to_string()).collect();
        assert!(in_columns(&many, 80).ends_with("\nand 200 more: type the next letter"));
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic(start in 0..COMMANDS.len(), rest: String) {
            let _ = complete(&rest, known);
            let _ = complete(&format!("{} {rest}", COMMANDS[start].name), known);
            let _ = complete(&format!("drop {rest}"), known);
        }
    }
}
