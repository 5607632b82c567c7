//! What it will not do, and how it says so: exit status 2, and a sentence that helps.

use std::{fs, net::TcpListener, process::Command};

use rustix::process::geteuid;

use crate::common::{
    server::{after, refused, refused_command},
    trace::{can_trace, tracing},
    *,
};
use crate::schema;

#[test]
fn what_is_not_understood() {
    for args in [
        &["--engine", "warp"][..],
        &["--no-such-option"],
        &["127.0.0.1:0", "0"],
        &["-l", "127.0.0.1:0", "0"],
        &["-l", "localhost:no-such-service"],
        &["-l", "127.0.0.1:99999"],
        &["-p", "65536"],
        &["-p", "-1"],
        &["--workers", "0"],
        &["--workers", "many"],
        &["--backlog", "-5"],
        &["-m", "0"],
        &["--idle-timeout", "soon"],
        &["--drain-timeout", "-1s"],
        &["--log", "loud"],
        // inet_aton(3) would read them.
        &["-l", "127.1"],
        &["-l", "65536"],
        &["-l", "[fe80::1%no-such]:0"],
    ] {
        let ended = refused(args);
        ended.with(2);
        assert!(!ended.log.is_empty(), "{args:?} without a word");
    }
}

#[test]
fn a_json_log_has_nothing_but_json_also_of_a_server_that_does_not_start() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    for (args, part) in [
        (&["--engine", "warp"][..], "warp"),
        (&["--no-such-option"], "--no-such-option"),
        (&["-l", "localhost:no-such-service"], "no-such-service"),
        (&["-p", "65536"], "65536"),
        (&["-l", &taken], "(EADDRINUSE)"),
    ] {
        let typed = refused(&[&["--log", "json"], args].concat());
        let mut command = Command::new(program());
        let environment =
            refused_command(command.arg("serve").args(args).env("TCPECHO_LOG", "json"));
        for ended in [typed, environment] {
            ended.with(2);
            assert_eq!(ended.log.len(), 1, "{:?}", ended.log);
            let line: serde_json::Value = serde_json::from_str(&ended.log[0]).unwrap();
            assert_eq!(line["event"], "failed", "{line}");
            assert!(line["time"].is_string(), "{line}");
            assert!(line["message"].as_str().unwrap().contains(part), "{line}");
            assert_eq!(schema::complaints("failure.json", &line), [""; 0], "{line}");
            schema::check_lines("serve-log.json", &ended.log[0]);
            assert_eq!(line["exit_status"], 2, "{line}");
            if args.last() == Some(&taken.as_str()) {
                let error = &line["error"];
                assert_eq!(
                    (&error["op"], &error["addr"], &error["errno"]),
                    (&"bind".into(), &taken.as_str().into(), &"EADDRINUSE".into()),
                    "{line}"
                );
                let diagnosis = &line["diagnosis"];
                let us = format!("PID {}", std::process::id());
                assert!(diagnosis["cause"].as_str().unwrap().contains(&us), "{line}");
                assert!(!diagnosis["advice"].as_str().unwrap().is_empty(), "{line}");
            }
        }
    }
    let mut few = after("ulimit -n 7", "epoll", &["--log", "json"]);
    let ended = refused_command(&mut few);
    assert!(serde_json::from_str::<serde_json::Value>(&ended.with(2).log[0]).is_ok());
}

#[test]
fn what_the_kernel_would_not_take_is_refused_with_its_limit() {
    for (args, limit) in [
        (["--keepalive", "10h"], "32767s"),
        (["--keepalive", "32768"], "32767s"),
        (["--user-timeout", "600h"], "2147483647ms"),
        (["--user-timeout", "2147483648ms"], "2147483647ms"),
    ] {
        refused(&args).with(2).says(limit);
    }
    for args in [["--keepalive", "32767"], ["--user-timeout", "2147483647ms"]] {
        let server = Serving::start("epoll", somewhere(), &args);
        visits(server.addr());
    }
}

