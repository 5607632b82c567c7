//! Looking for a limit instead of probing at a pace: how long a connection may be idle, how large a probe may be.

mod idle;
mod search;
mod size;
mod trial;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::Serialize;
use tcpecho::Attempt;

use self::trial::{Fate, Stop, Trial};
use super::{
    Found,
    args::{Manner, Plan, Sweep},
    event::Broken,
    json,
    link::Way,
    probe::Run,
    words::{counted, ms},
};
use crate::{
    exit,
    output::{OutputBuffer, Unwritten},
    signals::Signals,
    tell::{ErrorObject, Meaning, explain, say},
};

/// Room for what is read at once.
const BUFFER: usize = 256 << 10;

/// What a sweep came to.
#[derive(Debug)]
enum Finding {
    /// Alive after being idle for so long; dead, and how, after so long, if it was found to die at all.
    Idle { alive: Duration, dead: Option<Duration>, how: Option<&'static str> },
    /// So many bytes pass; so many do not, if any do not. Whether what did not pass was acknowledged, and what headers
    /// add to it.
    Size { passes: u64, fails: Option<u64>, acknowledged: Option<bool>, overhead: Option<u32> },
    /// Not even the first probe was answered.
    Dead(Fate),
}

/// Sweeps one target after the other. The exit status: 0 no limit was found, 1 one was.
pub(super) fn run(
    plan: &Plan,
    sweep: Sweep,
    targets: Vec<Found>,
    way: &Way,
    run: Run,
    signals: &Signals,
    paper: &mut OutputBuffer,
) -> u8 {
    let start = Instant::now();
    let deadline = plan.deadline.and_then(|limit| start.checked_add(limit));
    let mut status = 0;
    for Found { name, addrs, .. } in targets {
        let buffer = vec![0; BUFFER];
        let (timeout, origin) = (plan.timeout, start);
        let mut trial =
            Trial { addrs, way, run, timeout, signals, deadline, origin, seq: 0, buffer };
        let manner = plan.manner;
        let mut writer = Writer { target: &name, sweep, manner, paper, signals, written: Ok(()) };
        let found = match sweep {
            Sweep::Idle(most) => idle::sweep(&mut trial, most, plan.size, &mut writer),
            Sweep::Size(most) => size::sweep(&mut trial, most, &mut writer),
        };
        let this = match &found {
            Ok(finding) => finding.exit_status(),
            Err(Stop::Signal(signal)) if *signal != Signal::SIGINT => exit::interrupted_by(*signal),
            Err(Stop::Signal(_) | Stop::Deadline | Stop::Unconnected(_) | Stop::Unwritten) => 1,
            Err(Stop::Failed(..)) => exit::NOT_POSSIBLE,
        };
        status = status.max(this);
        writer.end(&found, start.elapsed(), this);
        match (writer.written, &found) {
            (Ok(()), Err(Stop::Signal(Signal::SIGPIPE))) | (Err(Unwritten::ReaderLeft), _) => {
                return 0;
            }
            (Ok(()), _) => {}
            (Err(why), _) => return why.status(status),
        }
        if matches!(found, Err(Stop::Signal(_) | Stop::Deadline | Stop::Failed(..))) {
            return status;
        }
    }
    status
}

impl Finding {
    fn exit_status(&self) -> u8 {
        match self {
            Finding::Idle { dead: None, .. } | Finding::Size { fails: None, .. } => 0,
            _ => 1,
        }
    }

    fn sentence(&self) -> String {
        match self {
            Finding::Idle { alive, dead: None, .. } => {
                format!("an idle connection is alive after {} ms, the longest tried", ms(*alive))
            }
            Finding::Idle { alive, dead: Some(dead), how } => {
                let how = how.unwrap_or("silent");
                let (alive, dead) = (ms(*alive), ms(*dead));
                if alive == dead {
                    return format!("an idle connection is ended by {how} after {dead} ms");
                }
                format!(
                    "an idle connection is alive after {alive} ms and dead after {dead} ms: {how}"
                )
            }
            Finding::Size { passes, fails: None, .. } => {
                format!("{} pass, the most tried", counted(*passes, "byte", "bytes"))
            }
            Finding::Size { passes, fails: Some(_), acknowledged, overhead } => {
                let packet = overhead.map(|overhead| {
                    format!(" (in one packet of {} bytes)", passes + u64::from(overhead))
                });
                let way = match acknowledged {
                    Some(true) => ": what is longer is acknowledged, but does not come back",
                    Some(false) => ": what is longer does not arrive",
                    None => "",
                };
                let passes = counted(*passes, "byte", "bytes");
                format!("at most {passes} pass{}{way}", packet.unwrap_or_default())
            }
            Finding::Dead(fate) => format!("no limit can be looked for: {}", words(fate)),
        }
    }
}

/// What was seen of a probe that did not come back.
fn words(fate: &Fate) -> String {
    match fate {
        Fate::Back { time, .. } => format!("it came back in {} ms", ms(*time)),
        Fate::Changed => "what came back is not what was sent".into(),
        Fate::Ended(broken) => format!("{}: {}", broken.ending(), broken.seen()),
        Fate::Silence { acknowledged, retransmits } => {
            let heard = match acknowledged {
                Some(true) => ", but acknowledged",
                Some(false) => ", not acknowledged",
                None => "",
            };
            format!("no answer{heard}; retrans={retransmits}")
        }
    }
}

/// Writes the steps and the end of the sweep of one target.
struct Writer<'a> {
    target: &'a str,
    sweep: Sweep,
    manner: Manner,
    paper: &'a mut OutputBuffer,
    signals: &'a Signals,
    /// Whether all lines have been written.
    written: Result<(), Unwritten>,
}

