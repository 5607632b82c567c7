//! `tcpecho report`: results of many machines, or of many parts of one run, as one.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use tcpecho::Ending;

use super::{
    compare::{self, Comparison},
    report::{
        Row, Summary, hdr, html, plot,
        summary::{
            ClientPart, Distribution, Latency, Order, ResultPart, SCHEMA, ServerPart, TcpPart,
        },
        table,
    },
    workload::Unit,
};
use crate::{
    exit,
    output::{self, write_file},
    tell::Failure,
};

/// Merge results of `tcpecho bench` into one: JSON results, and HDR logs of any HdrHistogram tool.
///
/// Counts and histograms add up exactly; throughputs are added as of one time, as those of the parts of
/// one run are. Comparisons are merged with comparisons: their rounds become the rounds of one.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 merged; 1 a byte was wrong in one of the results; 2 usage, or a file that is \
    neither a result nor an HDR log."
)]
pub(crate) struct ReportArgs {
    /// Results of --json, and logs of --hdr
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Write one JSON object instead of the table
    #[arg(long)]
    json: bool,

    /// Draw the latencies in the terminal
    #[arg(long)]
    plot: bool,

    /// Write one HTML page with the figures and plots to FILE
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Runs the verb.
pub(crate) fn run(args: &ReportArgs) -> ExitCode {
    match merged(&args.files).and_then(|merged| show(args, &merged)) {
        Ok(status) => ExitCode::from(status),
        Err(sentence) => ExitCode::from(Failure::new("report", sentence).tell(exit::NOT_POSSIBLE)),
    }
}

/// What a file has, and what several come to.
enum Form {
    Run(Box<Summary>),
    Comparison(Comparison),
}

fn show(args: &ReportArgs, merged: &Form) -> Result<u8, String> {
    let (mut text, page) = match merged {
        Form::Run(summary) if args.json => (pretty(summary)?, html::run(summary)),
        Form::Run(summary) => (table::page(summary), html::run(summary)),
        Form::Comparison(all) if args.json => (pretty(&all.json())?, html::comparison(all)),
        Form::Comparison(all) => (all.page(), html::comparison(all)),
    };
    match merged {
        Form::Run(summary) if args.plot && !args.json => text += &plot::draw(summary),
        Form::Comparison(_) if args.plot => {
            return Err("a comparison has no --plot; its latencies are in --html FILE".to_owned());
        }
        _ => {}
    }
    if let Some(path) = &args.html {
        write_file(path, page.as_bytes())?;
    }
    let status = u8::from(match merged {
        Form::Run(summary) => summary.count_of(Ending::Mismatch) > 0,
        Form::Comparison(comparison) => comparison.has_mismatch(),
    });
    Ok(output::print(&text, None).map_or_else(|why| why.status(status), |()| status))
}

fn pretty(json: &impl serde::Serialize) -> Result<String, String> {
    let text = serde_json::to_string_pretty(json).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

fn merged(files: &[PathBuf]) -> Result<Form, String> {
    let mut all: Option<Form> = None;
    for path in files {
        let wrong = |why: String| format!("{}: {why}", path.display());
        let read = open(path)?;
        match (&mut all, read) {
            (None, read) => all = Some(read),
            (Some(Form::Run(all)), Form::Run(summary)) => {
                let (one, two) = (&all.order.workload, &summary.order.workload);
                if one != two {
                    return Err(wrong(format!("a {two} result cannot be added to {one}")));
                }
                all.merge(&summary);
            }
            (Some(Form::Comparison(all)), Form::Comparison(more)) => {
                all.merge(more).map_err(wrong)?;
            }
            (Some(Form::Run(_)), Form::Comparison(_)) => {
                return Err(wrong("a comparison cannot be added to a result".to_owned()));
            }
            (Some(Form::Comparison(_)), Form::Run(_)) => {
                return Err(wrong("a result cannot be added to a comparison".to_owned()));
            }
        }
    }
    all.ok_or_else(|| "no results".to_owned())
}

/// The result of one run, from a file.
pub(super) fn read(path: &Path) -> Result<Summary, String> {
    match open(path)? {
        Form::Run(summary) => Ok(*summary),
        Form::Comparison(_) => {
            Err(format!("{}: it is a comparison, not a result of one run", path.display()))
        }
    }
}

/// Reads a file, whichever of the forms it has.
fn open(path: &Path) -> Result<Form, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let wrong = |why: String| format!("{}: {why}", path.display());
    if bytes.first() == Some(&b'{') {
        return parse(&bytes).map_err(wrong);
    }
    hdr::read(&bytes).map(|log| Form::Run(of_log(path, log).into())).map_err(wrong)
}

/// One object, or the last line of a --json-stream.
fn parse(bytes: &[u8]) -> Result<Form, String> {
    let wrong = |error: serde_json::Error| format!("no result of tcpecho bench --json: {error}");
    let json: serde_json::Value = serde_json::from_slice(bytes)
        .or_else(|error| {
            let text = String::from_utf8_lossy(bytes);
            let last = text.lines().last().unwrap_or_default();
            serde_json::from_str(last).map_err(|_| error)
        })
        .map_err(wrong)?;
    match json["schema"].as_str() {
        Some(SCHEMA) => {
            serde_json::from_value(json).map(|run| Form::Run(Box::new(run))).map_err(wrong)
        }
        Some(compare::SCHEMA) => Comparison::read(json).map(Form::Comparison),
        other => Err(format!(
            "its schema is {}, not {SCHEMA} or {}",
            other.unwrap_or("not said").escape_debug(),
            compare::SCHEMA
        )),
    }
}

/// What a log alone can say: latencies, and how many there were in which time.
fn of_log(path: &Path, log: hdr::Read) -> Summary {
    let mut latency = Latency::default();
    let mut intervals = Vec::new();
    let (mut seconds, mut messages) = (0.0, 0_u64);
    for entry in log.entries {
        let slot = match entry.tag.as_deref() {
            None if log.response => &mut latency.response,
            None | Some("service") => &mut latency.service,
            Some("response") => &mut latency.response,
            Some(_) => &mut latency.connect,
        };
        if entry.tag.is_none() {
            let (times, length) = (&entry.times, entry.length.as_secs_f64());
            seconds += length;
            messages = messages.saturating_add(times.count());
            intervals.push(Row {
                from_s: entry.from.as_secs_f64(),
                to_s: entry.from.saturating_add(entry.length).as_secs_f64(),
                throughput_per_s: times.count() as f64 / length.max(1e-9),
                messages: times.count(),
                received_bytes: 0,
                connections: 0,
                errors: 0,
                p50_ns: times.quantile(0.5),
                p99_ns: times.quantile(0.99),
                max_ns: times.max(),
                offered_per_s: None,
            });
        }
        match slot {
            Some(Distribution(all)) => all.add(&entry.times),
            None => *slot = Some(Distribution(entry.times)),
        }
    }
    Summary {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: String::new(),
        parts: 1,
        order: Order {
            words: format!("HDR log {}", path.display()),
            workload: "rr".to_owned(),
            connections: 0,
            threads: 0,
            driver: String::new(),
            sizes_bytes: Vec::new(),
            depth: 0,
            rate_from_per_s: None,
            rate_to_per_s: None,
            duration_s: Some(seconds),
            count: None,
            warmup_s: 0.0,
            timeout_s: 0.0,
            checked: false,
            close: String::new(),
            shard: 1,
            shards: 1,
        },
        machine: BTreeMap::new(),
        server: ServerPart { words: "not in the log".to_owned(), ..ServerPart::default() },
        client: ClientPart::default(),
        result: ResultPart {
            unit: Unit::Messages.words().to_owned(),
            throughput_per_s: if seconds > 0.0 { messages as f64 / seconds } else { 0.0 },
            seconds,
            messages,
            sent_bytes: 0,
            received_bytes: 0,
            connections_made: 0,
            connections_open: 0,
            messages_lost: 0,
            messages_unanswered: 0,
            interrupted_by: None,
        },
        latency,
        tcp: TcpPart::default(),
        errors: Vec::new(),
        intervals,
        notes: Vec::new(),
    }
}
