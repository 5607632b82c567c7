//! What was typed after `tcpecho bench`, and what is meant by it.

mod lists;

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::{Args, builder::PossibleValue, builder::PossibleValuesParser};
use tcpecho::{ENGINES, Endpoint, Family, NotUnderstood, parse_duration};

use super::{
    driver::Choice,
    hand::After,
    pace::Pace,
    server::Recipe,
    size::{parse_rate, parse_size},
    threshold::Threshold,
    workload::{Kind, WORKLOADS, Workload},
};

pub(super) use self::lists::cpu_list;
use self::lists::{moment, shard, sources};

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
    after_help = "Sizes: 64, 16k (1024), 100kB (1000), 1M. Rates: 500, 10k (1000), 1.5M. Conditions: \
    'p99<2ms', 'p99.9>+10%' and 'throughput<-5%' against --baseline.\n\
    Exit status: 0 measured; 1 a byte was wrong, or --fail-if held; 2 usage, or not possible here; 3 could not connect; \
    4 connections broke; 129, 130, 143 ended early by SIGHUP, SIGINT, SIGTERM, with the results so far."
)]
pub(crate) struct BenchArgs {
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
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "count")]
    duration: Option<Duration>,

    /// Measure so many messages (crr: connections) instead
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Run so long before measuring; a tenth of the duration, 2s at most, if not given
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    warmup: Option<Duration>,

    /// Bytes of a message; several are taken in turn
    #[arg(short, long, value_name = "SIZE", value_delimiter = ',', value_parser = parse_size)]
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
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,

    /// How long answers that are under way may take when the time is over
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    grace: Duration,

    /// Count bytes instead of comparing them
    #[arg(long)]
    no_check: bool,

    /// How the generator moves bytes
    #[arg(long, value_enum, default_value = "auto")]
    driver: Choice,

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

    /// Hand in figures so often: for --json-stream, --hdr and the plots over time
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
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

    /// What conditions with a percentage compare with: the result of an earlier --json
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Begin at this time (RFC 3339, or seconds since 1970), for runs of several machines
    #[arg(long, value_name = "TIME")]
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

    /// Tell nothing but errors: no progress, no remarks on this host
    #[arg(short, long)]
    quiet: bool,
}

/// What is measured.
pub(super) enum Target {
    Elsewhere(Endpoint),
    Own(Recipe),
    Several(Vec<Contender>),
}

/// A server that takes part in a comparison.
pub(super) struct Contender {
    pub(super) name: String,
    pub(super) recipe: Recipe,
}

/// What was asked for, checked.
// Flags are what they are.
#[allow(clippy::struct_excessive_bools)]
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) family: Family,
    pub(super) workload: &'static Workload,
    pub(super) connections: u64,
    pub(super) threads: Option<usize>,
    pub(super) duration: Duration,
    pub(super) count: Option<u64>,
    pub(super) warmup: Duration,
    pub(super) sizes: Vec<u64>,
    pub(super) depth: usize,
    pub(super) pace: Option<Pace>,
    pub(super) find_rate: Option<Threshold>,
    pub(super) sources: Vec<SocketAddr>,
    pub(super) connect_rate: Option<f64>,
    pub(super) after: After,
    pub(super) timeout: Duration,
    pub(super) grace: Duration,
    pub(super) check: bool,
    pub(super) driver: Choice,
    /// `None` where nothing was said, an empty list for any.
    pub(super) cpus: Option<Vec<usize>>,
    pub(super) server_cpus: Option<Vec<usize>>,
    pub(super) rounds: usize,
    pub(super) interval: Duration,
    pub(super) plot: bool,
    pub(super) json: bool,
    pub(super) json_stream: bool,
    pub(super) hdr: Option<PathBuf>,
    pub(super) html: Option<PathBuf>,
    pub(super) fail_if: Vec<Threshold>,
    pub(super) baseline: Option<PathBuf>,
    pub(super) start_at: Option<SystemTime>,
    pub(super) shard: (u64, u64),
    pub(super) quiet: bool,
}

