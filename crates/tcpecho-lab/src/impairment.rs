//! What the wire does to packets: which packets ([`Matcher`]), what ([`Action`]), how often
//! ([`Rule`]).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::packet::{Flags, IcmpError, Packet, Tcp};
use crate::side::Side;

mod chance;
mod grammar;

pub use chance::{Chance, Dice};
pub use grammar::{LONGEST_DELAY, NextWord, ParseError, VERBS, packet_words};

/// Selects packets. Every further condition narrows it; its words are the conditions.
#[derive(Clone, Default)]
pub struct Matcher {
    tests: Vec<Test>,
    words: Vec<String>,
}

type Test = Arc<dyn Fn(Side, &Packet) -> bool + Send + Sync>;

impl Matcher {
    /// Every packet.
    #[must_use]
    pub fn any() -> Self {
        Matcher::default()
    }

    /// The first packet of a handshake: SYN without ACK.
    #[must_use]
    pub fn syn() -> Self {
        Self::tcp("SYN", |tcp| tcp.flags.has(Flags::SYN) && !tcp.flags.has(Flags::ACK))
    }

    /// The second packet of a handshake.
    #[must_use]
    pub fn syn_ack() -> Self {
        Self::tcp("SYN-ACK", |tcp| tcp.flags.has(Flags::SYN | Flags::ACK))
    }

    /// A segment that only carries an acknowledgment.
    #[must_use]
    pub fn ack() -> Self {
        Self::tcp("ACK", Tcp::is_bare_ack)
    }

    /// A segment with FIN.
    #[must_use]
    pub fn fin() -> Self {
        Self::tcp("FIN", |tcp| tcp.flags.has(Flags::FIN))
    }

    /// A segment with RST.
    #[must_use]
    pub fn rst() -> Self {
        Self::tcp("RST", |tcp| tcp.flags.has(Flags::RST))
    }

    /// A segment with payload.
    #[must_use]
    pub fn data() -> Self {
        Self::tcp("data", |tcp| tcp.payload > 0)
    }

    /// Any TCP segment.
    #[must_use]
    pub fn any_tcp() -> Self {
        Self::tcp("segment", |_| true)
    }

    /// An ICMP message of either family.
    #[must_use]
    pub fn icmp() -> Self {
        Matcher::any().matching("ICMP", |_, packet| packet.icmp().is_some())
    }

    fn tcp(word: &str, test: impl Fn(&Tcp) -> bool + Send + Sync + 'static) -> Self {
        Matcher::any().matching(word, move |_, packet| packet.tcp().is_some_and(&test))
    }

    /// … sent by this side.
    #[must_use]
    pub fn from(self, side: Side) -> Self {
        self.matching(format!("from {side}"), move |from, _| from == side)
    }

    /// … sent by the client.
    #[must_use]
    pub fn from_client(self) -> Self {
        self.from(Side::Client)
    }

    /// … sent by the server.
    #[must_use]
    pub fn from_server(self) -> Self {
        self.from(Side::Server)
    }

    /// … with all of these flags, and any others.
    #[must_use]
    pub fn with_flags(self, flags: Flags) -> Self {
        let test = move |packet: &Packet| packet.tcp().is_some_and(|tcp| tcp.flags.has(flags));
        self.matching(format!("with {flags}"), move |_, packet| test(packet))
    }

    /// … whose payload contains these bytes.
    #[must_use]
    pub fn containing(self, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let words = format!("containing {:?}", String::from_utf8_lossy(&bytes));
        self.matching(words, move |_, packet| {
            bytes.is_empty() || packet.payload().windows(bytes.len()).any(|part| part == bytes)
        })
    }

    /// … longer than this number of bytes, IP header included.
    #[must_use]
    pub fn longer_than(self, bytes: usize) -> Self {
        let words = format!("longer than {bytes}");
        self.matching(words, move |_, packet| packet.bytes().len() > bytes)
    }

    /// … from or to this port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.matching(format!("of port {port}"), move |_, packet| {
            packet.tcp().is_some_and(|tcp| [tcp.source_port, tcp.destination_port].contains(&port))
        })
    }

    /// … for which `test` holds; `words` describe the condition.
    #[must_use]
    pub fn matching(
        mut self,
        words: impl Into<String>,
        test: impl Fn(Side, &Packet) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.tests.push(Arc::new(test));
        self.words.push(words.into());
        self
    }

    /// Whether it selects this packet.
    #[must_use]
    pub fn matches(&self, from: Side, packet: &Packet) -> bool {
        self.tests.iter().all(|test| test(from, packet))
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words.as_slice() {
            [] => f.write_str("packet"),
            words => f.write_str(&words.join(" ")),
        }
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Matcher({self})")
    }
}

/// How [`Action::Rewrite`] changes a packet's bytes, from the IP header on.
pub type Change = Arc<dyn Fn(&mut Vec<u8>) + Send + Sync>;

/// What the wire does with a packet.
#[derive(Clone)]
pub enum Action {
    /// Passes it: an exception from later rules.
    Deliver,
    /// Drops it.
    Drop,
    /// Holds it until [`crate::Wire::release`].
    Hold,
    /// Delivers it later.
    Delay(Duration),
    /// Delivers it twice.
    Duplicate,
    /// Delivers the next packet of its direction first.
    Reorder,
    /// Flips a bit and leaves the checksums as they are: the receiver notices.
    Corrupt,
    /// Flips a bit of the last byte and corrects the checksums: the receiver does not notice.
    CorruptUnnoticed,
    /// Changes it in any way; the checksums are corrected afterwards.
    Rewrite(Change),
    /// Answers with a router's ICMP error instead of passing it. Where the family has no such
    /// error, it is only dropped.
    Answer(IcmpError),
    /// Passes it, then resets the connection of its receiver, as if the sender had.
    ResetReceiver,
    /// Passes it, then resets the connection of its sender, as if the receiver had.
    ResetSender,
    /// Passes it, then resets both.
    ResetBoth,
}

