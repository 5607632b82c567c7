//! Whether the generator itself was the limit of a run.

use tcpecho_load::ClientUse;

/// From this share of its time on a thread is at its limit: what is left are its waits for events
/// that had already come.
pub(in crate::bench) const BUSY: f64 = 0.95;
/// From this share of its time on, waiting for a processor is what was measured.
const DELAYED: f64 = 0.05;

/// A shorter time says nothing of a thread.
const SHORTEST: u64 = 20_000_000;

/// Describes the limits that the generator reached; nothing when it had time to spare. `server` is the busiest
/// share that is known of the server's processors, 1 for one that never rested.
pub(in crate::bench) fn verdict(threads: &[ClientUse], server: Option<f64>) -> Vec<String> {
    let threads = threads.iter().filter(|used| used.elapsed_ns >= SHORTEST);
    let share = |part: fn(&ClientUse) -> u64| {
        let of = |used: &ClientUse| part(used) as f64 / used.elapsed_ns.max(1) as f64;
        threads.clone().map(of).fold(0.0, f64::max)
    };
    let (busy, delayed) = (share(|used| used.busy_ns), share(|used| used.delayed_ns));
    let mut sentences = Vec::new();
    if busy >= BUSY {
        let percent = busy * 100.0;
        sentences.push(match server {
            Some(server) if server >= BUSY => format!(
                "client and server were both at their limit: a client thread was busy {percent:.0} % \
                 of the time, the server {:.0} %",
                server * 100.0
            ),
            _ => format!(
                "the client was the limit: one of its threads was busy {percent:.0} % of the time \
                 (more --threads, or a lower --rate)"
            ),
        });
    }
    if delayed >= DELAYED {
        sentences.push(format!(
            "the client waited {:.0} % of the time for a processor that others used: latencies \
             contain that (--cpu, fewer --threads)",
            delayed * 100.0
        ));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_was_the_limit() {
        let used = |busy: u64, delayed: u64| {
            let thousandths = |share: u64| share * 1_000_000;
            let (busy_ns, delayed_ns) = (thousandths(busy), thousandths(delayed));
            [ClientUse { elapsed_ns: thousandths(1000), busy_ns, delayed_ns }]
        };
        let short = ClientUse { elapsed_ns: 5, busy_ns: 5, delayed_ns: 0 };
        assert!(verdict(&[short], None).is_empty());
        assert_eq!(verdict(&used(800, 10), None), Vec::<String>::new());
        assert!(verdict(&used(990, 0), Some(0.5))[0].starts_with("the client was the limit"));
        assert!(verdict(&used(990, 0), Some(0.99))[0].starts_with("client and server were both"));
        assert!(verdict(&used(10, 100), None)[0].contains("10 % of the time for a processor"));
        assert!(verdict(&[], None).is_empty());
    }
}
