//! Traced system calls: they are recorded as they are made, injected results are the only change,
//! and the program notices nothing else.

use tcpecho_lab::timeline::{CallMoment, Outcome, Phase};
use tcpecho_lab::{Launch, When};

mod common;
use common::*;

/// Whether calls cannot be traced here; prints why.
fn cannot_observe() -> bool {
    let failed = tcpecho_lab::doctor::try_observing().err();
    if let Some(failed) = &failed {
        eprintln!("SKIP: {failed}");
    }
    failed.is_some()
}

/// Two hosts in which every program is traced.
fn observed(family: Family, body: impl FnOnce(Lab)) {
    if !cannot_observe() {
        Lab::with(family, |lab| {
            lab.two.observe_calls();
            body(lab);
        });
    }
}

fn calls(lab: &Lab) -> Vec<(Place, CallMoment)> {
    let moments = lab.two.timeline.since(0).into_iter();
    let calls = moments.filter_map(|moment| match moment.what {
        What::Call(call) => Some((moment.place, call)),
        _ => None,
    });
    calls.collect()
}

/// The results of a side's calls on sockets, in an agent's words.
fn results(lab: &Lab, side: Side) -> Vec<(&'static str, String)> {
    let of_side = calls(lab).into_iter().filter(|(place, _)| *place == Place::Host(side));
    let results = of_side.filter_map(|(_, call)| {
        let result = match call.outcome()? {
            Outcome::Value(..) | Outcome::Words(_) => "ok".to_string(),
            Outcome::Failed(errno) => tcpecho_os::errno::name(*errno)?.into(),
            Outcome::Interrupted | Outcome::Never => return None,
        };
        let is_streams = matches!(call.name, "read" | "write" | "execve" | "poll");
        (!is_streams).then_some((call.name, result))
    });
    results.collect()
}

#[test]
fn traced_calls_match_the_agents_answers() {
    for family in Family::BOTH {
        observed(family, |lab| {
            let (client, server) = lab.connected();
            let (mut said, mut heard) = (Vec::new(), Vec::new());
            for (program, line, call) in [
                (&client, "send hello", "sendto"),
                (&server, "recv 100", "recvfrom"),
                (&server, "setsockopt nodelay on", "setsockopt"),
                (&server, "shutdown wr", "shutdown"),
                (&client, "recv 100", "recvfrom"),
                (&client, "getpeername", "getpeername"),
                (&client, "shutdown wr", "shutdown"),
                (&client, "close", "close"),
                (&server, "recv 100", "recvfrom"),
                (&server, "getpeername", "getpeername"),
                (&server, "send x", "sendto"),
            ] {
                let answer = program.ask(line, PATIENCE).unwrap();
                let result = (call, answer.split(' ').next().unwrap().to_string());
                if std::ptr::eq(program, &raw const client) { &mut said } else { &mut heard }
                    .push(result);
            }
            for program in [&client, &server] {
                program.say("exit 0").unwrap();
                program.wait(PATIENCE).unwrap();
            }
            let ok = |names: &[&'static str]| -> Vec<_> {
                names.iter().map(|name| (*name, "ok".to_string())).collect()
            };
            let mut client_s = ok(&["socket", "connect"]);
            client_s.extend(said);
            assert_eq!(results(&lab, Side::Client), client_s);
            let mut server_s = ok(&["socket", "setsockopt", "bind", "listen", "accept4"]);
            server_s.extend(heard);
            // The calls of a program's exit.
            server_s.extend(ok(&["close", "close"]));
            assert_eq!(results(&lab, Side::Server), server_s);
            let text: Vec<String> = calls(&lab).iter().map(|(_, call)| call.to_string()).collect();
            let text = text.join("\n");
            let address = Side::Server.address(family);
            let peer = match family {
                Family::V4 => format!("{address}:{PORT}"),
                Family::V6 => format!("[{address}]:{PORT}"),
            };
            for part in [
                &format!("connect(3, {peer}) …"),
                &format!("… connect(3, {peer}) = 0"),
                "sendto(3, \"hello\", 5",
                " = 5 \"hello\"",
                "shutdown(4, SHUT_WR)",
            ] {
                assert!(text.contains(part), "{part} is not in\n{text}");
            }
        });
    }
}

