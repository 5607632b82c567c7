//! The table of workloads: what connections do. Values, help and documentation read the same rows.

use super::hand::After;

/// A kind of load.
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    /// What is counted as one.
    pub(super) unit: Unit,
    /// Bytes of a message unless told otherwise.
    pub(super) size: u64,
    pub(super) connections: u64,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    RequestResponse,
    ConnectRequestResponse,
    Stream,
    Idle,
    Ramp,
}

/// What throughput is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Messages,
    Connections,
    /// Millions of bytes, each way.
    Megabytes,
}

impl Unit {
    pub(super) fn words(self) -> &'static str {
        match self {
            Unit::Messages => "messages/s",
            Unit::Connections => "connections/s",
            Unit::Megabytes => "MB/s each way",
        }
    }

    /// One of them.
    pub(super) fn one(self) -> &'static str {
        match self {
            Unit::Messages => "echo",
            Unit::Connections => "connection",
            Unit::Megabytes => "MB",
        }
    }
}

pub(super) static WORKLOADS: &[Workload] = &[
    Workload {
        name: "rr",
        summary: "requests and responses on connections that stay open",
        unit: Unit::Messages,
        size: 64,
        connections: 50,
        kind: Kind::RequestResponse,
    },
    Workload {
        name: "crr",
        summary: "connect, one request and its response, close",
        unit: Unit::Connections,
        size: 64,
        connections: 50,
        kind: Kind::ConnectRequestResponse,
    },
    Workload {
        name: "stream",
        summary: "as much as the connections take, both ways at once",
        unit: Unit::Megabytes,
        size: 64,
        connections: 1,
        kind: Kind::Stream,
    },
    Workload {
        name: "idle",
        summary: "connections that make one exchange and are silent: what each costs the server",
        unit: Unit::Connections,
        size: 64,
        connections: 10_000,
        kind: Kind::Idle,
    },
    Workload {
        name: "ramp",
        summary: "as rr, at a rate that goes from A to B (--rate A:B)",
        unit: Unit::Messages,
        size: 64,
        connections: 50,
        kind: Kind::Ramp,
    },
];

impl Workload {
    pub(super) fn named(name: &str) -> Option<&'static Workload> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }

    /// What becomes of a connection after its exchange; `fin` for an orderly close.
    pub(super) fn after(&self, fin: bool) -> After {
        match self.kind {
            Kind::ConnectRequestResponse if fin => After::Closes,
            Kind::ConnectRequestResponse => After::Resets,
            _ => After::Stays,
        }
    }
}
