//! What was typed after `tcpecho ping`, and what is meant by it.

use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
    time::Duration,
};

use clap::{Args, ValueEnum};
use rustix::io::Errno;
use tcpecho::{
    Endpoint, Family, ParseError,
    internal::{interface_index, parse_duration, parse_source},
};
use tcpecho_os::errno::words;
use tcpecho_probe::{LARGEST_PROBE, Mode, Pace, Sweep};

use super::{descriptors::Room, size::parse_size};
use crate::{family::family, size::parse_time};

/// Times that are kept for the line of `-C`.
const MOST_TIMES: u64 = 1_000_000;
/// As ping(8): a hundred probes in a second, or as many as come back.
const FLOOD: Duration = Duration::from_millis(10);
/// The shortest interval of `-A`, unless `-i` says otherwise.
const ADAPTIVE: Duration = Duration::from_millis(2);
const INTERVAL: Duration = Duration::from_secs(1);
/// How far a sweep goes that is not told.
const IDLE_LIMIT: Duration = Duration::from_secs(3600);
const SIZE_LIMIT: usize = 64 << 10;
const SMALLEST_LIMIT: Duration = Duration::from_millis(1);

/// Probe echo servers: a numbered and timed payload over an established connection, and back.
///
/// The habits are those of ping(8), but the round trip is through the server itself, by TCP. Beside each time stands what
/// the kernel knows: its smoothed and its smallest round-trip time (srtt=, min=), and the segments it sent again since the
/// last probe (retrans=), if it did: a slow answer with one was lost on the way there, without one it is the server's or
/// the way back's. time= counts from when the probe was due, rtt= from when its first byte was sent to when its last came
/// back, by the kernel's own timestamps where it has them. Looking up the name never counts, nor does
/// connecting, which is told apart. When a connection breaks, it is said why, and a new one is made; the outage is
/// measured.
///
/// A probe that comes back in time is received; one that comes later is late; one that comes back once more is doubled;
/// one with a changed or missing byte is corrupted; bytes of no probe are foreign; what never comes back is lost, by
/// no-connection where it was due between two attempts to connect. A probe
/// of less than 32 bytes has no room for its number and time: it is told apart by its order only.
// Flags are what they are.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = format!("{}\n\n{}", crate::DURATIONS, "Ctrl-\\ (SIGQUIT) prints the summary so far, Ctrl-C (SIGINT) ends with it.\n\n\
    Exit status: 0 every target has answered at least once (with -c and -w: COUNT times), and nothing came back \
    corrupted, doubled or foreign; 1 a target has not, or something did, or a sweep found a limit or was ended by -w; \
    2 usage, or not possible here; 3 a name without an address; 129, 143 ended by SIGHUP, SIGTERM; 130 a sweep ended by \
    SIGINT. A sweep that is ended early reports what it has proven.")
)]
pub(crate) struct PingArgs {
    /// HOST, HOST:PORT, [V6]:PORT or V6, any number of them, or one HOST and its PORT; port 9877 if there is none; without
    /// any the program starts a server of its own on a free loopback port
    #[arg(value_name = "HOST[:PORT]")]
    targets: Vec<String>,

    /// Stop after so many probes; with -w, once so many are answered
    #[arg(short, value_name = "COUNT", value_parser = parse_count, allow_negative_numbers = true)]
    count: Option<u64>,