#[test]
fn an_interrupted_call_is_restarted_or_fails_as_its_handler_says() {
    observed(Family::V4, |lab| {
        let server = lab.listening();
        for (handler, answer) in [("norestart", "EINTR"), ("restart", "ok")] {
            assert_eq!(server.ask(&format!("handler SIGUSR1 {handler}"), PATIENCE).unwrap(), "ok");
            let mark = lab.two.timeline.mark();
            server.say("0: accept").unwrap();
            server.wait_asleep_in(tcpecho_lab_os::system_call::ACCEPT4, PATIENCE).unwrap();
            server.signal(Signal::USR1).unwrap();
            if answer == "ok" {
                // It sleeps in the same call again after the handler has run.
                let again = |moment: &tcpecho_lab::Moment| match &moment.what {
                    What::Call(call) if call.phase == Phase::EntersAgain => Some(()),
                    _ => None,
                };
                lab.two.timeline.wait_for(mark, PATIENCE, "accept again", again).unwrap();
                let client = lab.agent(Side::Client);
                lab.starts_connecting(&client);
                assert_eq!(client.next_line(PATIENCE).unwrap(), "ok");
            }
            let said = server.next_line(PATIENCE).unwrap();
            assert!(said.starts_with(answer), "{said}");
            let moments = lab.two.timeline.since(mark).into_iter();
            let story: Vec<String> = moments
                .filter(|moment| moment.place == Place::Host(Side::Server))
                .filter_map(|moment| match moment.what {
                    What::Call(call) if call.name == "accept4" => Some(call.to_string()),
                    What::Signal { signal, .. } => Some(signal),
                    _ => None,
                })
                .collect();
            let begins = "accept4(3, SOCK_CLOEXEC) …";
            let breaks = "… accept4(3, SOCK_CLOEXEC) is interrupted";
            assert_eq!(story[..3], [begins, breaks, "SIGUSR1"], "{story:?}");
            if answer == "ok" {
                assert_eq!(story[3], "accept4(3, SOCK_CLOEXEC) … starts again");
                assert!(story[4].starts_with("… accept4(3, SOCK_CLOEXEC) = 4 from "), "{story:?}");
            } else {
                assert_eq!(story[3], "… accept4(3, SOCK_CLOEXEC) = EINTR");
            }
        }
    });
}

#[test]
fn a_signal_without_a_handler_interrupts_nothing() {
    observed(Family::V4, |lab| {
        let server = lab.listening();
        // With a timeout the kernel does not restart accept, which fails; but only if a signal is
        // delivered.
        assert_eq!(server.ask("setsockopt rcvtimeo 60000", PATIENCE).unwrap(), "ok");
        server.say("0: accept").unwrap();
        server.wait_asleep_in(tcpecho_lab_os::system_call::ACCEPT4, PATIENCE).unwrap();
        server.signal(Signal::WINCH).unwrap();
        let heard = |moment: &tcpecho_lab::Moment| match &moment.what {
            What::Signal { signal, .. } if signal == "SIGWINCH" => Some(()),
            _ => None,
        };
        lab.two.timeline.wait_for(0, PATIENCE, "SIGWINCH", heard).unwrap();
        server.wait_asleep_in(tcpecho_lab_os::system_call::ACCEPT4, PATIENCE).unwrap();
        let client = lab.agent(Side::Client);
        lab.starts_connecting(&client);
        assert!(server.next_line(PATIENCE).unwrap().starts_with("ok 1 "));
    });
}

#[test]
fn an_injected_call_is_not_executed_and_is_marked() {
    if cannot_observe() {
        return;
    }
    Lab::with(Family::V4, |lab| {
        let agent = Launch::new([env!("CARGO_BIN_EXE_tcpecho-agent")])
            .inject("accept", When::Nth(1), rustix::io::Errno::CONNABORTED)
            .inject("listen", When::Every, rustix::io::Errno::OPNOTSUPP)
            .inject("socket", When::Nth(2), rustix::io::Errno::MFILE);
        let server = lab.two.server.launch(&agent).unwrap();
        for (line, answer) in [
            ("socket 4", "ok 0"),
            ("socket 4", "EMFILE"),
            ("bind 0.0.0.0 7", "ok"),
            ("listen 1", "EOPNOTSUPP"),
            ("accept", "ECONNABORTED"),
            // This error is real: the socket does not listen.
            ("accept", "EINVAL"),
        ] {
            let said = server.ask(line, PATIENCE).unwrap();
            assert!(said.starts_with(answer), "{line}: {said}");
        }
        let told: Vec<String> = calls(&lab).iter().map(|(_, call)| call.to_string()).collect();
        let kinds = "AF_INET, SOCK_STREAM|SOCK_CLOEXEC";
        assert_eq!(told[0], format!("socket({kinds}) = EMFILE (injected)"));
        assert_eq!(told[1], "listen(3, 1) = EOPNOTSUPP (injected)");
        assert_eq!(told[2], "accept4(3, SOCK_CLOEXEC) = ECONNABORTED (injected)");
        assert_eq!(told.len(), 3, "only what was made up is shown: {told:?}");
    });
}

