//! `tcpecho bench report`: results of many machines, or of many parts of one run, as one.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Deserialize;
use tcpecho::Ending;
use tcpecho_load::{Times, Unit};

use super::{
    args::ReportArgs,
    compare::{self, Comparison},
    histogram,
    report::{
        Row, Summary, hdr, html,
        look::Look,
        plot,
        summary::{
            ClientPart, Distribution, Latency, ResultPart, SCHEMA, ServerPart, Settings, TcpPart,
            differences,
        },
        table,
        text::printable,
    },
};
use crate::{
    exit, json_error,
    output::{self, OutputFile, sentence},
    tell::{Failure, say},
};

/// A file that is larger is not a result: comparisons of a day have a tenth of it.
const LARGEST: u64 = 128 << 20;

/// Runs the verb.
pub(crate) fn run(args: &ReportArgs) -> ExitCode {
    match merged(&args.files, args.json).and_then(|merged| show(args, &merged)) {
        Ok(status) => ExitCode::from(status),
        Err(sentence) => ExitCode::from(Failure::new("report", sentence).tell(exit::NOT_POSSIBLE)),
    }
}

/// What a file has, and what several come to.
pub(super) enum ResultFile {
    Run(Box<Summary>),
    Comparison(Comparison),
}

impl ResultFile {
    /// Adds what another file has.
    ///
    /// # Errors
    /// They are not of one kind, or the sum is more than a result can say.
    pub(super) fn add(&mut self, more: ResultFile) -> Result<(), String> {
        check_times(self.times().saturating_add(more.times()))?;
        match (self, more) {
            (ResultFile::Run(all), ResultFile::Run(summary)) => {
                let (one, two) = (&all.settings.workload, &summary.settings.workload);
                // A log may be of any workload that counts messages.
                let differ = one.is_some() && two.is_some() && one != two;
                if differ || all.unit() != summary.unit() {
                    let name = |workload: &Option<String>| {
                        workload.clone().unwrap_or_else(|| "HDR log".to_owned())
                    };
                    let (one, two) = (name(one), name(two));
                    return Err(format!("a {two} result cannot be added to {one}"));
                }
                all.merge(&summary);
                // What is written can be read again.
                all.check()
            }
            (ResultFile::Comparison(all), ResultFile::Comparison(more)) => all.merge(more),
            (ResultFile::Run(_), ResultFile::Comparison(_)) => {
                Err("a comparison cannot be added to a result".to_owned())
            }
            (ResultFile::Comparison(_), ResultFile::Run(_)) => {
                Err("a result cannot be added to a comparison".to_owned())
            }
        }
    }

    /// How many times all its histograms have.
    fn times(&self) -> u64 {
        let count = |summary: &Summary| {
            let latency = &summary.latency;
            let named = [&latency.response, &latency.service, &latency.connect];
            let all = named.into_iter().flatten().chain(latency.other.values());
            all.map(Distribution::count).fold(0, u64::saturating_add)
        };
        match self {
            ResultFile::Run(summary) => count(summary),
            ResultFile::Comparison(all) => all.summaries().map(count).fold(0, u64::saturating_add),
        }
    }
}

fn check_times(times: u64) -> Result<(), String> {
    if times > histogram::MOST {
        return Err(format!("its histograms have more than {} times", histogram::MOST));
    }
    Ok(())
}

