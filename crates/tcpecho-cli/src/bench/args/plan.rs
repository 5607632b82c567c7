//! What the arguments of `tcpecho bench` mean, checked.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tcpecho::{ENGINES, Endpoint, Family, ParseError, internal::parse_rate};

use tcpecho_load::{After, DriverChoice, Kind, Schedule, Workload};

use super::{
    BenchArgs,
    lists::{cpu_list, moment, shard, sources},
    refuse,
};
use crate::family::family;
use crate::{
    bench::server::ServerCommand,
    threshold::{BENCH, Threshold},
};

/// What is measured.
pub(in crate::bench) enum Target {
    Elsewhere(Endpoint),
    Own(ServerCommand),
    Several(Vec<ComparedServer>),
}

/// A server that takes part in a comparison.
pub(in crate::bench) struct ComparedServer {
    pub(in crate::bench) name: String,
    pub(in crate::bench) command: ServerCommand,
}

/// What was asked for, checked.
// Flags are what they are.
#[allow(clippy::struct_excessive_bools)]
pub(in crate::bench) struct Plan {
    pub(in crate::bench) target: Target,
    pub(in crate::bench) family: Family,
    pub(in crate::bench) workload: &'static Workload,
    pub(in crate::bench) connections: u64,
    pub(in crate::bench) threads: Option<usize>,
    pub(in crate::bench) duration: Duration,
    pub(in crate::bench) count: Option<u64>,
    pub(in crate::bench) warmup: Duration,
    pub(in crate::bench) sizes: Vec<u64>,
    pub(in crate::bench) depth: usize,
    pub(in crate::bench) schedule: Option<Schedule>,
    pub(in crate::bench) find_rate: Option<Threshold>,
    pub(in crate::bench) sources: Vec<SocketAddr>,
    pub(in crate::bench) connect_rate: Option<f64>,
    pub(in crate::bench) after: After,
    pub(in crate::bench) timeout: Duration,
    pub(in crate::bench) grace: Duration,
    pub(in crate::bench) check: bool,
    pub(in crate::bench) driver: DriverChoice,
    /// `None` where nothing was said, an empty list for any.
    pub(in crate::bench) cpus: Option<Vec<usize>>,
    pub(in crate::bench) server_cpus: Option<Vec<usize>>,
    pub(in crate::bench) rounds: usize,
    pub(in crate::bench) interval: Duration,
    pub(in crate::bench) plot: bool,
    pub(in crate::bench) json: bool,
    pub(in crate::bench) json_stream: bool,
    pub(in crate::bench) hdr: Option<PathBuf>,
    pub(in crate::bench) html: Option<PathBuf>,
    pub(in crate::bench) fail_if: Vec<Threshold>,
    pub(in crate::bench) baseline: Option<PathBuf>,
    pub(in crate::bench) start_at: Option<SystemTime>,
    pub(in crate::bench) shard: (u64, u64),
    pub(in crate::bench) quiet: bool,
}

impl BenchArgs {
    /// What these arguments mean.
    pub(in crate::bench) fn plan(&self) -> Result<Plan, ParseError> {
        let workload =
            Workload::named(&self.workload).ok_or_else(|| refuse("there is no such workload"))?;
        let target = self.target()?;
        let several = matches!(target, Target::Several(_));
        let duration = self.duration.unwrap_or(Duration::from_secs(if several { 2 } else { 10 }));
        let schedule = self.schedule(workload.kind, duration)?;
        self.check_workload(workload.kind)?;
        let sources = sources(&self.source)?;
        let plan = Plan {
            family: family(self.ipv4, self.ipv6, &sources)?,
            workload,
            connections: self.connections.map_or(workload.connections, u64::from),
            threads: self.threads.map(usize::from),
            duration,
            count: self.count,
            warmup: self.warmup(workload.kind, duration),
            sizes: if self.size.is_empty() { vec![workload.size] } else { self.size.clone() },
            depth: self.depth as usize,
            schedule,
            find_rate: self.find_rate.as_deref().map(Threshold::absolute).transpose()?,
            sources,
            connect_rate: self.connect_rate,
            after: workload.after(self.close == "fin"),
            timeout: self.timeout,
            grace: self.grace,
            check: !self.no_check,
            driver: self.driver.into(),
            cpus: self.cpu.as_deref().map(cpu_list).transpose()?,
            server_cpus: self.server_cpu.as_deref().map(cpu_list).transpose()?,
            rounds: self.rounds.into(),
            interval: self.interval,
            plot: self.plot,
            json: self.json,
            json_stream: self.json_stream,
            hdr: self.hdr.clone(),
            html: self.html.clone(),
            fail_if: self.conditions()?,
            baseline: self.baseline.clone(),
            start_at: self.start_at.as_deref().map(moment).transpose()?,
            shard: self.shard.as_deref().map_or(Ok((0, 1)), shard)?,
            quiet: self.quiet,
            target,
        };
        plan.check(several)?;
        Ok(plan)
    }