#[test]
fn children_and_threads_are_traced_and_their_parents_can_wait_for_them() {
    observed(Family::V4, |lab| {
        let (client, server) = lab.connected();
        assert!(server.ask("fork", PATIENCE).unwrap().starts_with("ok"));
        assert_eq!(client.ask("send hello", PATIENCE).unwrap(), "ok 5");
        assert_eq!(client.ask("recv 100", PATIENCE).unwrap(), "ok 5 hello");
        assert_eq!(server.ask("wait", PATIENCE).unwrap(), "ok 0");
        assert_eq!(client.ask("close", PATIENCE).unwrap(), "ok");
        server.wait_for_zombies(1, PATIENCE).unwrap();
        let waited = server.ask("wait", PATIENCE).unwrap();
        assert!(waited.starts_with("ok ") && waited != "ok 0", "{waited}");
        let calls = calls(&lab);
        let child = calls.iter().filter(|(_, call)| call.task.is_some());
        let child: Vec<_> =
            child.filter_map(|(_, call)| Some((call.name, call.outcome()?))).collect();
        let received = |text: &str| Outcome::Value(text.len() as i64 - 2, text.into());
        assert!(child.contains(&("recvfrom", &received("\"hello\""))), "{child:?}");
        assert!(child.contains(&("sendto", &Outcome::Value(5, String::new()))), "{child:?}");
        assert!(child.contains(&("exit_group", &Outcome::Never)), "{child:?}");
        let number: i32 = waited.strip_prefix("ok ").unwrap().parse().unwrap();
        assert!(calls.iter().any(|(_, call)| call.task == Some(number)), "{number}: {calls:?}");
        let tells = Outcome::Value(number.into(), "exited with 0".into());
        assert!(calls.iter().any(|(_, call)| call.outcome() == Some(&tells)), "{calls:?}");
    });
}

#[test]
fn a_traced_program_stops_continues_and_exits_like_any_other() {
    observed(Family::V4, |lab| {
        let agent = lab.agent(Side::Client);
        for _ in 0..20 {
            agent.stop().unwrap();
            assert_eq!(agent.state(), Some('T'));
            agent.say("caught").unwrap();
            assert!(agent.next_line(Duration::from_millis(10)).is_err());
            agent.go_on().unwrap();
            assert_eq!(agent.next_line(PATIENCE).unwrap(), "ok 0");
        }
        agent.say("exit 7").unwrap();
        assert_eq!(agent.wait(PATIENCE).unwrap().1, Exit::Exited(7));
        let killed = lab.agent(Side::Client);
        killed.stop().unwrap();
        killed.kill();
        assert_eq!(killed.wait(PATIENCE).unwrap().1, Exit::Killed(9));
        let nobody = lab.two.client.program(["/nowhere/to/be/found"]).unwrap_err();
        assert!(nobody.to_string().contains("ENOENT"), "{nobody}");
        let nobody = lab.two.client.program(["/etc/passwd"]).unwrap_err();
        assert!(nobody.to_string().contains("EACCES"), "{nobody}");
    });
}

#[test]
fn any_program_is_traced_with_its_streams_and_threads() {
    observed(Family::V4, |lab| {
        let script =
            "import threading\nthreading.Thread(target=lambda: print('there', flush=True)).start()";
        let threaded = match lab.two.client.program(["python3", "-c", script]) {
            Ok(program) => program,
            Err(failed) => return eprintln!("SKIP: {failed}"),
        };
        // Only a slow start takes this time.
        assert_eq!(threaded.wait(6 * PATIENCE).unwrap().1, Exit::Exited(0));
        let told: Vec<_> = calls(&lab).into_iter().map(|(_, call)| call).collect();
        let wrote = told.iter().find(|call| call.arguments.starts_with("1, \"there"));
        assert!(wrote.is_some_and(|call| call.task.is_some()), "{told:?}");
    });
}