impl BenchArgs {
    /// What these arguments mean.
    pub(super) fn plan(&self) -> Result<Plan, NotUnderstood> {
        let workload =
            Workload::named(&self.workload).ok_or_else(|| refuse("there is no such workload"))?;
        let target = self.target()?;
        let several = matches!(target, Target::Several(_));
        let duration = self.duration.unwrap_or(Duration::from_secs(if several { 2 } else { 10 }));
        let pace = self.pace(workload.kind, duration)?;
        self.check_workload(workload.kind)?;
        let sources = sources(&self.source)?;
        let plan = Plan {
            family: self.family(&sources)?,
            workload,
            connections: self.connections.map_or(workload.connections, u64::from),
            threads: self.threads.map(usize::from),
            duration,
            count: self.count,
            warmup: self.warmup(workload.kind, duration),
            sizes: if self.size.is_empty() { vec![workload.size] } else { self.size.clone() },
            depth: self.depth as usize,
            pace,
            find_rate: self.find_rate.as_deref().map(Threshold::absolute).transpose()?,
            sources,
            connect_rate: self.connect_rate,
            after: workload.after(self.close == "fin"),
            timeout: self.timeout,
            grace: self.grace,
            check: !self.no_check,
            driver: self.driver,
            cpus: self.cpu.as_deref().map(cpu_list).transpose()?,
            server_cpus: self.server_cpu.as_deref().map(cpu_list).transpose()?,
            rounds: self.rounds.into(),
            interval: self.interval,
            plot: self.plot,
            json: self.json,
            json_stream: self.json_stream,
            hdr: self.hdr.clone(),
            html: self.html.clone(),
            fail_if: self.fail_if.iter().map(|text| text.parse()).collect::<Result<_, _>>()?,
            baseline: self.baseline.clone(),
            start_at: self.start_at.as_deref().map(moment).transpose()?,
            shard: self.shard.as_deref().map_or(Ok((0, 1)), shard)?,
            quiet: self.quiet,
            target,
        };
        plan.check(several)?;
        Ok(plan)
    }

    fn target(&self) -> Result<Target, NotUnderstood> {
        match (&self.host, &self.port) {
            (Some(host), None) => return Ok(Target::Elsewhere(host.parse()?)),
            (Some(host), Some(port)) => {
                return Ok(Target::Elsewhere(Endpoint::with_port(host, port)?));
            }
            (None, _) => {}
        }
        if self.engines.is_empty() && self.against.is_empty() {
            let engine = self.engine.clone().unwrap_or_else(|| "auto".to_owned());
            return Ok(Target::Own(Recipe::Own(engine)));
        }
        let mut contenders = Vec::new();
        for name in &self.engines {
            match name.as_str() {
                "all" => contenders.extend(ENGINES.iter().map(|engine| own(engine.name))),
                name if ENGINES.iter().any(|engine| engine.name == name) => {
                    contenders.push(own(name));
                }
                name => {
                    let name = name.escape_debug();
                    return Err(refuse(&format!("there is no engine \"{name}\"")));
                }
            }
        }
        for text in &self.against {
            let (name, command) = text
                .split_once('=')
                .filter(|(name, command)| !name.is_empty() && command.contains("{port}"))
                .ok_or_else(|| refuse("--against wants NAME=COMMAND with {port} in the command"))?;
            let recipe = Recipe::Command(command.to_owned());
            contenders.push(Contender { name: name.to_owned(), recipe });
        }
        let mut names: Vec<&str> = contenders.iter().map(|one| one.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(refuse("two servers of the comparison have the same name"));
        }
        Ok(Target::Several(contenders))
    }

    fn pace(&self, kind: Kind, duration: Duration) -> Result<Option<Pace>, NotUnderstood> {
        let Some(text) = &self.rate else {
            return match kind {
                Kind::Ramp => Err(refuse("ramp wants --rate A:B")),
                _ => Ok(None),
            };
        };
        match text.split_once(':') {
            None if kind == Kind::Ramp => Err(refuse("ramp wants --rate A:B")),
            None => Ok(Some(Pace::Steady(parse_rate(text)?))),
            Some((from, to)) => {
                let (from, to) = (parse_rate(from)?, parse_rate(to)?);
                Ok(Some(Pace::Ramp { from, to, over: duration.as_nanos() as f64 }))
            }
        }
    }

    fn warmup(&self, kind: Kind, duration: Duration) -> Duration {
        let ramps = kind == Kind::Ramp || self.rate.as_ref().is_some_and(|rate| rate.contains(':'));
        let default = match kind {
            _ if ramps || self.count.is_some() => Duration::ZERO,
            Kind::Idle => Duration::ZERO,
            _ => (duration / 10).min(Duration::from_secs(2)),
        };
        self.warmup.unwrap_or(default)
    }

    fn check_workload(&self, kind: Kind) -> Result<(), NotUnderstood> {
        let paced = self.rate.is_some() || self.find_rate.is_some();
        let counted = self.count.is_some();
        match kind {
            Kind::Stream | Kind::Idle if paced || counted => {
                Err(refuse("stream and idle know neither --rate nor --count"))
            }
            Kind::Stream | Kind::Idle | Kind::ConnectRequestResponse if self.depth > 1 => {
                Err(refuse("--depth is for rr and ramp"))
            }
            Kind::Ramp if self.find_rate.is_some() => Err(refuse("--find-rate is for rr and crr")),
            Kind::Stream if !self.size.is_empty() => {
                Err(refuse("stream has no messages, and so no --size"))
            }
            _ => Ok(()),
        }
    }

