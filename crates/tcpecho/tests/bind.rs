//! Every bind error that this host can produce, produced, and what is said of it.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use tcpecho_os::sock_diag::tcp_sockets;
use tcpecho_os::tcp_state::TcpState;

fn bound(addr: SocketAddr, reuse_address: bool) -> Result<OwnedFd, Errno> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, reuse_address)?;
    if addr.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    net::bind(&socket, &addr)?;
    Ok(socket)
}

fn listening(addr: &str, reuse_address: bool) -> TcpListener {
    let socket = bound(addr.parse().unwrap(), reuse_address).unwrap();
    net::listen(&socket, 8).unwrap();
    socket.into()
}

/// What is said when `addr` cannot be bound, for the errno that it must fail with.
fn refusal(addr: SocketAddr, errno: Errno, reuse_address: bool) -> String {
    assert_eq!(bound(addr, reuse_address).unwrap_err(), errno);
    tcpecho::internal::explain_bind(addr, errno, reuse_address).to_string()
}

/// Until execve(2) has closed them, a child holds every socket of this process, so that a listener
/// closed meanwhile still listens. `spawn` does not wait for that: the kernel lets the parent of
/// vfork(2) go on when it takes the old memory away, before it names the process anew and closes.
static FORKING: Mutex<()> = Mutex::new(());

fn any(port: u16) -> SocketAddr {
    ([0, 0, 0, 0], port).into()
}

#[test]
fn a_listener_of_this_process() {
    let listener = listening("127.0.0.1:0", true);
    let addr = listener.local_addr().unwrap();
    let said = refusal(any(addr.port()), Errno::ADDRINUSE, true);
    let (ours, place) = (format!("held by PID {} (", std::process::id()), format!("on {addr}"));
    assert!(said.starts_with(&ours) && said.contains("this process"), "{said}");
    assert!(said.contains(&place), "{said}");
}

#[test]
fn a_listener_of_another_process() {
    let listener = listening("127.0.0.1:0", true);
    let addr = listener.local_addr().unwrap();
    let listener = Stdio::from(OwnedFd::from(listener));
    let mut holder = {
        let _forking = FORKING.lock().unwrap();
        let mut holder = Command::new("sh")
            .args(["-c", "echo; kill -STOP $$"])
            .stdin(listener)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // A byte from the new program: execve(2) has ended.
        holder.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        holder
    };
    let said = refusal(addr, Errno::ADDRINUSE, true);
    holder.kill().unwrap();
    holder.wait().unwrap();
    let expected = format!("held by PID {} (sh), listening on {addr}; end that", holder.id());
    assert!(said.starts_with(&expected), "{said}");
    assert!(bound(addr, true).is_ok(), "its end frees the port");
}

#[test]
fn a_socket_that_is_bound_and_does_not_listen() {
    let first = bound("127.0.0.1:0".parse().unwrap(), false).unwrap();
    let addr = net::getsockname(&first).unwrap().try_into().unwrap();
    let said = refusal(addr, Errno::ADDRINUSE, true);
    if said.starts_with("no socket") {
        println!("SKIP: this kernel does not tell of bound sockets (Linux 6.8 does)");
        return;
    }
    assert!(said.contains(&format!("which does not listen yet, bound to {addr};")), "{said}");
}

/// A connection to a listener that is then closed.
fn connection(reuse_address: bool) -> (SocketAddr, TcpStream, TcpStream) {
    let _nobody_forks = FORKING.lock().unwrap();
    let listener = listening("127.0.0.1:0", reuse_address);
    let addr = listener.local_addr().unwrap();
    let client = TcpStream::connect(addr).unwrap();
    (addr, client, listener.accept().unwrap().0)
}

/// Leaves a connection in `TIME_WAIT` on the port: the server closes first.
fn time_wait(reuse_address: bool) -> SocketAddr {
    let (addr, client, server) = connection(reuse_address);
    drop(server);
    assert_eq!(client.peek(&mut [0]).unwrap(), 0);
    drop(client);
    // The last FIN may still be on its way; a hang here fails by the runner's own time limit.
    while tcp_sockets(addr.port()).unwrap().iter().any(|s| s.state != TcpState::TimeWait) {
        std::thread::yield_now();
    }
    addr
}

