//! A router answers data of a connection with an ICMP error (UNP 5.14, A.6, RFC 9293 3.9.2.2, ip(7)).

use std::time::Instant;

use std::time::Duration;

use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::pace::Timer;
use crate::side::Side;
use crate::stage::PATIENCE;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "unreachable-while-established",
    group: Some(Group::Path),
    title: "a router answers a connection's data with an ICMP error",
    source: "UNP 5.14, A.6, RFC 9293 3.9.2.2, ip(7)",
    question: "In the middle of a connection, a router reports that the server's host is \
               unreachable. What does the client see, and when?",
    book: &[
        (
            "Nothing yet: the error is soft.",
            &[Book("A.6"), Rfc(9293, "3.9.2.2")],
        ),
        (
            "TCP retransmits, and only when it gives up does read fail, with EHOSTUNREACH instead \
             of ETIMEDOUT.",
            &[Book("5.14")],
        ),
    ],
    kernel: &[
        (
            "The same. An acknowledgment clears the error, and so does reading SO_ERROR.",
            &[
                Man("socket(7)"),
                Measured("the client is still ESTABLISHED"),
                Measured("recv fails with EHOSTUNREACH, not ETIMEDOUT"),
                Measured("the acknowledgment clears the later errors, too"),
            ],
        ),
        (
            "A program that needs to know at once sets IP_RECVERR (IPV6_RECVERR): the next call \
             on the socket fails with EHOSTUNREACH, and the connection continues all the same.",
            &[
                Man("ip(7)"),
                Measured("with IP_RECVERR the next call fails with EHOSTUNREACH"),
                Measured("with IP_RECVERR the connection is still ESTABLISHED"),
                Measured("the retransmitted data arrives all the same"),
            ],
        ),
    ],
    timers: &[Timer::Retransmission];

    step "a client and a server are connected; for a while a router cannot reach the server's host";
    let host = IcmpError::HostUnreachable;
    let icmp = Matcher::icmp().from_server();
    stage.two().client.set_rto_min(Duration::from_millis(20))?;
    let (client, server) = stage.connected()?;
    let unreachable = stage.two().wire.add(Rule::answer(Matcher::data().from_client(), host));
    client.must("send one")?;
    claim_packet("the client's data is answered with host unreachable", &icmp);
    claim_state("the client is still ESTABLISHED", Side::Client, TcpState::Established);
    client.must("nonblocking on")?;
    let nothing = client.call("recv 100")?;
    claim_is("recv does not fail: there is no data", &nothing, "EAGAIN");
    client.must("nonblocking off")?;
    let soft = client.call("getsockopt error")?;
    claim_is("SO_ERROR reports the error", &soft, "ok EHOSTUNREACH");
    let mark = stage.two().timeline.mark();
    stage.two().wire.wait_delivered(&icmp, mark, PATIENCE)?;
    stage.two().wire.remove(unreachable);

    step "the host is reachable again";
    let read = server.call("recv 100")?;
    claim_is("the retransmitted data arrives", &read, "ok 3 one");
    claim_packet("the data is acknowledged", &Matcher::ack().from_server());
    let none = client.call("getsockopt error")?;
    claim_is("the acknowledgment clears the later errors, too", &none, "ok 0");

    step "the host stays unreachable, and the retransmission timeout of the client's kernel is \
          short";
    let tries = stage.shorten(Side::Client, Timer::Retransmission, &[1])?;
    stage.wire_rule(Rule::answer(Matcher::data().from_client(), host));
    let begun = Instant::now();
    claim_is("send succeeds", &client.call("send two")?, "ok 3");
    let outcome = client.call("recv 100")?;
    let took = begun.elapsed();
    claim_is("recv fails with EHOSTUNREACH, not ETIMEDOUT", &outcome, "EHOSTUNREACH");
    claim("recv fails only when retransmission has given up", took >= tries);
    let sent = stage.count(&Matcher::data().from_client().containing("two"));
    claim("each of several retransmissions was answered with the error", sent > 1);

    step "another client sets IP_RECVERR";
    stage.two().wire.clear();
    stage.two().client.set_rto_min(Duration::from_secs(3))?;
    let eager = stage.connected_client()?;
    eager.must("setsockopt recverr on")?;
    server.must("0: accept")?;
    let data = Matcher::data().from_client().containing("three");
    stage.wire_rule(Rule::hold(data.clone()).once());
    eager.must("send three")?;
    stage.two().wire.wait_for(&data, 0, PATIENCE)?;
    stage.two().wire.answer(&data, host);
    claim_is("with IP_RECVERR the next call fails with EHOSTUNREACH", &eager.call("recv 100")?, "EHOSTUNREACH");
    claim("the call fails after one transmission", stage.count(&data) == 1);
    claim_state("with IP_RECVERR the connection is still ESTABLISHED", Side::Client, TcpState::Established);
    let read = server.call("recv 100")?;
    claim_is("the retransmitted data arrives all the same", &read, "ok 5 three");
}
