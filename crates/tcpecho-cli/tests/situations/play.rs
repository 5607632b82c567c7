//! Playing situations: one, or all of them side by side.

use std::{
    ffi::OsString,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use super::{Broken, Cable, Exit, Scene, Situation, Stage, Stream, Tool};

/// What became of a client in a situation.
pub(crate) struct Outcome {
    /// None if it had to be killed.
    pub(crate) exit: Option<Exit>,
    /// From the moment it could be noticed to its end.
    pub(crate) took: Duration,
    /// What it wrote to standard error, and to standard output.
    pub(crate) said: String,
    pub(crate) wrote: String,
}

/// Plays one situation with one client, and gives it so long to end.
pub(crate) fn play(
    situation: &Situation,
    tool: &Tool,
    cable: Cable,
    patience: Duration,
) -> Result<Outcome, Broken> {
    let agent: Vec<OsString> =
        [env!("CARGO_BIN_EXE_tcpecho"), "lab", "agent"].map(OsString::from).into();
    let stage = Stage::new(situation.family, cable, agent)?;
    // Clients that have no limit of their own are not waited for two minutes.
    stage.two().set_sysctl("net.ipv4.tcp_syn_retries", "1")?;
    stage.two().set_sysctl("net.ipv4.tcp_synack_retries", "1")?;
    // Nobody looks at the states here.
    stage.two().watch_states(false);
    let mut scene = Scene {
        stage,
        situation,
        tool,
        client: None,
        since: Duration::ZERO,
        ordinary: false,
        kept: Vec::new(),
        files: Vec::new(),
    };
    (situation.play)(&mut scene)?;
    let client = scene.client()?;
    let ended = client.wait(patience).ok();
    // Whoever does not notice does not end.
    if ended.is_none() {
        client.kill();
    }
    let at = ended.map_or(scene.since + patience, |(at, _)| at);
    let text = |wanted: Stream| {
        let lines = client.lines().into_iter().filter(|(stream, _)| *stream == wanted);
        lines.map(|(_, line)| line).collect::<Vec<_>>().join("\n")
    };
    Ok(Outcome {
        exit: ended.map(|(_, exit)| exit),
        took: at.saturating_sub(scene.since),
        said: text(Stream::Err),
        wrote: text(Stream::Out),
    })
}

/// Calls `body` for each item, so many at a time; the results keep the order.
pub(crate) fn all_in_parallel<T: Sync, R: Send>(
    items: &[T],
    at_a_time: usize,
    body: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    let Some(item) = items.get(number) else { return };
                    let result = body(item);
                    results.lock().unwrap().push((number, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}
