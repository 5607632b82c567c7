//! Rules as text: `drop next SYN-ACK`, `delay all 50ms`, `answer next SYN from client with icmp
//! host-unreachable`.
//!
//! ```text
//! RULE      = VERB [HOW-OFTEN] [PACKET] [CONDITION…] [DURATION] [with icmp ERROR]
//! VERB      = pass | drop | hold | delay | double | reorder | corrupt | forge | answer | reset
//! HOW-OFTEN = next [N] | Nth | N% [of] | all
//! PACKET    = SYN | SYN-ACK | ACK | FIN | RST | data | segment | ICMP | packet
//! CONDITION = from client|server | port N | longer than N | containing TEXT
//! TEXT      = a word, or anything between quotes with the escapes of a Rust string: \" \\ \n \r \t \0 \u{N}
//! DURATION  = 50ms | 2s | 300us                                   of delay
//! ERROR     = network-unreachable | host-unreachable | port-unreachable | prohibited | too-big N | time-exceeded |
//!             source-quench | TYPE/CODE                           of answer
//! ```
//!
//! A rule is written ([`fmt::Display`]) in the form in which it is read ([`FromStr`]).

use std::borrow::Cow;
use std::fmt;
use std::str::{Chars, FromStr};
use std::time::Duration;

use super::{Action, Chance, Matcher, Rule};
use crate::packet::IcmpError;
use crate::side::Side;

/// A parse error: the part of a rule that was not understood, and what is accepted there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError(String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

type Parsed<T> = Result<T, ParseError>;

/// Every verb and its action.
pub const VERBS: &[(&str, &str)] = &[
    ("pass", "delivered, whatever later rules say"),
    ("drop", "swallowed"),
    ("hold", "held until `release`"),
    ("delay", "delivered later: delay all 50ms"),
    ("double", "delivered twice"),
    ("reorder", "delivered after the next of its direction"),
    ("corrupt", "delivered with a bit flipped; the checksum is wrong"),
    ("forge", "delivered with a bit flipped and a correct checksum"),
    ("answer", "dropped and answered by a router: answer next SYN with icmp host-unreachable"),
    ("reset", "delivered, and then both ends get an RST"),
];

/// A word for a packet, and its matcher.
type Named = (&'static str, fn() -> Matcher);

/// The words for a packet, in any case, one or several.
const PACKETS: &[Named] = &[
    ("SYN", Matcher::syn),
    ("SYN-ACK", Matcher::syn_ack),
    ("ACK", Matcher::ack),
    ("FIN", Matcher::fin),
    ("RST", Matcher::rst),
    ("data", Matcher::data),
    ("segment", Matcher::any_tcp),
    ("ICMP", Matcher::icmp),
    ("packet", Matcher::any),
];

/// Returns the words for a packet.
pub fn packet_words() -> impl Iterator<Item = &'static str> {
    PACKETS.iter().map(|(word, _)| *word)
}

const ERRORS: &[(&str, IcmpError)] = &[
    ("network-unreachable", IcmpError::NetworkUnreachable),
    ("host-unreachable", IcmpError::HostUnreachable),
    ("port-unreachable", IcmpError::PortUnreachable),
    ("prohibited", IcmpError::Prohibited),
    ("time-exceeded", IcmpError::TimeExceeded),
    ("source-quench", IcmpError::SourceQuench),
];

/// The ICMP error with a number.
const TOO_BIG: &str = "too-big";

impl FromStr for Rule {
    type Err = ParseError;

    fn from_str(text: &str) -> Parsed<Rule> {
        rule(&mut Words::of(text))
    }
}

impl Rule {
    /// Returns what may follow this beginning of a rule, as the parser looks for it; nothing if the
    /// beginning is not understood.
    #[must_use]
    pub fn next_words(beginning: &str) -> Vec<NextWord> {
        let mut words = Words::of(beginning);
        let _ = rule(&mut words);
        words.expected
    }
}

impl FromStr for Matcher {
    type Err = ParseError;

    /// `RST from server`: only the packet and its conditions.
    fn from_str(text: &str) -> Parsed<Matcher> {
        match conditions(&mut Words::of(text), "")? {
            (matcher, Rest { by: None, error: None }) => Ok(matcher),
            _ => Err(ParseError("a packet takes neither a duration nor an answer".into())),
        }
    }
}

impl Matcher {
    /// Returns what may follow this beginning of a packet, as [`Rule::next_words`].
    #[must_use]
    pub fn next_words(beginning: &str) -> Vec<NextWord> {
        let mut words = Words::of(beginning);
        let _ = conditions(&mut words, "");
        words.expected
    }
}

