//! What was seen, in one sentence: the call and its errno, then the evidence that decides.

use std::time::Duration;

use rustix::io::Errno;
use tcpecho_os::tcp_state::TcpState;

use super::{Symptom, icmp, sight::Sight};
use crate::{Error, Evidence};

/// The sentence, without its full stop.
pub(super) fn seen(sight: &Sight<'_>) -> String {
    let mut parts = vec![first(sight)];
    if sight.established() {
        debts(sight.evidence, &mut parts);
        under_way(sight, &mut parts);
    } else {
        handshake(sight, &mut parts);
    }
    if let Some(router) = sight.router() {
        let from = router.offender.map_or_else(|| "somebody".into(), |ip| ip.to_string());
        parts.push(format!("{} came from {from}", icmp::name(router)));
    }
    parts.join("; ")
}

fn first(sight: &Sight<'_>) -> String {
    let peer = sight.evidence.peer.map_or(String::new(), |peer| format!(" {peer}"));
    match sight.symptom {
        Symptom::Error(error) if sight.established() => error.to_string(),
        Symptom::Error(error) => {
            let call = Error { notes: Vec::new(), ..error.clone() };
            let after = format!("{call} after {:.1?}", sight.evidence.elapsed);
            error.notes.iter().fold(after, |text, note| format!("{text}; {note}"))
        }
        Symptom::EndOfFile => format!("recv{peer}: end of file"),
        Symptom::Silence(limit) => format!("poll{peer}: no byte moved for {limit:?}"),
        Symptom::Unresolved(error) => error.to_string(),
        Symptom::Different { words, .. } => format!("recv{peer}: {words}"),
    }
}

/// How often we knocked, and how long the kernel would have.
fn handshake(sight: &Sight<'_>, parts: &mut Vec<String>) {
    let evidence = sight.evidence;
    if !sight.connect(Errno::TIMEDOUT) {
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

/// What was still owed, from either side.
fn debts(evidence: &Evidence, parts: &mut Vec<String>) {
    let Evidence { written, returned, unsent, echo, .. } = evidence;
    if *echo {
        parts.push(format!("{returned} of {written} bytes had come back"));
    }
    if *unsent > 0 {
        parts.push(format!("{unsent} bytes could not be sent"));
    }
}

/// What the kernel still had under way.
fn under_way(sight: &Sight<'_>, parts: &mut Vec<String>) {
    let evidence = sight.evidence;
    // An end of file says it all.
    if matches!(sight.symptom, Symptom::EndOfFile | Symptom::Different { .. }) {
        if sight.end_of_file() && sight.reset_after_fin() {
            parts.push("RST came after the FIN".into());
        }
        return;
    }
    if let Some(queued @ 1..) = evidence.queued {
        parts.push(format!("{queued} of ours are not acknowledged"));
    }
    let Some(tcp) = evidence.tcp else { return };
    if tcp.total_retrans > 0 {
        parts.push(match tcp.total_retrans {
            1 => "1 retransmission".into(),
            count => format!("{count} retransmissions"),
        });
    }
    if sight.unanswered() && tcp.snd_wnd == Some(0) {
        parts.push("the peer's window is closed".into());
    }
    if sight.unanswered() && tcp.state != TcpState::Close {
        parts.push(format!("state {}", tcp.state));
    }
    let rto = Duration::from_micros(tcp.rto_us.into());
    let wait = evidence.kernel.data_wait(rto, evidence.user_timeout);
    if let (Symptom::Silence(_), true, Some(wait)) = (sight.symptom, sight.unacknowledged(), wait) {
        parts.push(format!("the kernel would have waited {}", round(wait)));
    }
}

/// As exact as such a time is.
fn round(span: Duration) -> String {
    match span.as_secs() {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        seconds @ 10..300 => format!("{seconds} s"),
        seconds => format!("{} minutes", (seconds + 30) / 60),
    }
}