fn show(args: &ReportArgs, merged: &ResultFile) -> Result<u8, String> {
    let (mut text, page) = match merged {
        ResultFile::Run(summary) if args.json => (json(merged)?, html::run(summary)),
        ResultFile::Run(summary) => {
            (table::page(summary, false, Look::of_stdout()), html::run(summary))
        }
        ResultFile::Comparison(all) if args.json => (json(merged)?, html::comparison(all)),
        ResultFile::Comparison(all) => (all.page(false, Look::of_stdout()), html::comparison(all)),
    };
    match merged {
        ResultFile::Run(summary) if args.plot && !args.json => {
            text += &plot::draw(summary, Look::of_stdout());
        }
        ResultFile::Comparison(_) if args.plot => {
            return Err("a comparison has no --plot; its latencies are in --html FILE".to_owned());
        }
        _ => {}
    }
    let saved = match &args.html {
        Some(path) => OutputFile::open(path).and_then(|file| file.write(&page)),
        None => Ok(()),
    };
    let status = u8::from(match merged {
        ResultFile::Run(summary) => summary.count_of(Ending::Mismatch) > 0,
        ResultFile::Comparison(comparison) => comparison.has_mismatch(),
    });
    let print = if args.json { output::print } else { output::print_text };
    let status = print(&text, None).map_or_else(|why| why.status(status), |()| status);
    // The result is there; its page is not.
    Ok(saved.map_or_else(|sentence| not_saved(&sentence), |()| status))
}

/// Says why a file beside the result could not be written, and gives the exit status.
pub(super) fn not_saved(sentence: &str) -> u8 {
    say(sentence);
    exit::NOT_POSSIBLE
}

/// As it is written for programs, and read again.
pub(super) fn json(form: &ResultFile) -> Result<String, String> {
    match form {
        ResultFile::Run(summary) => pretty(summary),
        ResultFile::Comparison(all) => pretty(&all.json()),
    }
}

fn pretty(json: &impl serde::Serialize) -> Result<String, String> {
    let text = serde_json::to_string_pretty(json).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

/// The sum of the files. What is doubtful about it is a note of the sum; where that has no notes, or goes to a program, it
/// is said on stderr, too.
fn merged(files: &[PathBuf], json: bool) -> Result<ResultFile, String> {
    let mut all: Option<ResultFile> = None;
    // The first that says what kind of run it was: an HDR log does not.
    let mut first: Option<(&PathBuf, Settings)> = None;
    let mut seen = Seen::default();
    let mut notes = Vec::new();
    for path in files {
        let wrong = |why: String| format!("{}: {why}", shown(path));
        let bytes = contents(path)?;
        let read = parse(&bytes, &shown(path)).map_err(wrong)?;
        if let Some(first) = seen.add(path, &bytes, &read) {
            let note = format!(
                "{} has the same result as {}: it counts twice",
                shown(path),
                shown(&first)
            );
            notes.push(note);
        }
        if let (Some((path_of_first, first)), ResultFile::Run(summary)) = (&first, &read) {
            let found = differences(&summary.settings, first);
            notes.extend(found.iter().map(|(there, here)| {
                format!(
                    "not the same kind of run: {there} in {}, {here} in {}",
                    shown(path_of_first),
                    shown(path)
                )
            }));
        }
        if let (None, ResultFile::Run(summary)) = (&first, &read)
            && summary.settings.connections.is_some()
        {
            first = Some((path, summary.settings.clone()));
        }
        match &mut all {
            None => all = Some(read),
            Some(all) => all.add(read).map_err(wrong)?,
        }
    }
    let is_shown = matches!(all, Some(ResultFile::Run(_))) && !json;
    if !is_shown {
        for note in &notes {
            say(note);
        }
    }
    if let Some(ResultFile::Run(all)) = &mut all {
        all.notes.extend(notes);
    }
    all.ok_or_else(|| "no results".to_owned())
}

/// What was read so far, to notice what is given twice: by the bytes of the file, and by the latencies,
/// which no two runs have alike. So a copy is noticed, and a log beside the result that it is the log of.
#[derive(Default)]
struct Seen(HashMap<u64, PathBuf>);

impl Seen {
    /// The file that had the same.
    fn add(&mut self, path: &Path, bytes: &[u8], read: &ResultFile) -> Option<PathBuf> {
        let mut prints = vec![fingerprint_of(bytes)];
        if let ResultFile::Run(summary) = read {
            let latencies = [&summary.latency.response, &summary.latency.service];
            prints.extend(latencies.into_iter().flatten().filter_map(Distribution::fingerprint));
        }
        let mut first = None;
        for print in prints {
            match self.0.entry(print) {
                Entry::Occupied(known) => first = first.or_else(|| Some(known.get().clone())),
                Entry::Vacant(new) => {
                    new.insert(path.to_owned());
                }
            }
        }
        first
    }
}

fn fingerprint_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// The path as a terminal may show it.
fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

/// The result of one run, from a file.
pub(super) fn read(path: &Path) -> Result<Summary, String> {
    let bytes = contents(path)?;
    match parse(&bytes, &shown(path)) {
        Ok(ResultFile::Run(summary)) => Ok(*summary),
        Ok(ResultFile::Comparison(_)) => {
            Err(format!("{}: it is a comparison, not a result of one run", shown(path)))
        }
        Err(why) => Err(format!("{}: {why}", shown(path))),
    }
}

/// All of a file, or of stdin for `-`. It may be a pipe, but not one without an end.
fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| sentence("read", path, &error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!(
            "{}: larger than {} MiB, which no result is",
            shown(path),
            LARGEST >> 20
        ));
    }
    Ok(bytes)
}

