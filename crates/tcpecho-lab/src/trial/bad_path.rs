//! What the hosts of a trial need where the path loses, changes or refuses packets.

use std::time::Duration;

use super::harness::Harness;
use crate::stage::Played;

/// Settings of both hosts.
pub(super) type Sysctls = [(&'static str, &'static str)];

/// Prepares the hosts for many packets on a bad path.
pub(super) fn prepare(harness: &Harness, sysctls: &Sysctls) -> Played {
    let two = harness.stage.two();
    // Sampling the states after each packet would take most of the time.
    two.watch_states(false);
    two.set_rto_min(Duration::from_millis(20))?;
    // After its close, a host still has much to send; 0 means 8.
    two.set_sysctl("net.ipv4.tcp_orphan_retries", "0")?;
    sysctls.iter().try_for_each(|(key, value)| two.set_sysctl(key, value))?;
    Ok(())
}
