//! The options of connections.

use std::{sync::Arc, time::Duration};

use tcpecho::{ConnectOptions, HostFacts, internal::LONGEST_USER_TIMEOUT};

use crate::plan::Plan;

/// The options of all connections of a run.
#[derive(Debug, Clone)]
pub(crate) struct LinkOptions {
    pub(super) connect: ConnectOptions<'static>,
    /// How long sent data may stay unacknowledged.
    pub(super) user_timeout: Duration,
    /// What this host reports about failures, shared by all connections.
    pub(super) facts: Arc<HostFacts>,
    /// Use the kernel's timestamps.
    pub(crate) stamps: bool,
}

impl LinkOptions {
    /// Takes the options from a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        // After this time without an acknowledgement the kernel ends the connection, and reports why.
        let user_timeout =
            plan.timeout.saturating_mul(2).clamp(Duration::from_secs(1), LONGEST_USER_TIMEOUT);
        let facts = Arc::new(HostFacts::default());
        let connect = ConnectOptions::default()
            .source(plan.source)
            .timeout(plan.timeout)
            .overlap(plan.overlap)
            .user_timeout(user_timeout)
            .facts(Arc::clone(&facts));
        let connect = match &plan.device {
            Some(name) => connect.device(name),
            None => connect,
        };
        LinkOptions { connect, user_timeout, facts, stamps: plan.kernel_timestamps }
    }
}
