//! What is typed after `tcpecho bench`; what is meant by it is a [`Plan`].

pub(super) mod lists;
mod plan;

use std::{path::PathBuf, time::Duration};

use clap::{Args, builder::PossibleValue, builder::PossibleValuesParser};
use tcpecho::{ENGINES, ParseError, internal::parse_duration};

use tcpecho_load::{DriverChoice, WORKLOADS};

use crate::size::{parse_rate, parse_size, parse_time};

use super::merge::ReportArgs;

pub(super) use self::{
    lists::cpu_list,
    plan::{Contender, Plan, Target},
};

/// The values of `--driver`.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Driver {
    /// The first that this host offers, of those below
    Auto,
    /// Readiness: `epoll_wait`, recv, send
    Epoll,
    /// Completions: `io_uring`
    Uring,
}

impl From<Driver> for DriverChoice {
    fn from(driver: Driver) -> Self {
        match driver {
            Driver::Auto => DriverChoice::Auto,
            Driver::Epoll => DriverChoice::Epoll,
            Driver::Uring => DriverChoice::Uring,
        }
    }
}

/// Measure an echo server under load, and check every byte that comes back.
///
/// Without an address it measures this program's own server, started as a process of its own. A closed
/// loop sends the next request when an answer came; with --rate requests are due on a schedule that
/// nothing can move, and response times count from when they were due. Results go to standard output,
/// all talk to standard error.
// Flags are what they are.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = format!("{}\n{}", crate::DURATIONS, "Sizes: 64, 16k (1024), 100kB (1000), 1M. Rates: 500, 10k (1000), 1.5M. Conditions: \
    'p99<2ms', 'errors>0', 'unanswered>0'; 'p99.9>+10%' and \
    'throughput<-5%' against --baseline.\n\
    Exit status: 0 measured; 1 a byte was wrong, or --fail-if held; 2 usage, not possible here, or a file beside the result could not be written; 3 could not connect; \
    4 connections broke, or nothing was answered; 129, 130, 143 ended early by SIGHUP, SIGINT, SIGTERM, with the results so far.")
)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(super) command: Option<BenchCommand>,

    /// HOST, HOST:PORT, [V6]:PORT or V6 of any echo server; without it a server of our own
    #[arg(value_name = "HOST[:PORT]")]
    host: Option<String>,

    /// The port, unless HOST has it
    #[arg(value_name = "PORT")]
    port: Option<String>,

    /// What the connections do
    #[arg(short = 'W', long, default_value = "rr", value_parser = workload())]
    workload: String,

    /// Connections; 50 for rr, crr and ramp, 1 for stream, 10000 for idle
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: Option<u32>,

    /// Threads of the generator; half of the processors if not given
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// How long to measure; 10s, or 2s for each visit of a comparison
    #[arg(short, long, value_name = "TIME", value_parser = parse_time, conflicts_with = "count")]
    duration: Option<Duration>,

    /// Measure so many messages (crr: connections) instead
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Run so long before measuring; a tenth of the duration, 2s at most, if not given
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    warmup: Option<Duration>,

    /// Bytes of a message; several are taken in turn
    #[arg(short, long, value_name = "SIZE", value_delimiter = ',', value_parser = message_size)]
    size: Vec<u64>,

    /// Messages of a connection that may be without an answer
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    depth: u32,

    /// Open loop: requests a second over all connections, or from A to B a second as A:B
    #[arg(short = 'R', long, value_name = "RATE")]
    rate: Option<String>,

    /// Search the highest rate at which this holds, such as 'p99<2ms'
    #[arg(long, value_name = "CONDITION", conflicts_with_all = ["rate", "count"])]
    find_rate: Option<String>,

    /// Connect from these addresses in turn: ADDR, or ADDR-ADDR for a range; may be given again
    #[arg(long, value_name = "ADDR[-ADDR]", value_delimiter = ',')]
    source: Vec<String>,

    /// Connections a second while they are made
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    connect_rate: Option<f64>,

    /// How crr closes: `reset` leaves no port in TIME_WAIT, `fin` is what programs do
    #[arg(long, value_name = "HOW", default_value = "reset", value_parser = ["reset", "fin"])]
    close: String,

    /// Give a connection up when a byte is owed and none came for so long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    timeout: Duration,

    /// How long answers that are under way may take when the time is over
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    grace: Duration,

    /// Count bytes instead of comparing them
    #[arg(long)]
    no_check: bool,

    /// How the generator moves bytes
    #[arg(long, value_enum, default_value = "auto")]
    driver: Driver,

    /// Processors of the generator's threads, such as 0,2-3; `any` leaves it to the kernel, as does a
    /// server that is not ours
    #[arg(long, value_name = "LIST")]
    cpu: Option<String>,

    /// The engine of our own server
    #[arg(short, long, value_name = "NAME", value_parser = engine(), conflicts_with = "host")]
    engine: Option<String>,

    /// Processors of the servers that are started here
    #[arg(long, value_name = "LIST", conflicts_with = "host")]
    server_cpu: Option<String>,

    /// Compare our engines in interleaved rounds: `all`, or names
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with_all = ["host", "engine", "find_rate"])]
    engines: Vec<String>,

    /// Compare with another server: a shell command that listens on 127.0.0.1 and {port}; may be given
    /// again
    #[arg(long, value_name = "NAME=COMMAND", conflicts_with_all = ["host", "engine", "find_rate"])]
    against: Vec<String>,

    /// How often each server is visited in a comparison
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,

    /// Reporting interval, for --json-stream, --hdr and the plots over time
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    interval: Duration,

    /// Draw the latencies in the terminal
    #[arg(long)]
    plot: bool,

    /// Write one JSON object instead of the table (docs/schema/bench.json, bench-comparison.json)
    #[arg(long)]
    json: bool,

    /// Write a JSON object for every interval as it ends, and the result as the last line
    #[arg(long)]
    json_stream: bool,

    /// Write every interval's histogram to FILE, as an HDR V2 log
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,

    /// Write one HTML page with the figures and plots to FILE
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Exit with 1 if this holds; may be given again
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<String>,

    /// Compare with the result of an earlier --json, also in conditions with a percentage
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Begin at this time (RFC 3339, as `date -Iseconds` prints it, or seconds since 1970), for runs of
    /// several machines
    #[arg(long, value_name = "WHEN")]
    start_at: Option<String>,

    /// Be part I of N of one run: -c and -R are the whole run's
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,

    /// Use the host's IPv4 addresses only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Use the host's IPv6 addresses only
    #[arg(short = '6', long)]
    ipv6: bool,

    /// Tell nothing but errors: no progress, no notes
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum BenchCommand {
    Report(ReportArgs),
}

fn refuse(sentence: &str) -> ParseError {
    ParseError::new(sentence)
}

fn workload() -> PossibleValuesParser {
    let named = WORKLOADS.iter().map(|row| PossibleValue::new(row.name).help(row.summary));
    PossibleValuesParser::new(named)
}

fn engine() -> PossibleValuesParser {
    let named = ENGINES.iter().map(|row| PossibleValue::new(row.name).help(row.summary));
    let auto = PossibleValue::new("auto").help("the best that this host offers");
    PossibleValuesParser::new(named.chain([auto]))
}

/// A message is held in memory whole, and many at a time.
fn message_size(text: &str) -> Result<u64, ParseError> {
    parse_size(text, 64 << 20)
}
