//! The arguments of `tcpecho ping`, and the plan that they mean.

use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum};
use rustix::io::Errno;
use tcpecho::{
    Endpoint, Family, ParseError,
    internal::{interface_index, is_port, parse_duration, parse_source, parse_time},
};
use tcpecho_os::errno::words;
use tcpecho_probe::{LARGEST_PROBE, Mode, Pace, Sweep};

use super::{descriptors::Capacity, size::parse_size};
use crate::{
    family::family,
    number::number,
    tell::has_cursor_control,
    threshold::{PING, Threshold},
};

/// The maximum number of times kept for the line of `-C`.
const MOST_TIMES: u64 = 1_000_000;
/// As ping(8): a hundred probes in a second, or as many as come back.
const FLOOD: Duration = Duration::from_millis(10);
/// The shortest interval of `-A`, unless `-i` says otherwise.
const ADAPTIVE: Duration = Duration::from_millis(2);
const INTERVAL: Duration = Duration::from_secs(1);
/// The limits of a sweep without MAX.
const IDLE_LIMIT: Duration = Duration::from_secs(3600);
const SIZE_LIMIT: usize = 64 << 10;
const SMALLEST_LIMIT: Duration = Duration::from_millis(1);

/// Measure the round trip through an echo server's program, over an established TCP connection.
///
/// The options are those of ping(8). time= is the time from when a probe was due to when its last byte came back. rtt= is
/// the time from when its first byte was sent to when its last byte came back, by the kernel's timestamps if available.
/// "kernel:" has the kernel's smoothed and minimum round-trip time. retrans= is the number of segments that the
/// kernel has retransmitted since the last probe: if a slow answer has it, the probe or its acknowledgement was lost; if
/// not, the server or the way back was slow. The name lookup and the handshake are not part of these times. When a
/// connection breaks, ping prints the cause, reconnects and measures the outage.
///
/// A probe is received if its answer comes in time, late if it comes after -W, doubled if it comes twice, corrupted if a
/// byte is changed or missing, and lost if no answer comes (no-connection: it was due between two attempts to connect).
/// Bytes that belong to no probe are foreign. A probe of less than 32 bytes has no room for its number and time; it is
/// identified by its order only.
// Flags are what they are.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    override_usage = "tcpecho ping [OPTIONS] [HOST[:PORT]]...\n       tcpecho ping [OPTIONS] HOST PORT"
)]
pub(crate) struct PingArgs {
    /// Any number of HOST, HOST:PORT, [V6]:PORT or V6, or one HOST and its PORT. The second of two words is the PORT if it
    /// is a number or a service name (write a host that is named as a service with its port: smtp:9877). Without a HOST,
    /// ping starts a server of its own on a free loopback port [default port: 9877]
    #[arg(value_name = "HOST[:PORT]")]
    targets: Vec<String>,

    /// Stop after COUNT probes; with -w, after COUNT answers
    #[arg(short, long, value_name = "COUNT", value_parser = number::<u64>(1, u64::MAX), allow_negative_numbers = true)]
    count: Option<u64>,

