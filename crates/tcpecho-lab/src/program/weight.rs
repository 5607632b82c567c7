//! The resources of a program: memory, descriptors and processor, from `/proc`.

use super::{Program, asleep};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

impl Program {
    /// The private memory of the program and its descendants, in bytes. Memory that they share by
    /// fork(2) counts once (`Pss_Anon`) where the kernel reports it, else once for each
    /// (`RssAnon`).
    #[must_use]
    pub fn memory(&self) -> u64 {
        let field = |pid: i32, file: &str, name: &str| -> Option<u64> {
            let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
        };
        let anonymous = |pid: i32| {
            field(pid, "smaps_rollup", "Pss_Anon:")
                .or_else(|| field(pid, "status", "RssAnon:"))
                .unwrap_or(0)
        };
        family(self.pid()).into_iter().map(anonymous).sum::<u64>()
    }

    /// The number of its descriptors; 0 when it is gone.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        self.numbers().count()
    }

    fn numbers(&self) -> impl Iterator<Item = u64> {
        let directory = std::fs::read_dir(format!("/proc/{}/fd", self.pid()));
        let entries = directory.into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    }

    /// Allows it this number of further descriptors, or all that it may have (the soft
    /// `RLIMIT_NOFILE`, which limits the highest number).
    ///
    /// # Errors
    /// `ESRCH` if it has exited.
    pub fn allow_descriptors(&self, more: Option<u64>) -> Result<(), Errno> {
        let pid = Pid::from_raw(self.pid());
        let hard = std::fs::read_to_string(format!("/proc/{}/limits", self.pid()))
            .unwrap_or_default()
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .and_then(|line| line.split_whitespace().nth(4)?.parse().ok());
        let highest = self.numbers().max().unwrap_or(2);
        let soft = more.map_or(hard, |more| Some(highest + 1 + more));
        prlimit(pid, Resource::Nofile, Rlimit { current: soft, maximum: hard }).map(drop)
    }

    /// Whether any of its threads runs or is ready to run.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid()));
        threads.into_iter().flatten().flatten().any(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('R'))
        })
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
