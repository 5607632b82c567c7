//! The commands of the shell, parsed without executing them.

use std::time::Duration;

use nix::sys::signal::Signal;
use tcpecho_lab::{
    Matcher, Rule, Side, TcpState,
    impairment::{LONGEST_DELAY, VERBS},
};

/// A parsed command.
#[derive(Debug)]
pub(in crate::lab) enum Command {
    /// An empty line, or a comment.
    Nothing,
    Help,
    Quit,
    /// The programs of a host.
    Programs(Side),
    Start(Side, Vec<String>),
    Say(usize, String),
    Close(usize),
    Signal(usize, Signal),
    Wait(usize, Duration),
    Cut,
    Mend,
    Rule(Rule),
    Release(Matcher),
    Discard(Matcher),
    Reset,
    Rules,
    Remove(usize),
    Clear,
    Crash(Side),
    Boot(Side),
    Sysctl {
        side: Side,
        key: String,
        value: Option<String>,
    },
    States,
    Counter(Side, String),
    Expect(Expected, Duration),
    /// For this time, or until Enter.
    Pause(Option<Duration>),
}

impl Command {
    /// Whether it changes the hosts, their programs or the wire.
    pub(super) fn changes_something(&self) -> bool {
        !matches!(
            self,
            Command::Nothing
                | Command::Help
                | Command::Quit
                | Command::Programs(_)
                | Command::Wait(..)
                | Command::Rules
                | Command::Sysctl { value: None, .. }
                | Command::States
                | Command::Counter(..)
                | Command::Expect(..)
                | Command::Pause(_)
        )
    }
}

/// What `wait` and `expect` wait for.
#[derive(Debug)]
pub(in crate::lab) enum Expected {
    Text(String),
    Packet(Matcher),
    State(Side, TcpState),
}

/// The default time limit of `wait` and `expect`.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest time that a command takes.
const LONGEST: Duration = Duration::from_secs(86_400);

/// A command, for the parser, for `help` and for completion.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// A shorter name.
    pub(super) also: Option<&'static str>,
    /// Arguments and effect of each form; `{limit}` stands for [`PATIENCE`].
    ///
    /// In arguments, words in capitals stand for values ([`super::complete`]), and brackets are
    /// around what may be missing.
    pub(super) forms: &'static [(&'static str, &'static str)],
    /// Parses the arguments.
    parse: fn(&str) -> Understood<Command>,
}

impl Row {
    const fn new(
        name: &'static str,
        forms: &'static [(&'static str, &'static str)],
        parse: fn(&str) -> Understood<Command>,
    ) -> Self {
        Row { name, also: None, forms, parse }
    }

    const fn also(self, also: &'static str) -> Self {
        Row { also: Some(also), ..self }
    }

    /// Returns the command of this name.
    pub(super) fn named(word: &str) -> Option<&'static Row> {
        COMMANDS.iter().find(|row| row.name == word || row.also == Some(word))
    }

    fn takes_arguments(&self) -> bool {
        self.forms.iter().any(|(arguments, _)| !arguments.is_empty())
    }
}

