//! Ends what a client leaves behind, also children with a session of their own.
//!
//! Orphans become children of this process (PR_SET_CHILD_SUBREAPER), so that each is found in /proc and can be waited for. A
//! variable in the environment says to which client a process belongs, because several clients run at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Child, Command},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, pidfd_send_signal,
    set_child_subreaper, waitpid,
};

/// The variable in a client's environment.
const VARIABLE: &str = "_TCPECHO_CLIENT";
/// How often /proc is searched: a process may start another one before it is killed.
const PASSES: usize = 200;
const BETWEEN_PASSES: Duration = Duration::from_millis(2);

/// The children of this process, by what they are.
pub(super) struct Children {
    /// Children that this process waits for itself: the gallery, and clients.
    own: Mutex<BTreeSet<i32>>,
    /// Children from before, if this program was started with exec(2).
    inherited: BTreeSet<i32>,
    next: AtomicUsize,
}

/// Which processes are ended.
#[derive(Clone, Copy)]
enum Whose<'a> {
    /// Those below this process or with this variable.
    Of(i32, &'a str),
    /// All orphans.
    Everybody,
}

/// A process in /proc.
struct Process {
    pid: i32,
    parent: i32,
    is_zombie: bool,
    /// In clock ticks after the boot: with the number, it identifies the process.
    started: u64,
}

impl Children {
    /// Makes this process the one that gets orphans.
    pub(super) fn adopt() -> Self {
        // Without it (an old kernel), a child with a session of its own may survive.
        let _ = set_child_subreaper(Some(getpid()));
        let own = getpid().as_raw_pid();
        let is_child = |process: &Process| process.parent == own;
        let inherited = processes().into_iter().filter(is_child).map(|child| child.pid).collect();
        Children { own: Mutex::default(), inherited, next: AtomicUsize::new(0) }
    }

    /// Starts a child that this process waits for. Returns what [`Children::end_leftovers`] needs as well.
    pub(super) fn spawn(&self, command: &mut Command) -> std::io::Result<(Child, String)> {
        let number = self.next.fetch_add(1, Relaxed);
        let mark = format!("{}.{number}", getpid().as_raw_pid());
        command.env(VARIABLE, &mark);
        // No search for orphans may meet a child that is not known yet.
        let mut own = self.own();
        let child = command.spawn()?;
        own.insert(Pid::from_child(&child).as_raw_pid());
        Ok((child, mark))
    }

    /// Waits for a child of [`Children::spawn`].
    pub(super) fn wait(&self, child: &mut Child) -> Option<std::process::ExitStatus> {
        let status = child.wait().ok();
        self.own().remove(&Pid::from_child(child).as_raw_pid());
        status
    }

    /// Kills everything that this child has started. The child itself must not have been waited for.
    pub(super) fn end_leftovers(&self, child: &Child, mark: &str) {
        self.end(Whose::Of(Pid::from_child(child).as_raw_pid(), mark));
    }

    fn own(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, whose: Whose) {
        for _ in 0..PASSES {
            let found = {
                let own = self.own();
                self.end_once(whose, &own)
            };
            if !found {
                return;
            }
            std::thread::sleep(BETWEEN_PASSES);
        }
    }

    /// Kills what there is now, and reaps orphans that have ended. Returns whether there was anything to kill.
    fn end_once(&self, whose: Whose, own: &BTreeSet<i32>) -> bool {
        let processes = processes();
        let parents: BTreeMap<i32, i32> =
            processes.iter().map(|process| (process.pid, process.parent)).collect();
        let me = getpid().as_raw_pid();
        let mut found = false;
        for process in &processes {
            let Some(line) = line_to(me, process.pid, &parents) else { continue };
            // The child of ours that it descends from, or that it is.
            let first = line[line.len() - 1];
            if own.contains(&process.pid) || self.inherited.contains(&first) {
                continue;
            }
            let is_wanted = match whose {
                Whose::Of(client, _) if first == client => true,
                Whose::Of(_, mark) => has_mark(process.pid, mark),
                Whose::Everybody => !own.contains(&first),
            };
            if process.is_zombie {
                if process.parent == me {
                    let _ = waitpid(Pid::from_raw(process.pid), WaitOptions::NOHANG);
                }
            } else if is_wanted {
                found = true;
                kill(process);
            }
        }
        found
    }
}

impl Drop for Children {
    /// Kills all orphans, also those that have changed their environment.
    fn drop(&mut self) {
        // With children from before, an orphan may be one of theirs.
        if self.inherited.is_empty() {
            self.end(Whose::Everybody);
        }
    }
}

/// Returns the process and those that it descends from, up to the child of `ancestor`; none if it does not descend from it.
fn line_to(ancestor: i32, pid: i32, parents: &BTreeMap<i32, i32>) -> Option<Vec<i32>> {
    let mut line = vec![pid];
    loop {
        let parent = *parents.get(line.last()?)?;
        if parent == ancestor {
            return Some(line);
        }
        if line.contains(&parent) {
            // The snapshot is not of one moment.
            return None;
        }
        line.push(parent);
    }
}

/// Kills the process, unless another one has its number by now.
fn kill(process: &Process) {
    let Some(pid) = Pid::from_raw(process.pid) else { return };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if Process::read(process.pid).is_some_and(|now| now.started == process.started) {
        let _ = pidfd_send_signal(&pidfd, Signal::KILL);
    }
}

fn has_mark(pid: i32, mark: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let wanted = format!("{VARIABLE}={mark}");
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
}

fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::read).collect()
}

impl Process {
    /// Reads /proc/PID/stat (proc_pid_stat(5)).
    fn read(pid: i32) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The name before may have spaces and parentheses.
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        Some(Process {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            is_zombie: ["Z", "X"].contains(fields.first()?),
            started: fields.get(19)?.parse().ok()?,
        })
    }
}