    fn family(&self, sources: &[SocketAddr]) -> Result<Family, NotUnderstood> {
        let asked = match self {
            _ if self.ipv4 => Family::V4,
            _ if self.ipv6 => Family::V6,
            _ => Family::Any,
        };
        match sources.first() {
            None => Ok(asked),
            Some(first) if sources.iter().any(|one| one.is_ipv4() != first.is_ipv4()) => {
                Err(refuse("the source addresses are of two families"))
            }
            Some(first) if !asked.admits(first) => {
                Err(refuse("the source addresses are of the other family"))
            }
            Some(first) if first.is_ipv4() => Ok(Family::V4),
            Some(_) => Ok(Family::V6),
        }
    }
}

impl Plan {
    fn check(&self, several: bool) -> Result<(), NotUnderstood> {
        let zero = [self.duration, self.interval, self.timeout].iter().any(Duration::is_zero);
        if zero {
            return Err(refuse("--duration, --interval and --timeout must be above 0"));
        }
        if several && (self.hdr.is_some() || self.json_stream || self.shard.1 > 1 || self.plot) {
            return Err(refuse("a comparison has no --hdr, --json-stream, --plot and --shard"));
        }
        if self.find_rate.is_some() && (self.hdr.is_some() || self.json_stream) {
            return Err(refuse("a search has no --hdr and --json-stream"));
        }
        if several && (!self.fail_if.is_empty() || self.baseline.is_some()) {
            return Err(refuse("--fail-if and --baseline are for one server"));
        }
        if self.fail_if.iter().any(Threshold::is_relative) && self.baseline.is_none() {
            return Err(refuse("a condition with a percentage wants --baseline FILE"));
        }
        if self.shard.1 > self.connections {
            return Err(refuse("there are more shards than connections"));
        }
        Ok(())
    }

    /// The numbers of the flows that are this shard's.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        let (shard, shards) = self.shard;
        (0..self.connections).filter(move |number| number % shards == shard)
    }
}

fn refuse(sentence: &str) -> NotUnderstood {
    NotUnderstood::new(sentence)
}

fn own(engine: &str) -> Contender {
    Contender { name: engine.to_owned(), recipe: Recipe::Own(engine.to_owned()) }
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn plan(line: &str) -> Result<Plan, String> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.args.plan().map_err(|error| error.to_string())
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "-W nothing",
            "-W ramp",
            "-W ramp -R 100",
            "-W stream -R 100",
            "-W stream -s 64",
            "-W crr --depth 2",
            "-n 5 -d 1",
            "-d 0",
            "--rate x",
            "--rate 1:x",
            "--engines nothing",
            "--against sock",
            "--against x=cmd",
            "--engines epoll,epoll",
            "--engines all --hdr f",
            "--engines all --plot",
            "--find-rate p99<1s --hdr f",
            "--engines all localhost",
            "--fail-if p99>+10%",
            "--fail-if nonsense",
            "--shard 0/2",
            "--shard 3/2",
            "--shard 2/3 -c 2",
            "--cpu x",
            "--cpu 3-1",
            "--source 127.0.0.9-127.0.0.1",
            "--source 127.0.0.1-::1",
            "--source localhost",
            "--start-at tomorrow",
        ] {
            assert!(plan(line).is_err(), "{line}");
        }
    }

    #[test]
    fn what_is_meant() {
        let all = plan("--engines all --against a=x{port}").unwrap();
        let Target::Several(contenders) = &all.target else { panic!("a comparison") };
        assert_eq!(contenders.len(), ENGINES.len() + 1);
        assert_eq!(all.duration, Duration::from_secs(2));
        let part = plan("localhost:7 --shard 2/3 -c 7 --source 127.0.0.1-127.0.0.3").unwrap();
        assert_eq!(part.numbers().collect::<Vec<_>>(), [1, 4]);
        assert_eq!(part.sources.len(), 3);
        assert_eq!(part.family, Family::V4);
        assert_eq!(plan("--cpu 0,2-3").unwrap().cpus, Some(vec![0, 2, 3]));
        assert_eq!(plan("-R 100:200 -d 2").unwrap().warmup, Duration::ZERO);
        assert_eq!(plan("-d 1").unwrap().warmup, Duration::from_millis(100));
        assert_eq!(plan("-W idle").unwrap().connections, 10_000);
    }
}
