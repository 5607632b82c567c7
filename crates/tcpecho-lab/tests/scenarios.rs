//! The claims of every scenario hold, over IPv4 and IPv6.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tcpecho_lab::{
    Action, Dice, Family, Matcher, Options, Packet, Rule, Side, TcpState, TwoHosts,
    host::Cable,
    quiz::questions,
    run::{Run, Verdict},
    scenario::{SCENARIOS, Scenario},
    stage::Stage,
};
use tcpecho_lab::{Place, What};

/// The number of rounds; the environment may ask for more.
fn rounds() -> usize {
    std::env::var("TCPECHO_LAB_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

#[test]
fn every_scenario_holds() {
    play(SCENARIOS, |_| ());
}

/// The scenarios in which tracing could change something: signals, children, interrupted calls,
/// stopped programs.
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

/// Tracing does not change what a program does. With more than one round, every scenario is played.
#[test]
fn scenarios_hold_while_their_calls_are_traced() {
    let scenarios: Vec<_> = match rounds() {
        1 => DELICATE.iter().map(|name| Scenario::named(name).unwrap()).collect(),
        _ => SCENARIOS.to_vec(),
    };
    match tcpecho_lab::doctor::try_observing() {
        Ok(()) => play(&scenarios, |stage| stage.observe_calls()),
        Err(failed) => println!("SKIP {failed}"),
    }
}

/// Like a busy machine, on which the wire processes a packet late.
#[test]
fn answers_to_window_probes_may_be_late() {
    play(&[Scenario::named("zero-window").unwrap()], |stage| {
        let (closed, asked) = (AtomicBool::new(false), AtomicBool::new(false));
        let answers = Matcher::any_tcp().matching("answers", move |from, packet: &Packet| {
            let Some(tcp) = packet.tcp() else { return false };
            match from {
                Side::Client => {
                    asked.fetch_or(closed.load(Relaxed) && tcp.payload == 0, Relaxed);
                    false
                }
                Side::Server => {
                    closed.fetch_or(tcp.window == 0, Relaxed);
                    tcp.window == 0 && asked.load(Relaxed)
                }
            }
        });
        stage.wire_rule(Rule::delay(answers, Duration::from_millis(600)));
    });
}

/// Like a busy machine, on which a FIN is retransmitted before the wire processes the first one:
/// the copy is answered from TIME_WAIT, and the answer finds no socket, which causes an RST (RFC
/// 1337).
#[test]
fn a_late_copy_of_a_fin_does_not_end_time_wait() {
    play(&[Scenario::named("no-local-port").unwrap()], |stage| {
        stage.wire_rule(Rule::new(Matcher::fin().from_server(), Action::Duplicate).once());
    });
}

/// Like a busy machine, on which an answer takes longer than the kernel waits before it retransmits
/// the SYN.
#[test]
fn the_answer_to_a_syn_may_be_late() {
    play(&[Scenario::named("refused").unwrap()], |stage| {
        stage.wire_rule(Rule::delay(Matcher::rst().from_server(), Duration::from_millis(1500)));
    });
}

/// Where hosts can be made, something must be played: a run that skips everything proves nothing.
fn play(scenarios: &[&'static Scenario], prepare: impl Fn(&mut Stage) + Sync) {
    if let Err(failed) = TwoHosts::new(&Options::default()) {
        return println!("SKIP no hosts: {failed}");
    }
    let agent = vec![env!("CARGO_BIN_EXE_tcpecho-agent").into()];
    let plays: Vec<_> = (0..rounds())
        .flat_map(|_| {
            scenarios.iter().flat_map(|scenario| Family::BOTH.map(|family| (*scenario, family)))
        })
        .collect();
    let (next, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let all_made = Mutex::new(HashSet::new());
    let mut failures = std::thread::scope(|scope| {
        let players: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut failures = Vec::new();
                    while let Some((scenario, family)) = plays.get(next.fetch_add(1, Relaxed)) {
                        let run = scenario.run(*family, Cable::Tun, agent.clone(), &prepare);
                        held.fetch_add(
                            usize::from(matches!(run.verdict, Verdict::Held(_))),
                            Relaxed,
                        );
                        failures.extend(complaint(&run));
                        if matches!(run.verdict, Verdict::Held(_)) {
                            all_made.lock().unwrap().extend(made(&run));
                        }
                    }
                    failures
                })
            })
            .collect();
        players.into_iter().flat_map(|player| player.join().unwrap()).collect::<Vec<_>>()
    });
    if failures.is_empty() {
        failures = unmade(scenarios, &all_made.into_inner().unwrap());
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), plays.len(), failures.join("\n"));
    assert!(!plays.is_empty() && held.load(Relaxed) > 0, "nothing was played");
    println!("{} of {} plays held", held.load(Relaxed), plays.len());
}

