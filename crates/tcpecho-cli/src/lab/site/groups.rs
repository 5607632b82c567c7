//! The scenarios in groups, for the index.

/// The title of each group, and its scenarios.
pub(super) const GROUPS: &[(&str, &[&str])] = &[
    (
        "Opening and closing a connection",
        &[
            "normal-startup",
            "normal-termination",
            "half-close",
            "simultaneous-open",
            "simultaneous-close",
            "close-with-replies-under-way",
            "close-with-unread-data",
        ],
    ),
    (
        "Connection attempts that fail",
        &["refused", "syn-dropped", "unreachable-during-connect", "no-local-port"],
    ),
    (
        "Binding an address",
        &[
            "bind-in-use-by-listener",
            "bind-in-use-by-time-wait",
            "bind-privileged",
            "bind-not-ours",
        ],
    ),
    (
        "Accepting connections",
        &[
            "abort-before-accept",
            "abort-before-accept-posix",
            "accept-without-descriptors",
            "backlog-full",
            "third-ack-dropped",
            "abort-on-overflow",
            "syn-flood-without-cookies",
            "syn-flood-with-cookies",
        ],
    ),
    (
        "Processes and signals",
        &[
            "zombies-without-handler",
            "wait-against-waitpid",
            "eintr-on-accept",
            "eintr-on-connect",
            "server-process-killed",
            "server-process-killed-unread",
            "sigpipe",
            "operator-shutdown",
        ],
    ),
    (
        "Hosts that crash",
        &[
            "server-host-crashes",
            "server-host-crashes-user-timeout",
            "server-host-crashes-keepalive",
            "crash-and-reboot",
            "client-host-crashes-and-returns",
        ],
    ),
    (
        "The path between the hosts",
        &[
            "unreachable-while-established",
            "segment-lost",
            "segment-doubled",
            "segments-reordered",
            "segment-corrupted",
            "mtu-black-hole",
            "fragmentation-needed",
            "middlebox-forgets-silently",
            "middlebox-forgets-with-reset",
        ],
    ),
    ("Reading and writing", &["zero-window", "short-counts"]),
];

#[cfg(test)]
mod tests {
    use tcpecho_lab::scenario::SCENARIOS;

    use super::*;

    #[test]
    fn every_scenario_is_in_one_group() {
        let grouped = || GROUPS.iter().flat_map(|(_, names)| names.iter().copied());
        for scenario in SCENARIOS {
            let name = scenario.text.name;
            assert_eq!(grouped().filter(|other| *other == name).count(), 1, "{name}");
        }
        assert_eq!(grouped().count(), SCENARIOS.len());
    }
}
