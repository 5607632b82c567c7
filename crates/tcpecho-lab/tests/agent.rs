//! The agent's commands that scenarios about buffers, urgent data, fork(2) and exec(2) use, each on a real kernel.

mod common;
use common::*;

/// Asks each line of `asked` of its program, and compares the answers.
fn talk(asked: &[(&Program, &str, &str)]) {
    for (program, line, wanted) in asked {
        assert_eq!(program.ask(line, PATIENCE).unwrap(), *wanted, "{line}");
    }
}

both!(gets_keeps_what_follows_the_line, |lab: Lab| {
    let (client, server) = lab.connected();
    talk(&[(&client, "send 130 lines", "ok 130")]);
    lab.two.wire.wait_delivered(&Matcher::data().from_client(), 0, PATIENCE).unwrap();
    let line = server.ask("gets", PATIENCE).unwrap();
    assert!(line.starts_with("ok 64 abc") && line.ends_with("\\n"), "{line}");
    // The kernel has nothing left, and the buffer has two lines, one of them without its end.
    talk(&[(&server, "poll 0 in", "ok 0x0")]);
    assert!(server.ask("gets", PATIENCE).unwrap().starts_with("ok 64 "));
    talk(&[(&client, "shutdown wr", "ok")]);
    assert!(server.ask("gets", PATIENCE).unwrap().starts_with("ok 2 "));
    talk(&[(&server, "gets", "ok 0")]);
});

both!(gets_that_fails_loses_nothing, |lab: Lab| {
    let (client, server) = lab.connected();
    talk(&[(&client, "send half", "ok 4"), (&server, "setsockopt rcvtimeo 100", "ok")]);
    lab.two.wire.wait_delivered(&Matcher::data().from_client(), 0, PATIENCE).unwrap();
    talk(&[
        (&server, "gets", "EAGAIN"),
        (&server, "setsockopt rcvtimeo 0", "ok"),
        (&client, "line  a line", "ok 8"),
        (&server, "gets", "ok 12 half a line\\n"),
    ]);
});

both!(urgent_data_is_read_apart_and_raises_sigurg, |lab: Lab| {
    let (client, server) = lab.connected();
    talk(&[
        (&server, "handler SIGURG restart", "ok"),
        (&server, "own", "ok"),
        (&client, "send ab", "ok 2"),
        (&client, "urgent !", "ok 1"),
        (&client, "send cd", "ok 2"),
        (&client, "shutdown wr", "ok"),
    ]);
    lab.two.wire.wait_delivered(&Matcher::fin().from_client(), 0, PATIENCE).unwrap();
    talk(&[
        (&server, "caught", "ok 1"),
        (&server, "atmark", "ok 0"),
        (&server, "recv 100", "ok 2 ab"),
        (&server, "atmark", "ok 1"),
        (&server, "recv urgent", "ok 1 !"),
        (&server, "recv 100", "ok 2 cd"),
        (&server, "recv 100", "ok 0"),
        (&server, "recv urgent", "EINVAL"),
    ]);
});

both!(a_socket_that_the_parent_keeps_is_not_closed_by_its_child, |lab: Lab| {
    let (client, server) = lab.connected();
    assert!(server.ask("fork keep", PATIENCE).unwrap().starts_with("ok "));
    talk(&[
        (&client, "send hello", "ok 5"),
        (&client, "recv 100", "ok 5 hello"),
        (&client, "shutdown wr", "ok"),
    ]);
    server.wait_for_zombies(1, PATIENCE).unwrap();
    talk(&[
        (&client, "poll 0 in", "ok 0x0"),
        (&server, "close", "ok"),
        (&client, "recv 1", "ok 0"),
    ]);
});

both!(exec_keeps_what_it_inherits, |lab: Lab| {
    let (client, server) = lab.connected();
    talk(&[
        (&server, "handler SIGPIPE ignore", "ok"),
        (&server, "handler SIGTERM restart", "ok"),
        (&server, "disposition SIGTERM", "ok handler"),
        (&server, "handler SIGKILL ignore", "EINVAL"),
        (&server, "inherit", "ok"),
    ]);
    let socket = server.sockets()[1];
    talk(&[
        (&server, "exec", "ok"),
        (&server, "disposition SIGPIPE", "ok SIG_IGN"),
        (&server, "disposition SIGTERM", "ok SIG_DFL"),
        (&server, "send lost", "EBADF"),
    ]);
    // The listener was closed by exec, the connection was not.
    assert_eq!(server.sockets(), [socket]);
    talk(&[(&server, "adopt 99", "EBADF")]);
    let adopted = server.ask(&format!("adopt {socket}"), PATIENCE).unwrap();
    assert!(adopted.starts_with("ok 0 fd="), "{adopted}");
    talk(&[(&server, "send hello", "ok 5"), (&client, "recv 100", "ok 5 hello")]);
});

both!(options_are_set_and_the_kernels_view_is_shown, |lab: Lab| {
    let (client, _server) = lab.connected();
    for option in ["cork on", "cork off", "quickack off", "oobinline on"] {
        talk(&[(&client, &format!("setsockopt {option}"), "ok")]);
    }
    let info = client.ask("getsockopt info", PATIENCE).unwrap();
    assert!(info.starts_with("ok ESTABLISHED cwnd=10 ssthresh="), "{info}");
    let closed = lab.agent(Side::Server);
    let family = if lab.family == Family::V4 { "socket 4" } else { "socket 6" };
    assert!(closed.ask(family, PATIENCE).unwrap().starts_with("ok 0 "));
    talk(&[
        (&closed, "setsockopt fastopen 5", "ok"),
        (&closed, "setsockopt defer_accept 3", "ok"),
        (&closed, "setsockopt fastopen_connect on", "EOPNOTSUPP"),
    ]);
});

both!(the_end_of_a_child_is_recorded, |lab: Lab| {
    let (client, server) = lab.connected();
    let answer = server.ask("fork", PATIENCE).unwrap();
    let number: i32 = answer.strip_prefix("ok ").unwrap().parse().unwrap();
    let mark = lab.two.timeline.mark();
    talk(&[(&client, "close", "ok")]);
    let ended = lab.two.timeline.wait_for(mark, PATIENCE, "the end of the child", |moment| {
        let What::ChildExit { program, child, exit } = &moment.what else { return None };
        assert_eq!((moment.place, &**program), (Place::Host(Side::Server), server.name()));
        Some((*child, *exit))
    });
    assert_eq!(ended.unwrap(), (number, Exit::Exited(0)));
});
