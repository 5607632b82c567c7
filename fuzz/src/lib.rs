//! The bodies of the fuzz targets. cargo-fuzz runs them with coverage, and the tests of this crate run them on
//! every stable toolchain with the seeds and random changes of them.
//!
//! A body panics where a parser breaks a promise: it panics itself, keeps or prints what was not asked for,
//! takes more memory than stated, or reads its own output differently.
#![forbid(unsafe_code)]

mod bench;
mod fault;
mod lab;
mod text;

#[cfg(test)]
mod mutations;

pub use bench::{baseline, hdr_log, histogram, result};
pub use fault::fault;
pub use lab::{command, expectations, packet, rule, shell};
pub use text::{duration, endpoint, lists, size, threshold};

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// The body of a target.
pub type Body = fn(&[u8]);

/// Every target, by the name of its binary and of its directory of seeds.
pub const TARGETS: &[(&str, Body)] = &[
    ("baseline", baseline),
    ("command", command),
    ("duration", duration),
    ("endpoint", endpoint),
    ("expectations", expectations),
    ("fault", fault),
    ("hdr_log", hdr_log),
    ("histogram", histogram),
    ("lists", lists),
    ("packet", packet),
    ("result", result),
    ("rule", rule),
    ("shell", shell),
    ("size", size),
    ("threshold", threshold),
];

/// The text of an input; what is not UTF-8 cannot be an argument that reaches a parser.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// Checks a sentence that the program would print: it is not empty, has no control characters, and is not much
/// longer than the input that it quotes.
fn check_sentence(sentence: &str, input: usize) {
    assert!(!sentence.is_empty(), "an error without words");
    assert!(!sentence.contains(char::is_control), "control characters in {sentence:?}");
    // An escaped character takes ten bytes at most.
    assert!(sentence.len() <= 1024 + 20 * input, "{} bytes of {sentence:.200?}", sentence.len());
}

/// Checks the sentence of a refusal, and gives the value otherwise.
fn accepted<T, E: ToString>(parsed: Result<T, E>, input: usize) -> Option<T> {
    parsed.map_err(|error| check_sentence(&error.to_string(), input)).ok()
}

/// Runs it and checks that it never held more than `bound` bytes beyond what was there before.
fn within<T>(bound: usize, run: impl FnOnce() -> T) -> T {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let value = run();
    let most = ALLOCATED.peak_usage().saturating_sub(before);
    assert!(most <= bound, "{most} bytes were allocated, the bound is {bound}");
    value
}
