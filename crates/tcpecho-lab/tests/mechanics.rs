//! The laboratory itself: each of its functions, on a real kernel, with IPv4 and IPv6.

mod common;
use common::*;

both!(a_handshake_passes_the_wire, |lab: Lab| {
    let (client, server) = lab.connected();
    let wanted = [
        Matcher::syn().from_client(),
        Matcher::syn_ack().from_server(),
        Matcher::ack().from_client(),
    ];
    for matcher in wanted {
        lab.two.wire.wait_delivered(&matcher, 0, PATIENCE).unwrap();
    }
    assert_eq!(client.ask("send hello", PATIENCE).unwrap(), "ok 5");
    assert_eq!(server.ask("recv 100", PATIENCE).unwrap(), "ok 5 hello");
    assert_eq!(server.ask("send hello", PATIENCE).unwrap(), "ok 5");
    assert_eq!(client.ask("recv 100", PATIENCE).unwrap(), "ok 5 hello");
    let lines = lab.lines();
    assert!(lines[0].starts_with("SYN seq=0 win="), "{lines:?}");
    assert!(lines[1].starts_with("SYN-ACK seq=0 ack=1 win="), "{lines:?}");
    assert!(lines[2].starts_with("ACK seq=1 ack=1 win="), "{lines:?}");
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("PSH-ACK seq=1 ack=1 win=") && line.ends_with("len=5"))
    );
    assert!(
        lab.packets().iter().all(|moment| tcpecho_lab::packet::are_right(moment.packet.bytes()))
    );
});

both!(a_lost_syn_is_sent_again, |lab: Lab| {
    lab.two.wire.add(Rule::drop(Matcher::syn()).once().because("lost"));
    let start = Instant::now();
    let _connected = lab.connected();
    assert!(start.elapsed() >= Duration::from_millis(990), "{:?}", start.elapsed());
    let packets = lab.packets();
    assert_eq!((packets[0].verdict, packets[0].note.as_str()), (Verdict::Dropped, "lost"));
    assert_eq!(format!("{}, retransmission", packets[0].line), packets[1].line);
});

both!(a_held_syn_ack_shows_the_states_between, |lab: Lab| {
    // If this takes long, the server's kernel retransmits it.
    lab.two.wire.add(Rule::hold(Matcher::syn_ack()));
    let (_server, client) = (lab.listening(), lab.agent(Side::Client));
    lab.starts_connecting(&client);
    let held = lab.two.wire.wait_for(&Matcher::syn_ack(), 0, PATIENCE).unwrap();
    assert_eq!(held.verdict, Verdict::Held);
    lab.two.client.wait_for_state(lab.family, PORT, TcpState::SynSent, PATIENCE).unwrap();
    lab.two.server.wait_for_state(lab.family, PORT, TcpState::SynRecv, PATIENCE).unwrap();
    assert!(lab.two.wire.held().iter().any(|packet| packet.number == held.number));
    assert!(lab.two.wire.release(held.number) && !lab.two.wire.release(held.number));
    assert_eq!(client.next_line(PATIENCE).unwrap(), "ok");
    for host in [&lab.two.client, &lab.two.server] {
        host.wait_for_state(lab.family, PORT, TcpState::Established, PATIENCE).unwrap();
    }
    assert!(lab.saw_state(Place::Host(Side::Client), TcpState::SynSent));
    assert!(lab.saw_state(Place::Host(Side::Server), TcpState::SynRecv));
});

both!(a_cut_cable_ends_in_a_timeout, |lab: Lab| {
    lab.two.set_rto_min(Duration::from_millis(5)).unwrap();
    let (client, _server) = lab.connected();
    assert_eq!(client.ask("setsockopt user_timeout 300", PATIENCE).unwrap(), "ok");
    lab.two.wire.cut();
    assert_eq!(client.ask("send hello", PATIENCE).unwrap(), "ok 5");
    assert_eq!(client.ask("recv 1", PATIENCE).unwrap(), "ETIMEDOUT");
    assert!(lab.packets().iter().filter(|moment| moment.verdict == Verdict::Cut).count() >= 2);
    // No table lists the socket any more, but the program's descriptor still reports it.
    assert!(lab.two.client.sockets(lab.family).is_empty());
    let socket = client.sockets()[0];
    assert_eq!(client.tcp_info(socket).unwrap().state, TcpState::Close);
});

