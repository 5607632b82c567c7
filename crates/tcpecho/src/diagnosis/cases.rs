//! The table of cases: the evidence that each row requires, the cause, and the advice. The first row that fits decides, so
//! special rows come before general ones.
//!
//! A row is `known` if the evidence leaves no other cause. Otherwise it is a `guess`, and its advice is the experiment
//! that separates the remaining causes.

use crate::Errno;

use tcpecho_os::icmp::Meaning;

use super::{Case, Symptom, facts::lacks_scope};
use crate::{Ending, NoAddress};

macro_rules! cases {
    ($($word:literal $ending:ident $certain:ident $fits:expr => $cause:literal, $advice:literal;)*) => {
        /// Every case, in the order in which they are tried.
        pub static CASES: &[Case] = &[$(Case {
            word: $word,
            ending: Ending::$ending,
            certain: cases!(@$certain),
            fits: $fits,
            cause: $cause,
            advice: $advice,
        },)*];
    };
    (@known) => { true };
    (@guess) => { false };
}

cases! {
    // The name.
    "no-such-name" ResolveFailed known |s| s.unresolved(NoAddress::NoName) =>
        "the name does not exist",
        "check the spelling, then /etc/hosts (getent ahosts NAME)";
    "name-without-address" ResolveFailed known |s| s.unresolved(NoAddress::NoAddress) =>
        "the name exists and has no address", "ask the owner of the name for an A or AAAA record";
    "other-family" ResolveFailed known |s| s.unresolved(NoAddress::OtherFamily) =>
        "the name has addresses of the other address family only",
        "allow both address families; a source address allows its own family only";
    "address-of-wrong-family" BadAddress known |s| s.unresolved(NoAddress::WrongFamily) =>
        "{name} is not an address of the allowed address family",
        "use an address of that family, or allow both families; a source address allows its own \
         family only";
    "interface-unknown" BadAddress known |s| s.unresolved(NoAddress::NoInterface) =>
        "the interface that {name} names does not exist in this network namespace", "ip -br link lists the interfaces";
    "resolver-unanswered" ResolveFailed known |s| s.unresolved(NoAddress::Unanswered) =>
        "the name could not be resolved: no name server was reached, or all of them failed; the name may exist",
        "check /etc/resolv.conf and the network, or use the address instead of the name";

    // This process and this host, before any packet.
    "no-descriptors" Limit known |s| s.failed("socket", Errno::EMFILE) =>
        "this process has reached its limit of open descriptors, {limit}",
        "raise the limit (ulimit -n), or find out what keeps them open (ls -l /proc/PID/fd)";
    "no-descriptors-anywhere" Limit known |s| s.failed("socket", Errno::ENFILE) =>
        "this host has reached its limit of open files",
        "raise fs.file-max, or end the programs that keep them open";
    "no-memory" Limit known |s| s.is(Errno::ENOBUFS) || s.is(Errno::ENOMEM) =>
        "this host's kernel could not allocate memory",
        "look at free memory, net.ipv4.tcp_mem, and the memory limit of this process's control group";
    "no-such-family" NetworkUnreachable guess |s| s.failed("socket", Errno::EAFNOSUPPORT) =>
        "this host's kernel does not support that address family, or a sandbox blocks it (RestrictAddressFamilies= of \
         systemd)",
        "try it in a shell outside the sandbox, or use an address of the other family";
    "socket-forbidden" Forbidden known |s| s.failed("socket", Errno::EACCES) || s.failed("socket", Errno::EPERM) =>
        "a sandbox or a security module of this host forbids the socket", "look for seccomp, SELinux or AppArmor rules";
    "no-such-device" LocalError known |s| s.failed("setsockopt", Errno::ENODEV) =>
        "there is no such network interface in this network namespace", "ip link lists the interfaces";
    "option-forbidden" Forbidden guess |s| s.failed("setsockopt", Errno::EPERM) || s.failed("setsockopt", Errno::EACCES) =>
        "this user may not set that option, or a sandbox or security module forbids it",
        "try it as root; if that works, the process lacks a capability (CAP_NET_RAW for an interface)";
    "option-out-of-range" LocalError guess |s| s.failed("setsockopt", Errno::EINVAL) || s.failed("setsockopt", Errno::EDOM) =>
        "the value of the option is out of range for this kernel",
        "try a smaller value (man 7 tcp)";
    "option-unknown" LocalError known |s| s.failed("setsockopt", Errno::ENOPROTOOPT) =>
        "this kernel does not support that option",
        "leave it out, or use a newer kernel (uname -r)";
    "no-such-source" NoLocalPort known |s| s.failed("bind", Errno::EADDRNOTAVAIL) =>
        "the source address {source} is not a usable address of this host",
        "ip address lists the addresses; one marked tentative or dadfailed cannot be used";
    "source-ports-exhausted" NoLocalPort known |s| s.failed("bind", Errno::EADDRINUSE) && s.named().is_some_and(|addr| addr.port() == 0) =>
        "every ephemeral port of the source address is in use ({ports})",
        "ss -tan lists the sockets; connect without a source address, or widen net.ipv4.ip_local_port_range";
    "source-taken" NoLocalPort known |s| s.failed("bind", Errno::EADDRINUSE) =>
        "the source port {port} is in use on this host",
        "ss -tanp 'sport = :{port}' shows the process; use another port, or let the kernel choose one";
    "source-refused" Forbidden known |s| s.bind_forbidden() && s.named().is_some_and(|addr| addr.port() == 0) =>
        "a sandbox or security module of this host forbids the source address",
        "connect without a source address, or look for the rule";
    "source-forbidden" Forbidden guess |s| s.bind_forbidden() =>
        "this user may not use the source port {port}, or a sandbox or security module forbids it",
        "use a port from net.ipv4.ip_unprivileged_port_start (1024) up, or let the kernel choose one; if that fails too, \
         look for the sandbox";
    "source-lacks-interface" BadAddress known |s| s.failed("bind", Errno::EINVAL) && s.named().is_some_and(lacks_scope) =>
        "the source {source} is a link-local address, which needs an interface",
        "write it as {source}%INTERFACE (ip -6 address shows which has it)";
    "source-of-no-interface" BadAddress known |s| s.failed("bind", Errno::ENODEV) =>
        "the interface that the source address names does not exist", "ip link lists the interfaces";
    "source-multicast" BadAddress known |s| s.failed("bind", Errno::EINVAL) && s.named().is_some_and(|addr| addr.ip().is_multicast()) =>
        "the source {source} is a multicast address, and TCP connects from unicast addresses only (RFC 1122 4.2.3.10)",
        "use an address of this host (ip address)";
    "joined-to-itself" Refused known |s| s.connect(Errno::ECONNREFUSED) && s.joined_to_itself() =>
        "nobody listens on that port: the kernel connected the socket to itself (self-connection)",
        "start the server; exclude its port from the ephemeral ports (net.ipv4.ip_local_reserved_ports)";

    // Addresses that cannot be connected to, or not from here.
    "multicast-address" BadAddress known |s| s.connect(Errno::ENETUNREACH) && s.peer_is_multicast() =>
        "{host} is a multicast address, and TCP connects to unicast addresses only (RFC 1122 4.2.3.10)",
        "use the unicast address of a host";
    "broadcast-address" BadAddress known |s| s.connect(Errno::ENETUNREACH) && s.peer_is_broadcast() =>
        "{host} is a broadcast address, and TCP connects to unicast addresses only (RFC 1122 4.2.3.10)",
        "use the unicast address of a host; if it should be one, check the netmask (ip address)";
    "lacks-interface" BadAddress known |s| s.connect(Errno::EINVAL) && s.peer_lacks_scope() =>
        "{host} is a link-local address, which needs an interface",
        "write it as {host}%INTERFACE; ip -br link lists the interfaces";
    "no-such-interface" BadAddress known |s| (s.never_sent() || s.connect(Errno::ENODEV)) && s.scope_is_unknown() =>
        "the address names interface number {scope}, which does not exist", "ip link lists the interfaces and their numbers";
    "loopback-source" BadAddress known |s| (s.connect(Errno::EINVAL) || s.connect(Errno::ETIMEDOUT)) && s.source_is_loopback() =>
        "the source {source} is a loopback address, and {host} is not this host: it cannot answer to that address",
        "use a source address that {host} can reach, or none";
    "other-family-source" BadAddress known |s| s.connect(Errno::ENETUNREACH) && s.families_differ() =>
        "the source {source} is an IPv6 address, and {host} is reached over IPv4",
        "use an IPv4 source address, or none";
    "no-ipv6" NetworkUnreachable known |s| s.never_sent() && s.has_no_ipv6() =>
        "this host has no IPv6 address: IPv6 is switched off here, or no interface is up",
        "use an IPv4 address; ip -6 address and sysctl net.ipv6.conf.all.disable_ipv6 show which it is";
    "loopback-down" NetworkUnreachable known |s| (s.never_sent() || s.connect(Errno::ETIMEDOUT)) && s.loopback_is_down() =>
        "{host} is this host itself, and its loopback interface is down", "ip link set lo up";
    "no-source-address" NetworkUnreachable known |s| s.connect(Errno::EADDRNOTAVAIL) && s.route_says(Errno::EADDRNOTAVAIL) =>
        "this host has no address from which {host} can be reached",
        "ip address lists the addresses; a tentative address cannot be used";
    "pair-taken" NoLocalPort known |s| s.connect(Errno::EADDRNOTAVAIL) && s.evidence.local.is_some() =>
        "the source port already has a connection to {peer}, perhaps in TIME_WAIT",
        "use another source port, or let the kernel choose one";
    "ports-exhausted" NoLocalPort known |s| s.connect(Errno::EADDRNOTAVAIL) && s.ports_are_used_up() =>
        "all local ports for connections to {peer} are in use ({ports})",
        "reuse connections; let the server close first, so that the server keeps TIME_WAIT; or set net.ipv4.tcp_tw_reuse=1, \
         widen net.ipv4.ip_local_port_range, or use another source or destination address";
    "no-free-port" NoLocalPort guess |s| s.connect(Errno::EADDRNOTAVAIL) =>
        "no local port is free for a connection to {peer} ({ports}): the others are reserved, or used by listeners and \
         bound sockets",
        "ss -tan lists the sockets, net.ipv4.ip_local_reserved_ports the reserved ports";
    "no-route" NetworkUnreachable known |s| s.connect(Errno::ENETUNREACH) && s.route_says(Errno::ENETUNREACH) =>
        "this host has no route to {host}; nothing was sent", "check the link and the default route (ip route get {host})";
    "unreachable-route" HostUnreachable known |s| s.connect(Errno::EHOSTUNREACH) && s.route_says(Errno::EHOSTUNREACH) =>
        "an unreachable route of this host covers {host}; nothing was sent",
        "look at the route (ip route get {host})";
    "prohibit-route" Forbidden known |s| s.connect(Errno::EACCES) && s.route_says(Errno::EACCES) =>
        "a prohibit route or rule of this host covers {host}; nothing was sent",
        "look at the routes and rules (ip route get {host}, ip rule)";
    "blackhole-route" Forbidden known |s| s.connect(Errno::EINVAL) && s.route_says(Errno::EINVAL) && !s.peer_is_multicast() =>
        "a blackhole route or rule of this host covers {host}; nothing was sent",
        "look at the routes and rules (ip route show, ip rule)";
    "interface-down" NetworkUnreachable guess |s| s.is(Errno::ENETDOWN) =>
        "the interface towards {host} is down", "ip -br link shows it; ip route get {host} names it";
    "interface-gone" LocalError guess |s| s.connect(Errno::ENODEV) =>
        "the network interface of the connection does not exist any more",
        "ip link lists the interfaces";
    "interrupted" Interrupted known |s| s.connect(Errno::EINTR) =>
        "a signal interrupted the call before an answer came",
        "try again, and wait longer";

    // What routers and firewalls say, during the handshake or later.
    "neighbour-silent" HostUnreachable guess |s| s.refused_here() && s.router_says(Meaning::HostUnreachable) =>
        "the next hop does not answer ARP or neighbour discovery; it is {host} itself or the router towards it",
        "ip route get {host} shows the next hop; if ip neigh does not show it as FAILED, a firewall of this host rejects \
         the packets";
    "own-firewall" Forbidden known |s| s.refused_here() =>
        "this host's own firewall rejects the connection: {icmp}",
        "look at its output rules (nft list ruleset)";
    "prohibited" Forbidden known |s| s.router_says(Meaning::Prohibited) =>
        "a rule at {router} rejects the connection (a firewall, or a prohibit route): {icmp}",
        "ask the operator of {router} to allow it";
    "port-rejected" Refused known |s| s.router_says(Meaning::PortUnreachable) =>
        "a firewall at {router} rejects that port: {icmp}; TCP itself would answer with RST",
        "look at the firewall of {router}";
    "no-tcp" HostUnreachable known |s| s.router_says(Meaning::ProtocolUnreachable) =>
        "{router} reports that the host does not accept TCP: {icmp}",
        "check the address; a firewall can send the same error";
    "network-unreachable" NetworkUnreachable known |s| s.router_says(Meaning::NetworkUnreachable) =>
        "{router} reports that it has no route to that network: {icmp}",
        "check the address, then the routes of {router} (traceroute {host})";
    "host-unreachable" HostUnreachable known |s| s.router_says(Meaning::HostUnreachable) =>
        "{router} reports that it cannot reach the host: {icmp}",
        "check that the host is up and its link works; a firewall can send the same error";
    "routing-loop" HostUnreachable guess |s| s.router_says(Meaning::TimeExceeded) =>
        "a routing loop, or a TTL that is too small: {icmp} from {router}",
        "traceroute {host}: a loop shows the same routers again and again";
    "malformed" HostUnreachable known |s| s.router_says(Meaning::ParameterProblem) =>
        "{router} rejects our packets as malformed: {icmp}",
        "look for a device on the path that damages packets (traceroute {host})";
    "own-rule" Forbidden known |s| s.is(Errno::EPERM) =>
        "a rule of this host forbids the call: a control group's BPF program, a sandbox or a security module",
        "find out what restricts this process, and look at this host's firewall (nft list ruleset)";
    "refused-by-rule" Forbidden guess |s| s.connect(Errno::EACCES) =>
        "a sandbox or security module of this host forbids the connection (Landlock, SELinux), or a router rejects it by \
         rule",
        "try it in a shell outside the sandbox; if it fails there too, look for the rule on the path (traceroute {host})";

    // The handshake.
    "nobody-listens-here" Refused known |s| s.connect(Errno::ECONNREFUSED) && s.peer_is_here() && s.listens(false) =>
        "nobody listens on that port of this host", "start the server, or check its address and port (ss -ltn)";
    "rejected-here" Refused guess |s| s.connect(Errno::ECONNREFUSED) && s.peer_is_here() && s.listens(true) =>
        "a firewall of this host answers with RST: a socket does listen there",
        "nft list ruleset shows its rules; try again, in case the server has only just started";
    "nobody-listens" Refused guess |s| s.connect(Errno::ECONNREFUSED) =>
        "nobody listens on that port: RST answered the SYN; a firewall can send RST too",
        "on the server, ss -ltn shows whether it listens on that address; if it does, look for a firewall";
    "own-firewall-drops" ConnectTimeout guess |s| s.connect(Errno::ETIMEDOUT) && s.evidence.own_drops.is_some_and(|n| n > 0) =>
        "this host's own firewall drops the packets: {drops} retransmissions could not be sent",
        "look at its output rules (nft list ruleset)";
    "no-answer" ConnectTimeout guess |s| s.connect(Errno::ETIMEDOUT) =>
        "a firewall drops the SYN, the host is down, the server's accept queue is full, or the answer is lost on the way \
         back",
        "try another port of that host. If it answers, look for a firewall, and at the accept queue (ss -ltn on the \
         server). If it does not, ping the host and another host of its network. tcpdump on the server shows whether the \
         SYN arrives and is answered";
    "reset-in-handshake" Reset known |s| s.connect(Errno::ECONNRESET) =>
        "RST came right after the handshake",
        "check whether the server or a firewall rejects this host";

    // An established connection. Linux reports the router and its ICMP error for handshakes only.
    "route-lost" NetworkUnreachable known |s| (s.unreachable() || s.unanswered() && s.unacknowledged()) && s.has_no_route() =>
        "this host has lost its route to {host}", "check the link and the default route (ip route get {host})";
    "rejected-port" HostUnreachable guess |s| s.broke(Errno::ECONNREFUSED) =>
        "a firewall on the path has started to reject the connection (ICMP port unreachable; TCP itself would send RST)",
        "look for the firewall (traceroute {host})";
    "turned-back-network" NetworkUnreachable guess |s| s.turned_back(Ending::NetworkUnreachable) =>
        "a router on the path has lost its route to that network and rejects our packets",
        "check the path (traceroute {host})";
    "turned-back-by-rule" Forbidden guess |s| s.turned_back(Ending::Forbidden) =>
        "a firewall on the path has started to reject the connection",
        "look for the firewall (traceroute {host})";
    "turned-back" HostUnreachable guess |s| s.turned_back(Ending::HostUnreachable) =>
        "a router or firewall rejects our packets, or the next hop no longer answers ARP or neighbour discovery",
        "ping {host}: if it answers, look for a firewall whose rules have changed (traceroute {host}); ip neigh shows the \
         next hop";
    "fin-then-rst" ClosedEarly known |s| s.end_of_file() && s.reset_after_fin() =>
        "the peer sent FIN, and then RST for the data that we sent: it has closed the connection",
        "find out why it closed: its log, a crash, a shutdown";
    "closed-while-idle" ClosedEarly known |s| s.end_of_file() && s.nothing_owed() && !s.unacknowledged() =>
        "the peer sent FIN while nothing was outstanding: it closed, exited or half-closed",
        "find out why: a shutdown, a restart, a crash, an idle or connection limit";
    "closed-early" ClosedEarly known |s| s.end_of_file() =>
        "the peer sent FIN before the exchange was complete: it closed, exited or half-closed",
        "find out why: its log, a crash, a shutdown, an idle or connection limit";
    "never-accepted" Reset guess |s| s.broke(Errno::ECONNRESET) && s.never_taken_in() && s.tcp(|tcp| tcp.total_retrans > 0) =>
        "the server's accept queue was full: the handshake looked complete, no data was acknowledged, and then the server's \
         kernel sent RST",
        "look at the server's accept queue (ss -ltn: Recv-Q above Send-Q), and find out why its program does not accept";
    "reset-at-once" Reset guess |s| s.broke(Errno::ECONNRESET) && s.never_served() =>
        "the server rejects this connection: it was reset before any byte was acknowledged or received",
        "look at the server's log and limits (net.ipv4.tcp_abort_on_overflow), or for a firewall that sends RST";
    "connection-unknown" Reset guess |s| s.broke(Errno::ECONNRESET) && s.unacknowledged() && !s.was_acknowledged_lately() =>
        "RST answered the data that we sent: the peer's host has rebooted, a NAT or firewall has forgotten the connection, \
         or the peer's process closed without reading the data, or sent RST on purpose",
        "check the uptime of the server's host, and the idle limits of NATs and firewalls on the path; keepalive probes \
         keep their entries alive";
    "reset-by-process" Reset guess |s| s.broke(Errno::ECONNRESET) =>
        "the peer's process was killed or closed with unread data, or sent RST on purpose (SO_LINGER); a middlebox can send \
         RST too, and so does a host that has rebooted",
        "look at the server's log; tcpdump on the server shows whether it sent the RST";
    "broken-pipe" BrokenPipe known |s| s.broke(Errno::EPIPE) =>
        "wrote after the connection had ended: by a reset, by a timeout, or by our own FIN",
        "look for the first failure before this one, here and in the server's log";
    "never-accepted-silent" TimedOut guess |s| s.unanswered() && s.never_taken_in() && s.tcp(|tcp| tcp.segs_in > Some(1)) =>
        "the server's accept queue is full: the handshake looks complete here, but the server's kernel repeats the SYN-ACK \
         and acknowledges no data",
        "look at the server's accept queue (ss -ltn: Recv-Q above Send-Q), and find out why its program does not accept";
    "does-not-close" TimedOut guess |s| s.silence() && s.fin_acknowledged() && s.everything_came_back() && !s.keepalive_probe_is_lost() =>
        "the peer's program does not close the connection: every byte came back, and its kernel has acknowledged our FIN",
        "find out what it waits for; on the server, ss -tnp shows the connection in CLOSE_WAIT and the process that holds it";
    "still-open" TimedOut guess |s| s.silence() && s.fin_acknowledged() && !s.evidence.echo && !s.keepalive_probe_is_lost() =>
        "the peer's program is still working, hangs, or does not close: its kernel has acknowledged everything and our FIN",
        "wait longer; on the server, ss -tnp shows the process, what it has not read (Recv-Q) and what it has sent (Send-Q)";
    "silent-after-fin" ClosedEarly guess |s| s.broke(Errno::ETIMEDOUT) && s.evidence.peer_fin && !s.unacknowledged() =>
        "the peer's host is down, the path is cut, or a NAT or firewall has forgotten the connection: the peer had \
         half-closed, and keepalive probes were not answered afterwards",
        "all sent data was acknowledged; connect again for the rest. If there is nothing to send, end the input (< \
         /dev/null)";
    "keepalive-timeout" KeepaliveTimeout guess |s| s.broke(Errno::ETIMEDOUT) && !s.unacknowledged() =>
        "the idle peer's host is down, the path is cut, or a NAT or firewall has forgotten the connection: keepalive probes \
         are not answered",
        "connect again: if that works, check the uptime of the server's host, and the idle limits of NATs and firewalls on \
         the path (then send keepalive probes more often)";
    "window-closed" TimedOut known |s| s.unanswered() && s.window_is_closed() && !s.window_probes_are_lost() =>
        "the peer's program does not read: its window is zero, and its last acknowledgement came {acknowledged} ago",
        "find out what the server's program is doing; its kernel holds our data (ss -tn: Recv-Q)";
    "window-closed-silent" TimedOut guess |s| s.unanswered() && s.window_is_closed() =>
        "the peer's program did not read, and now its host is down or the path is cut: zero-window probes are not answered",
        "ping {host}: if it answers, connect again; a NAT or firewall may have forgotten this connection";
    "large-packets-lost" TimedOut guess |s| s.retransmits_in_vain() && s.large_ones_are_lost() && !s.peer_is_here() =>
        "large packets are lost on the path and small ones pass (a path MTU black hole): what was acknowledged was small, \
         what is outstanding is full-sized",
        "compare ping {host} with {large}: if only the large one fails, try a smaller MTU or net.ipv4.tcp_mtu_probing=1, \
         and look for a firewall that drops ICMP; if both fail, the path is cut";
    "path-cut" TimedOut guess |s| s.unanswered() && s.retransmits_in_vain() =>
        "the peer's host is down, the path is cut, or a NAT or firewall has forgotten the connection: nothing that we send \
         is acknowledged any more",
        "connect again: if that works, the connection was forgotten, or the host has restarted; if not, ping {host} shows \
         whether the host answers, and {large} whether large packets pass";
    "probes-unanswered" TimedOut guess |s| s.silence() && !s.unacknowledged() && s.keepalive_probe_is_lost() =>
        "the peer's host is down, the path is cut, or a NAT or firewall has forgotten the connection: all data was \
         acknowledged, and then keepalive probes were not answered",
        "connect again: if that works, check the uptime of the server's host, and the idle limits of NATs and firewalls on \
         the path";
    "answer-lost" TimedOut guess |s| s.silence() && !s.unacknowledged() && !s.nothing_owed() && s.tcp(|tcp| tcp.rcv_ooopack > Some(0)) =>
        "part of the answer is lost on the way back: later segments arrived, and one before them is missing",
        "on the server, ss -tni shows it retransmitting (Send-Q, retrans); from the server, {large} towards this host shows \
         whether large packets pass";
    "waits-for-newline" TimedOut guess |s| s.silence() && !s.unacknowledged() && !s.evidence.fin_sent && s.evidence.unfinished_line =>
        "the server waits for the end of the line: the bytes that are not echoed contain no newline",
        "send a newline; if that is not answered either, the server's program hangs, is stopped, or has not accepted this \
         connection yet";
    "partly-answered" TimedOut guess |s| s.silence() && !s.unacknowledged() && s.evidence.partial_answer =>
        "the server answers slowly, its program stopped in the middle of an answer, or the rest of \
         the answer is lost on the way back: the first bytes came back, and its kernel has \
         acknowledged everything",
        "allow more time: if the rest comes, the server is slow; if not, look at the connection on \
         the server (ss -tnp): Recv-Q above 0 is data that the program has not read; Send-Q above \
         0 is an answer that is lost on the way back";
    "not-served" TimedOut guess |s| s.silence() && !s.unacknowledged() && s.evidence.received == 0 =>
        "the server's program has not accepted this connection yet (it serves another client first), hangs, is stopped, or \
         is not an echo server: its kernel has acknowledged everything, and no byte came back",
        "on the server, ss -tnp shows the connection: without a process, it is not accepted; Recv-Q above 0 is data that \
         the program has not read; Send-Q above 0 is an answer that is lost on the way back";
    "server-hangs" TimedOut guess |s| s.silence() && !s.unacknowledged() =>
        "the server's program hangs, is stopped, is not an echo server, or its answer is lost on the way back: its kernel \
         has acknowledged everything",
        "on the server, ss -tnp shows the connection: Recv-Q above 0 is data that the program has not read; Send-Q above 0 \
         is an answer that is lost on the way back";
    "not-acknowledged-yet" TimedOut guess |s| s.silence() && s.unacknowledged() =>
        "the time limit was too short: what was sent is not acknowledged yet, and was not retransmitted",
        "allow more time than the retransmission timeout";
    "host-unreachable-unexplained" HostUnreachable guess |s| s.connect_ended(Ending::HostUnreachable) =>
        "a router or this host's neighbour table reported that {host} cannot be reached; which of them is not known",
        "ip route get {host} shows the next hop, ip neigh its state; traceroute {host} shows the routers";
    "network-unreachable-unexplained" NetworkUnreachable guess |s| s.connect_ended(Ending::NetworkUnreachable) =>
        "a router reported that it has no route to {host}, or a route of this host has just been restored; which of them is \
         not known",
        "try again; then use ip route get {host} and traceroute {host}";
    "local-error" LocalError guess |s| s.ending() == Ending::LocalError =>
        "a sandbox, a security module or the kernel of this host: the errno says nothing about the peer",
        "strace -f shows the call; compare with a shell outside the sandbox";

    // The echo differs.
    "no-echo" Mismatch guess |s| matches!(s.symptom, Symptom::Different { offset: 0, .. }) && s.evidence.returned == 0 =>
        "the server is not an echo server: its answer differs from the first byte on",
        "check the address and the port";
    "altered" Mismatch known |s| matches!(s.symptom, Symptom::Different { .. }) =>
        "a byte came back changed, missing, duplicated or extra: by the server or by something on the way",
        "test another echo server: if its echo is right, this server changes bytes; if not, a device on the path does";
}
