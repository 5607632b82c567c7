//! Explanations, summaries, and the machine-readable formats.

use std::{io, path::Path};

use serde::Serialize;
use tcpecho_lab::{
    Moment, Place, Side, What, pcapng,
    program::words as how,
    run::{Run, Verdict},
    timeline::PacketMoment,
};
use tcpecho_os::errno::io_words;

use super::{
    explain,
    junit::{self, Case, Problem},
    ladder, pace,
};
use crate::{output::write_file, tell::say};

/// Writes one line for each run, and the total.
pub(super) fn summary(out: &mut impl io::Write, runs: &[Run], seed: u64) -> io::Result<()> {
    let mut passed = 0;
    for run in begun(runs) {
        let verdict = words(&run.verdict);
        writeln!(out, "{:<32} {}  {verdict}", run.text.name, run.family)?;
        for sentence in pace::sentences(run) {
            let width =
                ladder::Look::of_stdout().width.map_or(usize::MAX, |width| width.max(24) - 4);
            for line in ladder::wrap(&sentence, width) {
                writeln!(out, "    {line}")?;
            }
        }
        passed += usize::from(matches!(run.verdict, Verdict::Held(_)));
    }
    let not_begun = runs.len() - begun(runs).count();
    let rest = if not_begun > 0 { format!(", {not_begun} not begun") } else { String::new() };
    writeln!(out, "{passed} of {} passed{rest} (--seed {seed})", runs.len())
}

/// The runs of which there is something to show.
pub(super) fn begun(runs: &[Run]) -> impl Iterator<Item = &Run> {
    runs.iter().filter(|run| run.has_begun())
}

pub(super) fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Held(claims) => format!("pass: {claims} {}", noun(*claims)),
        Verdict::Failed(claims) => format!("FAILED: {}", claims.join("; ")),
        Verdict::Broken(why) => format!("BROKEN: {why}"),
        Verdict::Skipped(why) => format!("SKIP: {why}"),
        Verdict::Interrupted(Some(held)) => {
            format!("INTERRUPTED: {held} {} passed so far", noun(*held))
        }
        Verdict::Interrupted(None) => "INTERRUPTED: before it began".into(),
    }
}

fn noun(claims: usize) -> &'static str {
    if claims == 1 { "claim" } else { "claims" }
}

pub(super) fn markdown(out: &mut impl io::Write, runs: &[Run], seed: u64) -> io::Result<()> {
    for run in begun(runs) {
        writeln!(
            out,
            "{}\nOver {}, seed {seed}: {}\n",
            explain::chapter(run.text),
            run.family,
            words(&run.verdict)
        )?;
        for sentence in pace::sentences(run) {
            writeln!(out, "Settings: {sentence}.\n")?;
        }
        writeln!(out, "```text")?;
        ladder::draw_moments(out, run)?;
        writeln!(out, "```\n")?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Line<'a> {
    scenario: &'a str,
    family: String,
    at_us: u128,
    place: &'a str,
    what: &'a str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

pub(super) fn ndjson(out: &mut impl io::Write, runs: &[Run], seed: u64) -> io::Result<()> {
    for run in runs {
        pace::ndjson(out, run, seed)?;
        for moment in run.moments() {
            let (what, text, verdict) = facts(&moment);
            let detail = match &moment.what {
                What::Packet(packet) => detail(packet),
                _ => None,
            };
            let line = Line {
                scenario: run.text.name,
                family: run.family.to_string(),
                at_us: moment.at.as_micros(),
                place: place(moment.place),
                what,
                text,
                verdict,
                detail,
            };
            serde_json::to_writer(&mut *out, &line)?;
            writeln!(out)?;
        }
        if let Verdict::Interrupted(held) = run.verdict {
            let last = run.moments().last().map_or(0, |moment| moment.at.as_micros());
            let line = Line {
                scenario: run.text.name,
                family: run.family.to_string(),
                at_us: last,
                place: place(Place::Lab),
                what: if held.is_some() { "interrupted" } else { "not-begun" },
                text: words(&run.verdict),
                verdict: None,
                detail: None,
            };
            serde_json::to_writer(&mut *out, &line)?;
            writeln!(out)?;
        }
        serde_json::to_writer(&mut *out, &ResultLine::of(run))?;
        writeln!(out)?;
    }
    Ok(())
}

/// The last object of a run.
#[derive(Serialize)]
struct ResultLine<'a> {
    scenario: &'a str,
    family: String,
    what: &'a str,
    verdict: &'a str,
    claims: usize,
    passed: usize,
    failed: &'a [String],
    why: Option<String>,
}

impl<'a> ResultLine<'a> {
    fn of(run: &'a Run) -> Self {
        let (mut claims, mut passed) = (0, 0);
        for moment in run.moments() {
            if let What::Claim { holds, .. } = moment.what {
                claims += 1;
                passed += usize::from(holds);
            }
        }
        let (verdict, failed, why): (_, &[String], _) = match &run.verdict {
            Verdict::Held(_) => ("passed", &[], None),
            Verdict::Failed(failed) => ("failed", failed, Some(failed.join("; "))),
            Verdict::Broken(why) => ("broken", &[], Some(why.clone())),
            Verdict::Skipped(why) => ("skipped", &[], Some(why.clone())),
            Verdict::Interrupted(Some(_)) => ("interrupted", &[], None),
            Verdict::Interrupted(None) => ("not-begun", &[], None),
        };
        let (scenario, family) = (run.text.name, run.family.to_string());
        ResultLine { scenario, family, what: "result", verdict, claims, passed, failed, why }
    }
}

/// Why this run has failed, in one sentence; nothing if it has held.
pub(super) fn failure(run: &Run) -> Option<String> {
    let why = ResultLine::of(run).why?;
    Some(format!("{} {}: {why}", run.text.name, run.family))
}

fn place(place: Place) -> &'static str {
    match place {
        Place::Host(Side::Client) => "client",
        Place::Host(Side::Server) => "server",
        Place::Wire => "wire",
        Place::Lab => "lab",
    }
}

