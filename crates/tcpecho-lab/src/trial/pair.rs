//! What a client and a server of somebody's go through together, and the words for it. Nobody is on strings: the keyboard is
//! typed at, hosts and the wire act.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};

use super::Fault;
use super::client::many_lines;
use super::server::open;
use super::stranger::{END, Stranger};
use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::{Broken, PORT, Played, Stage};
use tcpecho_os::tcp_state::TcpState;

table! {
    normal_startup
    normal_termination
    server_process_killed
    server_host_crashes
    crash_and_reboot
    operator_shutdown
    half_close
    segment_lost
    segment_doubled
    segments_reordered
    segment_corrupted
    middlebox_forgets_silently
    middlebox_forgets_with_reset
}

/// A client and a server, both somebody's.
struct Pair {
    client: Stranger,
    server: Stranger,
}

/// The server is started and listens, the client is started and connects.
fn meet(stage: &mut Stage) -> Result<Pair, Broken> {
    let server = open(stage)?;
    let client = stage.stranger(Side::Client)?;
    let connected = || {
        let sockets = stage.connections(Side::Client, PORT);
        sockets.iter().any(|socket| socket.state == TcpState::Established)
    };
    if stage.comes(END, || connected() || client.program.exit().is_some()) && connected() {
        Ok(Pair { client, server })
    } else {
        Err(stage.stuck("the client does not connect"))
    }
}

/// A line goes there and back; when this returns, the client has read it.
fn exchange(stage: &mut Stage, pair: &Pair, line: &str) -> Played {
    let mark = stage.two().timeline.mark();
    pair.client.types(line);
    let there = Matcher::data().from_client().containing(line);
    if stage.delivered(&there, mark, END).is_err() {
        return Err(stage.stuck(&format!("the client does not send the line {line:?}")));
    }
    let back = Matcher::data().from_server().containing(line);
    if stage.delivered(&back, mark, END).is_err() {
        return Err(stage.stuck(&format!("the server does not send the line {line:?} back")));
    }
    if stage.wait_until_read(Side::Client).is_err() {
        return Err(stage.stuck("the client does not read the reply before it gets more input"));
    }
    stage.wait_until_acknowledged()
}

/// Twenty lines are typed and the input ends, over a wire that does this to them.
fn through(stage: &mut Stage, rules: Vec<Rule>) -> Result<(Pair, Vec<String>), Broken> {
    // With many packets, looking at states after each is what takes the time.
    stage.two().watch_states(false);
    stage.two().set_rto_min(Duration::from_millis(20))?;
    // Whoever has closed still has much to send; 0 means 8.
    stage.two().set_sysctl("net.ipv4.tcp_orphan_retries", "0")?;
    let pair = meet(stage)?;
    for rule in rules {
        stage.wire_rule(rule);
    }
    let lines = many_lines(20);
    for line in &lines {
        pair.client.types(line);
    }
    pair.client.ends_input();
    Ok((pair, lines))
}

/// Kills the server's process and what it has started (`Program::descendants`): one of those may hold the connection.
fn kill_all(server: &Stranger, descendants: Vec<OwnedFd>) {
    server.program.kill();
    for descendant in descendants {
        // One that has ended meanwhile needs no killing.
        let _ = pidfd_send_signal(&descendant, Signal::KILL);
    }
}

impl Stage {
    /// That end has a connection, and it is established.
    fn claim_established(&mut self, sentence: &str, side: Side) {
        let established = self.comes(END, || {
            let sockets = self.connections_of_any_family(side);
            sockets.iter().any(|socket| socket.state == TcpState::Established)
        });
        self.claim_or(sentence, Fault::Hung, established);
    }

    /// That end sends FIN.
    fn claim_closes(&mut self, sentence: &str, side: Side, fault: Fault) {
        let fin = self.delivered(&Matcher::fin().from(side), 0, END);
        self.claim_or(sentence, fault, fin.is_ok());
    }

    /// One end at most keeps TIME_WAIT; which, is shown and noted.
    fn claim_time_wait(&mut self, sentence: &str) {
        let waits = |side| {
            let sockets = self.connections_of_any_family(side);
            sockets.iter().any(|socket| socket.state == TcpState::TimeWait)
        };
        // The last ACK may be under way.
        Stage::until(Duration::from_secs(1), || Side::BOTH.into_iter().any(waits));
        let keeper = match Side::BOTH.map(waits) {
            [true, false] => "the client keeps TIME_WAIT",
            [false, true] => "the server keeps TIME_WAIT",
            [false, false] => "nobody keeps TIME_WAIT",
            [true, true] => "both keep TIME_WAIT",
        };
        self.claim(sentence, keeper != "both keep TIME_WAIT");
        self.step(keeper);
        self.note(keeper);
    }
}
