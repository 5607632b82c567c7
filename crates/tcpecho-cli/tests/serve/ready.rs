//! The ready line, and what may be asked for on the command line and in the environment.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    process::{Command, Stdio},
};

use crate::common::*;

fn somaxconn() -> u32 {
    fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap()
}

fn v6() -> bool {
    families().any(|at| at.is_ipv6())
}

#[test]
fn the_ready_line_says_where_with_what_and_how_many() {
    for (engine, at) in everywhere() {
        let server = Serving::start(engine, at, &["--workers", "2", "--backlog", "77"]);
        let (addr, backlog) = (server.addr(), somaxconn().min(77));
        assert_ne!(addr.port(), 0);
        assert_eq!(addr.ip(), at.ip());
        let line = format!("listening on {addr} engine={engine} workers=2 backlog={backlog}\n");
        assert_eq!(server.ready[0], line);
        visits(addr);
        server.stops().with(0);
    }
}

#[test]
fn the_backlog_is_the_kernels_maximum_unless_less_is_asked_for() {
    let most = somaxconn();
    for (args, backlog) in
        [(&[][..], most), (&["--backlog", "2000000000"], most), (&["--backlog", "3"], 3)]
    {
        let server = Serving::start("epoll", somewhere(), args);
        assert!(server.ready[0].ends_with(&format!(" backlog={backlog}\n")), "{:?}", server.ready);
    }
}

#[test]
fn the_list_of_engines_is_the_table() {
    let listed = Command::new(program()).args(["serve", "--engine", "list"]).output().unwrap();
    assert_eq!((listed.status.code(), listed.stderr), (Some(0), vec![]));
    let text = String::from_utf8(listed.stdout).unwrap();
    let names: Vec<&str> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, tcpecho::ENGINES.iter().map(|engine| engine.name).collect::<Vec<_>>());
    for (line, engine) in text.lines().zip(tcpecho::ENGINES) {
        assert!(line.contains(engine.summary), "{line}");
        let expected = if engine.probe().is_ok() { " available" } else { " unavailable: " };
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn auto_takes_the_best_there_is() {
    let server = Serving::with(&["-l", "127.0.0.1:0"]);
    let (best, refused) = tcpecho::Engine::best();
    assert!(server.ready[0].contains(&format!(" engine={} ", best.name)), "{:?}", server.ready);
    for (better, _) in refused {
        server.says(&format!("{} is unavailable", better.name));
    }
    visits(server.addr());
}

#[test]
fn several_addresses_each_have_a_line_and_a_port() {
    for engine in engines() {
        let listen = ["-l", "127.0.0.1:0", "-l", "127.0.0.2:0", "-l", "127.0.0.3"];
        let more = ["-p", "0", "--workers", "2", "--engine", engine];
        let mut server = Serving::with(&[&listen[..], &more].concat());
        server.next_line();
        server.next_line();
        for (line, host) in server.ready.iter().zip(["127.0.0.1", "127.0.0.2", "127.0.0.3"]) {
            let addr: SocketAddr = line.split(' ').nth(2).unwrap().parse().unwrap();
            assert_eq!(addr.ip().to_string(), host);
            visits(addr);
        }
    }
}

#[test]
fn the_default_is_every_address_of_both_families() {
    if !v6() {
        return;
    }
    for args in [&["-p", "0"][..], &["-l", ":0"], &["-l", "[::]:0"], &["-l", "*:0"]] {
        for engine in engines() {
            let server = Serving::with(&[args, &["--engine", engine]].concat());
            let port = server.addr().port();
            assert_eq!(server.addr().to_string(), format!("[::]:{port}"));
            visits((Ipv4Addr::LOCALHOST, port).into());
            visits((Ipv6Addr::LOCALHOST, port).into());
            // Whoever came over IPv4 is told so.
            server.says("peer=127.0.0.1:");
            server.says("peer=[::1]:");
        }
    }
}

#[test]
fn the_wildcards_of_both_families_stand_beside_each_other_on_one_port() {
    if !v6() {
        return;
    }
    for engine in engines() {
        // The wildcard of IPv6 takes both families' port.
        let port = free_port((Ipv6Addr::UNSPECIFIED, 0).into()).port();
        let (v4, v6) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
        for (first, second) in [(&v4, &v6), (&v6, &v4)] {
            let mut server =
                Serving::with(&["--engine", engine, "-l", first, "-l", second, "--workers", "2"]);
            server.next_line();
            visits((Ipv4Addr::LOCALHOST, port).into());
            visits((Ipv6Addr::LOCALHOST, port).into());
            server.stops().with(0);
        }
    }
}

#[test]
fn what_can_be_typed_can_stand_in_the_environment() {
    let mut command = Command::new(program());
    command.arg("serve").envs([
        ("TCPECHO_LISTEN", "127.0.0.1,127.0.0.2"),
        ("TCPECHO_PORT", "0"),
        ("TCPECHO_ENGINE", "thread"),
        ("TCPECHO_WORKERS", "3"),
        ("TCPECHO_BACKLOG", "5"),
        ("TCPECHO_LOG", "json"),
        ("TCPECHO_MAX_CONNECTIONS", "1"),
    ]);
    let mut server = Serving::run(&mut command);
    assert!(server.next_line().starts_with("listening on 127.0.0.2:"));
    assert!(server.ready[0].ends_with(" engine=thread workers=3 backlog=5\n"));
    let mut first = server.connects();
    echoes(&mut first, b"I am the only one");
    assert!(!answers(&mut server.connects()));
    let line: serde_json::Value = serde_json::from_str(&server.says("limit")).unwrap();
    assert_eq!(line["ending"], "limit");
    // What is typed goes before it.
    let server = Serving::run(command.args(["--engine", "epoll", "-l", "127.0.0.3:0"]));
    assert!(server.ready[0].starts_with("listening on 127.0.0.3:"));
    assert!(server.ready[0].contains(" engine=epoll "));
}

#[test]
fn a_reader_of_the_list_may_leave() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(program());
    let listed = command.args(["serve", "--engine", "list"]).stdout(Stdio::from(writer));
    let ended = listed.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), vec![]));
}

#[test]
fn a_list_that_cannot_be_written_is_an_error() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(program());
    let listed = command.args(["serve", "--engine", "list"]).stdout(full);
    let ended = listed.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("stdout") && said.contains("(ENOSPC)"), "{said}");
}

/// An interface whose name has a dot, in a network of its own with a link-local address.
const SCOPED: &str = "ip link set lo up && ip link add eth0.100 type veth peer name other && \
    ip addr add fe80::1/64 dev eth0.100 nodad && ip link set eth0.100 up && \
    index=$(ip -o link show eth0.100 | cut -d: -f1)";

#[test]
fn a_link_local_address_has_its_interface_by_name_or_number() {
    let run = |then: &str, scope: &str| {
        let script = format!("{SCOPED} && {then}");
        let mut command = Command::new("unshare");
        command.args(["-rn", "sh", "-c", &script, program(), scope]);
        command
    };
    if !run("true", "").output().is_ok_and(|trial| trial.status.success()) {
        eprintln!("SKIP: no network of our own here (unshare, ip, veth)");
        return;
    }
    for scope in ["eth0.100", ""] {
        let serve = "exec \"$0\" serve -l \"[fe80::1%${1:-$index}]:0\"";
        let server = Serving::run(&mut run(serve, scope));
        assert!(server.addr().to_string().starts_with("[fe80::1%"), "{:?}", server.ready);
        server.stops().with(0);
    }
}
