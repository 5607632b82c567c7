//! What was seen, in one sentence: the call and its errno, then the evidence that decides.

use std::time::Duration;

use crate::Errno;
use tcpecho_os::tcp_state::TcpState;

use super::{Symptom, facts::Facts, icmp};
use crate::{
    Error, Evidence,
    counted::bytes,
    duration::{show_duration, show_elapsed},
};

/// The sentence, without its full stop.
pub(super) fn seen(facts: &Facts<'_>) -> String {
    let mut parts = vec![first(facts)];
    if facts.established() {
        debts(facts.evidence, &mut parts);
        under_way(facts, &mut parts);
    } else {
        handshake(facts, &mut parts);
    }
    if let Some(router) = facts.router() {
        let from = router.offender.map_or_else(|| "an unknown address".into(), |ip| ip.to_string());
        parts.push(format!("{} came from {from}", icmp::name(router)));
    }
    parts.join("; ")
}

fn first(facts: &Facts<'_>) -> String {
    let peer = facts.evidence.peer.map_or(String::new(), |peer| format!(" {peer}"));
    match facts.symptom {
        Symptom::Error(error) if facts.established() => error.to_string(),
        Symptom::Error(error) => {
            let call = Error { notes: Vec::new(), advice: Vec::new(), ..error.clone() };
            let after = format!("{call} after {}", show_elapsed(facts.evidence.elapsed));
            error.notes.iter().fold(after, |text, note| format!("{text}; {note}"))
        }
        Symptom::EndOfFile => format!("recv{peer}: end of file"),
        Symptom::Silence(span) => {
            format!("poll{peer}: no byte moved for {}", show_duration(*span))
        }
        Symptom::Unresolved(error) => error.to_string(),
        Symptom::Different { words, .. } => format!("recv{peer}: {words}"),
    }
}

/// The number of SYNs, and how long the kernel would have retried.
fn handshake(facts: &Facts<'_>, parts: &mut Vec<String>) {
    let evidence = facts.evidence;
    if !facts.connect(Errno::ETIMEDOUT) {
        return;
    }
    if let Some(tcp) = evidence.tcp {
        parts.push(match tcp.total_retrans {
            0 => "one SYN was sent".into(),
            again => format!("{} SYNs were sent", again + 1),
        });
    }
    let wait = evidence.kernel.syn_wait(None);
    if let (Some(_), Some(wait)) = (evidence.deadline, wait) {
        parts.push(format!("the kernel would have waited {}", round(wait)));
    }
}

/// What was outstanding in both directions.
fn debts(evidence: &Evidence, parts: &mut Vec<String>) {
    let Evidence { written, returned, unsent, echo, fin_sent, .. } = evidence;
    if *echo {
        parts.push(match (written, fin_sent) {
            (0, false) => "nothing had been sent".into(),
            (0, true) => "nothing but our FIN had been sent".into(),
            _ => format!("{returned} of {written} bytes had come back"),
        });
    }
    if *unsent > 0 {
        parts.push(format!("{} could not be sent", bytes(*unsent)));
    }
}

/// What the kernel still had under way.
fn under_way(facts: &Facts<'_>, parts: &mut Vec<String>) {
    let evidence = facts.evidence;
    if matches!(facts.symptom, Symptom::Different { .. }) {
        return;
    }
    if facts.end_of_file() && facts.reset_after_fin() {
        parts.push("RST came after the FIN".into());
    }
    parts.extend(unacknowledged(evidence));
    // An end of file says the rest.
    if facts.end_of_file() {
        return;
    }
    let Some(tcp) = evidence.tcp else { return };
    if tcp.total_retrans > 0 {
        parts.push(match tcp.total_retrans {
            1 => "1 retransmission".into(),
            count => format!("{count} retransmissions"),
        });
    }
    if facts.unanswered() && tcp.snd_wnd == Some(0) {
        parts.push("the peer's window is closed".into());
    }
    parts.extend(probes(facts, tcp.probes));
    if facts.unanswered() && tcp.state != TcpState::Close {
        parts.push(format!("state {}", tcp.state));
    }
    let rto = Duration::from_micros(tcp.rto_us.into());
    let wait = evidence.kernel.data_wait(rto, evidence.user_timeout);
    if let (Symptom::Silence(_), true, Some(wait)) = (facts.symptom, facts.unacknowledged(), wait) {
        parts.push(format!("the kernel would have waited {}", round(wait)));
    }
}

/// Probes without an answer: of the window where it is closed, of the connection where nothing is under way.
fn probes(facts: &Facts<'_>, count: u8) -> Option<String> {
    if count == 0 || !facts.unanswered() {
        return None;
    }
    let (number, were) = if count == 1 { ("probe", "was") } else { ("probes", "were") };
    if facts.window_is_closed() {
        let why =
            if facts.window_probes_are_lost() { "" } else { " (a kernel may answer one in 0.5 s)" };
        return Some(format!("{count} window {number} {were} not answered{why}"));
    }
    // The last one may just have been sent.
    let lost = !facts.silence() || facts.keepalive_probe_is_lost();
    let keepalive = !facts.unacknowledged() && lost;
    keepalive.then(|| format!("{count} keepalive {number} {were} not answered"))
}

/// What the peer's kernel has not acknowledged, our FIN apart.
fn unacknowledged(evidence: &Evidence) -> Option<String> {
    let fin = evidence.fin_sent && evidence.queued? > 0;
    match (evidence.unacknowledged()?, fin) {
        (0, false) => None,
        (0, true) => Some("our FIN is not acknowledged".into()),
        (1, false) => Some("1 byte of ours is not acknowledged".into()),
        (count, false) => Some(format!("{count} bytes of ours are not acknowledged")),
        (count, true) => {
            let bytes = bytes(count.into());
            Some(format!("{bytes} of ours and our FIN are not acknowledged"))
        }
    }
}

/// Rounds to the precision of such a time.
fn round(span: Duration) -> String {
    match span.as_secs() {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        seconds @ 10..300 => format!("{seconds} s"),
        seconds => format!("{} minutes", (seconds + 30) / 60),
    }
}
