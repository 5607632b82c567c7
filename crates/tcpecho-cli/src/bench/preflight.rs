//! What will spoil a run, known before it starts: limits that the connections do not fit into, and a machine
//! that will measure itself.

use std::{fs, ops::RangeInclusive, time::SystemTime};

use tcpecho_load::After;
use tcpecho_os::sysctl;

use crate::units::count;

use super::{
    args::Plan,
    machine::{self, line},
    visit::Setup,
};

/// The ports that the kernel chooses from: the lowest and the highest.
const PORTS: &str = "net.ipv4.ip_local_port_range";
/// Descriptors of ours that are no connections.
pub(super) const OTHERS: u64 = 64;

/// Descriptors of the generator that come and go: a lookup, /proc, a file of the resolver.
const SPARE: u64 = 8;
/// Descriptors of each of its threads.
const PER_THREAD: u64 = 4;
/// Descriptors that a server started here has open, besides those of its engine.
const SERVER: u64 = 8;

/// Says why the connections cannot all be made, whatever the server does: the descriptors of this process, or of a server
/// that it starts, or the local ports towards one address.
pub(super) fn refused(plan: &Plan) -> Option<String> {
    let connections = plan.numbers().count() as u64;
    let limit = machine::descriptors();
    let own = machine::open_descriptors() + SPARE + PER_THREAD * plan.threads_at_most();
    let others = own.max(plan.engine_descriptors().map_or(0, |engine| engine + SERVER));
    let ports = sysctl::read(PORTS).ok().and_then(|text| port_range(&text));
    descriptors(connections, others, limit)
        .or_else(|| ports.and_then(|ports| too_few_ports(connections, plan.sources.len(), &ports)))
}

/// A sentence for each thing that stands in the way of this plan.
pub(super) fn look(plan: &Plan, setup: &Setup) -> Vec<String> {
    let connections = plan.numbers().count() as u64;
    let local = setup.pid.is_some() || setup.addr.ip().is_loopback();
    let mut found = setup.remarks.clone();
    found.extend(start(plan.start_at, SystemTime::now()));
    if let Ok(text) = sysctl::read(PORTS) {
        found.extend(ports(plan, &text));
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

/// `others` are the descriptors that are no connections.
fn descriptors(connections: u64, others: u64, limit: u64) -> Option<String> {
    let needed = connections.saturating_add(others);
    (needed > limit).then(|| {
        format!(
            "{} connections need {} descriptors, and this process may have {}: use {} connections or fewer (-c), or raise \
             the limit (ulimit -n {needed}; only root can raise the hard limit, ulimit -Hn)",
            count(connections),
            count(needed),
            count(limit),
            count(limit.saturating_sub(others))
        )
    })
}

/// One connection takes a local port of its source address, as long as all go to the same address and port.
fn too_few_ports(connections: u64, sources: usize, ports: &RangeInclusive<u16>) -> Option<String> {
    let sources = sources.max(1) as u64;
    let room = (ports.len() as u64).saturating_mul(sources);
    (connections > room).then(|| {
        format!(
            "{} connections to one address need as many local ports, and {} of {} to {} (net.ipv4.ip_local_port_range) \
             {} {}: use more source addresses (--source 127.0.0.1-127.0.0.9), a larger range, or fewer connections (-c)",
            count(connections),
            if sources == 1 { "the ports".to_owned() } else { format!("{sources} addresses with the ports") },
            ports.start(),
            ports.end(),
            if sources == 1 { "are" } else { "have" },
            count(room)
        )
    })
}

/// A start that is over already.
fn start(at: Option<SystemTime>, now: SystemTime) -> Option<String> {
    let at = at.filter(|at| *at < now)?;
    let at = humantime::format_rfc3339_seconds(at);
    Some(format!("--start-at: {at} is past: the run begins at once"))
}

/// Whether the ports may run out that closed connections leave in `TIME_WAIT`.
fn ports(plan: &Plan, range: &str) -> Option<String> {
    let ports = port_range(range)?.len() as u64;
    let room = ports.saturating_mul(plan.sources.len().max(1) as u64);
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
        let words = start(before(90), now).unwrap();
        assert!(words.contains("1970-01-01T00:15:10Z is past"), "{words}");
        assert_eq!(start(before(0), now), None);
        assert_eq!(start(Some(now + std::time::Duration::from_secs(1)), now), None);
        assert_eq!(start(None, now), None);
    }

    #[test]
    fn limits_are_named_with_their_numbers() {
        assert_eq!(descriptors(900, 20, 1024), None);
        let words = descriptors(1010, 20, 1024).unwrap();
        assert!(words.contains("1,010 connections need 1,030 descriptors"), "{words}");
        assert!(
            words.contains("1,004 connections or fewer") && words.contains("ulimit -n 1030"),
            "{words}"
        );
        assert_eq!(too_few_ports(28_232, 0, &(32_768..=60_999)), None);
        assert_eq!(too_few_ports(30_000, 2, &(32_768..=60_999)), None);
        let words = too_few_ports(30_000, 1, &(32_768..=60_999)).unwrap();
        assert!(words.contains("32768 to 60999") && words.contains("are 28,232"), "{words}");
        assert_eq!(backlog(50, 128), None);
        assert!(backlog(500, 64).unwrap().contains("somaxconn is 64"));
        assert!(!allowed(std::process::id()).is_empty());
    }
}
