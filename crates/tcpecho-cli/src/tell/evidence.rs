//! Evidence as JSON: every number with its unit in its name.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde::Serialize;
use tcpecho::{
    Errno, Evidence, Keepalive, Tried,
    internal::{KernelFacts, Route},
};
use tcpecho_os::{
    errno,
    error_queue::{Origin, QueuedError},
    tcp_info::TcpInfo,
};

#[derive(Serialize)]
pub(super) struct EvidenceObject {
    phase: &'static str,
    elapsed_us: u64,
    deadline_us: Option<u64>,
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    source: Option<IpAddr>,
    tcp: Option<TcpObject>,
    written_bytes: u64,
    unsent_bytes: u64,
    returned_bytes: u64,
    received_bytes: u64,
    acknowledged_bytes: Option<u64>,
    queued_bytes: Option<u32>,
    unread_bytes: Option<u32>,
    fin_sent: bool,
    peer_fin: bool,
    unfinished_line: bool,
    send_errno: Option<&'static str>,
    routers: Vec<RouterObject>,
    route_source: Option<IpAddr>,
    route_errno: Option<&'static str>,
    kernel: KernelObject,
    user_timeout_us: Option<u64>,
    keepalive: Option<KeepaliveObject>,
    own_drops: Option<u64>,
    sockets_towards_peer: Option<usize>,
    descriptor_limit: Option<u64>,
    ipv6_addresses: Option<usize>,
    loopback_up: Option<bool>,
    scope_exists: Option<bool>,
    listens_here: Option<bool>,
    tried: Vec<TriedObject>,
}

#[derive(Serialize)]
struct TriedObject {
    addr: SocketAddr,
    ending: &'static str,
    elapsed_us: u64,
}

#[derive(Serialize)]
struct TcpObject {
    state: &'static str,
    rtt_us: u32,
    rttvar_us: u32,
    rto_us: u32,
    retransmits: u8,
    probes: u8,
    backoff: u8,
    unacked_segments: u32,
    sacked_segments: u32,
    lost_segments: u32,
    total_retransmits: u32,
    delivered_segments: Option<u32>,
    out_of_order_segments: Option<u32>,
    send_mss_bytes: u32,
    bytes_acked: Option<u64>,
    bytes_received: Option<u64>,
    bytes_retransmitted: Option<u64>,
    segments_in: Option<u32>,
    segments_out: Option<u32>,
    send_window_bytes: Option<u32>,
    path_mtu_bytes: u32,
    last_data_sent_ms: Option<u32>,
    last_data_received_ms: Option<u32>,
    last_ack_received_ms: Option<u32>,
}

#[derive(Serialize)]
struct RouterObject {
    from: Option<IpAddr>,
    protocol: &'static str,
    #[serde(rename = "type")]
    kind: u8,
    code: u8,
    errno: Option<&'static str>,
}

#[derive(Serialize)]
struct KernelObject {
    tcp_syn_retries: Option<u32>,
    tcp_syn_linear_timeouts: Option<u32>,
    tcp_retries2: Option<u32>,
    tcp_rto_max_us: Option<u64>,
    first_local_port: Option<u16>,
    last_local_port: Option<u16>,
    /// What connect(2) would have waited.
    syn_wait_us: Option<u64>,
    /// What unanswered data would have waited from its sending on.
    data_wait_us: Option<u64>,
    /// What an idle connection would have waited.
    idle_wait_us: Option<u64>,
}

#[derive(Serialize)]
struct KeepaliveObject {
    idle_us: u64,
    interval_us: u64,
    probes: u32,
}

