//! What a program weighs: memory, descriptors and processor time, from `/proc`.

use super::{Program, asleep};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

impl Program {
    /// Memory of its own that it and its descendants hold, in bytes (`RssAnon`).
    #[must_use]
    pub fn memory(&self) -> u64 {
        let anonymous = |pid: i32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
            let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            kilobytes.unwrap_or(0) * 1024
        };
        family(self.pid()).into_iter().map(anonymous).sum::<u64>()
    }

    /// How many descriptors it has; 0 when it is gone.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        self.numbers().count()
    }

    fn numbers(&self) -> impl Iterator<Item = u64> {
        let directory = std::fs::read_dir(format!("/proc/{}/fd", self.pid()));
        let entries = directory.into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    }

    /// Allows it so many descriptors more than it has (`RLIMIT_NOFILE`, which counts up to the highest number).
    ///
    /// # Errors
    /// `ESRCH` if it has ended.
    pub fn allow_descriptors(&self, more: u64) -> Result<(), rustix::io::Errno> {
        let highest = self.numbers().max().unwrap_or(2);
        let limit = Some(highest + 1 + more);
        let limit = Rlimit { current: limit, maximum: limit };
        prlimit(Pid::from_raw(self.pid()), Resource::Nofile, limit).map(drop)
    }

    /// Processor time that it has used, in clock ticks of ten milliseconds (`USER_HZ` is 100 everywhere).
    #[must_use]
    pub fn ticks(&self) -> u64 {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
        // Fields 14 and 15, of which the name was the second.
        fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    }
}

fn family(pid: i32) -> Vec<i32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        all.extend(asleep::children(parent).into_iter().map(|(child, _)| child));
        next += 1;
    }
    all
}
