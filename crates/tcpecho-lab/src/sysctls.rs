//! The settings that every host starts with: those that this machine would otherwise determine, or
//! that differ from run to run.

use std::time::Duration;

/// The minimum RTO: a busy machine must not cause retransmissions. It is a
/// metric of the host's routes, which every kernel has; the sysctl `tcp_rto_min_us` came with Linux
/// 6.11.
pub(crate) const RTO_MIN: Duration = Duration::from_secs(1);
/// The sysctl with the same meaning. A locked metric of the route takes precedence.
pub(crate) const RTO_MIN_KEY: &str = "net.ipv4.tcp_rto_min_us";

/// What the minimum RTO is called where settings are listed.
pub(crate) const RTO_MIN_WORDS: &str = "minimum RTO";

/// Whether every host starts with this value.
pub(crate) fn is_base(key: &str, value: &str) -> bool {
    let least = format!("{} ms", RTO_MIN.as_millis());
    let rto = [(RTO_MIN_WORDS, least.as_str())];
    let base = BASE.iter().map(|(key, value, _)| (*key, *value)).chain(rto);
    base.into_iter().any(|(other, start)| other == key && start == value.trim())
}

/// Key, value and why. A key that this kernel does not have is skipped.
pub(crate) const BASE: &[(&str, &str, &str)] = &[
    ("net.ipv4.tcp_congestion_control", "reno", "always allowed, and does not pace"),
    ("net.ipv4.tcp_no_metrics_save", "1", "no memory of earlier connections"),
    ("net.ipv4.tcp_invalid_ratelimit", "0", "every odd segment is answered"),
    ("net.ipv4.tcp_early_retrans", "0", "no tail loss probe: the book's timer alone"),
    ("net.ipv4.tcp_syn_linear_timeouts", "0", "SYNs after 1, 2, 4 seconds"),
    (
        "net.ipv4.tcp_syn_retries",
        "6",
        "the kernel's own: no handshake fails because the machine is busy",
    ),
    ("net.ipv4.tcp_synack_retries", "5", "the kernel's own"),
    (
        "net.ipv4.tcp_orphan_retries",
        "8",
        "the kernel's own: no FIN is given up because the machine is busy",
    ),
    (
        "net.ipv4.tcp_rfc1337",
        "1",
        "TIME_WAIT is not ended by the RST that a late copy of a FIN brings about",
    ),
    ("net.ipv4.tcp_ecn", "0", "fewer flags on the wire"),
    ("net.ipv4.tcp_fastopen", "0", "no data on a SYN"),
    ("net.ipv4.tcp_rmem", "4096 131072 6291456", "windows do not depend on this machine"),
    ("net.ipv4.tcp_wmem", "4096 16384 4194304", "windows do not depend on this machine"),
    ("net.ipv4.tcp_retries2", "15", "the kernel's own, whatever this machine's is"),
    ("net.ipv4.ip_local_port_range", "32768 60999", "the kernel's own"),
    ("net.ipv6.conf.wire0.accept_dad", "0", "no neighbours to ask"),
    ("net.ipv6.conf.wire0.autoconf", "0", "no routers to ask"),
    ("net.ipv6.conf.wire0.accept_ra", "0", "no routers to ask"),
    ("net.ipv6.conf.wire0.router_solicitations", "0", "no routers to ask"),
    ("net.ipv6.conf.wire0.addr_gen_mode", "1", "no link-local address"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_name_every_setting() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lab.md");
        let page = std::fs::read_to_string(page).unwrap();
        for (key, value, why) in BASE {
            let row = format!("| `{key}` | `{value}` | {why} |");
            assert!(page.contains(&row), "docs/lab.md: {row}");
        }
    }

    #[test]
    fn what_every_host_starts_with_is_not_a_setting_of_the_run() {
        assert!(is_base("net.ipv4.tcp_retries2", "15") && is_base(RTO_MIN_WORDS, "1000 ms"));
        assert!(!is_base("net.ipv4.tcp_retries2", "3") && !is_base(RTO_MIN_WORDS, "20 ms"));
        assert!(!is_base("net.ipv4.tcp_tw_reuse", "2"));
    }
}