/// Which packets, what, and how often. Of a wire's rules, the first that matches decides.
#[derive(Clone)]
pub struct Rule {
    pub(crate) matcher: Matcher,
    pub(crate) action: Action,
    pub(crate) note: String,
    skip: u32,
    left: Option<u32>,
    chance: Option<Chance>,
}

impl Rule {
    /// Applies an action to every matching packet.
    #[must_use]
    pub fn new(matcher: Matcher, action: Action) -> Self {
        Rule { matcher, action, note: String::new(), skip: 0, left: None, chance: None }
    }

    /// Drops matching packets.
    #[must_use]
    pub fn drop(matcher: Matcher) -> Self {
        Self::new(matcher, Action::Drop)
    }

    /// Holds matching packets until they are released.
    #[must_use]
    pub fn hold(matcher: Matcher) -> Self {
        Self::new(matcher, Action::Hold)
    }

    /// Delivers matching packets later.
    #[must_use]
    pub fn delay(matcher: Matcher, by: Duration) -> Self {
        Self::new(matcher, Action::Delay(by))
    }

    /// Answers matching packets with a router's ICMP error.
    #[must_use]
    pub fn answer(matcher: Matcher, error: IcmpError) -> Self {
        Self::new(matcher, Action::Answer(error))
    }

    /// Limits the rule to the first matching packet.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Limits the rule to this number of matching packets.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Rule { left: Some(times), ..self }
    }

    /// Limits the rule to the `nth` matching packet, counted from 1 among those that no earlier
    /// rule took.
    #[must_use]
    pub fn nth(self, nth: u32) -> Self {
        Rule { skip: nth.saturating_sub(1), ..self }.once()
    }

    /// Skips the first `skip` matching packets.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Rule { skip, ..self }
    }

    /// Limits the rule to a random share of the matching packets; the wire sets the seed
    /// ([`crate::Wire::seed`]).
    #[must_use]
    pub fn by_chance(self, chance: Chance) -> Self {
        Rule { chance: Some(chance), ..self }
    }

    pub(crate) fn seed(&mut self, seed: u64) {
        if let Some(chance) = &mut self.chance {
            chance.seed(seed);
        }
    }

    /// Whether it has been applied as often as its limit says.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.left == Some(0)
    }

    /// Sets the reason that is recorded with the packets it was applied to.
    #[must_use]
    pub fn because(self, note: impl Into<String>) -> Self {
        Rule { note: note.into(), ..self }
    }

    /// Whether the rule applies to this packet, which it then counts.
    pub(crate) fn applies(&mut self, from: Side, packet: &Packet) -> bool {
        if self.left == Some(0) || !self.matcher.matches(from, packet) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.chance.as_mut().is_some_and(|chance| !chance.takes()) {
            return false;
        }
        self.left = self.left.map(|left| left - 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Segment, segment};

    fn packet(flags: Flags, payload: &[u8]) -> Packet {
        let made = Segment { flags, payload: payload.to_vec(), ..Segment::default() };
        let bytes = segment("192.0.2.1:5".parse().unwrap(), "192.0.2.2:7".parse().unwrap(), &made);
        Packet::parse(&bytes).unwrap()
    }

    #[test]
    fn a_matcher_selects_what_its_words_say() {
        let matcher = Matcher::data().from_client().port(7).longer_than(40).containing("ell");
        let words = "data from client of port 7 longer than 40 containing \"ell\"";
        assert_eq!(matcher.to_string(), words);
        let hello = packet(Flags::ACK, b"hello");
        assert!(matcher.matches(Side::Client, &hello) && !matcher.matches(Side::Server, &hello));
        assert!(!matcher.matches(Side::Client, &packet(Flags::ACK, b"hexxo")));
        let syn_ack = packet(Flags::SYN | Flags::ACK, b"");
        assert!(Matcher::syn_ack().matches(Side::Server, &syn_ack));
        assert!(!Matcher::syn().matches(Side::Server, &syn_ack));
        assert!(Matcher::ack().matches(Side::Client, &packet(Flags::ACK, b"")));
        assert!(!Matcher::ack().matches(Side::Client, &packet(Flags::ACK | Flags::FIN, b"")));
    }

    #[test]
    fn rules_count_matching_packets() {
        let syn = packet(Flags::SYN, b"");
        let taken = |mut rule: Rule| {
            let taken = (1..=5).filter(|_| rule.applies(Side::Client, &syn));
            taken.collect::<Vec<_>>()
        };
        assert_eq!(taken(Rule::drop(Matcher::syn()).once()), [1]);
        assert_eq!(taken(Rule::drop(Matcher::syn()).nth(3)), [3]);
        assert_eq!(taken(Rule::drop(Matcher::syn()).after(3)), [4, 5]);
        assert_eq!(taken(Rule::drop(Matcher::syn()).times(2).after(1)), [2, 3]);
        assert_eq!(taken(Rule::drop(Matcher::fin())), Vec::<i32>::new());
    }
}