/// All commands; the rules of the wire are others ([`VERBS`]).
pub(super) static COMMANDS: &[Row] = &[
    Row::new(
        "client",
        &[("[CMD...]", "start a program in the client's host, or list its programs")],
        |rest| program(Side::Client, rest),
    )
    .also("c"),
    Row::new(
        "server",
        &[(
            "[CMD...]",
            "start a program in the server's host, or list its programs; {client} and {server} are addresses",
        )],
        |rest| program(Side::Server, rest),
    )
    .also("s"),
    Row::new("say", &[("N TEXT", "type a line at program N")], |rest| {
        let (number, text) = rest.split_once(' ').unwrap_or((rest, ""));
        Ok(Command::Say(numbered(number)?, text.into()))
    })
    .also(">"),
    Row::new("close", &[("N", "close program N's stdin")], |rest| {
        Ok(Command::Close(numbered(rest)?))
    }),
    Row::new(
        "signal",
        &[("N SIGNAL", "send a signal to program N: signal 1 TERM")],
        |rest| {
            let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
            Ok(Command::Signal(numbered(number)?, signal(name.trim())?))
        },
    ),
    Row::new("kill", &[("N", "send SIGKILL to program N")], |rest| {
        Ok(Command::Signal(numbered(rest)?, Signal::SIGKILL))
    }),
    Row::new(
        "wait",
        &[(
            "N [within TIME]",
            "wait until program N has exited, for at most {limit}: wait 1 within 5s",
        )],
        |rest| {
            let (number, patience) = within(rest)?;
            Ok(Command::Wait(numbered(number)?, patience))
        },
    ),
    Row::new("cut", &[("", "cut the wire: no packet arrives")], |_| Ok(Command::Cut)),
    Row::new("mend", &[("", "reconnect the wire")], |_| Ok(Command::Mend)),
    Row::new(
        "release",
        &[("[PACKET]", "release held packets: release SYN-ACK")],
        |rest| Ok(Command::Release(packet(rest)?)),
    ),
    Row::new("discard", &[("[PACKET]", "discard held packets")], |rest| {
        Ok(Command::Discard(packet(rest)?))
    }),
    Row::new("reset", &[("", "reset all connections, as a middlebox does")], |_| {
        Ok(Command::Reset)
    }),
    Row::new(
        "rules",
        &[("", "list the rules; the first that matches a packet decides")],
        |_| Ok(Command::Rules),
    ),
    Row::new("remove", &[("RULE", "remove the rule of this number")], |rest| {
        Ok(Command::Remove(numbered(rest)?))
    }),
    Row::new("clear", &[("", "remove all rules")], |_| Ok(Command::Clear)),
    Row::new("crash", &[("client|server", "power a host off")], |rest| {
        Ok(Command::Crash(side(rest)?))
    }),
    Row::new("boot", &[("client|server", "power a host off and on")], |rest| {
        Ok(Command::Boot(side(rest)?))
    }),
    Row::new(
        "sysctl",
        &[(
            "client|server KEY [VALUE]",
            "read or set a sysctl: sysctl server tcp_retries2 3",
        )],
        sysctl,
    ),
    Row::new(
        "counter",
        &[(
            "client|server COUNTER",
            "read a counter: counter server TcpExt.ListenDrops",
        )],
        |rest| {
            let (host, name) = rest.split_once(' ').unwrap_or((rest, ""));
            let side = side(host)?;
            some(name.trim(), "a counter: TcpExt.ListenDrops")?;
            Ok(Command::Counter(side, name.trim().into()))
        },
    ),
    Row::new("states", &[("", "list both hosts' sockets")], |_| Ok(Command::States)),
    Row::new(
        "expect",
        &[
            (
                "\"TEXT\"",
                "wait until a program writes this text, after the text expected before, for at most {limit}",
            ),
            (
                "[packet] PACKET",
                "wait until the wire has seen such a packet: expect RST from server",
            ),
            (
                "state client|server STATE",
                "wait until a socket has this state, or has had it since the last change: expect state client TIME_WAIT",
            ),
            ("... within TIME", "wait this long instead of {limit}: expect RST within 1s"),
        ],
        expect,
    ),
    Row::new(
        "pause",
        &[("[TIME]", "wait for Enter, or for this time: pause 500ms")],
        |rest| {
            let time = if rest.is_empty() { None } else { Some(duration(rest)?) };
            Ok(Command::Pause(time))
        },
    ),
    Row::new("help", &[("", "show this list")], |_| Ok(Command::Help)).also("?"),
    Row::new("quit", &[("", "end the shell and remove the hosts")], |_| Ok(Command::Quit))
        .also("exit"),
];

/// The time limits of commands.
pub(super) fn limits() -> Vec<(&'static str, String)> {
    let limit = format!(
        "give up after {}, or after the time of 'within TIME': expect RST within 1m",
        words(PATIENCE)
    );
    let delay = words(LONGEST_DELAY);
    vec![
        ("expect, wait", limit),
        ("pause", "without a time, it waits for Enter and has no limit".into()),
        ("TIME", format!("at most {}; the delay of a rule: at most {delay}", words(LONGEST))),
    ]
}