/// What may follow the beginning of a rule or of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextWord {
    /// This word.
    Word(&'static str),
    /// The number of a port.
    Port,
}

fn rule(words: &mut Words<'_>) -> Parsed<Rule> {
    words.offer(VERBS.iter().map(|(verb, _)| *verb));
    let verb = words.must("what to do: drop, hold, delay …")?;
    if !VERBS.iter().any(|(known, _)| *known == verb) {
        return Err(ParseError(format!("{verb:?} is not an action of the wire")));
    }
    let how_often = how_often(words)?;
    let (matcher, rest) = conditions(words, verb)?;
    let rule = Rule::new(matcher, action(verb, rest)?);
    let rule = match how_often {
        HowOften::All => rule,
        HowOften::Next(times) => rule.times(times),
        HowOften::Nth(nth) => rule.nth(nth),
        HowOften::Percent(percent) => rule.by_chance(Chance::new(percent, 0)),
    };
    Ok(rule)
}

enum HowOften {
    All,
    Next(u32),
    Nth(u32),
    Percent(f64),
}

fn how_often(words: &mut Words<'_>) -> Parsed<HowOften> {
    let word = words.peek().unwrap_or_default();
    if let Some(percent) = word.strip_suffix('%') {
        words.next();
        let percent = number::<f64>(percent, "a percentage")?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(ParseError(format!("{percent}% is not a share: expected 0% to 100%")));
        }
        words.take_if(&["of"]);
        return Ok(HowOften::Percent(percent));
    }
    let nth = ["st", "nd", "rd", "th"].iter().find_map(|end| word.strip_suffix(end));
    if let Some(nth) = nth.and_then(|nth| nth.parse().ok()) {
        words.next();
        return if nth == 0 {
            Err(ParseError("0th: packets are counted from 1".into()))
        } else {
            Ok(HowOften::Nth(nth))
        };
    }
    if words.take_if(&["next"]) {
        let times = words.peek().and_then(|word| word.parse().ok());
        if times.is_some() {
            words.next();
        }
        return Ok(HowOften::Next(times.unwrap_or(1)));
    }
    words.take_if(&["all", "every"]);
    Ok(HowOften::All)
}

/// What may follow the conditions.
#[derive(Clone, Copy, Default)]
struct Rest {
    by: Option<Duration>,
    error: Option<IcmpError>,
}

