//! Our server with other people's clients, and our client with other people's servers.

#[path = "common/mod.rs"]
mod common;

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use common::{peers::Client, *};

/// A line, a byte, nothing at all, and a megabyte that is on its way back when the sender's FIN comes.
fn texts() -> [Vec<u8>; 4] {
    [b"hello\n".to_vec(), b"\0".to_vec(), Vec::new(), pattern(0, MIB)]
}

/// Gives the program this input and its end, and gets this and its end back.
fn sends_and_gets(command: &mut Command, text: &[u8]) {
    let mut client = Client::run(command.stdout(Stdio::piped()));
    let mut stdin = client.takes_stdin();
    let ended = thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(text).unwrap());
        client.ends()
    });
    ended.with(0);
    let (got, sent) = (ended.stdout.len(), text.len());
    assert!(ended.stdout == text, "{got} bytes of {sent} came back; {}", ended.stderr);
}

fn with_client(tool: &str, command: impl Fn(SocketAddr) -> Command + Sync) {
    if !has(tool) {
        return;
    }
    together(everywhere(), |(engine, at)| {
        let server = Serving::start(engine, at, &[]);
        for (text, count) in texts().iter().zip(1..) {
            sends_and_gets(&mut command(server.addr()), text);
            // Whatever the client thinks: to the server it was a proper end.
            server.says_times("ending=finished", count);
        }
        server.stops().with(0).says("accepted=4 active=0");
    });
}

fn command(tool: &str, args: &[&str]) -> Command {
    let mut command = Command::new(tool);
    command.args(args);
    command
}

/// `127.0.0.1 7` or `::1 7`.
fn host_and_port(addr: SocketAddr) -> [String; 2] {
    [addr.ip().to_string(), addr.port().to_string()]
}

#[test]
fn our_server_with_ncat() {
    with_client("ncat", |addr| {
        let mut ncat = command("ncat", &["-n"]);
        ncat.args(host_and_port(addr));
        ncat
    });
}

#[test]
fn our_server_with_openbsd_nc() {
    with_client("nc.openbsd", |addr| {
        // -N: FIN after the end of its input, which it leaves out otherwise.
        let mut nc = command("nc.openbsd", &["-n", "-N"]);
        nc.args(host_and_port(addr));
        nc
    });
}

#[test]
fn our_server_with_socat() {
    with_client("socat", |addr| {
        // -t: it waits half a second only for what comes after its FIN.
        command("socat", &["-t", "20", "-", &format!("TCP:{addr}")])
    });
}

/// Our client with the server at this address.
fn with_our_client(addr: SocketAddr) {
    for text in texts() {
        sends_and_gets(&mut command(program(), &["connect", &addr.to_string()]), &text);
    }
    converses_with_our_client(addr);
}

/// The end of the input comes when everything has been answered.
fn converses_with_our_client(addr: SocketAddr) {
    let mut client = Client::to(addr, &[]);
    let mut stdin = client.takes_stdin();
    let pieces = pattern(0, MIB);
    for text in [&b"one\n"[..], b"two\n"].into_iter().chain(pieces.chunks(8 << 10)) {
        thread::scope(|scope| {
            scope.spawn(|| stdin.write_all(text).unwrap());
            client.sees(text);
        });
    }
    drop(stdin);
    client.ends().with(0).says_nothing();
}

fn server_of(tool: &str, mut command: Command) -> Option<(Serving, SocketAddr)> {
    has(tool).then(|| Serving::run_unheard(command.stdout(Stdio::null())))
}

#[test]
fn our_client_with_socat() {
    for at in families() {
        let kind = if at.is_ipv4() { "TCP4-LISTEN" } else { "TCP6-LISTEN" };
        let listen = format!("{kind}:0,bind={},fork", bracketed(at));
        if let Some((_server, addr)) =
            server_of("socat", command("socat", &["-t", "20", &listen, "EXEC:cat"]))
        {
            with_our_client(addr);
        }
    }
}

fn bracketed(addr: SocketAddr) -> String {
    match addr {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}

/// As a server, ncat ends a connection at the client's FIN, whatever it still owes. Our client says so (closed-early); what
/// was answered before is whole. It does not read while its own write is blocked either, so that a megabyte at once can stand
/// still for ever; each piece is answered before the next is sent.
#[test]
fn our_client_with_ncat() {
    for at in families() {
        let host = at.ip().to_string();
        let listen = ["-n", "-l", "-k", "--exec", "/bin/cat", &host, "0"];
        if let Some((_server, addr)) = server_of("ncat", command("ncat", &listen)) {
            converses_with_our_client(addr);
        }
    }
}

/// A folder that is gone with its value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A super-server with nothing but its own echo service (RFC 862) at this address.
fn xinetd(folder: &Folder, at: SocketAddr) -> Command {
    let (ip, port) = (at.ip(), at.port());
    let flags = if at.is_ipv4() { "IPv4" } else { "IPv6" };
    let config = format!(
        "service echo\n{{\n type = INTERNAL UNLISTED\n id = echo-stream\n socket_type = stream\n protocol = tcp\n \
         wait = no\n port = {port}\n bind = {ip}\n flags = {flags}\n disable = no\n}}\n"
    );
    fs::write(folder.0.join("conf"), config).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = command("xinetd", &["-dontfork"]);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command.arg("-f").arg(folder.0.join("conf")).arg("-pidfile").arg(folder.0.join("pid"));
    command
}

#[test]
fn our_client_with_xinetd() {
    if !has("xinetd") {
        return;
    }
    for at in families() {
        let name = format!("xinetd-{}-{}", std::process::id(), at.is_ipv4());
        let folder = Folder(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name));
        fs::create_dir_all(&folder.0).unwrap();
        // It needs a number, and the one that is free now may be taken in a moment; then it ends.
        let started = (0..2).find_map(|_| {
            let addr = free_port(at);
            let server = Serving::run_with(
                xinetd(&folder, addr).stdout(Stdio::null()).stderr(Stdio::null()),
            );
            server.listens_within(Duration::from_secs(5)).map(|addr| (server, addr))
        });
        let (_server, addr) = started.expect("xinetd does not come to listen");
        with_our_client(addr);
    }
}

#[test]
fn our_client_with_our_server() {
    for (engine, at) in everywhere() {
        let server = Serving::start(engine, at, &[]);
        with_our_client(server.addr());
        server.stops().with(0).says("accepted=5 active=0");
    }
}