    fn conditions(&self) -> Result<Vec<Threshold>, ParseError> {
        self.fail_if.iter().map(|text| Threshold::parse(text, &BENCH)).collect()
    }

    fn target(&self) -> Result<Target, ParseError> {
        match (&self.host, &self.port) {
            (Some(host), None) => return Ok(Target::Elsewhere(host.parse()?)),
            (Some(host), Some(port)) => {
                return Ok(Target::Elsewhere(Endpoint::with_port(host, port)?));
            }
            (None, _) => {}
        }
        if self.engines.is_empty() && self.against.is_empty() {
            let engine = self.engine.clone().unwrap_or_else(|| "auto".to_owned());
            return Ok(Target::Own(ServerCommand::Own(engine)));
        }
        let mut servers = Vec::new();
        for name in &self.engines {
            match name.as_str() {
                "all" => servers.extend(ENGINES.iter().map(|engine| own(engine.name))),
                name if ENGINES.iter().any(|engine| engine.name == name) => {
                    servers.push(own(name));
                }
                name => {
                    let known: Vec<&str> = ENGINES.iter().map(|engine| engine.name).collect();
                    return Err(refuse(&format!(
                        "there is no engine \"{}\": --engines takes all, {}",
                        name.escape_debug(),
                        known.join(", ")
                    )));
                }
            }
        }
        for text in &self.against {
            let (name, command) = text
                .split_once('=')
                .filter(|(name, command)| {
                    !name.is_empty()
                        && !name.contains(char::is_control)
                        && command.contains("{port}")
                })
                .ok_or_else(|| {
                    refuse("invalid --against: expected NAME=COMMAND with {port} in it")
                })?;
            let command = ServerCommand::Command(command.to_owned());
            servers.push(ComparedServer { name: name.to_owned(), command });
        }
        let mut names: Vec<&str> = servers.iter().map(|one| one.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(refuse("two servers of the comparison have the same name"));
        }
        Ok(Target::Several(servers))
    }

