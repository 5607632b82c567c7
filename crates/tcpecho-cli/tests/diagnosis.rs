//! Every case of the diagnosis, brought about for real between two hosts of the lab: the right words, the right exit
//! status, and in time. No harness: the lab may have to enter a user namespace while there is one thread.

#[path = "situations/mod.rs"]
mod situations;

use std::{process::ExitCode, time::Duration};

use situations::{Situation, Tool, all_in_parallel, ours, play, situations};
use tcpecho_lab::{Exit, doctor, host::Cable};

/// How many situations are played side by side.
const AT_A_TIME: usize = 8;
/// Far longer than any takes.
const PATIENCE: Duration = Duration::from_secs(40);

/// By how much everything is slower than on a machine of its own: the environment says so where the kernel is emulated.
fn slowness() -> u32 {
    std::env::var("TCPECHO_TEST_SLOWNESS").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

const TOOL: Tool =
    Tool { name: "tcpecho", argv: |target| ours(target, &["--json"]), descriptors: Some(4) };

fn main() -> ExitCode {
    // `cargo test` passes a filter and options of the usual harness on.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let way = match doctor::best() {
        Ok(way) => way,
        Err(findings) => {
            println!("SKIP: no lab here: {findings:?}");
            return ExitCode::SUCCESS;
        }
    };
    if let Err(failed) = way.enter() {
        println!("SKIP: {failed}");
        return ExitCode::SUCCESS;
    }
    let mut chosen = situations();
    chosen.retain(|situation| filter.is_none_or(|filter| situation.name.contains(filter)));
    chosen.retain(|situation| {
        let lacks = situation.lacks();
        if let Some(program) = lacks {
            println!("SKIP {}: {program} is not installed", situation.name);
        }
        lacks.is_none()
    });
    let complaints = all_in_parallel(&chosen, AT_A_TIME, |situation| {
        let complaint = examine(situation, way.cable()).err();
        println!("{} {}", if complaint.is_none() { "ok  " } else { "BAD " }, situation.name);
        complaint.map(|complaint| format!("{}: {complaint}", situation.name))
    });
    let complaints: Vec<String> = complaints.into_iter().flatten().collect();
    println!("{} situations, {} complaints", chosen.len(), complaints.len());
    for complaint in &complaints {
        println!("\n{complaint}");
    }
    ExitCode::from(u8::from(!complaints.is_empty()))
}

/// What is wrong with what `tcpecho connect` made of it.
fn examine(situation: &Situation, cable: Cable) -> Result<(), String> {
    let outcome = play(situation, &TOOL, cable, PATIENCE * slowness())
        .map_err(|broken| broken.to_string())?;
    let said = &outcome.said;
    if outcome.exit != Some(Exit::Exited(situation.status.into())) {
        return Err(format!("ended with {:?}: {said}", outcome.exit));
    }
    let report: serde_json::Value =
        serde_json::from_str(said).map_err(|error| format!("{error}: {said}"))?;
    let found = (&report["diagnosis"]["case"], &report["ending"]);
    if found != (&situation.case.into(), &situation.ending.into()) {
        return Err(format!("{found:?}: {said}"));
    }
    if outcome.took > Duration::from_secs(situation.within) * slowness() {
        return Err(format!("took {:?}", outcome.took));
    }
    println!("     {:>8.1?}  {}", outcome.took, report["message"].as_str().unwrap_or_default());
    Ok(())
}
