//! The rules of a script that is being played, without a socket: what to do next, and what came of it.
//!
//! A step reads no byte that it does not need. Bytes that no step has read yet stay in the socket's receive buffer, so a
//! script that pauses closes the peer's window in the end, and never loses a byte to a step that does not want it.

use std::{
    collections::TryReserveError,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    fired::{Fired, Flip},
    random::Random,
    script::Script,
    step::Step,
    value::Delay,
};

/// The most bytes that are received at a time, and so the most that a connection has pending.
pub(super) const MOST_READ: usize = 64 << 10;
/// `rate` sends what this part of a second allows, and then waits.
const PIECES_PER_SECOND: u64 = 50;
/// A buffer of more than this is freed when it is empty.
const KEPT_BUFFER: usize = 4 << 10;

/// What a script asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Receive at most so many bytes.
    Receive(usize),
    /// Send at most so many of the pending bytes.
    Send(usize),
    /// Wait until this time.
    Wait(Instant),
    /// Do nothing until the connection ends.
    Hold,
    /// Send FIN.
    Fin,
    /// Wait until everything sent is acknowledged.
    AwaitAcknowledgement,
    /// Wait for bytes, without reading them, or for FIN.
    AwaitUnread,
    /// Close with FIN.
    Close,
    /// Close with RST.
    Reset,
}

/// How sending is timed.
#[derive(Debug, Clone, Copy)]
enum Pace {
    AtOnce,
    Rate(u64),
    Chunk(u64, Delay),
}

/// A script at one of its steps.
#[expect(clippy::struct_excessive_bools, reason = "facts about a connection, each true or not")]
#[derive(Debug)]
pub(super) struct Play {
    script: Arc<Script>,
    random: Random,
    /// The number of completed steps.
    at: usize,
    /// Whether the current step has begun.
    begun: bool,
    /// Bytes that it is still to receive.
    left: u64,
    /// Bytes that it has received.
    received: u64,
    /// The bit of these that it changes.
    flip: Option<u64>,
    /// The bytes that it repeats.
    kept: Vec<u8>,
    /// The end of its pause.
    until: Option<Instant>,
    pace: Pace,
    /// The next piece is not sent before.
    due: Option<Instant>,
    /// Bytes of the current piece that are still to be sent.
    piece: usize,
    pending: Vec<u8>,
    /// Where in `pending` the first byte is that was not sent.
    offset: usize,
    sent: u64,
    /// Bytes that all steps have received.
    taken: u64,
    acknowledged: bool,
    fin_received: bool,
    fin_sent: bool,
    flips: Vec<Flip>,
    unexpected: bool,
}

impl Play {
    pub(super) fn new(script: Arc<Script>, seed: u64, n: u64) -> Self {
        // Not the numbers that decide whether the connection gets a fault at all.
        let random = Random::new(!seed, n);
        Play {
            script,
            random,
            at: 0,
            begun: false,
            left: 0,
            received: 0,
            flip: None,
            kept: Vec::new(),
            until: None,
            pace: Pace::AtOnce,
            due: None,
            piece: 0,
            pending: Vec::new(),
            offset: 0,
            sent: 0,
            taken: 0,
            acknowledged: true,
            fin_received: false,
            fin_sent: false,
            flips: Vec::new(),
            unexpected: false,
        }
    }

    /// The bytes that are to be sent.
    pub(super) fn pending(&self) -> &[u8] {
        &self.pending[self.offset..]
    }

    /// Whether bytes were received that it still has to send back.
    pub(super) fn owes(&self) -> bool {
        !self.pending().is_empty() || !self.kept.is_empty()
    }