    /// As -c, and write the line of `fping -C` to stderr at the end; with -q, write nothing else (for SmokePing)
    #[arg(
        short = 'C',
        value_name = "COUNT",
        conflicts_with = "count",
        value_parser = number::<u64>(1, MOST_TIMES),
        allow_negative_numbers = true,
    )]
    fping: Option<u64>,

    /// Time between probes; 0 sends a probe as soon as the one before is answered [default: 1s]
    #[arg(short, long, value_name = "INTERVAL", value_parser = parse_interval, allow_negative_numbers = true)]
    interval: Option<Interval>,

    /// Accepted with -C for SmokePing: the backoff factor of fping's retries. No effect: TCP has its own retransmission
    /// backoff
    #[arg(short = 'B', value_name = "FACTOR", requires = "fping", value_parser = parse_factor)]
    backoff: Option<f64>,

    /// Accepted with -C for SmokePing: the number of fping's retries. No effect: TCP retransmits lost segments. With -B or
    /// -r, a number without a unit for -i has no effect either: it is fping's time in milliseconds between probes to
    /// different targets, and here all targets are probed at the same time, once per second
    #[arg(short, value_name = "N", requires = "fping", value_parser = number::<u32>(0, u32::MAX.into()))]
    retries: Option<u32>,

    /// Time limit of the run, above 0
    #[arg(short = 'w', long, value_name = "DEADLINE", value_parser = parse_time, allow_negative_numbers = true)]
    deadline: Option<Duration>,

    /// Time limit for an answer, and for each attempt to connect [default: 5s; 2s for a sweep]
    #[arg(short = 'W', long, value_name = "TIMEOUT", value_parser = parse_duration, allow_negative_numbers = true)]
    timeout: Option<Duration>,

    /// Size of a probe in bytes, 1 to 16M [default: 64]
    #[arg(short, long, value_name = "SIZE", value_parser = parse_size)]
    size: Option<usize>,

    /// Print the summary only
    #[arg(short, long)]
    quiet: bool,

    /// Print the time before each line (RFC 3339, in UTC)
    #[arg(short = 'D')]
    date: bool,

    /// Adaptive: a probe is due when the previous one is answered, at least -i after it [default of -i: 2ms]
    #[arg(short = 'A', conflicts_with = "flood")]
    adaptive: bool,

    /// Flood: a probe is due when the previous one is answered, or after 10 ms; prints a dot for each probe and erases it
    /// when the answer comes
    #[arg(short, conflicts_with = "interval")]
    flood: bool,

    /// Use IPv4 addresses only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Use IPv6 addresses only
    #[arg(short = '6', long)]
    ipv6: bool,

    /// Connect from this local address, or through this interface
    #[arg(short = 'I', value_name = "ADDR|INTERFACE")]
    source: Option<String>,

    /// Measure the TCP handshake (SYN to SYN-ACK) and send no data; a refusal is not an answer
    #[arg(long, conflicts_with_all = ["reconnect", "size"])]
    connect: bool,

    /// Open a new connection for each probe
    #[arg(long)]
    reconnect: bool,

    /// Clock of rtt=: the kernel's timestamps if available (auto), only these (kernel), or this program's clock (user)
    #[arg(long, value_name = "CLOCK", default_value = "auto")]
    timestamps: Clock,

    /// Draw the times on the terminal as they arrive
    #[arg(long, conflicts_with_all = ["quiet", "date", "json", "json_stream"])]
    plot: bool,

    /// Draw a histogram of the times at the end
    #[arg(long, conflicts_with_all = ["json", "json_stream"])]
    histogram: bool,

    /// Exit with 1 if the condition holds for a target, such as 'loss>1%' or 'p99>5ms'. The figures are loss, and p50, p90,
    /// p99, p99.9, p99.99, max and mean of its rtt= (with --connect, of its time=), then < or >; may be repeated
    #[arg(
        long,
        value_name = "CONDITION",
        value_parser = |text: &str| Threshold::parse(text, &PING),
        conflicts_with_all = ["idle_sweep", "size_sweep"],
    )]
    fail_if: Vec<Threshold>,

    /// Write one HTML page to this file at the end: summaries, the times over the run, and histograms
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Write one JSON object to stdout at the end, and nothing else
    #[arg(long, conflicts_with_all = ["quiet", "date"])]
    json: bool,

    /// Write one JSON object per event, and the object of --json at the end
    #[arg(long, conflicts_with_all = ["json", "quiet", "date"])]
    json_stream: bool,

    /// Find the idle time after which a connection dies, and how it dies: 1 s, 2 s, 4 s ... up to MAX, then bisection to
    /// 5 % [default MAX: 1h]
    #[arg(
        long,
        value_name = "MAX",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1h",
        value_parser = parse_duration,
        conflicts_with_all = [
            "size_sweep", "connect", "reconnect", "plot", "histogram", "html", "flood", "adaptive", "fping", "count", "interval",
            "date",
        ],
    )]
    idle_sweep: Option<Duration>,

    /// Find the largest probe that comes back: 64 bytes, 128, 256 ... up to MAX, then bisection [default MAX: 64k]
    #[arg(
        long,
        value_name = "MAX",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "64k",
        value_parser = parse_size,
        conflicts_with_all = [
            "connect", "reconnect", "plot", "histogram", "html", "flood", "adaptive", "fping", "size", "count", "interval",
            "date",
        ],
    )]
    size_sweep: Option<usize>,

    /// Print help
    #[arg(short, long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// The clock that measures the round trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Clock {
    Auto,
    Kernel,
    User,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputFormat {
    Lines,
    Quiet,
    /// As fping -q: nothing but its line.
    Silent,
    /// A dot for each probe that is not answered.
    Dots,
    Plot,
    Json,
    JsonStream,
}

