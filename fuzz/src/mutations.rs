//! Runs every target without cargo-fuzz: first all its seeds, then random changes of them, for `FUZZ_SECONDS`
//! seconds (default 2). The changes follow from `FUZZ_SEED`, which is printed.

use std::{
    env, fs,
    hash::{BuildHasher, RandomState},
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{Body, TARGETS};

/// What is allocated is counted for the whole process: one target runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// No input is longer.
const LONGEST: usize = 64 << 10;

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), crate::$name);
        })*

        #[test]
        fn every_target_has_a_test_and_seeds() {
            let tested = [$(stringify!($name)),*];
            assert_eq!(tested.to_vec(), TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
            for (name, _) in TARGETS {
                assert!(!seeds(name).is_empty(), "no seeds for {name}");
            }
        }
    };
}

targets! {
    baseline command duration endpoint expectations fault hdr_log histogram lists packet result rule shell size threshold
}

fn run(name: &str, body: Body) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seeds = seeds(name);
    for (file, seed) in &seeds {
        attempt(name, body, seed, file);
    }
    let number = |variable: &str| {
        env::var(variable).ok().map(|text| text.parse::<u64>().expect("a whole number"))
    };
    let seed = number("FUZZ_SEED").unwrap_or_else(|| RandomState::new().hash_one(name));
    let seconds = number("FUZZ_SECONDS").unwrap_or(2);
    let mut random = Random(seed);
    let (start, mut executions) = (Instant::now(), 0_u64);
    while start.elapsed() < Duration::from_secs(seconds) {
        let input = random.change(&seeds);
        attempt(name, body, &input, &format!("change {executions} of FUZZ_SEED={seed}"));
        executions += 1;
    }
    println!("{name}: {} seeds, {executions} changes of them, FUZZ_SEED={seed}", seeds.len());
}

/// Runs the body, and says with which input it failed.
fn attempt(name: &str, body: Body, input: &[u8], what: &str) {
    if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| body(input))) {
        eprintln!("{name} failed with {what}: b\"{}\"", input.escape_ascii());
        panic::resume_unwind(panic);
    }
}

fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let mut files: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("an entry of the directory").path())
        .collect();
    files.sort();
    let read = |path: &Path| fs::read(path).expect("a seed");
    files.iter().map(|path| (path.display().to_string(), read(path))).collect()
}

/// Numbers that are random enough to choose a change (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.max(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A seed with some bytes changed, taken out, doubled, or taken from another.
    fn change(&mut self, seeds: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].1.clone();
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            let end = at + self.below((input.len() - at).min(32) + 1);
            match self.below(7) {
                0 if at < input.len() => input[at] ^= 1 << self.below(8),
                1 if at < input.len() => input[at] = self.next() as u8,
                2 => drop(input.drain(at..end)),
                3 => {
                    let part = input[at..end].to_vec();
                    input.splice(at..at, part);
                }
                4 => {
                    let other = &seeds[self.below(seeds.len())].1;
                    let from = self.below(other.len() + 1);
                    let to = from + self.below((other.len() - from).min(64) + 1);
                    input.splice(at..end, other[from..to].iter().copied());
                }
                5 => {
                    const TELLING: [&[u8]; 12] = [
                        b"0",
                        b"-1",
                        b"9",
                        b"99999999999999999999",
                        b"1e308",
                        b".",
                        b"\"",
                        b"\\",
                        b"\n",
                        b"\xff\xff\xff\xff",
                        b"\0",
                        "µ".as_bytes(),
                    ];
                    let telling = TELLING[self.below(TELLING.len())];
                    input.splice(at..end, telling.iter().copied());
                }
                _ => input.truncate(at),
            }
        }
        input.truncate(LONGEST);
        input
    }
}
