//! The table of scenarios: boundary conditions of TCP, each a file and a row.

use std::ffi::OsString;

use crate::host::Cable;
use crate::run::Run;
use crate::side::Family;
use crate::stage::{Played, Stage};
use crate::text::Text;
use crate::two_hosts::Options;

/// A boundary condition.
pub struct Scenario {
    /// What it says.
    pub text: Text,
    /// Makes the steps and claims of the text.
    pub(crate) play: fn(&mut Stage) -> Played,
}

/// Defines a scenario: the fields of its text, then its steps ([`steps`]).
macro_rules! scenario {
    ($stage:ident; $($field:ident: $value:expr),+; $($steps:tt)+) => {
        pub(super) static SCENARIO: $crate::scenario::Scenario = {
            #[allow(clippy::enum_glob_use, reason = "a scenario cites many sources")]
            use $crate::source::Source::*;
            use $crate::{stage::Stage, text::Group};
            $crate::text::steps! { $stage: Stage; $($steps)+ }
            #[allow(clippy::needless_update, reason = "a text with timers has every field")]
            let text = $crate::text::Text {
                $($field: $value,)+
                steps: STEPS,
                module: module_path!(),
                ..$crate::text::Text::EMPTY
            };
            $crate::scenario::Scenario { text, play }
        };
    };
}

macro_rules! scenarios {
    ($($file:ident)*) => {
        $(mod $file;)*
        /// All scenarios, in the order of the book.
        pub static SCENARIOS: &[&Scenario] = &[$(&$file::SCENARIO),*];
    };
}

scenarios! {
    normal_startup
    normal_termination
    last_ack_lost
    parent_keeps_connfd
    zombies_without_handler
    wait_against_waitpid
    eintr_on_accept
    eintr_on_connect
    abort_before_accept
    abort_before_accept_posix
    accept_after_poll
    accept_without_descriptors
    server_stopped
    server_process_killed
    server_process_killed_unread
    sigpipe
    signal_dispositions
    exec_inherits
    server_host_crashes
    server_host_crashes_user_timeout
    server_host_crashes_keepalive
    unreachable_during_connect
    unreachable_while_established
    crash_and_reboot
    client_host_crashes_and_returns
    operator_shutdown
    blind_reset
    refused
    syn_dropped
    handshake_ack_lost
    self_connection
    fast_open
    no_local_port
    time_wait_reuse
    syn_meets_time_wait
    bind_in_use_by_listener
    bind_in_use_by_time_wait
    bind_privileged
    bind_not_ours
    server_busy
    listener_closes
    backlog_full
    third_ack_dropped
    abort_on_overflow
    syn_flood_without_cookies
    syn_flood_with_cookies
    cookies_without_timestamps
    reuseport_listener_closes
    deferred_accept
    half_close
    shutdown_reading
    shutdown_and_fork
    close_with_replies_under_way
    close_with_unread_data
    lingering_close
    linger_with_time
    orphaned_fin_wait_2
    time_wait_assassination
    segment_lost
    segment_doubled
    segments_reordered
    segment_corrupted
    zero_window
    zero_window_user_timeout
    zero_window_orphaned
    simultaneous_open
    simultaneous_close
    mtu_black_hole
    fragmentation_needed
    middlebox_forgets_silently
    middlebox_forgets_with_reset
    keepalive_through_middlebox
    congestion_notification
    short_counts
    nagle_and_delayed_ack
    stdio_and_poll
    half_a_line
    urgent_data
    old_timestamp
    slow_start
}

