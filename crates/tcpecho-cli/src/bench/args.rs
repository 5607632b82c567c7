//! The arguments of `tcpecho bench`; a [`Plan`] is what they mean.

pub(super) mod lists;
mod plan;
mod report;

use std::{path::PathBuf, time::Duration};

use clap::{Args, builder::PossibleValue, builder::PossibleValuesParser};
use tcpecho::{
    ENGINES, ParseError,
    internal::{parse_duration, parse_rate, parse_size, parse_time},
};

use tcpecho_load::{DriverChoice, WORKLOADS};

use crate::number::number;

pub(super) use self::{
    lists::cpu_list,
    plan::{ComparedServer, Plan, Target},
    report::ReportArgs,
};

/// The values of `--driver`.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Driver {
    /// The first of the drivers below that is available here
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
/// Without an address, bench starts a server of its own in a separate process. Without --rate the load is a closed loop: a
/// connection sends the next request when the answer has come. With --rate it is an open loop: requests are due on a fixed
/// schedule, and response times count from when they were due. Results go to stdout, diagnostics to stderr.
// Flags are what they are.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(super) command: Option<BenchCommand>,

    /// HOST, HOST:PORT, [V6]:PORT or V6 of any echo server; without it, bench starts a server of its own
    #[arg(value_name = "HOST[:PORT]")]
    host: Option<String>,

    /// Port, a number or a service name, if HOST does not contain one [default: 9877]
    #[arg(value_name = "PORT")]
    port: Option<String>,

    /// What the connections do
    #[arg(short = 'W', long, default_value = "rr", value_parser = workload())]
    workload: String,

    /// Number of connections [default: 50 for rr, crr and ramp, 1 for stream, 10000 for idle]
    #[arg(short, long, value_name = "N", value_parser = number::<u32>(1, 1_000_000))]
    connections: Option<u32>,

    /// Threads of the load generator [default: half of the processors]
    #[arg(short, long, value_name = "N", value_parser = number::<u16>(1, 1024))]
    threads: Option<u16>,

    /// Time to measure [default: 10s; 2s per server and round in a comparison]
    #[arg(short, long, value_name = "TIME", value_parser = parse_time, conflicts_with = "count")]
    duration: Option<Duration>,

    /// Measure N messages (crr: connections) instead of a time
    #[arg(short = 'n', long, value_name = "N", value_parser = number::<u64>(1, u64::MAX))]
    count: Option<u64>,

    /// Time to run before measuring [default: a tenth of the duration, 2s at most]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    warmup: Option<Duration>,

    /// Size of a message in bytes; several sizes are used in turn [default: 64]
    #[arg(short, long, value_name = "SIZE", value_delimiter = ',', value_parser = message_size)]
    size: Vec<u64>,

    /// Messages in flight on each connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::<u32>(1, 65_536))]
    depth: u32,

    /// Open loop: requests per second over all connections; A:B changes the rate from A to B
    #[arg(short = 'R', long, value_name = "RATE")]
    rate: Option<String>,

    /// Search for the highest rate at which the condition holds, such as 'p99<2ms'
    #[arg(long, value_name = "CONDITION", conflicts_with_all = ["rate", "count"])]
    find_rate: Option<String>,

    /// Connect from these local addresses in turn: ADDR, or ADDR-ADDR for a range; may be repeated
    #[arg(long, value_name = "ADDR[-ADDR]", value_delimiter = ',')]
    source: Vec<String>,

    /// Connections per second while they are opened
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    connect_rate: Option<f64>,

    /// How crr closes a connection: `reset` (RST) leaves no port in TIME_WAIT, `fin` does
    #[arg(long, value_name = "HOW", default_value = "reset", value_parser = ["reset", "fin"])]
    close: String,

    /// Give up a connection if part of an answer is missing and no byte has come for this time
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    timeout: Duration,

    /// Time to wait for missing answers when the measured time is over
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    grace: Duration,

    /// Count the received bytes without comparing them
    #[arg(long)]
    no_check: bool,

    /// I/O interface of the load generator
    #[arg(long, value_enum, default_value = "auto")]
    driver: Driver,

    /// Processors for the generator's threads, such as 0,2-3; `any` leaves the choice to the kernel, which is the default
    /// with an address
    #[arg(long, value_name = "LIST")]
    cpu: Option<String>,

    /// Engine of bench's own server
    #[arg(short, long, value_name = "NAME", value_parser = engine(), conflicts_with = "host")]
    engine: Option<String>,

    /// Processors for the servers that bench starts
    #[arg(long, value_name = "LIST", conflicts_with = "host")]
    server_cpu: Option<String>,

    /// Compare tcpecho's engines in interleaved rounds: `all`, or a list of names
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with_all = ["host", "engine", "find_rate"])]
    engines: Vec<String>,

    /// Compare with another server: a shell command that listens on port {port} of 127.0.0.1; may be repeated
    #[arg(long, value_name = "NAME=COMMAND", conflicts_with_all = ["host", "engine", "find_rate"])]
    against: Vec<String>,

    /// Rounds of a comparison; each round measures every server once
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = number::<u16>(1, 1000))]
    rounds: u16,

    /// Reporting interval, for --json-stream, --hdr and the plots over time
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    interval: Duration,

    /// Draw the latencies in the terminal
    #[arg(long)]
    plot: bool,

    /// Write one JSON object instead of the table (`tcpecho schema bench`, for several servers bench-comparison)
    #[arg(long)]
    json: bool,

    /// Write one JSON object per interval, and the result as the last line
    #[arg(long)]
    json_stream: bool,

    /// Write an HDR V2 log to FILE, with one histogram per interval
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,

    /// Write an HTML page with the figures and plots to FILE
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Exit with 1 if the condition holds, such as 'p99>2ms' or 'errors>0'; may be repeated
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<String>,

    /// Compare with an earlier result of --json; conditions with a percentage refer to it
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Start at this time (RFC 3339, as `date -Iseconds` prints it, or seconds since 1970); for runs on several machines
    #[arg(long, value_name = "WHEN")]
    start_at: Option<String>,

    /// Run part I of N of one run; -c and -R are the values of the whole run
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,

    /// Use IPv4 addresses only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Use IPv6 addresses only
    #[arg(short = '6', long)]
    ipv6: bool,

    /// Print no progress and no notes
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
    let auto = PossibleValue::new("auto").help("the best engine that is available here");
    PossibleValuesParser::new(named.chain([auto]))
}

/// A message is held in memory whole, and many at a time.
fn message_size(text: &str) -> Result<u64, ParseError> {
    parse_size(text, 64 << 20)
}