// A metric of the route, which every kernel has, not the sysctl tcp_rto_min_us, which only newer
// ones have.
both!(the_smallest_retransmission_timeout_is_the_hosts, |lab: Lab| {
    let _server = lab.listening();
    let least_of_a_new_connection = || {
        let client = lab.agent(Side::Client);
        lab.starts_connecting(&client);
        assert_eq!(client.next_line(PATIENCE).unwrap(), "ok");
        let info = client.tcp_info(client.sockets()[0]).unwrap();
        // Before the second round trip, the variance is half of the first, and counts four times.
        let [rto, round_trip] =
            [info.rto_us, info.rtt_us].map(u64::from).map(Duration::from_micros);
        (rto, rto.saturating_sub(round_trip * 3))
    };
    let (rto, least) = least_of_a_new_connection();
    assert!(rto >= Duration::from_secs(1) && least < Duration::from_secs(2), "{rto:?}");
    let client = &lab.two.client;
    client.set_rto_min(Duration::from_secs(30)).unwrap();
    let (rto, least) = least_of_a_new_connection();
    assert!(rto >= Duration::from_secs(30) && least < Duration::from_secs(31), "{rto:?}");
    client.set_rto_min(Duration::from_millis(20)).unwrap();
    let (rto, least) = least_of_a_new_connection();
    assert!(rto >= Duration::from_millis(20) && least < Duration::from_millis(100), "{rto:?}");
    // Where the sysctl exists, it means the same.
    match client.set_sysctl("net.ipv4.tcp_rto_min_us", "5000000") {
        Ok(()) => {
            let (rto, _) = least_of_a_new_connection();
            assert!(rto >= Duration::from_secs(5), "{rto:?}");
        }
        Err(failed) => assert_eq!(failed.errno, rustix::io::Errno::NOENT, "{failed}"),
    }
});

both!(a_corrupted_segment_is_noticed_and_sent_again, |lab: Lab| {
    lab.two.set_rto_min(Duration::from_millis(20)).unwrap();
    let (client, server) = lab.connected();
    lab.two.wire.add(Rule::new(Matcher::data(), Action::Corrupt).once());
    assert_eq!(client.ask("send hello", PATIENCE).unwrap(), "ok 5");
    assert_eq!(server.ask("recv 100", PATIENCE).unwrap(), "ok 5 hello");
    assert_eq!(lab.two.server.counter("Tcp.InCsumErrors").unwrap(), 1);
    lab.two.wire.add(Rule::new(Matcher::data(), Action::CorruptUnnoticed).once());
    assert_eq!(client.ask("send hello", PATIENCE).unwrap(), "ok 5");
    assert_eq!(server.ask("recv 100", PATIENCE).unwrap(), "ok 5 helln");
});

both!(a_router_s_error_reaches_connect_at_once, |lab: Lab| {
    lab.two.wire.add(Rule::answer(Matcher::syn(), IcmpError::HostUnreachable));
    let client = lab.agent(Side::Client);
    lab.starts_connecting(&client);
    assert_eq!(client.next_line(PATIENCE).unwrap(), "EHOSTUNREACH");
    let packets = lab.packets();
    assert_eq!(packets.len(), 2, "{packets:?}");
    assert_eq!(packets[1].line, "ICMP host unreachable about seq=0");
});

both!(resets_reach_both_ends, |lab: Lab| {
    let (client, server) = lab.connected();
    lab.two.wire.add(Rule::new(Matcher::data(), Action::ResetBoth).once());
    server.say("recv 100").unwrap();
    assert_eq!(client.ask("send hello", PATIENCE).unwrap(), "ok 5");
    lab.two.wire.wait_delivered(&Matcher::rst().from_server(), 0, PATIENCE).unwrap();
    assert_eq!(client.ask("recv 1", PATIENCE).unwrap(), "ECONNRESET");
    server.next_line(PATIENCE).unwrap();
    lab.two.wire.wait_delivered(&Matcher::rst().from_client(), 0, PATIENCE).unwrap();
    let errors: Vec<_> = (0..2).map(|_| server.ask("send x", PATIENCE).unwrap()).collect();
    assert!(errors.contains(&"EPIPE".to_string()), "{errors:?}");
});

