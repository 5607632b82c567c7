//! One of two listeners on a port closes (socket(7), ip-sysctl: tcp_migrate_req).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Agent, Broken, PATIENCE, Stage};

scenario! { stage;
    name: "reuseport-listener-closes",
    group: Some(Group::Queues),
    title: "one of two listeners with SO_REUSEPORT closes",
    source: "UNP 7.5, socket(7)",
    question: "A server is replaced without a pause: the new process listens on the same port with \
               SO_REUSEPORT, then the old one closes its listener. Is a connection lost?",
    book: &[
        (
            "SO_REUSEPORT allows several sockets with the same address and port, if all of them \
             set it.",
            &[Book("7.5")],
        ),
    ],
    kernel: &[
        (
            "Several processes of one user can listen on the same port, and each listener has a \
             queue of its own. What is in the old one's queue when it closes is reset.",
            &[
                Man("socket(7)"),
                Measured("both listeners have the same port"),
                Measured("recv of each of the three fails with ECONNRESET"),
                Measured("the new listener's queue is empty"),
            ],
        ),
        (
            "With net.ipv4.tcp_migrate_req=1 the connections move to the other listener's queue. \
             The default is 0.",
            &[
                Sysctl("net.ipv4.tcp_migrate_req"),
                Measured("the new listener accepts all three"),
                Measured("the new listener reads the third client's data"),
                Measured("no RST is sent"),
            ],
        ),
    ];

    step "three clients are in the queue of the old listener, and the new one listens";
    let old = listener(stage)?;
    let waiting = stage.queued_clients(3)?;
    let new = listener(stage)?;
    claim("both listeners have the same port", listeners(stage) == 2);

    step "the old listener closes";
    old.must("close")?;
    let mut reset = 0;
    for client in &waiting {
        let rst = Matcher::rst().from_server().port(client.port()?);
        reset += usize::from(stage.two().wire.wait_delivered(&rst, 0, PATIENCE).is_ok());
    };
    claim("an RST is sent to each of the three waiting clients", reset == 3);
    let mut failed = 0;
    for client in &waiting {
        failed += usize::from(client.call("recv 100")? == "ECONNRESET");
    };
    claim("recv of each of the three fails with ECONNRESET", failed == 3);
    new.must("nonblocking on")?;
    claim_is("the new listener's queue is empty", &new.call("accept")?, "EAGAIN");
    new.must("close")?;

    step "the same with tcp_migrate_req=1";
    stage.two().server.set_sysctl("net.ipv4.tcp_migrate_req", "1")?;
    let old = listener(stage)?;
    let waiting = stage.queued_clients(3)?;
    let new = listener(stage)?;
    let mark = stage.two().timeline.mark();
    old.must("close")?;
    let last = waiting.last().ok_or_else(|| Broken::new("no client"))?;
    last.must("send hello")?;
    let mut accepted = 0;
    for _ in 0..3 {
        accepted += usize::from(new.call("0: accept")?.starts_with("ok"));
    };
    claim("the new listener accepts all three", accepted == 3);
    claim_is("the new listener reads the third client's data", &new.call("recv 100")?, "ok 5 hello");
    let resets = stage.two().wire.wait_for(&Matcher::rst().from_server(), mark, std::time::Duration::ZERO);
    claim("no RST is sent", resets.is_err());
}

fn listener(stage: &Stage) -> Result<Agent, Broken> {
    let listener = stage.agent(Side::Server)?;
    listener.must(&format!("socket {}", stage.number()))?;
    listener.must("setsockopt reuseport on")?;
    listener.must(&format!("bind {} {}", stage.family().any(), stage.port()))?;
    listener.must("listen 10")?;
    Ok(listener)
}

fn listeners(stage: &Stage) -> usize {
    let sockets = stage.two().server.sockets(stage.family());
    let listens = |state| state == tcpecho_os::tcp_state::TcpState::Listen;
    sockets.iter().filter(|socket| listens(socket.state)).count()
}