/// `30s`, `24h`.
fn words(time: Duration) -> String {
    let (hours, rest) = (time.as_secs() / 3600, time.as_secs() % 3600);
    if hours > 0 && rest == 0 {
        format!("{hours}h")
    } else {
        humantime::format_duration(time).to_string()
    }
}

/// The text of a form with the time limits in it.
pub(super) fn with_limit(text: &str) -> String {
    text.replace("{limit}", &words(PATIENCE))
}

type Understood<T> = Result<T, String>;

/// Parses a line; the error names what was not understood.
pub(in crate::lab) fn parse(line: &str) -> Understood<Command> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    if word.is_empty() || word.starts_with('#') {
        return Ok(Command::Nothing);
    }
    if is_rule(word) && !(word == "reset" && rest.is_empty()) {
        return line.parse().map(Command::Rule).map_err(|error| error.to_string());
    }
    let row =
        Row::named(word).ok_or_else(|| format!("{word:?} is not a command; help lists them"))?;
    if !row.takes_arguments() && !rest.is_empty() {
        return Err(format!("{word} takes no argument: {rest:?}"));
    }
    (row.parse)(rest)
}

/// Whether this word begins a rule of the wire.
pub(super) fn is_rule(word: &str) -> bool {
    VERBS.iter().any(|(verb, _)| *verb == word)
}

fn program(side: Side, rest: &str) -> Understood<Command> {
    if rest.is_empty() {
        return Ok(Command::Programs(side));
    }
    let words = shell_words::split(rest).map_err(|_| "a quote has no end")?;
    if words.iter().any(|word| word.contains('\0')) {
        return Err("no argument can have a NUL byte".into());
    }
    // Nothing but a comment.
    some(words.first().map_or("", |word| word), "a program")?;
    Ok(Command::Start(side, words))
}

fn sysctl(rest: &str) -> Understood<Command> {
    let (host, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let side = side(host)?;
    let rest = rest.trim();
    some(rest, "a key: net.ipv4.tcp_retries2")?;
    let (key, value) = match rest.split_once([' ', '=']) {
        Some((key, value)) => (key, Some(value.trim().to_string())),
        None => (rest, None),
    };
    // A key is a path below /proc/sys and must stay there.
    if !key.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
        || key.contains("..")
    {
        return Err(format!("{key:?} is not a key below /proc/sys"));
    }
    let key = if key.contains('.') { key.into() } else { format!("net.ipv4.{key}") };
    Ok(Command::Sysctl { side, key, value })
}

fn expect(rest: &str) -> Understood<Command> {
    let (rest, patience) = within(rest)?;
    Ok(Command::Expect(expected(rest)?, patience))
}

/// Splits `... within TIME`.
fn within(rest: &str) -> Understood<(&str, Duration)> {
    // A text in quotes may contain the word.
    let after = rest.rfind('"').map_or(0, |quote| quote + 1);
    let mut words = rest.match_indices("within").filter(|(at, word)| {
        let ends = |letter: Option<char>| letter.is_none_or(char::is_whitespace);
        *at >= after
            && ends(rest[..*at].chars().next_back())
            && ends(rest[at + word.len()..].chars().next())
    });
    let Some((at, word)) = words.next() else { return Ok((rest, PATIENCE)) };
    let time = rest[at + word.len()..].trim();
    some(time, "a time after within (examples: 500ms, 2s, 1m30s)")?;
    Ok((rest[..at].trim(), duration(time)?))
}

/// Text must be quoted: otherwise a misspelt packet would be waited for in vain.
fn expected(rest: &str) -> Understood<Expected> {
    some(rest, "a \"text\", a packet or a state to expect")?;
    if let Some(quoted) = rest.strip_prefix('"') {
        let text = quoted.strip_suffix('"').ok_or("a quote is not closed")?;
        some(text, "a text between the quotes")?;
        return Ok(Expected::Text(text.into()));
    }
    match rest.split_once(' ') {
        Some(("packet", described)) => Ok(Expected::Packet(packet(described.trim())?)),
        Some(("state", described)) => {
            let (host, state) = described.trim().split_once(' ').unwrap_or((described.trim(), ""));
            Ok(Expected::State(side(host)?, tcp_state(state.trim())?))
        }
        _ => packet(rest).map(Expected::Packet).map_err(|why| {
            format!(
                "{why}; if a program writes it, put it in quotes: expect \"{}\"",
                rest.escape_debug()
            )
        }),
    }
}

fn some(text: &str, what: &str) -> Understood<()> {
    if text.is_empty() { Err(format!("missing: {what}")) } else { Ok(()) }
}

fn numbered(word: &str) -> Understood<usize> {
    some(word, "a number of a program or a rule, such as 1")?;
    word.parse()
        .map_err(|_| format!("{word:?} is not a number of a program or a rule (example: 1)"))
}

fn side(word: &str) -> Understood<Side> {
    match word {
        "client" | "c" => Ok(Side::Client),
        "server" | "s" => Ok(Side::Server),
        "" => Err("missing: client or server".into()),
        word => Err(format!("{word:?} is not a host: expected client or server")),
    }
}

fn packet(text: &str) -> Understood<Matcher> {
    text.parse().map_err(|error: tcpecho_lab::ParseError| error.to_string())
}

fn signal(name: &str) -> Understood<Signal> {
    some(name, "a signal: TERM")?;
    let name = name.to_ascii_uppercase();
    let full = if name.starts_with("SIG") { name.clone() } else { format!("SIG{name}") };
    full.parse().map_err(|_| format!("{name:?} is not a signal"))
}

fn tcp_state(word: &str) -> Understood<TcpState> {
    some(word, "a state: ESTABLISHED")?;
    let found = tcp_states().find(|state| state.word().eq_ignore_ascii_case(word));
    let names = || tcp_states().map(TcpState::word).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("{word:?} is not a state: expected {}", names()))
}