/// What else the wire says of a packet.
fn detail(packet: &PacketMoment) -> Option<String> {
    let note = (!packet.note.is_empty()).then(|| packet.note.clone());
    let all: Vec<String> = packet.verdict.detail().into_iter().chain(note).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Its kind, what it says, and a verdict in one word.
fn facts(moment: &Moment) -> (&'static str, String, Option<&'static str>) {
    match &moment.what {
        What::Packet(packet) => {
            ("packet", format!("{}: {}", packet.from, packet.line), Some(packet.verdict.word()))
        }
        What::Unparsed { why, .. } => ("unparsed", (*why).into(), None),
        What::State { local, now, sampled, .. } => (
            "state",
            format!("{local} {}", now.map_or_else(|| "-".into(), |state| state.to_string())),
            sampled.then_some("sampled"),
        ),
        What::Started { program, pid } => ("started", format!("{program} {pid}"), None),
        What::Agent { program } => ("agent", program.to_string(), None),
        What::Over => ("over", "the experiment is over".into(), None),
        What::Observed { program } => ("observed", program.to_string(), None),
        What::Call(call) => ("call", call.to_string(), call.injected.then_some("injected")),
        What::Signal { signal, .. } => ("signal", signal.clone(), None),
        What::Input { line, .. } => ("input", line.clone(), None),
        What::Output { line, .. } => ("output", line.clone(), None),
        What::Exit { exit, .. } => ("exit", how(*exit), None),
        What::ChildExit { program, child, exit } => {
            ("child-exit", format!("{program} {child}: {}", how(*exit)), None)
        }
        What::Sysctl { key, value } => ("sysctl", format!("{key}={value}"), None),
        What::RtoMin(least) => ("rto-min", format!("{} ms", least.as_millis()), None),
        What::Step(text) => ("step", text.clone(), None),
        What::Claim { sentence, holds, .. } => {
            ("claim", sentence.clone(), Some(if *holds { "passed" } else { "failed" }))
        }
        What::Trouble(text) => ("trouble", text.clone(), None),
        What::Omitted { moments } => ("omitted", moments.to_string(), None),
    }
}

pub(super) fn junit(out: &mut impl io::Write, runs: &[Run]) -> io::Result<()> {
    let cases: Vec<Case> = runs.iter().map(case).collect();
    junit::write(out, "lab", cases.iter().map(|case| case.seconds).sum(), &cases)
}

fn case(run: &Run) -> Case<'static> {
    let (element, kind) = match &run.verdict {
        Verdict::Held(_) => ("", ""),
        Verdict::Failed(_) => ("failure", "failed"),
        Verdict::Broken(_) => ("error", "broken"),
        Verdict::Interrupted(Some(_)) => ("error", "interrupted"),
        Verdict::Skipped(_) | Verdict::Interrupted(None) => ("skipped", ""),
    };
    let problem = Problem { element, kind, message: words(&run.verdict) };
    Case {
        family: run.family.to_string(),
        name: run.text.name,
        seconds: run.moments().last().map_or(0.0, |moment| moment.at.as_secs_f64()),
        problem: (!element.is_empty()).then_some(problem),
    }
}

/// Writes every packet of a run, for Wireshark.
pub(super) fn write_pcapng(run: &Run, file: &Path) -> Result<(), String> {
    let Some(timeline) = &run.timeline else {
        return Err(format!("{}: not written: nothing was captured", file.display()));
    };
    let mut bytes = Vec::new();
    pcapng::write(timeline, &mut bytes)
        .map_err(|error| format!("{}: {}", file.display(), io_words(&error)))?;
    write_file(file, &bytes)?;
    let missing = timeline.omitted().packets;
    if missing > 0 {
        say(&format!(
            "{}: {missing} packets are not in it: there were too many to keep, the first and the last are",
            file.display()
        ));
    }
    Ok(())
}
