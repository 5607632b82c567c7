//! The end of a worker: the last answers, then a FIN in both directions.

use std::time::Duration;

use tcpecho::{Ending, Error};

use super::{After, ConnSlot, Phase, Stage, Worker};
use crate::{
    clock,
    driver::Driver,
    message::{Link, Message},
};

impl Worker<'_> {
    /// Waits for answers, counts messages that have none, and closes the connections in order.
    pub(super) fn finish(
        &mut self,
        driver: &mut impl Driver,
        link: &Link,
        end: u64,
    ) -> Result<(), Error> {
        self.read_tcp_info();
        self.phase = Phase::Draining;
        let grace = self.rules.grace.min(self.rules.timeout);
        let stays = self.rules.after == After::KeepOpen;
        self.poll_until(driver, grace, |slot| match slot.stage {
            Stage::Absent => stays || slot.flow.due <= slot.flow.answered,
            Stage::Open => !slot.flow.waits() && slot.flow.due <= slot.flow.answered,
            Stage::Connecting | Stage::Shut => false,
        })?;
        self.budget = 0;
        let moment = self.moment(clock::now());
        for slot in &mut self.slots {
            slot.flow.give_up(&self.rules.profile, moment, end, &mut self.tally);
        }
        self.requests = self.settled() - self.requests;
        link.send(Message::Drained);
        link.wait_for_observer();
        self.phase = Phase::Finishing;
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            let orderly = self.rules.after != After::Reset && !self.rules.idle;
            match slot.stage {
                Stage::Open if slot.flow.owed() > 0 => self.note_owed(driver, index),
                Stage::Open if orderly => self.shut(driver, index),
                Stage::Connecting if !self.stop.is_at_once() => {
                    self.note_unconnected(driver, index);
                }
                Stage::Shut | Stage::Absent => {}
                _ => self.close(driver, index, true),
            }
        }
        self.poll_until(driver, grace, |slot| slot.stage == Stage::Absent)?;
        for index in 0..self.slots.len() {
            if self.slots[index].stage != Stage::Absent {
                self.ended(driver, index, Ending::TimedOut, || {
                    "recv: no FIN came after ours".to_owned()
                });
            }
        }
        Ok(())
    }

    fn note_unconnected(&mut self, driver: &mut impl Driver, index: usize) {
        let slot = &self.slots[index];
        let waited = Duration::from_nanos(clock::now().saturating_sub(slot.since));
        let addr = slot.addr;
        self.ended(driver, index, Ending::ConnectTimeout, || {
            format!(
                "connect {addr}: no answer within {}, when the run was over",
                tcpecho::internal::show_duration(waited)
            )
        });
    }

    fn note_owed(&mut self, driver: &mut impl Driver, index: usize) {
        let (addr, owed) = (self.slots[index].addr, self.slots[index].flow.owed());
        self.ended(driver, index, Ending::TimedOut, || {
            format!("recv {addr}: {owed} bytes had not come back when the run was over")
        });
    }

    fn read_tcp_info(&mut self) {
        for slot in &self.slots {
            if let (Stage::Open, Some(socket)) = (slot.stage, &slot.socket) {
                self.wire.note(socket);
            }
        }
    }

    fn poll_until(
        &mut self,
        driver: &mut impl Driver,
        grace: u64,
        done: impl Fn(&ConnSlot) -> bool,
    ) -> Result<(), Error> {
        let deadline = clock::now() + grace;
        loop {
            let now = clock::now();
            if now >= deadline || self.stop.is_at_once() || self.slots.iter().all(&done) {
                return Ok(());
            }
            self.poll(driver, deadline.min(now + 50_000_000))?;
        }
    }
}