impl EvidenceObject {
    pub(super) fn of(evidence: &Evidence) -> Self {
        let facts = KernelFacts::of(evidence);
        let (route_source, route_errno) = match facts.route {
            Some(Route::Source(ip)) => (Some(ip), None),
            Some(Route::None(said)) => (None, said.name()),
            None => (None, None),
        };
        EvidenceObject {
            phase: evidence.phase.word(),
            elapsed_us: micros(evidence.elapsed),
            deadline_us: evidence.deadline.map(micros),
            local: evidence.local,
            peer: evidence.peer,
            source: evidence.source,
            tcp: facts.tcp.map(|tcp| TcpObject::of(tcp, evidence)),
            written_bytes: evidence.written,
            unsent_bytes: evidence.unsent,
            returned_bytes: evidence.returned,
            received_bytes: evidence.received,
            acknowledged_bytes: evidence.acknowledged(),
            queued_bytes: evidence.queued,
            unread_bytes: evidence.unread,
            fin_sent: evidence.fin_sent,
            peer_fin: evidence.peer_fin,
            unfinished_line: evidence.unfinished_line,
            send_errno: evidence.send_error.and_then(Errno::name),
            routers: facts.routers.iter().map(RouterObject::of).collect(),
            route_source,
            route_errno,
            kernel: KernelObject::of(evidence, &facts),
            user_timeout_us: evidence.user_timeout.map(micros),
            keepalive: evidence.keepalive.map(KeepaliveObject::of),
            own_drops: evidence.own_drops,
            sockets_towards_peer: facts.towards.map(|towards| towards.sockets),
            descriptor_limit: evidence.descriptor_limit,
            ipv6_addresses: facts.stack.v6_addresses,
            loopback_up: facts.stack.loopback_up,
            scope_exists: facts.stack.scope_exists,
            listens_here: facts.stack.listens,
            tried: evidence.tried.iter().map(TriedObject::of).collect(),
        }
    }
}

impl TcpObject {
    fn of(tcp: &TcpInfo, evidence: &Evidence) -> Self {
        // Before the first one, the kernel counts from its own start.
        let if_any = |bytes: u64, ms: u32| (bytes > 0).then_some(ms);
        TcpObject {
            state: tcp.state.word(),
            rtt_us: tcp.rtt_us,
            rttvar_us: tcp.rttvar_us,
            rto_us: tcp.rto_us,
            retransmits: tcp.retransmits,
            probes: tcp.probes,
            backoff: tcp.backoff,
            unacked_segments: tcp.unacked,
            sacked_segments: tcp.sacked,
            lost_segments: tcp.lost,
            total_retransmits: tcp.total_retrans,
            delivered_segments: tcp.delivered,
            out_of_order_segments: tcp.rcv_ooopack,
            send_mss_bytes: tcp.snd_mss,
            bytes_acked: tcp.bytes_acked,
            bytes_received: tcp.bytes_received,
            bytes_retransmitted: tcp.bytes_retrans,
            segments_in: tcp.segs_in,
            segments_out: tcp.segs_out,
            send_window_bytes: tcp.snd_wnd,
            path_mtu_bytes: tcp.pmtu,
            last_data_sent_ms: if_any(evidence.written, tcp.last_data_sent_ms),
            last_data_received_ms: if_any(evidence.received, tcp.last_data_recv_ms),
            last_ack_received_ms: if_any(tcp.bytes_acked.unwrap_or(0), tcp.last_ack_recv_ms),
        }
    }
}

impl TriedObject {
    fn of(tried: &Tried) -> Self {
        let Tried { addr, ending, elapsed } = *tried;
        TriedObject { addr, ending: ending.word(), elapsed_us: micros(elapsed) }
    }
}

impl RouterObject {
    fn of(error: &QueuedError) -> Self {
        let protocol = match error.origin {
            Origin::Icmp => "icmp",
            Origin::Icmp6 => "icmpv6",
            Origin::Local => "local",
        };
        let QueuedError { offender: from, kind, code, .. } = *error;
        RouterObject { from, protocol, kind, code, errno: errno::name(error.errno) }
    }
}

impl KernelObject {
    fn of(evidence: &Evidence, facts: &KernelFacts<'_>) -> Self {
        let kernel = facts.kernel;
        let rto = facts.tcp.map(|tcp| Duration::from_micros(tcp.rto_us.into()));
        let keepalive = evidence.keepalive;
        KernelObject {
            tcp_syn_retries: kernel.syn_retries,
            tcp_syn_linear_timeouts: kernel.syn_linear_timeouts,
            tcp_retries2: kernel.retries2,
            tcp_rto_max_us: kernel.rto_max.map(micros),
            first_local_port: kernel.port_range.map(|range| range.0),
            last_local_port: kernel.port_range.map(|range| range.1),
            syn_wait_us: kernel.syn_wait(None).map(micros),
            data_wait_us: rto
                .and_then(|rto| kernel.data_wait(rto, evidence.user_timeout))
                .map(micros),
            idle_wait_us: keepalive
                .map(|keepalive| micros(kernel.idle_wait(keepalive, evidence.user_timeout))),
        }
    }
}

impl KeepaliveObject {
    fn of(keepalive: Keepalive) -> Self {
        KeepaliveObject {
            idle_us: micros(keepalive.idle),
            interval_us: micros(keepalive.interval),
            probes: keepalive.count,
        }
    }
}

/// Whole microseconds.
pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
