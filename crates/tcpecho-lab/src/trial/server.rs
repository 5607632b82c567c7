//! What echo servers go through, and the words for it.

use super::stranger::{END, NOTICE, Stranger, words};
use super::{Fault, NOT_LISTENING};
use std::time::Duration;

use crate::impairment::Rule;
use crate::side::{Family, Side};
use crate::stage::{Actor, Broken, PATIENCE, PORT, Played, Stage};
use tcpecho_os::tcp_state::TcpState;

table! {
    normal_startup
    normal_termination
    zombies_without_handler
    wait_against_waitpid
    abort_before_accept
    sigpipe
    client_host_crashes_and_returns
    operator_shutdown
    bind_in_use_by_time_wait
    half_close
    close_with_unread_data
    segment_lost
    segment_doubled
    segments_reordered
    segment_corrupted
    zero_window
    mtu_black_hole
    fragmentation_needed
    middlebox_forgets_with_reset
    short_counts
    many_clients
    out_of_descriptors
}

/// The program is started; it listens when this returns.
pub(super) fn open(stage: &mut Stage) -> Result<Stranger, Broken> {
    let mut stranger = stage.stranger(Side::Server)?;
    if stage.comes(PATIENCE, || listens(stage) || stranger.program.exit().is_some())
        && listens(stage)
    {
        stranger.children = stranger.program.children().len();
        Ok(stranger)
    } else {
        let end = stranger.program.exit().map_or("it still runs".into(), words);
        Err(Broken::new(format!("{NOT_LISTENING} on port {PORT}: {end}")))
    }
}

/// Whether anything listens on the port, be it for both families.
fn listens(stage: &Stage) -> bool {
    let families: &[Family] = match stage.family() {
        Family::V4 => &Family::BOTH,
        Family::V6 => &[Family::V6],
    };
    let mut sockets = families.iter().flat_map(|family| stage.two().server.sockets(*family));
    sockets.any(|socket| socket.state == TcpState::Listen && socket.local.port() == PORT)
}

/// A client of ours, connected.
fn customer(stage: &Stage) -> Result<Actor, Broken> {
    let client = stage.client()?;
    client.must("sigpipe ignore")?;
    client.must(&stage.connect_line())?;
    Ok(client)
}

/// What is wrong if a line does not come back to this client.
fn served(stage: &Stage, client: &Actor, line: &str) -> Result<Option<(Fault, String)>, Broken> {
    served_within(stage, END, client, line)
}

fn served_within(
    stage: &Stage,
    patience: Duration,
    client: &Actor,
    line: &str,
) -> Result<Option<(Fault, String)>, Broken> {
    let sent = client.call(&format!("line {line}"))?;
    if !sent.starts_with("ok") {
        return Ok(Some((Fault::Lost, format!("sending it: {sent}"))));
    }
    client.begin("recv 1000")?;
    let Ok(said) = stage.hears(client, patience) else {
        return Ok(Some((Fault::Hung, "no answer".into())));
    };
    let wanted = format!("ok {} {line}\\n", line.len() + 1);
    Ok(match said.as_str() {
        said if said == wanted => None,
        said if said.starts_with("ok") && said != "ok 0" => Some((Fault::Invented, said.into())),
        said => Some((Fault::Lost, format!("instead of the line: {said}"))),
    })
}

impl Stage {
    /// A line comes back to this client.
    fn claim_serves(&mut self, sentence: &str, stranger: &Stranger, client: &Actor) -> Played {
        let fault = served(self, client, "hello")?;
        let died = stranger.program.exit().map(|exit| (Fault::Died, words(exit)));
        self.claim_without(sentence, fault.map(|fault| died.unwrap_or(fault)));
        Ok(())
    }

    /// A new client gets in, and a line comes back to it.
    fn claim_serves_another(&mut self, sentence: &str, stranger: &Stranger) -> Played {
        let client = self.client()?;
        client.must("sigpipe ignore")?;
        client.begin(&self.connect_line())?;
        let said = self.hears(&client, END).unwrap_or_else(|_| "no answer".into());
        if said == "ok" {
            return self.claim_serves(sentence, stranger, &client);
        }
        let fault = stranger.program.exit().map(|exit| (Fault::Died, words(exit)));
        let fault = fault.unwrap_or((Fault::Hung, format!("connecting: {said}")));
        self.claim_without(sentence, Some(fault));
        Ok(())
    }

    /// No child that has ended is left, once those of clients that have gone are done.
    fn claim_no_zombies(&mut self, sentence: &str, stranger: &Stranger) {
        let program = &stranger.program;
        let extra = || program.children().len().saturating_sub(stranger.children);
        self.comes(END, || extra() <= program.zombies());
        Stage::until(NOTICE, || program.zombies() == 0);
        let zombies = program.zombies();
        self.guest.conduct.zombies = Some(zombies);
        self.claim_without(
            sentence,
            (zombies > 0).then(|| (Fault::Zombies, format!("{zombies} left"))),
        );
    }

    /// All clients have closed, and no socket waits for the program to do the same.
    pub(super) fn claim_no_close_wait(&mut self, sentence: &str) {
        let mut left = Vec::new();
        self.comes(END, || {
            left = self.connections_of_any_family(Side::Server);
            left.iter().all(|socket| socket.state == TcpState::TimeWait)
        });
        let left = left.iter().filter(|socket| socket.state == TcpState::CloseWait).count();
        self.guest.conduct.close_wait = Some(left);
        self.claim_without(
            sentence,
            (left > 0).then(|| (Fault::CloseWait, format!("{left} left"))),
        );
    }

    /// It has no more descriptors than it had.
    fn claim_no_descriptors(&mut self, sentence: &str, stranger: &Stranger, before: usize) {
        self.comes(END, || stranger.program.descriptors() <= before);
        let more = stranger.program.descriptors().saturating_sub(before);
        self.guest.conduct.leaked_descriptors = Some(more);
        self.claim_without(sentence, (more > 0).then(|| (Fault::Leaked, format!("{more} more"))));
    }

    /// What this client gets back to the end of the stream is what was sent.
    fn claim_comes_back(
        &mut self,
        sentence: &str,
        stranger: &Stranger,
        client: &Actor,
        bytes: usize,
    ) -> Played {
        client.begin("drain end")?;
        let said = self.hears(client, END);
        let wanted = format!("ok {bytes} right");
        let fault = match said {
            Ok(said) if said == wanted => None,
            Ok(said) if said.ends_with("changed") => Some((Fault::Invented, said)),
            Ok(said) => Some((Fault::Lost, said)),
            Err(_) => Some((Fault::Hung, "no end of file".into())),
        };
        let died = stranger.program.exit().map(|exit| (Fault::Died, words(exit)));
        self.claim_without(sentence, fault.map(|fault| died.unwrap_or(fault)));
        Ok(())
    }
}

/// 20000 bytes go there over a wire that does this to them, and the client ends its half.
fn through(stage: &mut Stage, rules: Vec<Rule>) -> Result<(Stranger, Actor), Broken> {
    // With many packets, looking at states after each is what takes the time.
    stage.two().watch_states(false);
    stage.two().set_rto_min(Duration::from_millis(20))?;
    // Whoever has closed still has much to send; 0 means 8.
    stage.two().set_sysctl("net.ipv4.tcp_orphan_retries", "0")?;
    let stranger = open(stage)?;
    let client = customer(stage)?;
    for rule in rules {
        stage.wire_rule(rule);
    }
    client.must("send 20000 lines")?;
    client.must("shutdown wr")?;
    Ok((stranger, client))
}