/// Reads what is in a file, whichever of the forms it has: one object, the last line of a --json-stream, or
/// an HDR log. `name` is the file's, for the words of a log.
pub(super) fn parse(bytes: &[u8], name: &str) -> Result<ResultFile, String> {
    let form = if bytes.trim_ascii_start().first() == Some(&b'{') {
        parse_json(bytes)?
    } else {
        let mut summary = of_log(name, hdr::read(bytes).map_err(|why| neither(bytes, why))?);
        summary.check()?;
        ResultFile::Run(summary.into())
    };
    check_times(form.times())?;
    Ok(form)
}

/// Says why a file is not a result: a damaged log, or a file of another kind.
fn neither(bytes: &[u8], why: String) -> String {
    let begins_like_a_log = [&b"#"[..], b"\"StartTimestamp\"", b"Tag="];
    if begins_like_a_log.iter().any(|begin| bytes.starts_with(begin)) {
        return why;
    }
    format!(
        "not a tcpecho result: expected the JSON of tcpecho bench (--json, --json-stream) or an HDR V2 log (--hdr); {why}"
    )
}

/// What says how to read the rest. What else there is takes no memory.
#[derive(Deserialize)]
struct Head {
    schema: Option<String>,
}

fn parse_json(bytes: &[u8]) -> Result<ResultFile, String> {
    let wrong = |error| json_error::sentence("a result of tcpecho bench --json", &error);
    let head = |bytes| serde_json::from_slice::<Head>(bytes);
    let (bytes, head) = match head(bytes) {
        Ok(head) => (bytes, head),
        Err(error) => {
            let lines = bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n');
            let last = lines.into_iter().next().unwrap_or_default();
            (last, head(last).map_err(|_| wrong(error))?)
        }
    };
    match head.schema.as_deref() {
        Some(SCHEMA) => {
            let mut summary: Box<Summary> = serde_json::from_slice(bytes).map_err(wrong)?;
            summary.check()?;
            Ok(ResultFile::Run(summary))
        }
        Some(compare::SCHEMA) => Comparison::read(bytes).map(ResultFile::Comparison),
        Some(other) => {
            Err(format!("its schema is {}, not {SCHEMA} or {}", printable(other), compare::SCHEMA))
        }
        None => Err("not a tcpecho result: it has no \"schema\" field".to_owned()),
    }
}