/// The checked arguments.
#[derive(Debug)]
pub(super) struct Plan {
    /// None for a server of our own.
    pub(super) endpoints: Vec<(String, Endpoint)>,
    /// The name of a service that was taken as the port of the only host.
    pub(super) service: Option<String>,
    pub(super) family: Family,
    pub(super) source: Option<SocketAddr>,
    pub(super) device: Option<String>,
    pub(super) mode: Mode,
    pub(super) pace: Pace,
    pub(super) count: Option<u64>,
    pub(super) deadline: Option<Duration>,
    pub(super) timeout: Duration,
    pub(super) size: usize,
    pub(super) clock: Clock,
    pub(super) format: OutputFormat,
    pub(super) date: bool,
    pub(super) histogram: bool,
    pub(super) html: Option<PathBuf>,
    pub(super) fping: bool,
    pub(super) sweep: Option<Sweep>,
    pub(super) fail_if: Vec<Threshold>,
}

impl Plan {
    /// Returns the plan of the prober.
    pub(super) fn probing(&self, capacity: &Capacity) -> tcpecho_probe::Plan {
        tcpecho_probe::Plan {
            mode: self.mode,
            pace: self.pace,
            count: self.count,
            deadline: self.deadline,
            timeout: self.timeout,
            size: self.size,
            source: self.source,
            device: self.device.clone(),
            kernel_timestamps: self.clock != Clock::User,
            keep_times: self.fping,
            connections: capacity.links,
            overlap: capacity.overlap,
        }
    }
}

impl PingArgs {
    /// What these arguments mean.
    pub(super) fn plan(&self) -> Result<Plan, ParseError> {
        let (source, device) = self.source()?;
        let sweep = match (self.idle_sweep, self.size_sweep) {
            (Some(most), _) => Some(Sweep::Idle(most)),
            (_, Some(most)) => Some(Sweep::Size(most)),
            _ => None,
        };
        let timeout = Duration::from_secs(if sweep.is_some() { 2 } else { 5 });
        let timeout = self.timeout.unwrap_or(timeout);
        if timeout < SMALLEST_LIMIT {
            return Err(ParseError::new("invalid -W: expected at least 1ms"));
        }
        if let Some(Sweep::Idle(most)) = sweep
            && most < Duration::from_millis(100)
        {
            return Err(ParseError::new("invalid --idle-sweep: expected at least 100ms"));
        }
        self.check_sweep_limit()?;
        Ok(Plan {
            endpoints: self.endpoints()?,
            service: self
                .host_and_port()
                .map(|(_, port)| port.to_owned())
                .filter(|port| !is_number(port)),
            family: family(self.ipv4, self.ipv6, source.as_slice())?,
            source,
            device,
            mode: match self {
                _ if self.connect => Mode::Connect,
                _ if self.reconnect => Mode::Reconnect,
                _ => Mode::Stay,
            },
            pace: self.pace(),
            count: self.count.or(self.fping),
            deadline: self.deadline,
            timeout,
            size: self.size.unwrap_or(64).min(LARGEST_PROBE),
            clock: self.timestamps,
            format: self.format()?,
            date: self.date,
            histogram: self.histogram,
            html: self.html.clone(),
            fping: self.fping.is_some(),
            sweep,
            fail_if: self.fail_if.clone(),
        })
    }

    /// One host and its port, or any number of hosts. A second word that is the name of a service is a port; a host of that
    /// name is written with its port.
    fn endpoints(&self) -> Result<Vec<(String, Endpoint)>, ParseError> {
        if let Some((host, port)) = self.host_and_port() {
            let endpoint = Endpoint::with_port(host, port)?;
            return Ok(vec![(endpoint.to_string(), endpoint)]);
        }
        let endpoint = |text: &String| {
            if is_number(text) {
                return Err(ParseError::new(format!(
                    "\"{text}\" is a number, not a host: write the port of one of several hosts as HOST:PORT"
                )));
            }
            Ok((text.clone(), text.parse()?))
        };
        self.targets.iter().map(endpoint).collect()
    }