impl Scenario {
    /// Returns the scenario of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().copied().find(|scenario| scenario.text.name == name)
    }

    /// Plays it. `agent` is the command that starts a [`crate::agent`]; `prepare` may change the stage first.
    pub fn run(
        &'static self,
        family: Family,
        cable: Cable,
        agent: Vec<OsString>,
        prepare: impl FnOnce(&mut Stage),
    ) -> Run {
        self.run_on(&Options { family, cable, ..Options::default() }, agent, prepare)
    }

    /// Plays it between hosts with these options.
    pub fn run_on(
        &'static self,
        options: &Options,
        agent: Vec<OsString>,
        prepare: impl FnOnce(&mut Stage),
    ) -> Run {
        let mut stage = match Stage::on(options, agent) {
            Ok(stage) => stage,
            Err(failed) => return Run::skipped(&self.text, options.family, &failed),
        };
        prepare(&mut stage);
        let played = (self.play)(&mut stage);
        Run::over(&self.text, &stage, played, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source::{self, Book, Code, Lab, Man, Measured, Rfc, Sysctl};

    #[test]
    fn names_are_unique_and_every_scenario_says_something() {
        for (index, scenario) in SCENARIOS.iter().enumerate() {
            let text = &scenario.text;
            let same = SCENARIOS.iter().position(|other| other.text.name == text.name);
            assert_eq!(same, Some(index), "{}", text.name);
            assert!(text.group.is_some(), "{}: no group", text.name);
            assert!(text.claims().next().is_some(), "{}", text.name);
            let file = format!("{}/../../{}", env!("CARGO_MANIFEST_DIR"), text.file());
            let source = std::fs::read_to_string(&file).expect(&file);
            assert!(source.contains(&format!("name: \"{}\"", text.name)), "{file}");
            for sentence in [text.title, text.source, text.question] {
                assert!(!sentence.is_empty(), "{}", text.name);
            }
        }
    }

    /// A claim is read without its step in a JUnit report and in the quiz.
    #[test]
    fn every_claim_stands_alone() {
        let beginnings =
            ["and ", "it ", "its ", "then ", "that ", "they ", "now ", "still ", "with its "];
        for text in SCENARIOS.iter().map(|scenario| &scenario.text) {
            for (_, claim) in text.claims() {
                let begins = beginnings.iter().find(|begin| claim.starts_with(**begin));
                assert_eq!(begins, None, "{}: {claim}", text.name);
            }
        }
    }

    #[test]
    fn every_sentence_has_its_source() {
        for text in SCENARIOS.iter().map(|scenario| &scenario.text) {
            let name = text.name;
            assert!(!text.book.is_empty() && !text.kernel.is_empty(), "{name}");
            for (passage, sources) in text.book.iter().chain(text.kernel) {
                assert!(passage.ends_with(['.', '?', ')']), "{name}: {passage}");
                let sentences = 1 + passage.matches(". ").count();
                assert!(sentences <= 3, "{name}: {sentences} sentences share sources: {passage}");
                assert!(!sources.is_empty(), "{name}: no source: {passage}");
                for source in *sources {
                    assert!(is_plausible(source, text), "{name}: {source:?}");
                }
            }
            // The book speaks for itself; what this kernel does, the kernel or its documentation says.
            for (passage, sources) in text.book {
                let is_written = |source: &Source| matches!(source, Book(_) | Rfc(..));
                assert!(sources.iter().all(is_written), "{name}: {passage}");
            }
            for (passage, sources) in text.kernel {
                let is_ours = |source: &Source| !matches!(source, Book(_) | Rfc(..));
                assert!(sources.iter().any(is_ours), "{name}: only on paper: {passage}");
            }
            let is_measured = |source: &Source| source.claim().is_some();
            let mut sources = text.kernel.iter().flat_map(|(_, sources)| sources.iter());
            assert!(sources.any(is_measured), "{name}: nothing is measured");
        }
    }

    /// Whether it has the form of such a source; what is in the laboratory must exist.
    fn is_plausible(source: &Source, text: &Text) -> bool {
        let numbers = |section: &str, longest: usize| {
            let mut parts = section.split('.');
            parts.clone().count() <= longest
                && parts.all(|part| part.parse().is_ok_and(|number: u8| number > 0))
        };
        match source {
            // 5.12, and A.6 of an appendix.
            Book(section) => numbers(section.strip_prefix("A.").unwrap_or(section), 2),
            Rfc(number, section) => {
                (768..10_000).contains(number) && (section.is_empty() || numbers(section, 4))
            }
            Man(page) => {
                let section = page.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
                section.is_some_and(|section| numbers(section, 1))
            }
            Sysctl(key) => key.starts_with("net.") && key.split('.').count() >= 3,
            Code(name, file) => !name.contains(' ') && file.ends_with(['c', 'h']),
            Lab(name) => Scenario::named(name).is_some() && *name != text.name,
            Measured(claim) => text.claims().any(|(_, other)| other == *claim),
        }
    }
}
