//! How a run makes its connections.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tcpecho::{ConnectOptions, HostFacts, internal::LONGEST_USER_TIMEOUT};

#[derive(Debug, Clone)]
pub(in crate::ping) struct Way {
    pub(super) options: ConnectOptions<'static>,
    /// What this host says of failures, shared by all connections of the run.
    pub(super) facts: Arc<HostFacts>,
    /// Use the kernel's timestamps.
    pub(in crate::ping) stamps: bool,
}

impl Way {
    /// `timeout` is the limit for each address. `overlap` tries the addresses of a name in parallel (RFC 8305), which takes a
    /// descriptor for each.
    pub(in crate::ping) fn new(
        source: Option<SocketAddr>,
        device: Option<String>,
        timeout: Duration,
        overlap: bool,
        stamps: bool,
    ) -> Self {
        // A host that does not acknowledge for so long is given up by the kernel, which then says why.
        let user_timeout =
            timeout.saturating_mul(2).clamp(Duration::from_secs(1), LONGEST_USER_TIMEOUT);
        let facts = Arc::new(HostFacts::default());
        let options = ConnectOptions {
            source,
            device,
            timeout: Some(timeout),
            overlap,
            user_timeout: Some(user_timeout),
            facts: Some(Arc::clone(&facts)),
            ..ConnectOptions::default()
        };
        Way { options, facts, stamps }
    }
}