    fn host_and_port(&self) -> Option<(&str, &str)> {
        match self.targets.as_slice() {
            [host, port] if is_port(port) && !is_number(host) => Some((host, port)),
            _ => None,
        }
    }

    /// Without `=`, the argument after a sweep's option is a target: `--size-sweep 1k` looks for a host named 1k.
    fn check_sweep_limit(&self) -> Result<(), ParseError> {
        let option = match (self.idle_sweep, self.size_sweep) {
            (Some(IDLE_LIMIT), _) => "--idle-sweep",
            (_, Some(SIZE_LIMIT)) => "--size-sweep",
            _ => return Ok(()),
        };
        let limit = |text: &&String| match option {
            "--idle-sweep" => parse_duration(text).is_ok(),
            _ => parse_size(text).is_ok(),
        };
        let mut targets = self.targets.iter();
        let limit = match self.host_and_port() {
            Some(_) => None,
            None => targets.find(limit),
        };
        match limit {
            Some(text) => Err(ParseError::new(format!(
                "write the limit of {option} after \"=\": {option}={text}"
            ))),
            None => Ok(()),
        }
    }

    fn pace(&self) -> Pace {
        let is_for_fping = self.backoff.is_some() || self.retries.is_some();
        let interval = self.interval.filter(|interval| !(is_for_fping && interval.has_no_unit));
        match interval.map(|interval| interval.span) {
            _ if self.flood => Pace::Flood(FLOOD),
            least if self.adaptive => Pace::Settled(least.unwrap_or(ADAPTIVE)),
            // Without an interval there is only waiting for the answer.
            Some(Duration::ZERO) => Pace::Settled(Duration::ZERO),
            interval => Pace::Every(interval.unwrap_or(INTERVAL)),
        }
    }

    fn format(&self) -> Result<OutputFormat, ParseError> {
        Ok(match self {
            _ if self.json => OutputFormat::Json,
            _ if self.json_stream => OutputFormat::JsonStream,
            _ if self.plot && !io::stdout().is_terminal() => {
                return Err(ParseError::new("--plot needs a terminal on standard output"));
            }
            _ if self.plot && !has_cursor_control(&io::stdout()) => {
                return Err(ParseError::new(
                    "--plot needs a terminal that can move its cursor: TERM is \"dumb\" or not set",
                ));
            }
            _ if self.plot => OutputFormat::Plot,
            _ if self.quiet && self.fping.is_some() => OutputFormat::Silent,
            _ if self.quiet => OutputFormat::Quiet,
            _ if self.flood => OutputFormat::Dots,
            _ => OutputFormat::Lines,
        })
    }

    /// An address to connect from, or else the name of an interface.
    fn source(&self) -> Result<(Option<SocketAddr>, Option<String>), ParseError> {
        let Some(text) = &self.source else { return Ok((None, None)) };
        match parse_source(text) {
            Ok(source) => Ok((Some(source), None)),
            Err(_) => match interface_index(text) {
                Ok(_) => Ok((None, Some(text.clone()))),
                Err(Errno::NODEV) => Err(ParseError::new(format!(
                    "-I: \"{}\" is neither an IP address nor an interface of this host (ip link has their names)",
                    text.escape_debug()
                ))),
                Err(errno) => Err(ParseError::new(format!(
                    "-I: cannot look up the interface \"{}\": {}",
                    text.escape_debug(),
                    words(errno)
                ))),
            },
        }
    }
}

/// The value of `-i`.
#[derive(Debug, Clone, Copy)]
struct Interval {
    span: Duration,
    /// It is a number, as fping takes it.
    has_no_unit: bool,
}

fn parse_interval(text: &str) -> Result<Interval, ParseError> {
    let has_no_unit = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    Ok(Interval { span: parse_duration(text)?, has_no_unit })
}

fn parse_factor(text: &str) -> Result<f64, ParseError> {
    let factor = text.parse().ok().filter(|factor| (1.0..=5.0).contains(factor));
    factor.ok_or_else(|| {
        let text = text.escape_debug();
        ParseError::new(format!("\"{text}\" is not a backoff factor: expected 1 to 5"))
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
