//! Every scenario, over IPv4 and IPv6: its claims hold.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tcpecho_lab::{
    Dice, Family,
    host::Cable,
    quiz::questions,
    scenario::{SCENARIOS, Scenario, Sentence, Verdict},
    stage::Stage,
};
use tcpecho_lab::{What, scenario::Run};

/// How often each is played; the environment may ask for more.
fn rounds() -> usize {
    std::env::var("TCPECHO_LAB_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

#[test]
fn every_scenario_holds() {
    play(SCENARIOS, |_| ());
}

/// Those in which being observed could change something: signals, children, interrupted calls, stopped programs.
const DELICATE: &[&str] = &[
    "zombies-without-handler",
    "wait-against-waitpid",
    "eintr-on-accept",
    "eintr-on-connect",
    "abort-before-accept",
    "accept-without-descriptors",
    "server-process-killed",
    "sigpipe",
    "operator-shutdown",
    "short-counts",
];

/// Being observed changes nothing of what a program does. With more than one round, every scenario is played.
#[test]
fn scenarios_hold_with_their_calls_observed() {
    let scenarios: Vec<_> = match rounds() {
        1 => DELICATE.iter().map(|name| Scenario::named(name).unwrap()).collect(),
        _ => SCENARIOS.to_vec(),
    };
    match tcpecho_lab::doctor::try_observing() {
        Ok(()) => play(&scenarios, |stage| stage.observe_calls()),
        Err(failed) => println!("SKIP {failed}"),
    }
}

fn play(scenarios: &[&'static Scenario], prepare: fn(&mut Stage)) {
    let puppet = vec![env!("CARGO_BIN_EXE_tcpecho-puppet").into()];
    let plays: Vec<_> = (0..rounds())
        .flat_map(|_| {
            scenarios.iter().flat_map(|scenario| Family::BOTH.map(|family| (*scenario, family)))
        })
        .collect();
    let next = AtomicUsize::new(0);
    let failures = std::thread::scope(|scope| {
        let players: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut failures = Vec::new();
                    while let Some((scenario, family)) = plays.get(next.fetch_add(1, Relaxed)) {
                        let run = scenario.run(*family, Cable::Tun, puppet.clone(), prepare);
                        failures.extend(complaint(&run));
                    }
                    failures
                })
            })
            .collect();
        players.into_iter().flat_map(|player| player.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), plays.len(), failures.join("\n"));
}

/// What is wrong with a run; that nothing could be played is said, and is no failure.
fn complaint(run: &Run) -> Option<String> {
    let name = format!("{} {}", run.scenario.name, run.family);
    match &run.verdict {
        Verdict::Skipped(why) => {
            println!("SKIP {name}: {why}");
            None
        }
        Verdict::Held(_) => {
            let unwritten = unwritten(run);
            let unwritten =
                unwritten.map(|sentence| format!("{name}: not in the text: {sentence}"));
            let unasked = || unasked(run).then(|| format!("{name}: nothing to ask"));
            let waited: Vec<_> =
                run.shortened.iter().map(|shortened| shortened.own.timer).collect();
            let told = (waited != run.scenario.timers())
                .then(|| format!("{name}: shortens {waited:?}, which its text does not say"));
            unwritten.or_else(unasked).or(told)
        }
        Verdict::Failed(claims) => Some(format!("{name}: {}", claims.join("; "))),
        Verdict::Broken(why) => Some(format!("{name}: broken: {why}")),
    }
}

/// Nothing of it can be asked for.
fn unasked(run: &Run) -> bool {
    let moments = run.timeline.as_ref().map(|timeline| timeline.since(0)).unwrap_or_default();
    questions(&moments, &mut Dice::new(0)).is_empty()
}

/// A claim that was made and that the explanation does not show.
fn unwritten(run: &Run) -> Option<String> {
    let written = run.scenario.sentences();
    run.timeline.iter().flat_map(|timeline| timeline.since(0)).find_map(|moment| {
        match moment.what {
            What::Claim { sentence, .. }
                if !written.contains(&Sentence::Claim(sentence.clone())) =>
            {
                Some(sentence)
            }
            _ => None,
        }
    })
}
