use super::*;

/// Memory from address 4096 on; descriptors from 3 to 9 are sockets.
struct Picture(Vec<u8>);

const BASE: u64 = 4096;

impl Subject for Picture {
    fn bytes(&self, address: u64, length: usize) -> Vec<u8> {
        let from = address.checked_sub(BASE).map_or(usize::MAX, |from| from as usize);
        let rest = self.0.get(from..).unwrap_or_default();
        rest[..rest.len().min(length)].to_vec()
    }

    fn is_socket(&self, descriptor: i32) -> bool {
        (3..10).contains(&descriptor)
    }
}

/// A call on the timeline when only its arguments are known.
fn entered(name: &'static str, arguments: [u64; 6], memory: &[u8]) -> String {
    Call { name, arguments }.arguments(&Picture(memory.to_vec()))
}

fn detail(name: &'static str, arguments: [u64; 6], memory: &[u8], value: i64) -> String {
    Call { name, arguments }.detail(&Picture(memory.to_vec()), value)
}

/// 192.0.2.10:7, followed by its length.
fn v4() -> Vec<u8> {
    let mut bytes = (libc::AF_INET as u16).to_ne_bytes().to_vec();
    bytes.extend([0, 7, 192, 0, 2, 10, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(16_u32.to_ne_bytes());
    bytes
}

fn v6() -> Vec<u8> {
    let mut bytes = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
    bytes.extend([0, 7, 0, 0, 0, 0]);
    bytes.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
    bytes.extend(2_u32.to_ne_bytes());
    bytes
}

fn ints(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

fn longs(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

#[test]
fn sockets_and_addresses() {
    let kind = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as u64;
    let (inet, base) = (libc::AF_INET as u64, BASE);
    assert_eq!(
        entered("socket", [inet, kind, 0, 0, 0, 0], &[]),
        "AF_INET, SOCK_STREAM|SOCK_CLOEXEC"
    );
    assert_eq!(entered("socket", [99, 5, 0, 0, 0, 0], &[]), "99, SOCK_SEQPACKET");
    assert_eq!(entered("connect", [3, base, 16, 0, 0, 0], &v4()), "3, 192.0.2.10:7");
    assert_eq!(entered("bind", [3, base, 28, 0, 0, 0], &v6()), "3, [2001:db8::1%2]:7");
    // Truncated, unreadable, unknown: nothing is invented.
    assert_eq!(entered("bind", [3, base, 5, 0, 0, 0], &v4()), "3, AF_INET");
    assert_eq!(entered("bind", [3, 8, 16, 0, 0, 0], &v4()), "3, ");
    assert_eq!(address_in(&[1]), "");
    let unix = |name: &[u8]| [&(libc::AF_UNIX as u16).to_ne_bytes(), name].concat();
    assert_eq!(address_in(&unix(b"/run/x\0junk")), "\"/run/x\"");
    assert_eq!(address_in(&unix(b"\0name")), "\"@name\"");
    assert_eq!(address_in(&unix(b"")), "\"\"");
    let accept = [3, base, base + 16, 0, 0, 0];
    assert_eq!(entered("accept4", accept, &v4()), "3");
    assert_eq!(detail("accept4", accept, &v4(), 4), "from 192.0.2.10:7");
    assert_eq!(detail("accept", [3, 0, 0, 0, 0, 0], &[], 4), "");
    assert_eq!(detail("getsockname", accept, &v4(), 0), "192.0.2.10:7");
}

#[test]
fn data_is_shown_in_part_and_escaped() {
    let text = b"hello\n\xffworld, and much more";
    let (length, base) = (text.len() as u64, BASE);
    let long = format!("4, \"hello\\n\\xffworld, and mu\"…, {length}");
    assert_eq!(entered("write", [4, base, length, 0, 0, 0], text), long);
    let flags = libc::MSG_NOSIGNAL as u64;
    let sent = entered("sendto", [4, base, 5, flags, 0, 0], text);
    assert_eq!(sent, "4, \"hello\", 5, MSG_NOSIGNAL");
    assert_eq!(entered("read", [4, base, 100, 0, 0, 0], &[]), "4, 100");
    assert_eq!(detail("read", [4, base, 100, 0, 0, 0], text, 5), "\"hello\"");
    assert_eq!(detail("recvfrom", [4, base, 100, 0, 0, 0], text, 0), "");
    // Two pieces of three and two bytes.
    let mut memory = longs(&[base + 32, 3, base + 35, 2]);
    memory.extend(b"hello");
    assert_eq!(entered("writev", [4, base, 2, 0, 0, 0], &memory), "4, \"hello\", 5");
    assert_eq!(entered("readv", [4, base, 2, 0, 0, 0], &memory), "4, 5");
    assert_eq!(detail("readv", [4, base, 2, 0, 0, 0], &memory, 4), "\"hell\"");
    let mut header = longs(&[0, 0, base + 56, 2, 0, 0, 0]);
    header.extend(longs(&[base + 88, 3, base + 91, 2]));
    header.extend(b"hello");
    assert_eq!(entered("sendmsg", [4, base, 0, 0, 0, 0], &header), "4, \"hello\", 5");
    assert_eq!(detail("recvmsg", [4, base, 0, 0, 0, 0], &header, 2), "\"he\"");
}

/// From a file or a pipe to a socket: the memory of the program does not see the bytes.
#[test]
fn bytes_that_the_kernel_moves_itself() {
    assert_eq!(entered("sendfile", [3, 5, 0, 100, 0, 0], &[]), "3, from 5, 100");
    assert_eq!(entered("splice", [4, 0, 6, 0, 200, 0], &[]), "4, to 6, 200");
}

#[test]
fn options_have_names_and_values() {
    let set = |level: i32, option: i32, length: u64, memory: &[u8]| {
        entered("setsockopt", [3, level as u64, option as u64, BASE, length, 0], memory)
    };
    assert_eq!(set(libc::SOL_SOCKET, libc::SO_REUSEADDR, 4, &ints(&[1])), "3, SO_REUSEADDR, 1");
    assert_eq!(set(libc::SOL_SOCKET, libc::SO_LINGER, 8, &ints(&[1, 0])), "3, SO_LINGER, on, 0 s");
    assert_eq!(set(libc::SOL_SOCKET, libc::SO_LINGER, 8, &ints(&[0, 5])), "3, SO_LINGER, off");
    let time = longs(&[1, 500_000]);
    assert_eq!(set(libc::SOL_SOCKET, libc::SO_RCVTIMEO, 16, &time), "3, SO_RCVTIMEO, 1500 ms");
    assert_eq!(set(libc::IPPROTO_TCP, libc::TCP_NODELAY, 4, &ints(&[1])), "3, TCP_NODELAY, 1");
    assert_eq!(set(libc::IPPROTO_TCP, 99, 4, &ints(&[7])), "3, IPPROTO_TCP 99, 7");
    assert_eq!(set(1234, 5, 4, &ints(&[7])), "3, level 1234 5, 7");
    assert_eq!(
        set(libc::IPPROTO_TCP, libc::TCP_CONGESTION, 4, b"reno"),
        "3, TCP_CONGESTION, 1869505906"
    );
    assert_eq!(
        set(libc::IPPROTO_TCP, libc::TCP_CONGESTION, 5, b"cubic"),
        "3, TCP_CONGESTION, \"cubic\""
    );
    let error = [3, libc::SOL_SOCKET as u64, libc::SO_ERROR as u64, BASE, BASE + 4, 0];
    assert_eq!(entered("getsockopt", error, &[]), "3, SO_ERROR");
    assert_eq!(detail("getsockopt", error, &ints(&[libc::ECONNREFUSED, 4]), 0), "ECONNREFUSED");
    assert_eq!(detail("getsockopt", error, &ints(&[0, 4]), 0), "0");
}

#[test]
fn waiting() {
    let mut memory = ints(&[3]);
    memory.extend((libc::POLLIN | libc::POLLOUT).to_ne_bytes());
    memory.extend((libc::POLLIN | libc::POLLHUP).to_ne_bytes());
    let poll = [BASE, 1, 250, 0, 0, 0];
    assert_eq!(entered("poll", poll, &memory), "[3 IN|OUT], 250 ms");
    let for_ever = u64::from(u32::MAX);
    assert_eq!(entered("poll", [BASE, 1, for_ever, 0, 0, 0], &memory), "[3 IN|OUT]");
    assert_eq!(detail("poll", poll, &memory, 1), "[3 IN|HUP]");
    let mut sets = vec![0b1001];
    sets.resize(128, 0);
    sets.extend(longs(&[1, 5000]));
    let select = [4, BASE, 0, 0, BASE + 128, 0];
    assert_eq!(entered("select", select, &sets), "in [0, 3], 1005 ms");
    assert_eq!(detail("select", select, &sets, 1), "in [0, 3]");
    let wait = [5, BASE, 8, 100, 0, 0];
    let events = ints(&[libc::EPOLLIN | libc::EPOLLRDHUP, 3, 0]);
    assert_eq!(entered("epoll_wait", wait, &[]), "5, 100 ms");
    assert_eq!(detail("epoll_wait", wait, &events, 1), "[IN|RDHUP]");
    let add = [5, libc::EPOLL_CTL_ADD as u64, 3, BASE, 0, 0];
    assert_eq!(entered("epoll_ctl", add, &events), "5, ADD, 3, IN|RDHUP");
    let any = -1_i64 as u64;
    let wait = [any, BASE, libc::WNOHANG as u64, 0, 0, 0];
    assert_eq!(entered("wait4", wait, &[]), "-1, WNOHANG");
    assert_eq!(detail("wait4", wait, &ints(&[3 << 8]), 12), "exited with 3");
    assert_eq!(detail("wait4", wait, &ints(&[libc::SIGPIPE]), 12), "killed by SIGPIPE");
    assert_eq!(detail("wait4", wait, &ints(&[0]), 0), "");
}

#[test]
fn calls_on_other_descriptors_are_not_recorded() {
    let picture = Picture(ints(&[0, 1, 1, 1]));
    let is = |name, first: u64, streams| {
        let call = Call { name, arguments: [first, libc::F_SETFL as u64, 0, 0, 0, 0] };
        call.is_of_interest(&picture, streams)
    };
    assert!(is("read", 3, false) && is("read", 0, true));
    assert!(!is("read", 0, false) && !is("read", 12, true));
    assert!(is("close", 3, false) && !is("close", 0, true));
    assert!(is("fcntl", 3, false) && is("accept4", 99, false));
    let poll = Call { name: "poll", arguments: [BASE, 2, 0, 0, 0, 0] };
    assert!(!poll.is_of_interest(&picture, false) && poll.is_of_interest(&picture, true));
}

#[test]
fn no_argument_of_a_program_does_harm() {
    let picture = Picture(vec![0xff; 64]);
    let names = (0..512).filter_map(tcpecho_lab_os::system_call::name);
    for name in names {
        for filling in [0, 1, BASE, BASE + 60, u64::MAX, i32::MIN as u64] {
            let call = Call { name, arguments: [filling; 6] };
            let _ = call.is_of_interest(&picture, true);
            let _ = (call.arguments(&picture), call.detail(&picture, i64::MAX));
        }
        let call = Call { name, arguments: [3, BASE, BASE, BASE, BASE, BASE] };
        let _ = (call.arguments(&picture), call.detail(&picture, 1));
    }
}
