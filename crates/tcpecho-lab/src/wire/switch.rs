//! The path of one packet: judged by the rules, recorded, and then delivered, held, changed or
//! answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tcpecho_lab_os::wire_device::WireDevice;

use crate::impairment::{Action, Rule};
use crate::packet::{Flows, IcmpError, Packet, icmp_error, repair, reset_receiver, reset_sender};
use crate::side::{Family, Side};
use crate::timeline::{PacketMoment, Place, Timeline, Verdict, What};

pub(super) struct Switch {
    pub(super) ends: [Option<Arc<WireDevice>>; 2],
    pub(super) rules: Vec<(u64, Rule)>,
    pub(super) cut: bool,
    pub(super) stopping: bool,
    pub(super) look: Option<Arc<dyn Fn() + Send + Sync>>,
    pub(super) held: VecDeque<Waiting>,
    /// Delayed packets, the earliest first.
    delayed: VecDeque<(Instant, Waiting)>,
    /// One packet of each direction that waits for the next to go first.
    overtaken: [Option<Waiting>; 2],
    flows: Flows,
    timeline: Timeline,
    /// The number of packets so far.
    packets: u64,
    /// The number of rules so far.
    numbered_rules: u64,
    /// The seed of the next rule with a random share.
    pub(super) seed: u64,
}

/// The number of packets that can wait in the wire, held or delayed. More are dropped, as in any
/// queue.
const MOST_WAITING: usize = 16_384;

/// A packet in the wire.
pub(super) struct Waiting {
    pub(super) moment: PacketMoment,
}

impl Switch {
    pub(super) fn new(timeline: Timeline) -> Self {
        Switch {
            ends: [None, None],
            rules: Vec::new(),
            cut: false,
            stopping: false,
            look: None,
            held: VecDeque::new(),
            delayed: VecDeque::new(),
            overtaken: [None, None],
            flows: Flows::default(),
            timeline,
            packets: 0,
            numbered_rules: 0,
            seed: 0,
        }
    }

    pub(super) fn add(&mut self, mut rule: Rule, first: bool) -> u64 {
        self.numbered_rules += 1;
        let id = self.numbered_rules;
        rule.seed(self.seed);
        self.seed = self.seed.wrapping_add(1);
        let place = if first { 0 } else { self.rules.len() };
        self.rules.insert(place, (id, rule));
        id
    }

    /// The number of the next packet: the first has number 1.
    fn number(&mut self) -> u64 {
        self.packets += 1;
        self.packets
    }

    /// Processes a packet that a host has sent.
    pub(super) fn take(&mut self, from: Side, bytes: &[u8]) {
        match Packet::parse(bytes) {
            Ok(packet) if packet.is_noise() => {}
            Ok(packet) => self.judge(from, packet),
            Err(why) => {
                let what = What::Unparsed { from, length: bytes.len(), why };
                self.timeline.record(Place::Wire, what);
                let _ = self.write(from.other(), bytes);
            }
        }
    }

    fn judge(&mut self, from: Side, packet: Packet) {
        let moment = PacketMoment {
            number: self.number(),
            from,
            line: self.flows.sent(&packet),
            packet,
            verdict: Verdict::Delivered,
            note: String::new(),
        };
        if let Some(verdict) = self.impassable(from.other()) {
            return self.record(moment, verdict);
        }
        let packet = &moment.packet;
        let rule = self.rules.iter_mut().find_map(|(_, rule)| {
            rule.applies(from, packet).then(|| (rule.action.clone(), rule.note.clone()))
        });
        let (action, note) = rule.unwrap_or((Action::Deliver, String::new()));
        let overtaken = self.overtaken[from.index()].take();
        self.act(PacketMoment { note, ..moment }, &action);
        if let Some(waiting) = overtaken {
            self.pass(waiting.moment, Verdict::Arrived);
        }
    }

    /// Why no packet reaches this side, if that is so.
    fn impassable(&self, to: Side) -> Option<Verdict> {
        if self.cut {
            return Some(Verdict::Cut);
        }
        self.ends[to.index()].is_none().then_some(Verdict::HostOff)
    }

    fn act(&mut self, moment: PacketMoment, action: &Action) {
        let (from, packet) = (moment.from, moment.packet.clone());
        match action {
            Action::Deliver => self.pass(moment, Verdict::Delivered),
            Action::Drop => self.record(moment, Verdict::Dropped),
            Action::Hold | Action::Delay(_) if self.is_full() => {
                let note = format!("{MOST_WAITING} packets wait in the wire, which is its limit");
                self.record(PacketMoment { note, ..moment }, Verdict::Dropped);
            }
            Action::Hold => {
                self.held.push_back(Waiting { moment: moment.clone() });
                self.record(moment, Verdict::Held);
            }
            Action::Delay(by) => self.delay(moment, *by),
            Action::Duplicate => {
                self.pass(moment, Verdict::Duplicated);
                let _ = self.write(from.other(), packet.bytes());
            }
            Action::Reorder => {
                self.overtaken[from.index()] = Some(Waiting { moment: moment.clone() });
                self.record(moment, Verdict::Overtaken);
            }
            Action::Corrupt => {
                self.change(moment, Verdict::Corrupted, |bytes| flip_last_bit(bytes));
            }
            Action::CorruptUnnoticed => self.change(moment, Verdict::Rewritten, |bytes| {
                flip_last_bit(bytes);
                repair(bytes);
            }),
            Action::Rewrite(rewrite) => self.change(moment, Verdict::Rewritten, |bytes| {
                rewrite(bytes);
                repair(bytes);
            }),
            Action::Answer(error) => {
                self.record(moment, Verdict::Answered(*error));
                self.complain(from, &packet, *error);
            }
            Action::ResetReceiver | Action::ResetSender | Action::ResetBoth => {
                self.pass(moment, Verdict::Delivered);
                self.reset(from, &packet, action);
            }
        }
    }