#[test]
fn a_ring_that_may_be_made_and_not_entered_is_unavailable() {
    if !can_trace() || engines().all(|engine| engine != "uring") {
        return;
    }
    let inject = ["-e", "trace=io_uring_enter", "-e", "inject=io_uring_enter:error=EPERM"];
    let (mut command, _log) = tracing(&inject);
    refused_command(command.args(["serve", "-l", "127.0.0.1:0", "--engine", "uring"]))
        .with(2)
        .says("io_uring_enter: Operation not permitted (EPERM)")
        .says("the engine uring is not available on this host");
    let (mut command, _log) = tracing(&inject);
    let listed = command.args(["serve", "--engine", "list"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("unavailable: io_uring_enter"), "{listed}");
    // `auto` takes another one.
    let (mut command, _log) = tracing(&inject);
    let server = Serving::run(command.args(["serve", "-l", "127.0.0.1:0"]));
    visits(server.addr());
    assert!(!server.ready[0].contains("engine=uring"), "{:?}", server.ready);
}

#[test]
fn what_is_not_understood_is_not_printed_raw() {
    for args in
        [&["-l", "\x1b[31m"][..], &["--engine", "\x1b[31m"], &["--idle-timeout", "\x1b[31m"]]
    {
        let ended = refused(args);
        let said = ended.with(2).log.join("\n");
        assert!(!said.contains('\x1b'), "{args:?}: {said:?}");
    }
}

#[test]
fn an_address_in_use_names_who_has_it() {
    for (engine, at) in everywhere() {
        let holder = Serving::start(engine, at, &[]);
        let addr = holder.addr().to_string();
        for workers in ["1", "2"] {
            refused(&["-l", &addr, "--engine", engine, "--workers", workers])
                .with(2)
                .says(&format!("bind {addr}: Address already in use (EADDRINUSE)"))
                .says(&format!("PID {} (tcpecho", holder.pid()));
        }
        visits(holder.addr());
    }
}

#[test]
fn a_port_of_several_workers_is_not_shared_with_another_program() {
    for (engine, at) in everywhere() {
        let holder = Serving::start(engine, at, &["--workers", "2"]);
        let addr = holder.addr().to_string();
        for workers in ["1", "2"] {
            let second = refused(&["-l", &addr, "--engine", engine, "--workers", workers]);
            second.with(2).says("EADDRINUSE").says(&format!("PID {}", holder.pid()));
        }
        visits(holder.addr());
    }
}

#[test]
fn another_socket_of_this_process_is_named_too() {
    for at in families() {
        let listener = TcpListener::bind(at).unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let us = format!("PID {} (", std::process::id());
        refused(&["-l", &addr]).with(2).says("EADDRINUSE").says(&us).says(&addr);
    }
}

#[test]
fn an_address_of_another_host() {
    // RFC 5737 and RFC 3849: addresses that nobody has.
    for addr in ["192.0.2.1:0", "[2001:db8::1]:0"] {
        if addr.starts_with('[') && !families().any(|at| at.is_ipv6()) {
            continue;
        }
        if TcpListener::bind(addr).is_ok() {
            eprintln!("SKIP: ip_nonlocal_bind is on here");
            continue;
        }
        refused(&["-l", addr])
            .with(2)
            .says(&format!("bind {addr}: Cannot assign requested address (EADDRNOTAVAIL)"))
            .says("not an address of this host");
    }
}

/// Linux would bind an IPv4 socket to any of them (RTN_MULTICAST, RTN_BROADCAST), and no client could connect.
#[test]
fn an_address_that_no_client_can_connect_to() {
    for (addr, kind) in [
        ("224.0.0.1:0", "multicast"),
        ("255.255.255.255:0", "broadcast"),
        ("127.255.255.255:0", "broadcast"),
        ("[ff02::1]:0", "multicast"),
        ("[::ffff:224.0.0.1]:0", "multicast"),
    ] {
        let ended = refused(&["-l", addr]);
        ended.with(2).says(&format!(" is a {kind} address")).says("  means: ").says("  try:   ");
        // One useless address of several is enough, and the JSON log says the same.
        let ended = refused(&["-l", "127.0.0.1:0", "-l", addr, "--log", "json"]);
        let line: serde_json::Value = serde_json::from_str(&ended.with(2).log[0]).unwrap();
        assert_eq!(schema::complaints("failure.json", &line), [""; 0], "{line}");
        assert_eq!(
            (&line["error"]["op"], &line["error"]["addr"]),
            (&"listen".into(), &addr.into())
        );
        assert_eq!(line["diagnosis"]["case"], "cannot-listen", "{line}");
        assert!(line["diagnosis"]["cause"].as_str().unwrap().contains(kind), "{line}");
    }
}

#[test]
fn one_bad_address_of_several_is_enough() {
    if TcpListener::bind("192.0.2.1:0").is_ok() {
        eprintln!("SKIP: ip_nonlocal_bind is on here");
        return;
    }
    refused(&["-l", "127.0.0.1:0", "-l", "192.0.2.1:0"]).with(2).says("192.0.2.1:0");
}

/// The program as a user without privileges; SKIP where that cannot be arranged.
fn unprivileged() -> Option<Command> {
    if !geteuid().is_root() {
        return Some(Command::new(program()));
    }
    let as_nobody = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", program()]);
        command
    };
    let trial = has("setpriv").then(|| as_nobody().arg("--version").output())?;
    if trial.is_ok_and(|trial| trial.status.success()) {
        return Some(as_nobody());
    }
    eprintln!("SKIP: root cannot become nobody here, or nobody may not run the program");
    None
}

#[test]
fn a_privileged_port_has_three_solutions() {
    let start = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if start.trim().parse::<u16>().unwrap() < 8 {
        eprintln!("SKIP: port 7 is not privileged here");
        return;
    }
    let Some(mut command) = unprivileged() else { return };
    refused_command(command.args(["serve", "-l", "127.0.0.1:7"]))
        .with(2)
        .says("bind 127.0.0.1:7: Permission denied (EACCES)")
        .says("take a port from")
        .says("CAP_NET_BIND_SERVICE")
        .says("sysctl net.ipv4.ip_unprivileged_port_start=7");
}
