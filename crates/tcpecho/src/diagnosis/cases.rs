//! The table: which evidence is which case, what it means, what to try. The first row that fits decides, so the special
//! ones stand above the general ones.

use rustix::io::Errno;

use super::{
    Case, Symptom,
    icmp::Refusal::{Host, Loop, Malformed, Network, Port, Prohibited, Protocol},
};
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
        "there is no such name", "check the spelling, then /etc/hosts (getent ahosts NAME)";
    "name-without-address" ResolveFailed known |s| s.unresolved(NoAddress::NoAddress) =>
        "the name exists and has no address", "ask whoever keeps the name for an A or AAAA record";
    "other-family" ResolveFailed known |s| s.unresolved(NoAddress::OtherFamily) =>
        "the name has addresses of the other family only", "leave out -4, -6 or --source";
    "resolver-unanswered" ResolveFailed known |s| s.unresolved(NoAddress::Unanswered) =>
        "no name server gave an answer: none was reached, or none could tell; whether the name exists is not known",
        "look into /etc/resolv.conf, check the network, or use the address instead of the name";

    // This process and this host, before any packet.
    "no-descriptors" Limit known |s| s.is(Errno::MFILE) =>
        "this process already has as many descriptors open as it may, {limit}",
        "raise the limit (ulimit -n), or look what keeps them open (ls -l /proc/PID/fd)";
    "no-descriptors-anywhere" Limit known |s| s.is(Errno::NFILE) =>
        "this host has as many files open as it may", "raise fs.file-max, or end what keeps them open";
    "no-memory" Limit known |s| s.is(Errno::NOBUFS) || s.is(Errno::NOMEM) =>
        "this host's kernel has no memory for another socket", "look at net.ipv4.tcp_mem and free memory";
    "no-such-family" NetworkUnreachable known |s| s.failed("socket", Errno::AFNOSUPPORT) =>
        "this host's kernel does not speak that family of addresses", "use an address of the other family";
    "socket-forbidden" Forbidden known |s| s.failed("socket", Errno::ACCESS) || s.failed("socket", Errno::PERM) =>
        "a sandbox on this host forbids sockets", "look for seccomp, SELinux or AppArmor rules";
    "no-such-source" NoLocalPort known |s| s.failed("bind", Errno::ADDRNOTAVAIL) =>
        "the source address is none of this host", "choose one that is (ip address)";
    "source-taken" NoLocalPort known |s| s.failed("bind", Errno::ADDRINUSE) =>
        "the source port is in use", "choose another, or none and let the kernel choose";
    "source-forbidden" Forbidden known |s| s.failed("bind", Errno::ACCESS) || s.failed("bind", Errno::PERM) =>
        "this user may not have that source port, or a security module forbids it",
        "choose one from 1024 on, or none";
    "joined-to-itself" Refused known |s| s.connect(Errno::CONNREFUSED) && s.joined_to_itself() =>
        "nobody listens there, and the kernel had joined our socket to itself",
        "start the server; take its port out of net.ipv4.ip_local_port_range";
    "pair-taken" NoLocalPort known |s| s.connect(Errno::ADDRNOTAVAIL) && s.evidence.local.is_some() =>
        "the source port already has a connection to {peer}, perhaps in TIME_WAIT",
        "choose another source port, or none and let the kernel choose";
    "ports-exhausted" NoLocalPort known |s| s.connect(Errno::ADDRNOTAVAIL) =>
        "no local port is left towards {peer} ({ports})",
        "widen net.ipv4.ip_local_port_range, let connections live longer, or use another source or destination address";
    "no-route" NetworkUnreachable known |s| s.is(Errno::NETUNREACH) && s.route_says(Errno::NETUNREACH) =>
        "this host has no route to {host}; nothing was sent", "check the link and the default route (ip route get {host})";
    "unreachable-route" HostUnreachable known |s| s.is(Errno::HOSTUNREACH) && s.route_says(Errno::HOSTUNREACH) =>
        "a route of this host says that {host} is unreachable; nothing was sent", "look at it (ip route get {host})";
    "prohibit-route" Forbidden known |s| s.is(Errno::ACCESS) && s.route_says(Errno::ACCESS) =>
        "a prohibit route or rule of this host forbids {host}; nothing was sent", "look at it (ip route get {host}, ip rule)";
    "blackhole-route" Forbidden known |s| s.is(Errno::INVAL) && s.route_says(Errno::INVAL) =>
        "a blackhole route of this host swallows what goes to {host}; nothing was sent", "look at it (ip route show)";

    // What routers and firewalls say, during the handshake or later.
    "neighbour-silent" HostUnreachable guess |s| s.refused_here() && s.refused(Host) =>
        "nobody on the link answers for the next hop (ARP, neighbour discovery): {host} is down, or not on this link",
        "check that it is up and that the netmask is right (ip neigh); an own firewall that rejects looks the same";
    "own-firewall" Forbidden known |s| s.refused_here() =>
        "this host's own firewall rejects it: {icmp}", "look at its output rules (nft list ruleset)";
    "prohibited" Forbidden known |s| s.refused(Prohibited) =>
        "a firewall at {router} rejects it by rule: {icmp}", "ask whoever runs {router} to let it through";
    "port-rejected" Refused known |s| s.refused(Port) =>
        "a firewall at {router} rejects that port: {icmp}; TCP itself would answer with RST",
        "look at the firewall of {router}";
    "no-tcp" HostUnreachable known |s| s.refused(Protocol) =>
        "{router} says that TCP is not spoken there: {icmp}", "check the address; a firewall may say so too";
    "network-unreachable" NetworkUnreachable known |s| s.refused(Network) =>
        "the router {router} has no way to that network: {icmp}",
        "check the address; then the routes of {router} (traceroute {host})";
    "host-unreachable" HostUnreachable known |s| s.refused(Host) =>
        "the router {router} cannot reach the host: {icmp}", "check that the host is up and its link works";
    "routing-loop" HostUnreachable known |s| s.refused(Loop) =>
        "packets go round in circles, or too far: {icmp} from {router}", "look at the way (traceroute {host})";
    "malformed" HostUnreachable known |s| s.refused(Malformed) =>
        "{router} does not understand our packets: {icmp}", "look for a broken device on the way (traceroute {host})";
    "own-rule" Forbidden known |s| s.is(Errno::PERM) || (s.is(Errno::ACCESS) && !s.established()) =>
        "a rule of this host refused the call, not a packet: a firewall or cgroup rule, a sandbox or a security module",
        "look at this host's firewall (nft list ruleset) and at what confines this process";

    // The handshake.
    "nobody-listens-here" Refused known |s| s.connect(Errno::CONNREFUSED) && s.peer_is_here() =>
        "nobody listens on that port of this host", "start the server, or check its address and port (ss -ltn)";
    "nobody-listens" Refused known |s| s.connect(Errno::CONNREFUSED) =>
        "RST answered the SYN: the host is up and nobody listens on that port, or a firewall answers in its name",
        "check the port, and on the server that it listens on that address (ss -ltn)";
    "own-firewall-drops" ConnectTimeout guess |s| s.connect(Errno::TIMEDOUT) && s.evidence.own_drops.is_some_and(|n| n > 0) =>
        "this host's own firewall drops it: {drops} retransmissions could not even leave this host",
        "look at its output rules (nft list ruleset)";
    "no-answer" ConnectTimeout known |s| s.connect(Errno::TIMEDOUT) =>
        "no answer at all: a firewall drops it silently, the host is down, or the server's accept queue is full",
        "try another port of that host and another host: if others answer, ask for the firewall or look at the server's queue (ss -ltn)";
    "reset-in-handshake" Reset known |s| s.connect(Errno::CONNRESET) =>
        "RST came right after the handshake", "look whether the server refuses this host, or a firewall does";

    // An established connection. Which router it was, and what exactly it said, Linux tells of handshakes only.
    "turned-back-network" NetworkUnreachable known |s| s.turned_back(Ending::NetworkUnreachable) =>
        "a router on the way turns our packets back: it has lost its route to that network",
        "look at the way (traceroute {host})";
    "turned-back-by-rule" Forbidden known |s| s.turned_back(Ending::Forbidden) =>
        "a firewall on the way has begun to reject the connection by rule", "look for the firewall (traceroute {host})";
    "turned-back" HostUnreachable known |s| s.turned_back(Ending::HostUnreachable) =>
        "a router or firewall on the way turns our packets back: the host cannot be reached any more, or a rule forbids it",
        "check that the host is up; look at the way (traceroute {host}) and for a firewall that has changed";
    "rejected-port" HostUnreachable known |s| s.broke(Errno::CONNREFUSED) =>
        "a firewall on the way has begun to reject the connection (ICMP port unreachable; TCP itself would send RST)",
        "look for the firewall (traceroute {host})";
    "fin-then-rst" ClosedEarly known |s| s.end_of_file() && s.reset_after_fin() =>
        "the peer's FIN came, and RST for what we sent afterwards: its process has closed the connection or is gone (the server terminated prematurely)",
        "look why it ended: its log, a crash, a shutdown";
    "closed-while-idle" ClosedEarly known |s| s.end_of_file() && s.nothing_owed() =>
        "the peer's FIN came while nothing was owed: the server terminated prematurely",
        "look why it closed: a shutdown, a restart, a crash, an idle or connection limit";
    "closed-early" ClosedEarly known |s| s.end_of_file() =>
        "the peer's FIN came before the conversation was over: the server terminated prematurely",
        "look why it closed: its log, a crash, a shutdown, an idle or connection limit";
    "never-accepted" Reset guess |s| s.broke(Errno::CONNRESET) && s.never_taken_in() && s.tcp(|tcp| tcp.total_retrans > 0) =>
        "the server's accept queue was full: the handshake seemed done, no byte was taken, and then its kernel gave it up",
        "look at the queue of the server (ss -ltn: Recv-Q above Send-Q) and why its program does not accept";
    "reset-at-once" Reset guess |s| s.broke(Errno::CONNRESET) && s.evidence.written == 0 && s.evidence.received == 0 =>
        "the server does not want this connection: it was reset before a byte had moved",
        "look at the server's log and limits (net.ipv4.tcp_abort_on_overflow), or for a firewall that resets";
    "connection-unknown" Reset guess |s| s.broke(Errno::CONNRESET) && s.unacknowledged() =>
        "the peer does not know the connection any more, as what we sent was answered with RST: its host has rebooted, \
         or a NAT or firewall forgot us; else its process closed with that unread",
        "look how long the server's host is up, and for idle limits on the way; keepalive holds such entries";
    "reset-by-process" Reset guess |s| s.broke(Errno::CONNRESET) =>
        "the peer's process was killed or closed with bytes unread, or wanted the reset (SO_LINGER)",
        "look into the server's log";
    "broken-pipe" BrokenPipe known |s| s.broke(Errno::PIPE) =>
        "wrote after the connection had already been reset", "look why it ended: the server's log";
    "never-accepted-silent" GaveUp guess |s| s.unanswered() && s.never_taken_in() && s.tcp(|tcp| tcp.segs_in > Some(1)) =>
        "the server's accept queue is full: the handshake seems done here, yet its kernel repeats the SYN-ACK and takes no byte",
        "look at the queue of the server (ss -ltn: Recv-Q above Send-Q) and why its program does not accept";
    "keepalive-lost" KeepaliveLost known |s| s.broke(Errno::TIMEDOUT) && !s.unacknowledged() =>
        "the idle peer stopped answering keepalives: its host is down or the path is cut",
        "check that the host answers at all (ping {host}), and what has changed on the way";
    "window-closed" GaveUp known |s| s.unanswered() && s.tcp(|tcp| tcp.snd_wnd == Some(0)) =>
        "the peer's program does not read: its host is alive and has no room for what we send",
        "look what the server's program is doing; its kernel holds our bytes (ss -tn: Recv-Q)";
    "large-packets-lost" GaveUp guess |s| s.retransmits_in_vain() && s.tcp(|tcp| tcp.sacked > 0) =>
        "large packets are lost while small ones pass (a path MTU black hole)",
        "try a smaller MTU, or net.ipv4.tcp_mtu_probing=1; look for a firewall that drops ICMP";
    "path-cut" GaveUp known |s| s.unanswered() && s.retransmits_in_vain() =>
        "nothing that we send is acknowledged any more: the peer's host is down or the path is cut",
        "check that the host answers at all (ping {host}), and what has changed on the way";
    "server-hangs" GaveUp known |s| s.unanswered() && !s.unacknowledged() =>
        "the peer's kernel has acknowledged everything, and its program does not answer: it hangs, is stopped, or is no echo server",
        "look what the server's program is doing; --no-check is for servers that do not echo";

    // What came back.
    "no-echo" Mismatch guess |s| matches!(s.symptom, Symptom::Different { offset: 0, .. }) =>
        "it is no echo server: what came back differs from the first byte on",
        "use --no-check to talk with it, or check the port";
    "altered" Mismatch known |s| matches!(s.symptom, Symptom::Different { .. }) =>
        "a byte came back changed, missing, doubled or foreign: by the server or by something on the way",
        "the server is not an echo server (then use --no-check), or something on the way alters bytes";
}
