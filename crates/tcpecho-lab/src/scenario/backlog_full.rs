//! Nobody calls accept, and clients keep coming (UNP 4.5).

use super::Scenario;
use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::{Broken, PATIENCE, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::sock_diag::TcpSocket;
use tcpecho_os::tcp_state::TcpState;

const BACKLOG: u32 = 1;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "backlog-full",
        title: "the accept queue is full",
        source: "UNP 4.5",
        question: "What happens to a client if the server's queue of completed connections is \
                   full?",
        book: "The backlog bounds the queues, by a number that differs from system to system. When \
               they are full, TCP ignores the SYN and sends no RST: the condition is temporary, \
               and the client's TCP sends the SYN again.",
        kernel: "The backlog bounds the completed connections, of which one more than it says are \
                 taken, and by themselves the half-open ones. A further SYN is dropped and counted \
                 as ListenOverflows and ListenDrops; once accept has made a place, the next SYN of \
                 the same client gets in, and its connect only took a second longer.",
        timers: &[],
        steps: &[
            Step {
                does: "a server listens with backlog 1 and does not call accept; two clients \
                       connect",
                claims: &[
                    "the first is connected",
                    "the second, too: the queue takes one more",
                    "two connections wait, and the backlog is 1",
                    "nothing has been dropped so far",
                ],
            },
            Step {
                does: "a third client connects; the wire lets its first SYN pass and keeps the \
                       others",
                claims: &[
                    "the server's kernel dropped the SYN, and counted it twice",
                    "the third client is in SYN_SENT",
                    "the server knows nothing of it",
                ],
            },
            Step {
                does: "the third client's TCP sends the SYN again, and before it arrives, the \
                       server calls accept",
                claims: &[
                    "the third client is connected",
                    "no RST was sent to anybody",
                ],
            },
            Step {
                does: "the server calls accept twice more",
                claims: &[
                    "the second client is next",
                    "the third comes last",
                    "and can talk with the server",
                    "as if nothing had happened",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a server listens with backlog 1 and does not call accept; two clients connect");
    let server = stage.listening(BACKLOG)?;
    let (first, second) = (stage.client()?, stage.client()?);
    stage.claim_is("the first is connected", &first.call(&stage.connect_line())?, "ok");
    stage.claim_is("the second, too: the queue takes one more", &second.call(&stage.connect_line())?, "ok");
    let full = |socket: &TcpSocket| {
        socket.state == TcpState::Listen && (socket.rqueue, socket.wqueue) == (2, BACKLOG)
    };
    let host = &stage.two().server;
    let waiting = host.wait_for_socket(stage.family(), "two in the queue", PATIENCE, full).is_ok();
    stage.claim("two connections wait, and the backlog is 1", waiting);
    stage.claim("nothing has been dropped so far", drops(stage)? == (0, 0));

    stage.step("a third client connects; the wire lets its first SYN pass and keeps the others");
    let mark = stage.two().timeline.mark();
    stage.wire_rule(Rule::hold(Matcher::syn().from_client()).after(1));
    let third = stage.client()?;
    third.begin(&stage.connect_line())?;
    stage.two().wire.wait_delivered(&Matcher::syn().from_client(), mark, PATIENCE)?;
    let dropped = stage.two().timeline.mark();
    stage.claim("the server's kernel dropped the SYN, and counted it twice", drops(stage)? == (1, 1));
    stage.claim_state("the third client is in SYN_SENT", Side::Client, TcpState::SynSent);
    let half_open = stage.two().server.sockets(stage.family());
    let half_open = half_open.iter().any(|socket| socket.state == TcpState::SynRecv);
    stage.claim("the server knows nothing of it", !half_open);

    stage.step("the third client's TCP sends the SYN again, and before it arrives, the server calls accept");
    stage.two().wire.wait_for(&Matcher::syn().from_client(), dropped, PATIENCE)?;
    server.must("0: accept")?;
    stage.two().wire.clear();
    stage.two().wire.release_all(&Matcher::syn());
    stage.claim_is("the third client is connected", &third.outcome()?, "ok");
    stage.claim("no RST was sent to anybody", stage.count(&Matcher::rst()) == 0);

    stage.step("the server calls accept twice more");
    stage.claim("the second client is next", server.call("0: accept")?.starts_with("ok"));
    let last = server.call("0: accept")?;
    stage.claim("the third comes last", last.starts_with("ok"));
    stage.claim_is("and can talk with the server", &third.call("send hello")?, "ok 5");
    stage.claim_is("as if nothing had happened", &server.call("recv 100")?, "ok 5 hello");
    Ok(())
}

/// `ListenOverflows` and `ListenDrops` of the server's kernel.
fn drops(stage: &Stage) -> Result<(u64, u64), Broken> {
    let host = &stage.two().server;
    Ok((host.counter("TcpExt.ListenOverflows")?, host.counter("TcpExt.ListenDrops")?))
}