    /// As -c, and at the end the line that fping -C prints, on standard error; with -q nothing else, as SmokePing wants
    /// it
    #[arg(
        short = 'C',
        value_name = "COUNT",
        conflicts_with = "count",
        value_parser = parse_count,
        allow_negative_numbers = true,
    )]
    fping: Option<u64>,

    /// Time between probes; 0 sends a probe as soon as the one before is answered [default: 1s]
    #[arg(short, value_name = "INTERVAL", value_parser = parse_duration, allow_negative_numbers = true)]
    interval: Option<Duration>,

    /// Time limit of the run, above 0
    #[arg(short = 'w', value_name = "DEADLINE", value_parser = parse_time, allow_negative_numbers = true)]
    deadline: Option<Duration>,

    /// How long an answer may take, and each attempt to connect [default: 5s; of a sweep 2s]
    #[arg(short = 'W', value_name = "TIMEOUT", value_parser = parse_duration, allow_negative_numbers = true)]
    timeout: Option<Duration>,

    /// Bytes in a probe, 1 to 16M [default: 64]
    #[arg(short, value_name = "SIZE", value_parser = parse_size)]
    size: Option<usize>,

    /// No line for each probe, only the summary
    #[arg(short)]
    quiet: bool,

    /// Print the time of day, in seconds since 1970, in front of each line
    #[arg(short = 'D')]
    date: bool,

    /// Adapt to the round trip: a probe is due as soon as the one before is answered, but not within -i (here 2 ms) of it
    #[arg(short = 'A', conflicts_with = "flood")]
    adaptive: bool,

    /// Flood: a probe as soon as the one before is answered, and a hundred in a second if that is more; a dot for each,
    /// taken back when it is answered
    #[arg(short, conflicts_with = "interval")]
    flood: bool,

    /// Use the IPv4 addresses of names only
    #[arg(short = '4', conflicts_with = "ipv6")]
    ipv4: bool,

    /// Use the IPv6 addresses of names only
    #[arg(short = '6')]
    ipv6: bool,

    /// Connect from this address of this host, or through this interface
    #[arg(short = 'I', value_name = "ADDR|INTERFACE")]
    source: Option<String>,

    /// The handshake is the probe: SYN to SYN-ACK, and no byte is sent. A refusal is told apart and is not an answer
    #[arg(long, conflicts_with_all = ["reconnect", "size"])]
    connect: bool,

    /// A new connection for each probe
    #[arg(long)]
    reconnect: bool,

    /// Whose clock rtt= is of: the kernel's if it has one (auto), the kernel's or nothing, or ours
    #[arg(long, value_name = "CLOCK", default_value = "auto")]
    timestamps: Clock,

    /// Draw the times on one screen while they come
    #[arg(long, conflicts_with_all = ["quiet", "date", "json", "json_stream"])]
    plot: bool,

    /// Draw a histogram of the times at the end
    #[arg(long, conflicts_with_all = ["json", "json_stream"])]
    histogram: bool,

    /// Write one JSON object at the end, and nothing else, to standard output
    #[arg(long, conflicts_with_all = ["quiet", "date"])]
    json: bool,

    /// Write a JSON object for each thing that happens, and at the end the same as --json
    #[arg(long, conflicts_with_all = ["json", "quiet", "date"])]
    json_stream: bool,

    /// Find out after how long an idle connection dies, and how: idle for 1 s, 2 s, 4 s ... up to MAX, then bisection to a
    /// twentieth
    #[arg(
        long,
        value_name = "MAX",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1h",
        value_parser = parse_duration,
        conflicts_with_all = ["size_sweep", "connect", "reconnect", "plot", "histogram", "flood", "adaptive", "fping"],
    )]
    idle_sweep: Option<Duration>,

    /// Find the largest probe that comes back: 64 bytes, 128, 256 ... up to MAX, then bisection to the byte
    #[arg(
        long,
        value_name = "MAX",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "64k",
        value_parser = parse_size,
        conflicts_with_all = ["connect", "reconnect", "plot", "histogram", "flood", "adaptive", "fping", "size"],
    )]
    size_sweep: Option<usize>,

    /// Print help
    #[arg(short, long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Whose clock the round trips are measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Clock {
    Auto,
    Kernel,
    User,
}

/// How it is told.
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

/// What was asked for, checked.
#[derive(Debug)]
pub(super) struct Plan {
    /// None for a server of our own.
    pub(super) endpoints: Vec<(String, Endpoint)>,
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
    pub(super) fping: bool,
    pub(super) sweep: Option<Sweep>,
}

impl Plan {
    /// Returns the plan of the prober.
    pub(super) fn probing(&self, room: &Room) -> tcpecho_probe::Plan {
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
            connections: room.links,
            overlap: room.overlap,
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
            return Err(ParseError::new("-W takes a millisecond at least"));
        }
        if let Some(Sweep::Idle(most)) = sweep
            && most < Duration::from_millis(100)
        {
            return Err(ParseError::new("--idle-sweep takes 100ms at least"));
        }
        if self.fping.is_some_and(|count| count > MOST_TIMES) {
            return Err(ParseError::new(format!("-C keeps {MOST_TIMES} times at most")));
        }
        self.check_sweep_limit()?;
        Ok(Plan {
            endpoints: self.endpoints()?,
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
            fping: self.fping.is_some(),
            sweep,
        })
    }

    /// One host and its port, or any number of hosts.
    fn endpoints(&self) -> Result<Vec<(String, Endpoint)>, ParseError> {
        if let Some((host, port)) = self.host_and_port() {
            let endpoint = Endpoint::with_port(host, port)?;
            return Ok(vec![(endpoint.to_string(), endpoint)]);
        }
        let endpoint = |text: &String| {
            if is_number(text) {
                return Err(ParseError::new(format!(
                    "\"{text}\" is a number and not a host; the port of one of several hosts is written HOST:PORT"
                )));
            }
            Ok((text.clone(), text.parse()?))
        };
        self.targets.iter().map(endpoint).collect()
    }

    fn host_and_port(&self) -> Option<(&str, &str)> {
        match self.targets.as_slice() {
            [host, port] if is_number(port) && !is_number(host) => Some((host, port)),
            _ => None,
        }
    }

    /// What stands behind a sweep's option without `=` is a target: `--size-sweep 1k` looks for a host named 1k.
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
                "{option} takes its limit behind a \"=\": {option}={text}"
            ))),
            None => Ok(()),
        }
    }

    fn pace(&self) -> Pace {
        match self.interval {
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

fn parse_count(text: &str) -> Result<u64, ParseError> {
    let count = text.parse().ok().filter(|count| *count > 0);
    let sentence = || format!("\"{}\" is no count; write a number from 1 on", text.escape_debug());
    count.ok_or_else(|| ParseError::new(sentence()))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
