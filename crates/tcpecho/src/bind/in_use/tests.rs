//! Every way of being in use, as a row: what is there, what is wanted, what is said.

use super::*;

fn socket(state: TcpState, local: &str) -> TcpSocket {
    TcpSocket {
        state,
        local: local.parse().unwrap(),
        remote: "192.0.2.7:5000".parse().unwrap(),
        v6only: false,
        inode: 1,
        uid: 33,
        rqueue: 0,
        wqueue: 0,
        time_wait_ms: (state == TcpState::TimeWait).then_some(57_300),
    }
}

/// What is said when `ours` is refused, `pids` hold each socket, and we are process 9.
fn said(ours: &str, sockets: &[TcpSocket], pids: &[u32], reuse_address: bool) -> String {
    let ours: SocketAddr = ours.parse().unwrap();
    let mut culprits = in_the_way(ours.ip(), sockets);
    for culprit in &mut culprits {
        let holders = pids.iter().map(|&pid| Holder { pid, comm: "nginx".into() });
        culprit.holders = holders.collect();
    }
    reasons(&Seen { culprits: Ok(culprits), our_pid: 9 }, reuse_address).to_string()
}

#[test]
fn a_listener_is_named() {
    let sockets = [
        socket(TcpState::TimeWait, "127.0.0.1:80"),
        socket(TcpState::Listen, "0.0.0.0:80"),
        socket(TcpState::Listen, "0.0.0.0:80"),
    ];
    let expected = "held by PID 123 (nginx), listening on 0.0.0.0:80; end that process, or take \
                    another port; port 0 is a free one";
    assert_eq!(said("127.0.0.1:80", &sockets, &[123], true), expected);
    let unknown = said("0.0.0.0:80", &sockets, &[], true);
    let expected = "held by a process of uid 33 whose descriptors cannot be read from here, listening on 0.0.0.0:80";
    assert!(unknown.starts_with(expected), "{unknown}");
    let many = said("0.0.0.0:80", &sockets, &[7, 8, 9, 10, 11], true);
    assert!(many.contains("PID 8 (nginx), PID 9 (nginx, this process) and 2 more"), "{many}");
    assert!(many.contains("; close that socket, or take"), "{many}");
}

#[test]
fn sockets_that_do_not_exclude_each_other_are_not_blamed() {
    let other = socket(TcpState::Listen, "127.0.0.2:80");
    let v6only = TcpSocket { v6only: true, ..socket(TcpState::Listen, "[::]:80") };
    let said = said("127.0.0.1:80", &[other, v6only], &[], true);
    assert!(said.starts_with("no socket on that port exists any more"), "{said}");
}

#[test]
fn dual_stack_is_explained_both_ways() {
    let sockets = [socket(TcpState::Listen, "[::]:80")];
    assert!(said("0.0.0.0:80", &sockets, &[1], true).contains("its [::] is dual-stack"));
    let sockets = [socket(TcpState::Listen, "127.0.0.1:80")];
    assert!(said("[::]:80", &sockets, &[1], true).contains("[::] is dual-stack here"));
    let both = [sockets[0], socket(TcpState::Listen, "[::1]:80")];
    let said = said("[::]:80", &both, &[1], true);
    assert!(said.starts_with("held by PID 1 (nginx), listening on [::1]:80; end"), "{said}");
}

#[test]
fn a_bound_socket_is_named() {
    let sockets = [socket(TcpState::Close, "127.0.0.1:80")];
    let said = said("0.0.0.0:80", &sockets, &[5], false);
    let expected = "held by PID 5 (nginx), which does not listen yet, bound to 127.0.0.1:80";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn remains_are_counted_with_the_rule() {
    let sockets = [
        socket(TcpState::TimeWait, "127.0.0.1:80"),
        socket(TcpState::TimeWait, "[::ffff:127.0.0.1]:80"),
        socket(TcpState::Established, "127.0.0.1:80"),
    ];
    let old = said("0.0.0.0:80", &sockets, &[5], false);
    assert!(old.contains("2 TIME_WAIT, 1 ESTABLISHED, held by PID 5 (nginx)"), "{old}");
    assert!(old.contains("TIME_WAIT ends in 58 s; with SO_REUSEADDR here"), "{old}");
    let new = said("0.0.0.0:80", &sockets[..2], &[], true);
    assert!(new.contains("only if the old listener had it too"), "{new}");
}

#[test]
fn an_unknown_holder_is_reported() {
    let seen = Seen { culprits: Err(Errno::NOENT), our_pid: 9 };
    assert!(reasons(&seen, true).causes[0].contains("not known: sock_diag"));
}
