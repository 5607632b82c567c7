//! The server's host crashes, and one client has limited its wait (RFC 9293 3.9.1, tcp(7)).

use std::time::{Duration, Instant};

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::PATIENCE;
use crate::timeline::PacketMoment;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "server-host-crashes-user-timeout",
    group: Some(Group::Failures),
    title: "the host crashes, and the client has TCP_USER_TIMEOUT",
    source: "UNP 5.14, 14.2, RFC 9293 3.9.1, tcp(7)",
    question: "Can a client learn within less than minutes that the server's host does not \
               answer?",
    book: &[
        (
            "It can put a timeout on the call of read.",
            &[Book("5.14"), Book("14.2")],
        ),
        (
            "TCP has a user timeout for data that is not delivered.",
            &[Rfc(9293, "3.9.1")],
        ),
    ],
    kernel: &[
        (
            "TCP_USER_TIMEOUT is that user timeout, in milliseconds: data that stays \
             unacknowledged for this time, or unsent because the window is zero, ends the \
             connection with ETIMEDOUT.",
            &[
                Man("tcp(7)"),
                Measured("the first client's recv fails with ETIMEDOUT"),
                Measured("recv fails after the user timeout, not after minutes"),
                Lab("zero-window-user-timeout"),
            ],
        ),
        (
            "It applies to this socket only, and the peer does not learn of it: Linux does not \
             send the option of RFC 5482.",
            &[
                Measured("the second client is still ESTABLISHED"),
                Measured("no segment has the option of RFC 5482"),
                Rfc(5482, "3"),
            ],
        ),
    ];

    step "two clients are connected; the first sets TCP_USER_TIMEOUT to 300 ms, or to more on a \
          slow path";
    stage.two().client.set_rto_min(Duration::from_millis(5))?;
    let server = stage.listening(10)?;
    let (impatient, patient) = (stage.joined(&server)?, stage.joined(&server)?);
    let socket = impatient.program().sockets().pop().unwrap_or(-1);
    let rto = Duration::from_micros(impatient.program().tcp_info(socket)?.rto_us.into());
    let user_timeout = USER_TIMEOUT.max(rto * TRIES);
    impatient.must(&format!("setsockopt user_timeout {}", user_timeout.as_millis()))?;

    step "the server's host loses power, and both clients send and wait for a reply";
    stage.two_mut().server.power_off();
    patient.must("send patient")?;
    patient.begin("recv 100")?;
    let begun = Instant::now();
    impatient.must("send impatient")?;
    let outcome = impatient.call("recv 100")?;
    let took = begun.elapsed();
    claim_is("the first client's recv fails with ETIMEDOUT", &outcome, "ETIMEDOUT");
    claim(
        "recv fails after the user timeout, not after minutes",
        {
        took >= user_timeout && took < Duration::from_secs(60)
    },
    );
    let sent = stage.count(&Matcher::data().from_client().containing("impatient"));
    claim("the data was sent more than once", sent > 1);

    step "the second client has no user timeout";
    let twice = Matcher::data().from_client().containing("patient").matching(
        "not of the impatient",
        |_, packet| !packet.payload().starts_with(b"im"),
    );
    let mark = stage.two().timeline.mark();
    let again = stage.two().wire.wait_for(&twice, mark, PATIENCE);
    claim("the second client still retransmits its data", again.is_ok());
    claim_state("the second client is still ESTABLISHED", Side::Client, TcpState::Established);
    claim("the second client is still blocked in recv", patient.program().lines().len() == 3);
    let told = |seen: &PacketMoment| {
        seen.packet.tcp().is_some_and(|tcp| tcp.option_kinds.contains(&USER_TIMEOUT_OPTION))
    };
    claim("no segment has the option of RFC 5482", !stage.packets().iter().any(told));
}

/// The kind of the option that announces a user timeout (RFC 5482 3.3).
const USER_TIMEOUT_OPTION: u8 = 28;
/// The minimum user timeout of the first client.
const USER_TIMEOUT: Duration = Duration::from_millis(300);
/// The user timeout in retransmission timeouts. The kernel measures the path, so on a busy machine
/// its RTO may be longer than 300 ms, and nothing would be retransmitted.
const TRIES: u32 = 8;