    fn schedule(&self, kind: Kind, duration: Duration) -> Result<Option<Schedule>, ParseError> {
        let Some(text) = &self.rate else {
            return match kind {
                Kind::Ramp => Err(refuse("the workload ramp requires --rate A:B")),
                _ => Ok(None),
            };
        };
        match text.split_once(':') {
            None if kind == Kind::Ramp => Err(refuse("the workload ramp requires --rate A:B")),
            None => Ok(Some(Schedule::Steady(parse_rate(text)?))),
            Some((from, to)) => {
                let (from, to) = (parse_rate(from)?, parse_rate(to)?);
                Ok(Some(Schedule::Ramp { from, to, over: duration.as_nanos() as f64 }))
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

    fn check_workload(&self, kind: Kind) -> Result<(), ParseError> {
        let scheduled = self.rate.is_some() || self.find_rate.is_some();
        let counted = self.count.is_some();
        match kind {
            Kind::Stream | Kind::Idle if scheduled || counted => {
                Err(refuse("--rate and --count do not apply to stream and idle"))
            }
            Kind::Stream | Kind::Idle | Kind::ConnectRequestResponse if self.depth > 1 => {
                Err(refuse("--depth applies to rr and ramp only"))
            }
            Kind::Ramp if self.find_rate.is_some() => {
                Err(refuse("--find-rate applies to rr and crr only"))
            }
            Kind::Stream if !self.size.is_empty() => Err(refuse("--size does not apply to stream")),
            _ => Ok(()),
        }
    }
}

impl Plan {
    fn check(&self, several: bool) -> Result<(), ParseError> {
        if several && (self.hdr.is_some() || self.json_stream || self.shard.1 > 1 || self.plot) {
            return Err(refuse("a comparison cannot have --hdr, --json-stream, --plot or --shard"));
        }
        if self.find_rate.is_some() && (self.hdr.is_some() || self.json_stream) {
            return Err(refuse("--hdr and --json-stream cannot be used with --find-rate"));
        }
        if several && (!self.fail_if.is_empty() || self.baseline.is_some()) {
            return Err(refuse("--fail-if and --baseline cannot be used with a comparison"));
        }
        if self.fail_if.iter().any(Threshold::is_relative) && self.baseline.is_none() {
            return Err(refuse("a condition with a percentage requires --baseline FILE"));
        }
        let no_latency = matches!(self.workload.kind, Kind::Stream | Kind::Idle);
        if no_latency && self.fail_if.iter().any(Threshold::is_of_latency) {
            return Err(refuse("stream and idle have no latencies for --fail-if"));
        }
        if self.hdr.is_some() && self.hdr == self.html {
            return Err(refuse("--hdr and --html name the same file"));
        }
        if self.shard.1 > self.connections {
            return Err(refuse("there are more shards than connections"));
        }
        if self.count.is_some_and(|count| count < self.shard.1) {
            return Err(refuse("there are more shards than messages (--count)"));
        }
        Ok(())
    }

    /// Threads of the generator, at most: no more than there are connections.
    pub(in crate::bench) fn threads_at_most(&self) -> u64 {
        let threads = self.threads.unwrap_or_else(|| crate::machine::processors().len());
        (threads as u64).min(self.connections)
    }

    /// The descriptors that the engine of a server started here needs besides those of the connections: of several engines,
    /// the most. None if no server of our own is started.
    pub(in crate::bench) fn engine_descriptors(&self) -> Option<u64> {
        let needed = |command: &ServerCommand| {
            let ServerCommand::Own(name) = command else { return None };
            let named = ENGINES.iter().filter(|engine| name == "auto" || engine.name == name);
            named.map(|engine| engine.descriptors(1, 1) as u64).max()
        };
        match &self.target {
            Target::Elsewhere(_) => None,
            Target::Own(command) => needed(command),
            Target::Several(servers) => servers.iter().filter_map(|one| needed(&one.command)).max(),
        }
    }

    /// How many of the messages that were asked for are this shard's.
    pub(in crate::bench) fn share(&self) -> Option<u64> {
        let (shard, shards) = self.shard;
        self.count.map(|count| count / shards + u64::from(shard < count % shards))
    }

    /// The numbers of the flows that are this shard's.
    pub(in crate::bench) fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        let (shard, shards) = self.shard;
        (0..self.connections).filter(move |number| number % shards == shard)
    }
}

fn own(engine: &str) -> ComparedServer {
    ComparedServer { name: engine.to_owned(), command: ServerCommand::Own(engine.to_owned()) }
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
            "--interval 0ms",
            "--timeout 0",
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
            "-W stream --fail-if p99>1s",
            "-W idle --fail-if max>1s",
            "--hdr f --html f",
            "--shard 0/2",
            "--shard 3/2",
            "--shard 2/3 -c 2",
            "--shard 1/3 -n 2",
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
        let Target::Several(servers) = &all.target else { panic!("a comparison") };
        assert_eq!(servers.len(), ENGINES.len() + 1);
        assert_eq!(all.duration, Duration::from_secs(2));
        let part = plan("localhost:7 --shard 2/3 -c 7 --source 127.0.0.1-127.0.0.3").unwrap();
        assert_eq!(part.numbers().collect::<Vec<_>>(), [1, 4]);
        let shares = ["1/3", "2/3", "3/3"]
            .map(|shard| plan(&format!("-n 11 --shard {shard}")).unwrap().share());
        assert_eq!(shares, [Some(4), Some(4), Some(3)]);
        assert_eq!(part.sources.len(), 3);
        assert_eq!(part.family, Family::V4);
        assert_eq!(plan("--cpu 0,2-3").unwrap().cpus, Some(vec![0, 2, 3]));
        assert_eq!(plan("-R 100:200 -d 2").unwrap().warmup, Duration::ZERO);
        assert_eq!(plan("-d 1").unwrap().warmup, Duration::from_millis(100));
        assert_eq!(plan("-W idle").unwrap().connections, 10_000);
    }
}
