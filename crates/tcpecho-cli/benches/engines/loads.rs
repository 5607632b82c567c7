//! What the modes do: the load that each one makes, and the figures that it takes from it.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use tcpecho_load::{After, DriverChoice, Event, Outcome, Plan, Profile, usage::ProcessorTime};

use crate::{machine, server::Server};

const SMALL: u64 = 64;
/// No wait is longer: for an answer, for the answers at the end, for the FINs.
const PATIENCE: Duration = Duration::from_secs(10);

/// One visit of a mode to a server.
pub(crate) struct Visit<'a> {
    pub(crate) server: &'a Server,
    pub(crate) length: Duration,
}

/// What the visit measured, one figure for each column, and what went wrong.
pub(crate) struct Sample {
    pub(crate) figures: Vec<f64>,
    pub(crate) faults: Vec<String>,
}

/// A load that was run, and what it cost the server.
struct Run {
    outcome: Outcome,
    /// Nanoseconds of processor time that the server used in the measured time.
    cpu: f64,
    /// Bytes of memory that the server had at nine tenths of it.
    memory: f64,
}

impl Visit<'_> {
    /// A load of so many connections, measured after a tenth of its length to warm up.
    fn plan(&self, connections: usize, profile: Profile) -> Plan {
        let connections: Vec<u64> = (0..connections as u64).collect();
        let profile = Profile { flows: connections.len() as u64, ..profile };
        let mut plan = Plan::new(self.server.addr, profile);
        plan.connections = connections;
        plan.driver = DriverChoice::Epoll;
        plan.warmup = self.length / 10;
        plan.duration = self.length;
        plan.interval = self.length;
        plan.timeout = PATIENCE;
        plan.grace = PATIENCE;
        plan
    }

    /// Runs a load; `memory` is the line of `smaps_rollup` to look at.
    fn run(&self, plan: &Plan, memory: &str) -> io::Result<Run> {
        let (mut begin, mut cpu, mut held) = (None, Ok(f64::NAN), Ok(f64::NAN));
        let outcome = tcpecho_load::run(plan, &(), &mut |event| match event {
            Event::Begin => begin = Some(self.server.processor_time()),
            Event::NearEnd => held = self.server.memory(memory),
            Event::End => cpu = used(self.server, begin.take()),
            Event::Interval(_) | Event::Tail(_) | Event::Tick(_) => {}
        });
        let outcome = outcome.map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Run { outcome, cpu: cpu?, memory: held? })
    }
}

fn used(server: &Server, begin: Option<io::Result<ProcessorTime>>) -> io::Result<f64> {
    let begin = begin.transpose()?;
    let end = server.processor_time()?;
    Ok(begin.map_or(f64::NAN, |begin| end.since(&begin)))
}

impl Run {
    fn messages_per_second(&self) -> f64 {
        self.outcome.total.messages as f64 / self.outcome.seconds
    }

    fn megabytes(&self) -> f64 {
        self.outcome.total.received as f64 / 1e6
    }

    /// The time in microseconds that the share `q` of all messages did not exceed; NaN without any.
    fn quantile(&self, q: f64) -> f64 {
        self.outcome.total.service.quantile(q).map_or(f64::NAN, |ns| ns as f64 / 1e3)
    }

    /// Nanoseconds of the server's processor time for each message.
    fn cost(&self) -> f64 {
        self.cpu / self.outcome.total.messages as f64
    }

    fn faults(&self) -> Vec<String> {
        let Outcome { connecting, total, starved, seconds, paused, .. } = &self.outcome;
        let errors = connecting.errors().chain(total.errors());
        let mut faults: Vec<String> = errors
            .map(|(ending, count, first)| {
                format!("{count} connections: {}: {}", ending.word(), first.unwrap_or_default())
            })
            .collect();
        if total.unanswered > 0 {
            faults.push(format!("{} messages had no answer after {PATIENCE:?}", total.unanswered));
        }
        // Across a pause of this program nothing was received either.
        if *starved > 0 && paused.count == 0 {
            faults.push(format!("{starved} connections received nothing in {seconds:.1} s"));
        }
        faults
    }
}

fn rounds_of(message: u64, under_way: usize) -> Profile {
    Profile { depth: Some(under_way), ..Profile::new(vec![message]) }
}

fn stream() -> Profile {
    Profile { depth: None, ..Profile::new(vec![SMALL]) }
}

fn exchanges(visit: &Visit, plan: &Plan) -> io::Result<Sample> {
    let run = visit.run(plan, "Rss:")?;
    let figures =
        vec![run.messages_per_second(), run.quantile(0.5), run.quantile(0.99), run.cost()];
    Ok(Sample { figures, faults: run.faults() })
}

pub(crate) fn rounds(visit: &Visit, connections: usize, message: u64) -> io::Result<Sample> {
    exchanges(visit, &visit.plan(connections, rounds_of(message, 1)))
}