/// What a log alone can say: latencies, and how many there were in which time.
fn of_log(name: &str, log: hdr::Read) -> Summary {
    let mut latency = Latency::default();
    let (mut seconds, mut messages) = (0.0, 0_u64);
    let mut intervals = Vec::with_capacity(log.stretches.len());
    for one in &log.stretches {
        let length = one.length.as_secs_f64();
        seconds += length;
        messages = messages.saturating_add(one.count);
        intervals.push(Row {
            from_s: one.from.as_secs_f64(),
            to_s: one.from.saturating_add(one.length).as_secs_f64(),
            throughput_per_s: one.count as f64 / length.max(1e-9),
            messages: one.count,
            received_bytes: None,
            connections: None,
            errors: None,
            p50_ns: one.p50,
            p99_ns: one.p99,
            max_ns: one.max,
            offered_per_s: None,
        });
    }
    if log.stretches.is_empty() {
        messages = log.times.values().map(Times::count).fold(0, u64::saturating_add);
    }
    for (tag, times) in log.times {
        let slot = match tag.as_deref() {
            None if log.response => &mut latency.response,
            None | Some("service") => &mut latency.service,
            Some("response") => &mut latency.response,
            Some("connect") => &mut latency.connect,
            Some(other) => {
                latency.other.extend(Distribution::of(&times).map(|all| (other.to_owned(), all)));
                continue;
            }
        };
        // A tag can name what the untagged ones are already.
        let mut all = slot.as_ref().map_or_else(Times::new, Distribution::times);
        all.add(&times);
        *slot = Distribution::of(&all);
    }
    Summary {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: String::new(),
        parts: 1,
        settings: Settings {
            words: format!("HDR log {name}; the settings of the run are unknown"),
            workload: None,
            connections: None,
            threads: None,
            driver: None,
            sizes_bytes: None,
            depth: None,
            rate_from_per_s: None,
            rate_to_per_s: None,
            duration_s: None,
            count: None,
            warmup_s: None,
            timeout_s: None,
            checked: None,
            close: None,
            shard: None,
            shards: None,
        },
        machine: BTreeMap::new(),
        server: ServerPart { words: "not in the log".to_owned(), ..ServerPart::default() },
        client: ClientPart::default(),
        result: ResultPart {
            unit: Unit::Messages.words().to_owned(),
            throughput_per_s: if seconds > 0.0 { messages as f64 / seconds } else { 0.0 },
            seconds,
            messages,
            sent_bytes: None,
            received_bytes: None,
            connections_made: None,
            connections_open: None,
            messages_lost: None,
            messages_unanswered: None,
            messages_late: None,
            messages_due: None,
            lost_bytes: None,
            interrupted_by: None,
        },
        latency,
        tcp: TcpPart::default(),
        errors: Vec::new(),
        intervals,
        notes: Vec::new(),
        baseline: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(length: &str, count: u64) -> Result<ResultFile, String> {
        let mut times = Times::new();
        times.record_many(5, count);
        parse(format!("0,{length},0,{}\n", histogram::encoded(&times)).as_bytes(), "log")
    }

    #[test]
    fn what_is_written_of_a_sum_can_be_read_again() {
        let mut sum = log("1", 1 << 40).unwrap();
        sum.add(log("2", 1 << 41).unwrap()).unwrap();
        let written = json(&sum).unwrap();
        let again = parse(written.as_bytes(), "sum").unwrap();
        assert_eq!(json(&again), Ok(written));
        assert_eq!(again.times(), 3 << 40);
    }

    /// A few times alike are a coincidence, as those of a log of hardly anything are.
    #[test]
    fn the_same_latencies_in_two_files_are_noticed() {
        let run = |first: u64, count| {
            let mut times = Times::new();
            (first..first + count).for_each(|time| times.record(time));
            let mut summary = Summary::example();
            summary.latency.service = Distribution::of(&times);
            ResultFile::Run(Box::new(summary))
        };
        let mut seen = Seen::default();
        let mut same = |path: &str, form| seen.add(Path::new(path), path.as_bytes(), &form);
        assert_eq!(same("a", run(1000, 50)), None);
        assert_eq!(same("b", run(2000, 50)), None);
        assert_eq!(same("c", run(1000, 50)), Some("a".into()));
        assert_eq!(same("d", run(1000, 5)), None);
        assert_eq!(same("e", run(1000, 5)), None);
    }

    #[test]
    fn more_than_can_be_written_is_refused() {
        // More in a second than any run has.
        let error = log("0.000000001", 1 << 62).map(|_| ()).unwrap_err();
        assert!(error.contains("result.throughput_per_s"), "{error}");
        let mut sum = log("1e9", 1 << 62).unwrap();
        let error = sum.add(log("1e9", 1 << 62).unwrap()).unwrap_err();
        assert!(error.contains("more than 9223372036854775807 times"), "{error}");
    }
}