/// All states that `expect state` takes.
pub(super) fn tcp_states() -> impl Iterator<Item = TcpState> {
    (1..=11).map(TcpState::from_number)
}

fn duration(text: &str) -> Understood<Duration> {
    let duration: Duration = humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} is not a duration (examples: 500ms, 2s, 1m30s)"))?;
    if duration > LONGEST {
        return Err(format!(
            "{text:?} is longer than {} (examples: 500ms, 2s, 1m30s)",
            words(LONGEST)
        ));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        parse(line).map_or_else(|why| why, |command| format!("{command:?}"))
    }

    #[test]
    fn commands_are_parsed() {
        for (line, understood) in [
            ("", "Nothing"),
            ("  # a comment", "Nothing"),
            ("c nc {server} 7", "Start(Client, [\"nc\", \"{server}\", \"7\"])"),
            (
                "server sh -c 'echo \"a b\"; exit'",
                "Start(Server, [\"sh\", \"-c\", \"echo \\\"a b\\\"; exit\"])",
            ),
            ("client", "Programs(Client)"),
            ("> 1  two  blanks", "Say(1, \" two  blanks\")"),
            ("say 2", "Say(2, \"\")"),
            ("signal 1 term", "Signal(1, SIGTERM)"),
            ("kill 3", "Signal(3, SIGKILL)"),
            ("wait 3", "Wait(3, 30s)"),
            ("wait  3  within  1m30s ", "Wait(3, 90s)"),
            ("expect \"a within b\"   within\t2s", "Expect(Text(\"a within b\"), 2s)"),
            ("reset", "Reset"),
            ("release", "Release(Matcher(packet))"),
            ("release SYN-ACK", "Release(Matcher(SYN-ACK))"),
            ("sysctl server tcp_retries2 3", {
                "Sysctl { side: Server, key: \"net.ipv4.tcp_retries2\", value: Some(\"3\") }"
            }),
            ("expect \"hello\"", "Expect(Text(\"hello\"), 30s)"),
            ("expect \"hello within 1s\"", "Expect(Text(\"hello within 1s\"), 30s)"),
            ("expect \"hello\" within 200ms", "Expect(Text(\"hello\"), 200ms)"),
            ("expect packet RST from server", "Expect(Packet(Matcher(RST from server)), 30s)"),
            ("expect RST within 1s", "Expect(Packet(Matcher(RST)), 1s)"),
            ("expect packet packet from client", "Expect(Packet(Matcher(from client)), 30s)"),
            ("expect state client time_wait", "Expect(State(Client, TimeWait), 30s)"),
            ("expect state client time_wait within 1m", "Expect(State(Client, TimeWait), 60s)"),
            ("pause 1s", "Pause(Some(1s))"),
        ] {
            assert_eq!(shown(line), understood);
        }
        assert!(matches!(parse("drop next SYN-ACK"), Ok(Command::Rule(_))));
        assert!(matches!(parse("reset next data"), Ok(Command::Rule(_))));
    }

    #[test]
    fn parse_errors_name_what_was_not_understood() {
        for (line, why) in [
            ("explode", "\"explode\" is not a command"),
            ("cut it", "cut takes no argument"),
            ("client sh -c 'x", "has no end"),
            ("client # nothing", "missing: a program"),
            ("wait", "missing: a number"),
            ("wait x", "\"x\" is not a number of a program"),
            ("wait within 1s", "missing: a number of a program"),
            ("wait 1 within", "missing: a time after within (examples: 500ms"),
            ("expect RST within", "missing: a time after within"),
            ("wait 1 within 5", "\"5\" is not a duration (examples: 500ms"),
            ("wait 1 5s", "\"1 5s\" is not a number"),
            ("wait 1 within 2days", "longer than 24h"),
            ("signal 1", "missing: a signal"),
            ("signal 1 LOUD", "\"LOUD\" is not a signal"),
            ("crash", "missing: client or server"),
            ("crash router", "\"router\" is not a host"),
            ("sysctl server", "missing: a key"),
            ("sysctl server ../../etc/passwd x", "is not a key below /proc/sys"),
            ("counter client", "missing: a counter"),
            ("expect", "missing: a \"text\""),
            ("expect \"\"", "missing: a text"),
            ("expect RTS within 1s", "in quotes: expect \"RTS\""),
            ("expect listening", "in quotes: expect \"listening\""),
            ("expect RST within reason", "\"reason\" is not a duration"),
            ("expect \"x", "not closed"),
            ("expect state client LIMBO", "\"LIMBO\" is not a state"),
            ("drop next SYM", "\"SYM\" is neither a packet"),
            ("pause longer", "not a duration"),
        ] {
            assert!(shown(line).contains(why), "{line}: {}", shown(line));
        }
    }

    #[test]
    fn names_are_unique() {
        let names = || {
            let rows = COMMANDS.iter().flat_map(|row| [Some(row.name), row.also]);
            rows.flatten()
                .chain(VERBS.iter().map(|(verb, _)| *verb))
                .filter(|word| *word != "reset")
        };
        for name in names() {
            assert_eq!(names().filter(|other| *other == name).count(), 1, "{name}");
        }
    }

    /// Each form with its optional parts, and the examples.
    #[test]
    fn what_help_shows_is_understood() {
        for row in COMMANDS {
            for (arguments, what) in row.forms {
                let mut line = format!("{} {arguments}", row.name).replace(['[', ']'], "");
                for (placeholder, value) in [
                    ("client|server", "client"),
                    ("SIGNAL", "TERM"),
                    ("COUNTER", "TcpExt.ListenDrops"),
                    ("STATE", "ESTABLISHED"),
                    ("CMD...", "true"),
                    ("packet PACKET", "packet RST"),
                    ("PACKET", "RST"),
                    ("TIME", "1s"),
                    ("...", "RST"),
                    ("KEY VALUE", "tcp_retries2 3"),
                    ("RULE", "1"),
                    (" N", " 1"),
                ] {
                    line = line.replace(placeholder, value);
                }
                let example = what.split_once(": ").map(|(_, example)| example);
                let example = example.filter(|example| example.starts_with(row.name));
                for line in [Some(line.as_str()), example] {
                    let parsed = line.map(parse);
                    assert!(parsed.as_ref().is_none_or(Result::is_ok), "{line:?}: {parsed:?}");
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic(start in 0..COMMANDS.len(), rest in proptest::prelude::any::<String>()) {
            let _ = parse(&rest);
            let _ = parse(&format!("{} {rest}", COMMANDS[start].name));
            let _ = parse(&format!("{} client {rest}", COMMANDS[start].name));
            let _ = parse(&format!("expect state server {rest}"));
        }
    }
}