/// A word that begins a condition.
struct Condition {
    word: &'static str,
    /// The verb that takes it; all if there is none.
    verb: Option<&'static str>,
    /// Reads what follows the word.
    read: fn(&mut Words<'_>, Matcher, &mut Rest) -> Parsed<Matcher>,
}

const CONDITIONS: &[Condition] = &[
    Condition {
        word: "from",
        verb: None,
        read: |words, packet, _| {
            words.offer(Side::BOTH.map(Side::word));
            Ok(packet.from(side(words.must("client or server")?)?))
        },
    },
    Condition {
        word: "port",
        verb: None,
        read: |words, packet, _| {
            words.offer_port();
            Ok(packet.port(number(words.must("a port")?, "a port")?))
        },
    },
    Condition {
        word: "longer",
        verb: None,
        read: |words, packet, _| {
            words.take_if(&["than"]);
            Ok(packet.longer_than(number(words.must("a length")?, "a length")?))
        },
    },
    Condition {
        word: "containing",
        verb: None,
        read: |words, packet, _| Ok(packet.containing(words.text()?.into_owned())),
    },
    Condition {
        word: "with",
        verb: Some("answer"),
        read: |words, packet, rest| {
            words.take_if(&["icmp", "ICMP"]);
            rest.error = Some(icmp_error(words)?);
            Ok(packet)
        },
    },
];

/// Reads the packet and its conditions. The verb, if there is one, decides what may follow
/// ([`Rule::next_words`]); [`action`] refuses what it does not take.
fn conditions(words: &mut Words<'_>, verb: &str) -> Parsed<(Matcher, Rest)> {
    words.offer(packet_words());
    let mut matcher = words.peek().and_then(packet);
    if matcher.is_some() {
        words.next();
    }
    let mut rest = Rest::default();
    let mut said: Vec<&str> = Vec::new();
    loop {
        let is_next = |one: &&Condition| {
            !said.contains(&one.word) && one.verb.is_none_or(|only| only == verb)
        };
        words.offer(CONDITIONS.iter().filter(is_next).map(|one| one.word));
        let Some(word) = words.next() else { break };
        let narrower = matcher.take().unwrap_or_default();
        matcher = Some(if let Some(one) = CONDITIONS.iter().find(|one| one.word == word) {
            said.push(one.word);
            (one.read)(words, narrower, &mut rest)?
        } else if let Some(by) = duration(word) {
            rest.by = Some(by);
            narrower
        } else if word == "of" && words.peek() == Some("port")
            || word == "by" && words.peek().and_then(duration).is_some()
        {
            narrower
        } else {
            return Err(ParseError(format!("{word:?} is neither a packet nor a condition")));
        });
    }
    Ok((matcher.unwrap_or_default(), rest))
}

fn action(verb: &str, rest: Rest) -> Parsed<Action> {
    let Rest { by, error } = rest;
    if by.is_some() && verb != "delay" {
        return Err(ParseError(format!("{verb} takes no duration")));
    }
    if error.is_some() && verb != "answer" {
        return Err(ParseError(format!("{verb} takes no answer")));
    }
    Ok(match verb {
        "pass" => Action::Deliver,
        "drop" => Action::Drop,
        "hold" => Action::Hold,
        "delay" => {
            Action::Delay(by.ok_or_else(|| ParseError("delay takes a duration: 50ms".into()))?)
        }
        "double" => Action::Duplicate,
        "reorder" => Action::Reorder,
        "corrupt" => Action::Corrupt,
        "forge" => Action::CorruptUnnoticed,
        "reset" => Action::ResetBoth,
        _ => Action::Answer(error.ok_or_else(|| {
            ParseError("answer takes an error: with icmp host-unreachable".into())
        })?),
    })
}

fn packet(word: &str) -> Option<Matcher> {
    let is = |known: &str| {
        let several = word.strip_suffix(['s', 'S']);
        word.eq_ignore_ascii_case(known)
            || several.is_some_and(|one| one.eq_ignore_ascii_case(known))
    };
    PACKETS.iter().find(|(known, _)| is(known)).map(|(_, matcher)| matcher())
}

fn side(word: &str) -> Parsed<Side> {
    let side = Side::BOTH.into_iter().find(|side| side.word() == word);
    side.ok_or_else(|| ParseError(format!("{word:?} is not a side: expected client or server")))
}

/// The longest delay that a rule has.
pub const LONGEST_DELAY: Duration = Duration::from_secs(86_400);

/// `300us`, `50ms`, `2s`, `1.5s`.
fn duration(word: &str) -> Option<Duration> {
    let (number, unit) = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)]
        .iter()
        .find_map(|(unit, seconds)| Some((word.strip_suffix(unit)?, seconds)))?;
    let seconds = number.parse::<f64>().ok()? * unit;
    (0.0..=LONGEST_DELAY.as_secs_f64()).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

fn icmp_error(words: &mut Words<'_>) -> Parsed<IcmpError> {
    words.offer(ERRORS.iter().map(|(error, _)| *error).chain([TOO_BIG]));
    let word = words.must("an ICMP error")?;
    if word == TOO_BIG {
        return Ok(IcmpError::TooBig(number(words.must("the next link's MTU")?, "an MTU")?));
    }
    if let Some((_, error)) = ERRORS.iter().find(|(known, _)| *known == word) {
        return Ok(*error);
    }
    let exact = word.split_once('/').and_then(|(kind, code)| {
        Some(IcmpError::Exact { kind: kind.parse().ok()?, code: code.parse().ok()? })
    });
    exact.ok_or_else(|| {
        let known: Vec<&str> = ERRORS.iter().map(|(known, _)| *known).collect();
        ParseError(format!(
            "{word:?} is not an ICMP error: expected {}, too-big N or TYPE/CODE",
            known.join(", ")
        ))
    })
}

fn number<T: FromStr>(word: &str, what: &str) -> Parsed<T> {
    word.parse().map_err(|_| ParseError(format!("{word:?} is not {what}")))
}

