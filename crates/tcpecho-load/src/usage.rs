//! Processor time and memory of a server's process and its descendants, from /proc. Descendants count because a
//! server may fork and because a shell may have started it.

use std::fs;
use std::io;
use std::ops::Range;

use tcpecho_os::errno::io_words;

/// `USER_HZ`: part of the kernel's ABI, the same on every architecture Linux has today but alpha.
const NANOSECONDS_PER_TICK: f64 = 1e9 / 100.0;

/// Returns the process and its descendants that are alive, except those whose parents have ended.
fn family(pid: u32) -> io::Result<Vec<u32>> {
    let mut others = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(other) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(&parent) = stat(other).as_deref().and_then(|fields| fields.get(PARENT)) {
            others.push((other, parent));
        }
    }
    let (mut family, mut next) = (vec![pid], 0);
    while let Some(&member) = family.get(next) {
        let children = others.iter().filter(|(_, parent)| *parent == u64::from(member));
        // A process id that was reused meanwhile must not make a loop.
        let new: Vec<u32> =
            children.map(|(child, _)| *child).filter(|child| !family.contains(child)).collect();
        family.extend(new);
        next += 1;
    }
    Ok(family)
}

/// Places in /proc/PID/stat after the command's name (`proc_pid_stat(5)`, counted from field 3).
const PARENT: usize = 1;
const USER_SYSTEM: Range<usize> = 11..13;
const USER_SYSTEM_OF_REAPED: Range<usize> = 13..15;

/// Returns the numbers of /proc/PID/stat; `None` if the process is gone.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect())
}

/// The processor time that a process has used so far, by two clocks. Each has a weakness.
pub struct ProcessorTime {
    /// The sum over the tasks alive: exact, but tasks that ended took theirs with them.
    exact: f64,
    /// Ticks of the processes and of the children they reaped: complete, but coarse.
    complete: f64,
    processes: usize,
}

impl ProcessorTime {
    /// Reads the processor time of a process and its descendants.
    ///
    /// # Errors
    /// The process is gone, or /proc cannot be read.
    pub fn of(pid: u32) -> io::Result<Self> {
        // Nothing is known about a process that is gone, not even that it used nothing.
        if stat(pid).is_none() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the process is gone"));
        }
        let family = family(pid)?;
        let own: u64 = family.iter().map(|&pid| ticks(pid, USER_SYSTEM)).sum();
        let reaped = ticks(pid, USER_SYSTEM_OF_REAPED);
        Ok(Self {
            exact: family.iter().map(|&pid| scheduled(pid)).sum(),
            complete: (own + reaped) as f64 * NANOSECONDS_PER_TICK,
            processes: family.len(),
        })
    }

    /// Returns the nanoseconds used since `earlier`. If the clocks differ by more than ticks can, tasks have ended.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> f64 {
        let (exact, complete) = (self.exact - earlier.exact, self.complete - earlier.complete);
        let coarse = NANOSECONDS_PER_TICK * (1 + self.processes.max(earlier.processes)) as f64;
        if complete - exact > coarse { complete } else { exact }
    }
}

fn ticks(pid: u32, fields: Range<usize>) -> u64 {
    stat(pid).and_then(|all| Some(all.get(fields)?.iter().sum())).unwrap_or(0)
}

/// Returns the nanoseconds that the tasks of a process have run: the first number of schedstat.
fn scheduled(pid: u32) -> f64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// Returns the memory of a process and its descendants that is not a mapped file, in bytes (PSS).
///
/// The pages of a file are shared with every process that maps it. If the generator is the same program, each page that it
/// touches lowers the PSS of the server. Before Linux 5.4 files are included: the kernel does not say how much they are.
///
/// # Errors
/// The memory of the process itself cannot be read.
pub fn own_memory(pid: u32) -> io::Result<f64> {
    Ok((memory(pid, "Pss:")? - memory(pid, "Pss_File:")?).max(0.0))
}

/// Returns a line of `smaps_rollup`, such as `Pss:`, in bytes, summed over the process and its descendants.
///
/// # Errors
/// The memory of the process itself cannot be read.
pub fn memory(pid: u32, line: &str) -> io::Result<f64> {
    let mut kilobytes = 0.0;
    for member in family(pid)? {
        let text = match fs::read_to_string(format!("/proc/{member}/smaps_rollup")) {
            Ok(text) => text,
            Err(_) if member != pid => continue, // a child that has ended meanwhile
            Err(error) => {
                return Err(io::Error::new(
                    error.kind(),
                    format!("its memory: {}", io_words(&error)),
                ));
            }
        };
        let value = text.lines().find_map(|text| text.strip_prefix(line)).unwrap_or_default();
        kilobytes += value.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default();
    }
    Ok(kilobytes * 1024.0)
}