pub(crate) fn connects(visit: &Visit, connections: usize) -> io::Result<Sample> {
    let plan = visit.plan(connections, rounds_of(SMALL, 1));
    exchanges(visit, &Plan { after: After::Reset, ..plan })
}

pub(crate) fn pipelined(visit: &Visit, connections: usize, under_way: usize) -> io::Result<Sample> {
    let run = visit.run(&visit.plan(connections, rounds_of(SMALL, under_way)), "Rss:")?;
    Ok(Sample { figures: vec![run.messages_per_second(), run.cost()], faults: run.faults() })
}

pub(crate) fn bulk(visit: &Visit, connections: usize) -> io::Result<Sample> {
    let run = visit.run(&visit.plan(connections, stream()), "Rss:")?;
    let (rate, cost) = (run.megabytes() / run.outcome.seconds, run.cpu / run.megabytes() / 1e3);
    Ok(Sample { figures: vec![rate, cost], faults: run.faults() })
}

/// Two loads at a time, each with its own thread.
pub(crate) fn trickle(visit: &Visit, small: usize) -> io::Result<Sample> {
    let (exchanges, bulk) = thread::scope(|scope| {
        let bulk = scope.spawn(|| visit.run(&visit.plan(1, stream()), "Rss:"));
        let exchanges = visit.run(&visit.plan(small, rounds_of(SMALL, 1)), "Rss:");
        (exchanges, bulk.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))))
    });
    let (exchanges, bulk) = (exchanges?, bulk?);
    let rate = bulk.megabytes() / bulk.outcome.seconds;
    let figures = vec![exchanges.quantile(0.99), exchanges.messages_per_second(), rate];
    Ok(Sample { figures, faults: [exchanges.faults(), bulk.faults()].concat() })
}

pub(crate) fn stall(visit: &Visit, small: usize) -> io::Result<Sample> {
    let mut stalled = Stalled::fill(visit.server)?;
    let run = visit.run(&visit.plan(small, rounds_of(SMALL, 1)), "Rss:")?;
    stalled.write()?;
    let sent = stalled.sent;
    let mut faults = run.faults();
    faults.extend(stalled.drain().err());
    let figures = vec![run.messages_per_second(), run.quantile(0.99), sent as f64, run.memory];
    Ok(Sample { figures, faults })
}

/// A connection that has written all that it takes and does not read.
struct Stalled {
    stream: TcpStream,
    sent: u64,
}

/// The byte at a position of what a stalled connection sends. 251 is a prime: a block that is lost shows.
fn byte_at(position: u64) -> u8 {
    (position % 251) as u8
}

impl Stalled {
    /// Writes until nothing has been taken for a tenth of a second.
    fn fill(server: &Server) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&server.addr, PATIENCE)?;
        stream.set_write_timeout(Some(Duration::from_millis(100)))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stalled = Self { stream, sent: 0 };
        stalled.write()?;
        Ok(stalled)
    }

    fn write(&mut self) -> io::Result<()> {
        loop {
            let bytes: Vec<u8> = (self.sent..self.sent + 64 * 1024).map(byte_at).collect();
            match self.stream.write(&bytes) {
                Ok(count) => self.sent += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads and checks everything, after our FIN until the server's.
    fn drain(mut self) -> Result<(), String> {
        let failed = |error: io::Error| format!("the stalled connection: {error}");
        self.stream.shutdown(Shutdown::Write).map_err(failed)?;
        let (mut buffer, mut received) = (vec![0; 64 * 1024], 0_u64);
        loop {
            let count = self.stream.read(&mut buffer).map_err(failed)?;
            let expected = (received..).map(byte_at);
            if !buffer[..count].iter().copied().eq(expected.take(count)) {
                return Err(format!("the stalled connection: a wrong byte after {received}"));
            }
            received += count as u64;
            if count == 0 && received == self.sent {
                return Ok(());
            }
            if count == 0 {
                let sent = self.sent;
                return Err(format!("the stalled connection: {received} of {sent} bytes back"));
            }
        }
    }
}

/// The first connection makes the server touch what it has for all; only what the others add counts.
pub(crate) fn idle(visit: &Visit, most: usize) -> io::Result<Sample> {
    let count = most.min(visit.server.crowd).min(machine::descriptors().saturating_sub(100));
    let mut first = TcpStream::connect_timeout(&visit.server.addr, PATIENCE)?;
    first.set_read_timeout(Some(PATIENCE))?;
    first.write_all(&[0; SMALL as usize])?;
    first.read_exact(&mut [0; SMALL as usize])?;
    let before = visit.server.memory("Pss:")?;
    let mut plan = visit.plan(count - 1, rounds_of(SMALL, 1));
    plan.idle = true;
    plan.warmup = Duration::ZERO;
    let run = visit.run(&plan, "Pss:")?;
    let each = (run.memory - before) / (count - 1) as f64;
    Ok(Sample { figures: vec![each, run.memory, count as f64], faults: run.faults() })
}
