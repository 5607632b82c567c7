//! How a run makes its connections.

use std::{sync::Arc, time::Duration};

use tcpecho::{ConnectOptions, HostFacts, LONGEST_USER_TIMEOUT};

use crate::plan::Plan;

#[derive(Debug, Clone)]
pub(crate) struct LinkOptions {
    pub(super) connect: ConnectOptions<'static>,
    /// What this host says of failures, shared by all connections of the run.
    pub(super) facts: Arc<HostFacts>,
    /// Use the kernel's timestamps.
    pub(crate) stamps: bool,
}

impl LinkOptions {
    /// Takes from a plan what is about connections.
    pub(crate) fn of(plan: &Plan) -> Self {
        // A host that does not acknowledge for so long is given up by the kernel, which then says why.
        let user_timeout =
            plan.timeout.saturating_mul(2).clamp(Duration::from_secs(1), LONGEST_USER_TIMEOUT);
        let facts = Arc::new(HostFacts::default());
        let connect = ConnectOptions {
            source: plan.source,
            device: plan.device.clone(),
            timeout: Some(plan.timeout),
            overlap: plan.overlap,
            user_timeout: Some(user_timeout),
            facts: Some(Arc::clone(&facts)),
            ..ConnectOptions::default()
        };
        LinkOptions { connect, facts, stamps: plan.kernel_timestamps }
    }
}
