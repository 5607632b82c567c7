//! What will spoil a run, known before it starts: limits that the connections will hit, and a machine
//! that will measure itself.

use std::{fs, ops::RangeInclusive, time::SystemTime};

use tcpecho_load::After;
use tcpecho_os::sysctl;

use super::{
    args::Plan,
    machine::{self, line},
    visit::Setup,
};

/// The ports that the kernel chooses from: the lowest and the highest.
const PORTS: &str = "net.ipv4.ip_local_port_range";
/// Descriptors of ours that are no connections.
pub(super) const OTHERS: u64 = 64;

/// A sentence for each thing that stands in the way of this plan.
pub(super) fn look(plan: &Plan, setup: &Setup) -> Vec<String> {
    let connections = plan.numbers().count() as u64;
    let local = setup.pid.is_some() || setup.addr.ip().is_loopback();
    let mut found = setup.remarks.clone();
    found.extend(start(plan.start_at, SystemTime::now()));
    found.extend(descriptors(connections, machine::descriptors()));
    if let Ok(text) = sysctl::read(PORTS) {
        found.extend(ports(plan, connections, &text));
    }
    if local {
        let most = sysctl::number("net.core.somaxconn");
        found.extend(most.and_then(|most| backlog(connections, most)));
    }
    found.extend(conntrack(connections));
    found.extend(governor());
    found.extend(processors(setup, local));
    found
}

fn port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = text.split_once(char::is_whitespace)?;
    Some(low.trim().parse().ok()?..=high.trim().parse().ok()?)
}

fn descriptors(connections: u64, limit: u64) -> Option<String> {
    (connections.saturating_add(OTHERS) > limit).then(|| {
        format!(
            "{connections} connections do not fit into the {limit} descriptors that this process may \
             have (raise the hard limit: ulimit -Hn)"
        )
    })
}

/// A start that is over already.
fn start(at: Option<SystemTime>, now: SystemTime) -> Option<String> {
    let ago = now.duration_since(at?).ok().filter(|ago| !ago.is_zero())?;
    Some(format!(
        "--start-at is {} in the past: the run begins at once",
        tcpecho::internal::show_duration(ago)
    ))
}

fn ports(plan: &Plan, connections: u64, range: &str) -> Option<String> {
    let ports = port_range(range)?.len() as u64;
    let sources = plan.sources.len().max(1) as u64;
    let room = ports.saturating_mul(sources);
    if connections > room {
        return Some(format!(
            "{connections} connections do not fit into {room} local ports (more --source addresses, \
             or net.ipv4.ip_local_port_range)"
        ));
    }
    (plan.after == After::Close).then(|| {
        format!(
            "--close fin leaves each port in TIME_WAIT for a minute, a second on loopback: {room} \
             ports may run out (more --source addresses)"
        )
    })
}

fn backlog(connections: u64, most: u64) -> Option<String> {
    // Not more than a batch of connections is under way at a time, in each thread.
    (connections.min(128) > most).then(|| {
        format!("net.core.somaxconn is {most}: connections that do not fit the accept queue wait a second")
    })
}

fn conntrack(connections: u64) -> Option<String> {
    let number = |name: &str| sysctl::number::<u64>(&format!("net.netfilter.nf_conntrack_{name}"));
    let (most, used) = (number("max")?, number("count")?);
    // Each is tracked, and again for a while after its end.
    let room = most.saturating_sub(used);
    (used > 0 && room < connections.saturating_mul(2)).then(|| {
        format!(
            "conntrack has room for {room} more connections: it drops packets of further \
                 connections"
        )
    })
}

fn governor() -> Option<String> {
    let of =
        |cpu: usize| line(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"));
    let slow =
        machine::processors().into_iter().filter_map(of).find(|name| name != "performance")?;
    Some(format!(
        "the CPU governor is {slow}: figures depend on how warm the processor is (cpupower \
         frequency-set -g performance)"
    ))
}

fn processors(setup: &Setup, local: bool) -> Vec<String> {
    let mut found = Vec::new();
    let all = machine::processors();
    if local && all.len() < 2 {
        found.push(
            "generator and server share the only processor: each waits for the other".to_owned(),
        );
    } else if local && !apart(setup) {
        found.push(
            "generator and server may run on the same processors (--cpu LIST, --server-cpu LIST)"
                .to_owned(),
        );
    }
    let load = line("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    if let Some(load) = load.filter(|load| *load > 0.5 * all.len() as f64) {
        found.push(format!(
            "other programs keep this machine busy: load {load:.1} on {} processors",
            all.len()
        ));
    }
    found
}

/// Whether the server's processors and ours are known to be others.
fn apart(setup: &Setup) -> bool {
    let servers = if setup.server_cpus.is_empty() {
        setup.pid.map(allowed).unwrap_or_default()
    } else {
        setup.server_cpus.clone()
    };
    !servers.is_empty()
        && !setup.cpus.is_empty()
        && !setup.cpus.iter().any(|cpu| servers.contains(cpu))
}

/// The processors that another process may use.
fn allowed(pid: u32) -> Vec<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.and_then(|list| super::args::cpu_list(list.trim()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_that_the_kernel_chooses_from() {
        assert_eq!(port_range("32768\t60999"), Some(32768..=60999));
        for wrong in ["", "1", "x y", "1 99999"] {
            assert_eq!(port_range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_start_in_the_past_is_said() {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        let before = |seconds| Some(now - std::time::Duration::from_secs(seconds));
        assert!(start(before(90), now).unwrap().contains("90s in the past"));
        assert_eq!(start(before(0), now), None);
        assert_eq!(start(Some(now + std::time::Duration::from_secs(1)), now), None);
        assert_eq!(start(None, now), None);
    }

    #[test]
    fn limits_are_named_with_their_numbers() {
        assert_eq!(descriptors(900, 1024), None);
        let words = descriptors(1000, 1024).unwrap();
        assert!(words.contains("1000 connections") && words.contains("1024 descriptors"));
        assert_eq!(backlog(50, 128), None);
        assert!(backlog(500, 64).unwrap().contains("somaxconn is 64"));
        assert!(!allowed(std::process::id()).is_empty());
    }
}