/// The words of a rule; a text in quotes is one word.
struct Words<'a> {
    rest: &'a str,
    /// What was looked for where the words end.
    expected: Vec<NextWord>,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        Words { rest: text.trim(), expected: Vec::new() }
    }

    fn split(&self) -> Option<(&'a str, &'a str)> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        Some((&self.rest[..end], self.rest[end..].trim_start()))
    }

    fn peek(&self) -> Option<&'a str> {
        self.split().map(|(word, _)| word)
    }

    fn next(&mut self) -> Option<&'a str> {
        let (word, rest) = self.split()?;
        self.rest = rest;
        Some(word)
    }

    fn must(&mut self, what: &str) -> Parsed<&'a str> {
        self.next().ok_or_else(|| ParseError(format!("missing: {what}")))
    }

    /// Notes what may stand here.
    fn offer(&mut self, words: impl IntoIterator<Item = &'static str>) {
        if self.rest.is_empty() {
            self.expected.extend(words.into_iter().map(NextWord::Word));
        }
    }

    fn offer_port(&mut self) {
        if self.rest.is_empty() {
            self.expected.push(NextWord::Port);
        }
    }

    /// Takes one of these words, of which the first is the usual one.
    fn take_if(&mut self, words: &[&'static str]) -> bool {
        self.offer(words.first().copied());
        let is = self.peek().is_some_and(|word| words.contains(&word));
        if is {
            self.next();
        }
        is
    }

    /// A word, or a text in quotes with the escapes that [`Matcher::containing`] writes.
    fn text(&mut self) -> Parsed<Cow<'a, str>> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            return self.must("a text").map(Cow::Borrowed);
        };
        let mut text = String::new();
        let mut letters = quoted.chars();
        loop {
            match letters.next() {
                None => return Err(ParseError("a quote is not closed".into())),
                Some('"') => break,
                Some('\\') => text.push(escaped(&mut letters)?),
                Some(letter) => text.push(letter),
            }
        }
        self.rest = letters.as_str().trim_start();
        Ok(Cow::Owned(text))
    }
}

/// The character after a backslash.
fn escaped(letters: &mut Chars<'_>) -> Parsed<char> {
    let letter = match letters.next() {
        Some('n') => Some('\n'),
        Some('r') => Some('\r'),
        Some('t') => Some('\t'),
        Some('0') => Some('\0'),
        Some(letter @ ('"' | '\'' | '\\')) => Some(letter),
        Some('u') => letters.as_str().strip_prefix('{').and_then(|rest| {
            let (digits, rest) = rest.split_once('}')?;
            *letters = rest.chars();
            u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)
        }),
        _ => None,
    };
    letter.ok_or_else(|| {
        ParseError(
            "a backslash must be followed by n, r, t, 0, a quote, a backslash or u{N}".into(),
        )
    })
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match &self.action {
            Action::Deliver => "pass",
            Action::Drop => "drop",
            Action::Hold => "hold",
            Action::Delay(_) => "delay",
            Action::Duplicate => "double",
            Action::Reorder => "reorder",
            Action::Corrupt => "corrupt",
            Action::CorruptUnnoticed => "forge",
            Action::Rewrite(_) => "rewrite",
            Action::Answer(_) => "answer",
            Action::ResetReceiver | Action::ResetSender | Action::ResetBoth => "reset",
        };
        f.write_str(verb)?;
        match (self.left, self.skip, &self.chance) {
            (Some(1), skip @ 1.., _) => write!(f, " {}", ordinal(skip.saturating_add(1)))?,
            (Some(left), ..) => write!(f, " next {left}")?,
            (None, _, Some(chance)) => write!(f, " {}% of", chance.percent())?,
            _ => f.write_str(" all")?,
        }
        write!(f, " {}", self.matcher)?;
        match &self.action {
            Action::Delay(by) => write!(f, " {}us", by.as_micros()),
            Action::Answer(error) => write!(f, " with icmp {}", word_of(*error)),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({self})")
    }
}

fn ordinal(number: u32) -> String {
    let end = match (number % 10, number % 100) {
        (1, not) if not != 11 => "st",
        (2, not) if not != 12 => "nd",
        (3, not) if not != 13 => "rd",
        _ => "th",
    };
    format!("{number}{end}")
}

