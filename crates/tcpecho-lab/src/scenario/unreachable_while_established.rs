//! A router answers data of a connection with an ICMP error (UNP 5.14, A.5, RFC 9293 3.9.2.2, ip(7)).

use std::time::Instant;

use std::time::Duration;

use super::Scenario;
use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::pace::Timer;
use crate::side::Side;
use crate::stage::{PATIENCE, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "unreachable-while-established",
        title: "a router refuses a connection's data",
        source: "UNP 5.14, A.5, RFC 9293 3.9.2.2, ip(7)",
        question: "A router says that the server's host cannot be reached, in the middle of a \
                   connection. What does the client see, and when?",
        book: "Nothing yet: the error is soft. TCP sends again, and only if it gives up read \
               fails, with EHOSTUNREACH instead of ETIMEDOUT (5.14).",
        kernel: "The same; an acknowledgement makes the error forgotten, and so does asking for it \
                 with SO_ERROR. A program that would know at once sets IP_RECVERR (IPV6_RECVERR): \
                 the next call on the socket fails with EHOSTUNREACH, and the connection lives on \
                 all the same.",
        timers: &[Timer::Retransmission],
        steps: &[
            Step {
                does: "a client and a server are connected; a router cannot reach the server's \
                       host for a while",
                claims: &[
                    "the client's data is answered with host unreachable",
                    "the client is ESTABLISHED all the same",
                    "recv does not fail for it; there just is no data",
                    "SO_ERROR tells of it all the same",
                ],
            },
            Step {
                does: "the host can be reached again",
                claims: &[
                    "the data, sent again, arrives",
                    "and is acknowledged",
                    "with that the later errors are forgotten, too",
                ],
            },
            Step {
                does: "the host is unreachable for good, and the client's kernel impatient",
                claims: &[
                    "send succeeds",
                    "recv fails with EHOSTUNREACH, not ETIMEDOUT",
                    "but not before retransmission has given up",
                    "each of several tries was answered so",
                ],
            },
            Step {
                does: "another client wants to know at once: IP_RECVERR",
                claims: &[
                    "its next call fails with EHOSTUNREACH",
                    "after one try",
                    "its connection is ESTABLISHED",
                    "and the data, sent again, arrives",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    let host = IcmpError::HostUnreachable;
    let icmp = Matcher::icmp().from_server();

    stage.step("a client and a server are connected; a router cannot reach the server's host for a while");
    stage.two().client.set_rto_min(Duration::from_millis(20))?;
    let (client, server) = stage.connected()?;
    let unreachable = stage.two().wire.add(Rule::answer(Matcher::data().from_client(), host));
    client.must("send one")?;
    stage.claim_packet("the client's data is answered with host unreachable", &icmp);
    stage.claim_state("the client is ESTABLISHED all the same", Side::Client, TcpState::Established);
    client.must("nonblocking on")?;
    let nothing = client.call("recv 100")?;
    stage.claim_is("recv does not fail for it; there just is no data", &nothing, "EAGAIN");
    client.must("nonblocking off")?;
    let soft = client.call("getsockopt error")?;
    stage.claim_is("SO_ERROR tells of it all the same", &soft, "ok EHOSTUNREACH");
    let mark = stage.two().timeline.mark();
    stage.two().wire.wait_delivered(&icmp, mark, PATIENCE)?;
    stage.two().wire.remove(unreachable);

    stage.step("the host can be reached again");
    let read = server.call("recv 100")?;
    stage.claim_is("the data, sent again, arrives", &read, "ok 3 one");
    stage.claim_packet("and is acknowledged", &Matcher::ack().from_server());
    let none = client.call("getsockopt error")?;
    stage.claim_is("with that the later errors are forgotten, too", &none, "ok 0");

    stage.step("the host is unreachable for good, and the client's kernel impatient");
    let tries = stage.shorten(Side::Client, Timer::Retransmission, &[1])?;
    stage.wire_rule(Rule::answer(Matcher::data().from_client(), host));
    let begun = Instant::now();
    stage.claim_is("send succeeds", &client.call("send two")?, "ok 3");
    let outcome = client.call("recv 100")?;
    let took = begun.elapsed();
    stage.claim_is("recv fails with EHOSTUNREACH, not ETIMEDOUT", &outcome, "EHOSTUNREACH");
    stage.claim("but not before retransmission has given up", took >= tries);
    let sent = stage.count(&Matcher::data().from_client().containing("two"));
    stage.claim("each of several tries was answered so", sent > 1);

    stage.step("another client wants to know at once: IP_RECVERR");
    stage.two().wire.clear();
    stage.two().client.set_rto_min(Duration::from_secs(3))?;
    let eager = stage.client()?;
    eager.must(&stage.connect_line())?;
    eager.must("setsockopt recverr on")?;
    server.must("0: accept")?;
    let data = Matcher::data().from_client().containing("three");
    stage.wire_rule(Rule::hold(data.clone()).once());
    eager.must("send three")?;
    stage.two().wire.wait_for(&data, 0, PATIENCE)?;
    stage.two().wire.answer(&data, host);
    stage.claim_is("its next call fails with EHOSTUNREACH", &eager.call("recv 100")?, "EHOSTUNREACH");
    stage.claim("after one try", stage.count(&data) == 1);
    stage.claim_state("its connection is ESTABLISHED", Side::Client, TcpState::Established);
    let read = server.call("recv 100")?;
    stage.claim_is("and the data, sent again, arrives", &read, "ok 5 three");
    Ok(())
}