#[test]
fn time_wait_of_a_listener_without_reuse_address() {
    let addr = time_wait(false);
    let said = refusal(addr, Errno::ADDRINUSE, true);
    assert!(said.starts_with("connections remain on that port: 1 TIME_WAIT, the last"), "{said}");
    assert!(said.contains("SO_REUSEADDR is set here, but it has an effect only if"), "{said}");
    let said = refusal(any(addr.port()), Errno::ADDRINUSE, false);
    assert!(said.contains("with SO_REUSEADDR here and on the old listener, bind would"), "{said}");
}

#[test]
fn time_wait_needs_the_option_on_both() {
    let addr = time_wait(true);
    let said = refusal(addr, Errno::ADDRINUSE, false);
    assert!(said.contains("1 TIME_WAIT"), "{said}");
    assert!(bound(addr, true).is_ok());
}

#[test]
fn a_connection_that_outlived_its_listener() {
    let (addr, _client, _server) = connection(false);
    let said = refusal(addr, Errno::ADDRINUSE, true);
    let start = "connections remain on that port: 1 ESTABLISHED, held by PID ";
    assert!(said.starts_with(start), "{said}");
}

#[test]
fn dual_stack_excludes_ipv4_and_the_reverse() {
    if bound("[::]:0".parse().unwrap(), true).is_err() {
        println!("SKIP: this host has no IPv6");
        return;
    }
    let both = listening("[::]:0", true);
    let said = refusal(any(both.local_addr().unwrap().port()), Errno::ADDRINUSE, true);
    assert!(said.contains("its [::] is dual-stack and includes IPv4"), "{said}");

    let v4 = listening("127.0.0.1:0", true);
    let wildcard = format!("[::]:{}", v4.local_addr().unwrap().port());
    let said = refusal(wildcard.parse().unwrap(), Errno::ADDRINUSE, true);
    assert!(said.contains("[::] is dual-stack here and includes IPv4"), "{said}");
}

#[test]
fn an_address_of_somebody_else() {
    let addr = "192.0.2.1:0".parse().unwrap();
    if bound(addr, true).is_ok() {
        println!("SKIP: net.ipv4.ip_nonlocal_bind is on here");
        return;
    }
    let said = refusal(addr, Errno::ADDRNOTAVAIL, true);
    assert!(said.starts_with("192.0.2.1 is not an address of this host"), "{said}");
    assert!(said.contains("net.ipv4.ip_nonlocal_bind=1"), "{said}");
}

#[test]
fn a_link_local_address_without_its_interface() {
    let addr: SocketAddr = "[fe80::1]:0".parse().unwrap();
    match bound(addr, true) {
        Err(Errno::AFNOSUPPORT) => println!("SKIP: this kernel has no IPv6"),
        _ => assert!(refusal(addr, Errno::INVAL, true).contains("[fe80::1%INTERFACE]:0")),
    }
}

#[test]
fn a_link_local_address_of_no_interface() {
    let addr: SocketAddr = "[fe80::1%2147483647]:0".parse().unwrap();
    match bound(addr, true) {
        Err(Errno::AFNOSUPPORT) => println!("SKIP: this kernel has no IPv6"),
        _ => assert!(refusal(addr, Errno::NODEV, true).contains("no interface with the index")),
    }
}

#[test]
fn a_port_that_needs_privilege() {
    let limit = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let limit: u16 = limit.trim().parse().unwrap();
    if limit < 2 {
        println!("SKIP: no port needs privilege here");
        return;
    }
    // Capabilities are a thread's own, so this thread gives its right away and leaves the others'.
    let said = std::thread::spawn(|| {
        let mut ours = capabilities(None).unwrap();
        ours.effective.remove(CapabilitySet::NET_BIND_SERVICE);
        set_capabilities(None, ours).unwrap();
        refusal(any(1), Errno::ACCESS, true)
    });
    let said = said.join().unwrap();
    let start = format!("port 1 is below net.ipv4.ip_unprivileged_port_start, which is {limit}");
    assert!(said.starts_with(&start), "{said}");
    assert!(said.contains("CAP_NET_BIND_SERVICE"), "{said}");
}