    /// The router between the hosts reports the error to the sender.
    fn complain(&mut self, to: Side, about: &Packet, error: IcmpError) {
        let family = if about.source.is_ipv4() { Family::V4 } else { Family::V6 };
        if let Some(answer) = icmp_error(family.router(), about, error) {
            self.inject(to, &answer, "from the router");
        }
    }

    fn reset(&mut self, from: Side, packet: &Packet, action: &Action) {
        let note = "by the wire, in the peer's name";
        if let (Action::ResetReceiver | Action::ResetBoth, Some(reset)) =
            (action, reset_receiver(packet))
        {
            self.inject(from.other(), &reset, note);
        }
        if let (Action::ResetSender | Action::ResetBoth, Some(reset)) =
            (action, reset_sender(packet))
        {
            self.inject(from, &reset, note);
        }
    }

    /// A host can send any number of packets; the wire's memory is limited.
    fn is_full(&self) -> bool {
        self.held.len() + self.delayed.len() >= MOST_WAITING
    }

    fn delay(&mut self, moment: PacketMoment, by: Duration) {
        let due = Instant::now() + by;
        let place = self.delayed.partition_point(|(other, _)| *other <= due);
        self.delayed.insert(place, (due, Waiting { moment: moment.clone() }));
        self.record(moment, Verdict::Delayed(by));
    }

    /// Returns the time until the next delayed packet is due.
    pub(super) fn deliver_what_is_due(&mut self, now: Instant) -> Option<Duration> {
        while let Some((due, waiting)) = self.delayed.pop_front() {
            if due > now {
                self.delayed.push_front((due, waiting));
                return Some(due - now);
            }
            self.pass(waiting.moment, Verdict::Arrived);
        }
        None
    }

    pub(super) fn release(&mut self, wanted: impl Fn(&PacketMoment) -> bool) -> usize {
        let chosen = self.choose(wanted);
        let count = chosen.len();
        for waiting in chosen {
            self.pass(waiting.moment, Verdict::Released);
        }
        count
    }

    pub(super) fn discard(&mut self, wanted: impl Fn(&PacketMoment) -> bool) -> usize {
        let chosen = self.choose(wanted);
        let count = chosen.len();
        for waiting in chosen {
            self.record(waiting.moment, Verdict::Discarded);
        }
        count
    }

    pub(super) fn answer(
        &mut self,
        wanted: impl Fn(&PacketMoment) -> bool,
        error: IcmpError,
    ) -> usize {
        let chosen = self.choose(wanted);
        let count = chosen.len();
        for Waiting { moment } in chosen {
            let (from, packet) = (moment.from, moment.packet.clone());
            self.record(moment, Verdict::Discarded);
            self.complain(from, &packet, error);
        }
        count
    }

    fn choose(&mut self, wanted: impl Fn(&PacketMoment) -> bool) -> Vec<Waiting> {
        let held = std::mem::take(&mut self.held);
        let (chosen, kept): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|waiting| wanted(&waiting.moment));
        self.held = kept.into();
        chosen
    }

    pub(super) fn inject(&mut self, to: Side, bytes: &[u8], note: &str) {
        let Ok(packet) = Packet::parse(bytes) else {
            let _ = self.write(to, bytes);
            return;
        };
        let (number, line) = (self.number(), self.flows.line(&packet));
        let (from, note, verdict) = (to.other(), note.to_string(), Verdict::Injected);
        self.pass(PacketMoment { number, from, packet, line, verdict, note }, verdict);
    }

    /// Records the packet with this verdict and delivers it.
    fn pass(&mut self, moment: PacketMoment, verdict: Verdict) {
        self.change(PacketMoment { verdict, ..moment }, verdict, |_| {});
    }

    fn change(&mut self, moment: PacketMoment, verdict: Verdict, how: impl FnOnce(&mut Vec<u8>)) {
        let to = moment.from.other();
        if let Some(verdict) = self.impassable(to) {
            return self.record(moment, verdict);
        }
        let mut bytes = moment.packet.bytes().to_vec();
        how(&mut bytes);
        // The record comes first, so that whatever the packet causes is recorded after it.
        self.record(moment.clone(), verdict);
        if let Err(errno) = self.write(to, &bytes) {
            self.record(moment, Verdict::Refused(errno));
        }
    }

    fn record(&self, moment: PacketMoment, verdict: Verdict) {
        self.timeline.record(Place::Wire, What::Packet(PacketMoment { verdict, ..moment }));
    }

    fn write(&self, to: Side, bytes: &[u8]) -> Result<(), rustix::io::Errno> {
        self.ends[to.index()].as_ref().map_or(Ok(()), |device| device.write(bytes))
    }
}

/// A bit of the last byte, which is payload if there is any.
fn flip_last_bit(bytes: &mut [u8]) {
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
}