fn word_of(error: IcmpError) -> String {
    match error {
        IcmpError::TooBig(mtu) => format!("too-big {mtu}"),
        IcmpError::Exact { kind, code } => format!("{kind}/{code}"),
        named => {
            let row = ERRORS.iter().find(|(_, error)| *error == named);
            row.map_or_else(|| named.to_string(), |(word, _)| (*word).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_parser_tells_what_may_follow() {
        let words = |beginning: &str| -> Vec<&'static str> {
            let word = |next| match next {
                NextWord::Word(word) => word,
                NextWord::Port => "PORT",
            };
            Rule::next_words(beginning).into_iter().map(word).collect()
        };
        let conditions = ["from", "port", "longer", "containing"];
        let packets: Vec<&str> = packet_words().chain(conditions).collect();
        assert_eq!(words(""), VERBS.iter().map(|(verb, _)| *verb).collect::<Vec<_>>());
        assert_eq!(words("drop"), [&["next", "all"][..], &packets].concat());
        assert_eq!(words("drop next"), packets);
        assert_eq!(words("drop 10%"), [&["of"][..], &packets].concat());
        assert_eq!(words("drop next SYN"), conditions);
        assert_eq!(words("drop SYN from client"), ["port", "longer", "containing"]);
        assert_eq!(words("drop next SYN from"), ["client", "server"]);
        assert_eq!(words("drop data of port"), ["PORT"]);
        assert_eq!(words("drop data longer"), ["than"]);
        assert_eq!(words("answer SYN"), [&conditions[..], &["with"]].concat());
        let errors = ERRORS.iter().map(|(error, _)| *error);
        let errors: Vec<&str> = errors.chain(["too-big"]).collect();
        assert_eq!(words("answer SYN with"), [&["icmp"][..], &errors].concat());
        assert_eq!(words("answer SYN with icmp"), errors);
        for none in ["explode", "drop SYM", "drop data containing", "drop data containing \"a b"] {
            assert_eq!(words(none), [""; 0], "{none}");
        }
        assert_eq!(Matcher::next_words("RST from client port"), [NextWord::Port]);
    }

    #[test]
    fn rules_are_parsed_and_written() {
        for (said, written) in [
            ("drop next SYN-ACK", "drop next 1 SYN-ACK"),
            ("drop next 3 data from client", "drop next 3 data from client"),
            ("drop all RST", "drop all RST"),
            ("drop RSTs", "drop all RST"),
            ("hold next fin", "hold next 1 FIN"),
            ("delay all 50ms", "delay all packet 50000us"),
            ("delay data from server by 1.5s", "delay all data from server 1500000us"),
            ("double next data", "double next 1 data"),
            ("reorder 3rd data", "reorder 3rd data"),
            ("drop ACK of port 7", "drop all ACK of port 7"),
            ("corrupt 1st segment port 7 longer than 100", {
                "corrupt next 1 segment of port 7 longer than 100"
            }),
            ("drop 10% of data", "drop 10% of data"),
            ("drop 2.5% data containing \"a b\"", "drop 2.5% of data containing \"a b\""),
            ("answer next SYN from client with icmp host-unreachable", {
                "answer next 1 SYN from client with icmp host-unreachable"
            }),
            ("answer data with too-big 1400", "answer all data with icmp too-big 1400"),
            ("answer all with 3/5", "answer all packet with icmp 3/5"),
            ("reset next data", "reset next 1 data"),
            (r#"drop data containing "a\n\"b\u{e9}\\""#, r#"drop all data containing "a\n\"bé\\""#),
            (r#"drop data containing a"b\c"#, r#"drop all data containing "a\"b\\c""#),
        ] {
            let rule: Rule = said.parse().unwrap_or_else(|error| panic!("{said}: {error}"));
            assert_eq!(rule.to_string(), written);
        }
    }

    #[test]
    fn a_parse_error_names_what_was_not_understood() {
        for (said, named) in [
            ("", "missing: what to do"),
            ("eat next SYN", "\"eat\" is not an action"),
            ("drop next SYM", "\"SYM\" is neither a packet"),
            ("drop SYN from mars", "\"mars\" is not a side"),
            ("drop SYN from", "missing: client or server"),
            ("drop 101% of data", "not a share"),
            ("drop NaN% of data", "not a share"),
            ("drop 0th data", "0th"),
            ("delay all", "takes a duration"),
            ("drop all 50ms", "takes no duration"),
            ("delay all 50ms with icmp prohibited", "takes no answer"),
            ("answer next SYN", "takes an error"),
            ("answer next SYN with icmp rudeness", "\"rudeness\" is not an ICMP error"),
            ("answer next SYN with icmp too-big", "missing: the next link's MTU"),
            ("drop data containing \"x", "not closed"),
            (r#"drop data containing "\x""#, "a backslash must be"),
            (r#"drop data containing "\u{d800}""#, "a backslash must be"),
        ] {
            let error = said.parse::<Rule>().map(|rule| rule.to_string()).unwrap_err();
            assert!(error.to_string().contains(named), "{said}: {error}");
        }
        assert!("RST from server 5ms".parse::<Matcher>().is_err());
    }

    fn word() -> impl Strategy<Value = String> {
        let known = "drop|delay|answer|next|all|3rd|10%|of|SYN|data|from|client|port|7|longer|than|\
                     containing|\"x|50ms|with|icmp|too-big|3/5|-1|99999999999|é|\"";
        prop_oneof![
            prop::sample::select(known.split('|').collect::<Vec<_>>()).prop_map(Into::into),
            any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_what_is_written_can_be_read(
            words in prop::collection::vec(word(), 0..10)
        ) {
            if let Ok(rule) = words.join(" ").parse::<Rule>() {
                let written = rule.to_string();
                let again = written.parse::<Rule>().map(|rule| rule.to_string());
                prop_assert_eq!(again, Ok(written));
            }
        }
    }
}