    /// What to do now.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        loop {
            if !self.pending().is_empty() {
                return self.next_piece(now);
            }
            let script = Arc::clone(&self.script);
            let Some(step) = script.steps().get(self.at) else { return Next::Close };
            if !self.begun {
                self.begin(step, now);
            }
            match step {
                Step::Echo(_)
                | Step::Discard(_)
                | Step::Corrupt(_)
                | Step::Drop(_)
                | Step::Repeat(_)
                | Step::WaitFin
                    if self.left > 0 && !self.fin_received =>
                {
                    return Next::Receive(self.left.min(MOST_READ as u64) as usize);
                }
                Step::Expect(_) if self.left > 0 || self.unexpected => {
                    self.unexpected |= self.fin_received;
                    if self.unexpected {
                        return self.after_acknowledgement(Next::Reset);
                    }
                    return Next::Receive(self.left as usize);
                }
                Step::Pause(_) => {
                    if let Some(until) = self.until.filter(|until| now < *until) {
                        return Next::Wait(until);
                    }
                }
                Step::Fin if !self.fin_sent => return Next::Fin,
                Step::StopReading => return Next::Hold,
                Step::Close => return Next::Close,
                Step::Reset => return self.after_acknowledgement(Next::Reset),
                Step::CloseUnread => return self.after_acknowledgement(Next::AwaitUnread),
                _ => {}
            }
            self.complete();
        }
    }

    fn after_acknowledgement(&self, next: Next) -> Next {
        if self.acknowledged { next } else { Next::AwaitAcknowledgement }
    }

    fn begin(&mut self, step: &Step, now: Instant) {
        self.begun = true;
        self.received = 0;
        self.left = match step {
            Step::Echo(None) | Step::WaitFin => u64::MAX,
            Step::Echo(Some(n))
            | Step::Discard(n)
            | Step::Corrupt(n)
            | Step::Drop(n)
            | Step::Repeat(n) => *n,
            Step::Expect(payload) => payload.bytes().len() as u64,
            _ => 0,
        };
        match step {
            Step::Corrupt(n) => self.flip = Some(self.random.below(n * 8)),
            Step::Pause(delay) => self.until = Some(now + self.draw(*delay)),
            Step::Send(payload) => self.pend(payload.bytes().to_vec()),
            Step::Rate(n) => self.set_pace(Pace::Rate(*n)),
            Step::Chunk(n, delay) => self.set_pace(Pace::Chunk(*n, *delay)),
            _ => {}
        }
    }

    /// Ends the current step. What it still has to send goes out before the next one begins.
    fn complete(&mut self) {
        if !self.kept.is_empty() {
            let kept = std::mem::take(&mut self.kept);
            self.pend(kept);
        }
        self.at += 1;
        self.begun = false;
    }

    fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
        self.due = None;
        self.piece = 0;
    }

    fn draw(&mut self, delay: Delay) -> Duration {
        self.random.time(delay.time, delay.jitter)
    }

    fn pend(&mut self, bytes: Vec<u8>) {
        self.pending = bytes;
        self.offset = 0;
    }

    fn next_piece(&mut self, now: Instant) -> Next {
        let length = self.pending().len();
        let wait = self.due.filter(|due| now < *due);
        match self.pace {
            Pace::AtOnce => Next::Send(length),
            Pace::Rate(rate) => match wait {
                Some(due) => Next::Wait(due),
                None => Next::Send(length.min((rate / PIECES_PER_SECOND).max(1) as usize)),
            },
            Pace::Chunk(size, delay) => {
                if self.piece == 0 {
                    if let Some(due) = wait {
                        return Next::Wait(due);
                    }
                    if self.due.take().is_none() {
                        let due = now + self.draw(delay);
                        self.due = Some(due);
                        return Next::Wait(due);
                    }
                    self.piece = length.min(usize::try_from(size).unwrap_or(usize::MAX));
                }
                Next::Send(self.piece)
            }
        }
    }

    /// These bytes were received.
    pub(super) fn on_received(&mut self, bytes: &[u8]) -> Result<(), TryReserveError> {
        self.taken += bytes.len() as u64;
        let Some(step) = self.script.steps().get(self.at) else { return Ok(()) };
        let from = self.received;
        self.received += bytes.len() as u64;
        if self.left != u64::MAX {
            self.left = self.left.saturating_sub(bytes.len() as u64);
        }
        match step {
            Step::Echo(_) | Step::Corrupt(_) | Step::Repeat(_) => {}
            Step::Expect(payload) => {
                let wanted = payload.bytes().get(from as usize..self.received as usize);
                self.unexpected = wanted != Some(bytes);
                return Ok(());
            }
            _ => return Ok(()),
        }
        if matches!(step, Step::Repeat(_)) {
            self.kept.try_reserve_exact(bytes.len())?;
            self.kept.extend_from_slice(bytes);
        }
        self.pending.try_reserve_exact(bytes.len())?;
        self.pending.extend_from_slice(bytes);
        if let Some(bit) = self.flip.take_if(|bit| *bit / 8 < self.received) {
            let at = (bit / 8 - from) as usize;
            let flip = Flip { byte: self.sent + at as u64, bit: (bit % 8) as u8 };
            self.pending[at] ^= 1 << flip.bit;
            self.flips.push(flip);
        }
        Ok(())
    }

    /// The peer's FIN was received.
    pub(super) fn on_fin(&mut self) {
        self.fin_received = true;
    }

    pub(super) fn on_fin_sent(&mut self) {
        self.fin_sent = true;
        self.acknowledged = false;
    }

    /// So many of the pending bytes were sent.
    pub(super) fn on_sent(&mut self, bytes: usize, now: Instant) {
        self.offset += bytes;
        self.sent += bytes as u64;
        self.acknowledged = false;
        match self.pace {
            Pace::AtOnce => {}
            Pace::Rate(rate) => {
                let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
                self.due = Some(self.due.map_or(now, |due| due.max(now)) + cost);
            }
            Pace::Chunk(..) => self.piece -= bytes,
        }
        if self.pending().is_empty() {
            self.offset = 0;
            self.pending.clear();
            if self.pending.capacity() > KEPT_BUFFER {
                self.pending = Vec::new();
            }
        }
    }

    /// Everything that was sent is acknowledged.
    pub(super) fn on_acknowledged(&mut self) {
        self.acknowledged = true;
    }

    /// Bytes that were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes that were received.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// What the report says.
    pub(super) fn fired(self, ended_by_script: bool) -> Fired {
        let all = self.script.steps().len();
        let completed = if ended_by_script && !self.unexpected { all } else { self.at };
        let script = Arc::unwrap_or_clone(self.script);
        Fired {
            script,
            completed,
            flips: self.flips,
            unexpected: self.unexpected,
            peer_closed: self.fin_received,
        }
    }
}

#[cfg(test)]
mod tests;