both!(packets_are_delayed_doubled_and_overtaken, |lab: Lab| {
    let (client, server) = lab.connected();
    lab.two.wire.add(Rule::new(Matcher::data().containing("one"), Action::Reorder).once());
    lab.two.wire.add(Rule::new(Matcher::data().containing("two"), Action::Duplicate).once());
    lab.two.wire.add(Rule::delay(Matcher::data().containing("six"), Duration::from_millis(50)));
    assert_eq!(client.ask("setsockopt nodelay on", PATIENCE).unwrap(), "ok");
    for word in ["one", "two", "six"] {
        assert_eq!(client.ask(&format!("send {word}"), PATIENCE).unwrap(), "ok 3");
    }
    let mut text = String::new();
    while text.len() < 9 {
        let said = server.ask("recv 100", PATIENCE).unwrap();
        text.push_str(said.rsplit_once(' ').unwrap().1);
    }
    assert_eq!(text, "onetwosix");
    let verdicts: Vec<_> = lab.packets().iter().map(|moment| moment.verdict).collect();
    for verdict in [Verdict::Overtaken, Verdict::Arrived, Verdict::Duplicated] {
        assert!(verdicts.contains(&verdict), "{verdicts:?}");
    }
});

both!(a_host_that_reboots_knows_nothing, |lab: Lab| {
    let mut lab = lab;
    let (client, server) = lab.connected();
    lab.two.server.power_off();
    assert_eq!(server.wait(PATIENCE).unwrap().1, Exit::Killed(9));
    assert!(!lab.two.server.is_on());
    lab.two.server.reboot().unwrap();
    assert_eq!(client.ask("send hello", PATIENCE).unwrap(), "ok 5");
    assert_eq!(client.ask("recv 1", PATIENCE).unwrap(), "ECONNRESET");
    // No packet of it reports a power cut.
    assert!(lab.packets().iter().all(|moment| !moment.packet.tcp().unwrap().flags.has(Flags::FIN)));
});

both!(programs_stop_go_on_and_tell_their_end, |lab: Lab| {
    let agent = lab.agent(Side::Client);
    agent.stop().unwrap();
    assert_eq!(agent.state(), Some('T'));
    agent.say("caught").unwrap();
    assert!(agent.next_line(Duration::from_millis(30)).is_err());
    agent.go_on().unwrap();
    assert_eq!(agent.next_line(PATIENCE).unwrap(), "ok 0");
    assert_eq!(agent.ask("handler SIGUSR1 norestart", PATIENCE).unwrap(), "ok");
    agent.signal(Signal::USR1).unwrap();
    agent.say("exit 7").unwrap();
    assert_eq!(agent.wait(PATIENCE).unwrap().1, Exit::Exited(7));
    let nobody = lab.two.client.program(["/nowhere/to/be/found"]).unwrap_err();
    assert!(nobody.to_string().contains("ENOENT"), "{nobody}");
});

/// An IPv6 socket that is bound to the wildcard takes connections over both families.
#[test]
fn a_server_on_the_ipv6_wildcard_has_sockets_of_both_families() {
    for family in Family::BOTH {
        Lab::with(family, |lab| {
            let server = lab.agent(Side::Server);
            for line in ["socket 6", &format!("bind :: {PORT}"), "listen 10"] {
                assert!(server.ask(line, PATIENCE).unwrap().starts_with("ok"), "{line}");
            }
            let (host, state) = (&lab.two.server, TcpState::Listen);
            host.wait_for_state(family, PORT, state, PATIENCE).unwrap();
            let client = lab.agent(Side::Client);
            lab.starts_connecting(&client);
            assert_eq!(client.next_line(PATIENCE).unwrap(), "ok");
            assert!(server.ask("accept", PATIENCE).unwrap().starts_with("ok"));
            let state = TcpState::Established;
            let socket = host.wait_for_state(family, PORT, state, PATIENCE).unwrap();
            assert_eq!(socket.local.ip(), Side::Server.address(family));
            let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
            let sockets = host.sockets(other);
            assert!(sockets.iter().all(|socket| socket.state == TcpState::Listen), "{sockets:?}");
        });
    }
}