impl<'a> Writer<'a> {
    /// What came of idling for so many milliseconds, or of so many bytes.
    fn step(&mut self, number: u64, holds: bool, words: &str) -> Result<(), Stop> {
        let what = match self.sweep {
            Sweep::Idle(_) => format!("idle {} ms", ms(Duration::from_millis(number))),
            Sweep::Size(_) => counted(number, "byte", "bytes"),
        };
        match self.manner {
            Manner::Lines => self.line(&format!("{}: {what}: {words}", self.target)),
            Manner::JsonStream => {
                let (idle_us, size_bytes) = match self.sweep {
                    Sweep::Idle(_) => (Some(number * 1000), None),
                    Sweep::Size(_) => (None, Some(number)),
                };
                let (event, target) = ("step", self.target);
                self.object(&StepRow { event, target, idle_us, size_bytes, holds, message: words });
            }
            _ => {}
        }
        self.written.map_err(|_| Stop::Unwritten)
    }

    fn end(&mut self, found: &Result<Finding, Stop>, spent: Duration, exit_status: u8) {
        if let Ok(Finding::Dead(Fate::Ended(broken))) = found {
            explain(&broken.diagnosis);
        }
        let sentence = match found {
            Ok(finding) => finding.sentence(),
            Err(Stop::Signal(signal)) => format!("interrupted ({})", signal.as_str()),
            Err(Stop::Deadline) => "the deadline came first".into(),
            Err(Stop::Unwritten) => return,
            Err(Stop::Unconnected(failures)) => {
                for failure in failures {
                    explain(&failure.diagnosis);
                }
                "could not connect".into()
            }
            Err(Stop::Failed(op, errno)) => {
                say(&format!("{op}: {}", tcpecho_os::errno::words(*errno)));
                "failed here".into()
            }
        };
        match self.manner {
            Manner::Json | Manner::JsonStream => {
                let row = self.row(found, &sentence, spent, exit_status);
                self.object(&row);
            }
            _ => self.line(&format!("{}: {sentence}", self.target)),
        }
    }

    fn row<'r>(
        &self,
        found: &'r Result<Finding, Stop>,
        message: &'r str,
        spent: Duration,
        exit_status: u8,
    ) -> FindingRow<'r>
    where
        'a: 'r,
    {
        let mut row = FindingRow {
            event: "sweep",
            target: self.target,
            sweep: match self.sweep {
                Sweep::Idle(_) => "idle",
                Sweep::Size(_) => "size",
            },
            alive_us: None,
            dead_us: None,
            how: None,
            passes_bytes: None,
            fails_bytes: None,
            acknowledged: None,
            packet_bytes: None,
            error: None,
            diagnosis: None,
            message,
            duration_us: json::us(spent),
            exit_status,
        };
        match found {
            Ok(Finding::Idle { alive, dead, how }) => {
                (row.alive_us, row.dead_us) = (Some(json::us(*alive)), dead.map(json::us));
                row.how = *how;
            }
            Ok(Finding::Size { passes, fails, acknowledged, overhead }) => {
                (row.passes_bytes, row.fails_bytes) = (Some(*passes), *fails);
                row.acknowledged = *acknowledged;
                row.packet_bytes = overhead.map(|overhead| passes + u64::from(overhead));
            }
            Ok(Finding::Dead(Fate::Ended(broken))) => {
                let Broken { op, peer, errno, diagnosis, .. } = broken;
                row.error = Some(ErrorObject::of_diagnosis(op, Some(*peer), *errno, diagnosis));
                row.diagnosis = Some(Meaning::of(diagnosis));
            }
            Err(Stop::Unconnected(failures)) => {
                if let Some(Attempt { error, diagnosis, .. }) = Attempt::most_informative(failures)
                {
                    let (op, addr, errno) = (error.op, error.addr, Some(error.source.into()));
                    row.error = Some(ErrorObject::of_diagnosis(op, addr, errno, diagnosis));
                    row.diagnosis = Some(Meaning::of(diagnosis));
                }
            }
            _ => {}
        }
        row
    }

    fn object(&mut self, row: &impl Serialize) {
        let text = serde_json::to_string(row).unwrap_or_default();
        self.line(&text);
    }

    /// A sweep has time: nobody's answer waits while it is written.
    fn line(&mut self, text: &str) {
        if self.written.is_ok() {
            self.paper.report_line(text);
            self.written = self.paper.finish(Some(self.signals));
        }
    }
}

#[derive(Serialize)]
struct StepRow<'a> {
    event: &'static str,
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    holds: bool,
    message: &'a str,
}

#[derive(Serialize)]
struct FindingRow<'a> {
    event: &'static str,
    target: &'a str,
    sweep: &'static str,
    alive_us: Option<f64>,
    dead_us: Option<f64>,
    how: Option<&'static str>,
    passes_bytes: Option<u64>,
    fails_bytes: Option<u64>,
    acknowledged: Option<bool>,
    packet_bytes: Option<u64>,
    /// Why nothing could be looked for.
    error: Option<ErrorObject<'a>>,
    diagnosis: Option<Meaning<'a>>,
    message: &'a str,
    duration_us: f64,
    exit_status: u8,
}