/// What is wrong with a run; a skipped run is printed and is not a failure.
fn complaint(run: &Run) -> Option<String> {
    let name = format!("{} {}", run.text.name, run.family);
    match &run.verdict {
        Verdict::Skipped(why) => {
            println!("SKIP {name}: {why}");
            None
        }
        Verdict::Held(_) => {
            let unwritten =
                unwritten(run).map(|sentence| format!("{name}: not in the text: {sentence}"));
            let unasked = || unasked(run).then(|| format!("{name}: nothing to ask"));
            let waited: Vec<_> =
                run.shortened.iter().map(|shortened| shortened.own.timer).collect();
            let told = (waited != run.text.timers)
                .then(|| format!("{name}: shortens {waited:?}, which its text does not say"));
            let impossible =
                || impossible(run).map(|change| format!("{name}: never happens: {change}"));
            let omitted = || {
                let omitted = run.timeline.as_ref()?.omitted();
                (omitted.total() > 0).then(|| format!("{name}: not kept: {omitted:?}"))
            };
            unwritten.or_else(unasked).or(told).or_else(impossible).or_else(omitted)
        }
        Verdict::Failed(claims) => Some(format!("{name}: {}", claims.join("; "))),
        Verdict::Broken(why) => Some(format!("{name}: broken: {why}")),
        Verdict::Interrupted(_) => unreachable!("nobody interrupts it"),
    }
}

/// Every state transition of TCP (RFC 9293 3.3.2, figure 5); `-` stands before a socket's beginning
/// and after its end.
const CHANGES: &str = "
    - CLOSED, - LISTEN, - SYN_SENT, - SYN_RECV, - ESTABLISHED, CLOSED LISTEN, CLOSED SYN_SENT, CLOSED -,
    LISTEN CLOSED, LISTEN -, SYN_SENT SYN_RECV, SYN_SENT ESTABLISHED, SYN_SENT CLOSED, SYN_SENT -,
    SYN_RECV ESTABLISHED, SYN_RECV -, ESTABLISHED FIN_WAIT_1, ESTABLISHED CLOSE_WAIT, ESTABLISHED -,
    FIN_WAIT_1 FIN_WAIT_2, FIN_WAIT_1 CLOSING, FIN_WAIT_1 TIME_WAIT, FIN_WAIT_1 -,
    FIN_WAIT_2 TIME_WAIT, FIN_WAIT_2 -, CLOSING TIME_WAIT, CLOSING -, CLOSE_WAIT LAST_ACK,
    CLOSE_WAIT -, LAST_ACK -, TIME_WAIT -";

/// A recorded change of state that TCP does not have, or that does not begin where the one before
/// ended.
fn impossible(run: &Run) -> Option<String> {
    let word = |state: Option<TcpState>| state.map_or("-", TcpState::word);
    let known: Vec<&str> = CHANGES.split(',').map(str::trim).collect();
    let mut last = std::collections::HashMap::new();
    run.timeline.iter().flat_map(|timeline| timeline.since(0)).find_map(|moment| {
        if matches!(&moment.what, What::Step(text) if text == "power off") {
            last.retain(|(place, _, _), _| *place != moment.place);
        }
        let What::State { local, remote, before, now, sampled } = moment.what else { return None };
        let change = format!("{} {}", word(before), word(now));
        let follows = last.insert((moment.place, local, remote), now).unwrap_or(None) == before;
        (!follows || !(sampled || known.contains(&change.as_str())))
            .then(|| format!("{change} of {local} {remote}"))
    })
}

/// Whether the run gives no question.
fn unasked(run: &Run) -> bool {
    let moments = run.timeline.as_ref().map(|timeline| timeline.since(0)).unwrap_or_default();
    questions(&moments, &mut Dice::new(0)).is_empty()
}

/// A sentence of a scenario: its name, a step, and a claim that belongs to the step.
type Sentence = (&'static str, String, Option<String>);

/// Every step and claim that was made.
fn made(run: &Run) -> Vec<Sentence> {
    let mut step = String::new();
    let moments = run.moments().into_iter().filter(|moment| moment.place == Place::Lab);
    let made = moments.filter_map(|moment| match moment.what {
        What::Step(does) => {
            step = does;
            Some((run.text.name, step.clone(), None))
        }
        What::Claim { sentence, .. } => Some((run.text.name, step.clone(), Some(sentence))),
        _ => None,
    });
    made.collect()
}

/// Every step and claim that the text of a scenario declares.
fn declared(scenario: &Scenario) -> Vec<Sentence> {
    let (name, steps) = (scenario.text.name, scenario.text.steps.iter());
    let steps = steps.map(|step| (name, step.does.into(), None));
    let claims = scenario.text.claims();
    steps.chain(claims.map(|(step, claim)| (name, step.does.into(), Some(claim.into())))).collect()
}

/// A step or claim that was made and that the text does not declare, or not there.
fn unwritten(run: &Run) -> Option<String> {
    let declared = declared(Scenario::named(run.text.name)?);
    let found = made(run).into_iter().find(|sentence| !declared.contains(sentence));
    found.map(|(_, step, claim)| claim.unwrap_or(step))
}

/// The steps and claims that are declared and that no run has made, over IPv4 or IPv6.
fn unmade(scenarios: &[&'static Scenario], made: &HashSet<Sentence>) -> Vec<String> {
    let played: HashSet<&str> = made.iter().map(|(name, ..)| *name).collect();
    let scenarios = scenarios.iter().filter(|scenario| played.contains(scenario.text.name));
    let unmade = scenarios.flat_map(|scenario| declared(scenario));
    let unmade = unmade.filter(|sentence| !made.contains(sentence));
    unmade.map(|sentence| format!("declared and never made: {sentence:?}")).collect()
}
