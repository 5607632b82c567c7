//! What the benchmark can be told.

use std::time::Duration;

use clap::Parser;

use crate::machine::Fact;
use crate::modes::{MODES, Mode};
use crate::peers::{BASELINE, ENGINES, Peer};

/// Compares the engines with each other and with a minimal C epoll echo, in interleaved rounds.
#[derive(Parser)]
#[command(name = "engines", bin_name = "cargo bench --bench engines --")]
pub(crate) struct Options {
    /// Which modes, separated by commas; `list` explains them
    #[arg(long, value_delimiter = ',', default_values_t = MODES.iter().map(|mode| mode.name.to_owned()))]
    modes: Vec<String>,
    /// Which engines, separated by commas; the baseline is `c_epoll` and always takes part
    #[arg(long, value_delimiter = ',', default_values_t = ENGINES.iter().map(|row| row.0.to_owned()))]
    engines: Vec<String>,
    /// Another server: a command that listens on 127.0.0.1 and prints the same first line as
    /// `tcpecho serve`, such as an older build of it. May be given several times
    #[arg(long, value_name = "NAME=COMMAND")]
    against: Vec<String>,
    /// How long each measurement lasts, after a tenth of it to warm up
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How often each server is measured in each mode
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Passed by `cargo bench`. Without it, as `cargo test --benches` has it, nothing is measured
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is meant by it.
pub(crate) struct Order {
    pub(crate) modes: Vec<&'static Mode>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) length: Duration,
    pub(crate) rounds: usize,
}

/// What is to be done, in words when it is not to measure.
pub(crate) enum Request {
    Measure(Order),
    Say(String),
    Refuse(String),
}

impl Options {
    pub(crate) fn understand(&self) -> Request {
        if !self.bench {
            return Request::Say("nothing measured: this is for `cargo bench`".to_owned());
        }
        if self.modes.iter().any(|name| name == "list") {
            return Request::Say(list());
        }
        self.order().map_or_else(Request::Refuse, Request::Measure)
    }

    fn order(&self) -> Result<Order, String> {
        let positive = self.seconds > 0.0 && self.rounds > 0;
        let length = Duration::try_from_secs_f64(self.seconds).ok().filter(|_| positive);
        Ok(Order {
            modes: choose(&self.modes, MODES, |mode| mode.name)?,
            peers: self.peers()?,
            length: length.ok_or("--seconds and --rounds must be above zero")?,
            rounds: self.rounds,
        })
    }

    fn peers(&self) -> Result<Vec<Peer>, String> {
        let named: Vec<String> =
            self.engines.iter().filter(|name| *name != BASELINE).cloned().collect();
        let engines = choose(&named, ENGINES, |row| row.0)?;
        let engines = engines.into_iter().map(|&(name, crowd)| Ok(Peer::engine(name, crowd)));
        let others = self.against.iter().map(|text| {
            let (name, command) = text.split_once('=').ok_or("--against wants NAME=COMMAND")?;
            Ok(Peer::other(name, command))
        });
        engines.chain(others).collect()
    }
}

fn choose<T>(
    names: &[String],
    table: &'static [T],
    name_of: fn(&T) -> &'static str,
) -> Result<Vec<&'static T>, String> {
    let find = |name: &String| {
        let known = || table.iter().map(name_of).collect::<Vec<_>>().join(", ");
        let found = table.iter().find(|row| name_of(row) == name);
        found.ok_or_else(|| format!("there is no `{name}`, only {}", known()))
    };
    names.iter().map(find).collect()
}

fn list() -> String {
    let rows = MODES.iter().map(|mode| format!("{:<8} {}\n", mode.name, mode.summary));
    rows.collect::<String>().trim_end().to_owned()
}

impl Order {
    /// The order as it was understood, to be printed above the figures.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        let modes: Vec<&str> = self.modes.iter().map(|mode| mode.name).collect();
        let mut facts = vec![
            ("--modes", modes.join(",")),
            ("--seconds", self.length.as_secs_f64().to_string()),
            ("--rounds", self.rounds.to_string()),
        ];
        facts.extend(self.peers.iter().map(|peer| ("server", peer.describe())));
        facts
    }
}
