//! A child process for one connection (UNP 5.7 to 5.10), for programs with other children, threads and signal handlers.
//!
//! Its end sends no SIGCHLD, so no handler of the program runs and no call is interrupted. A `waitpid(-1)` of the program does
//! not reap it: only a wait with `__WALL` finds a child without that signal (clone(2)).

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::Shutdown,
    process::{
        Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open,
        setrlimit, waitid,
    },
};

use crate::fork::{clone, close_all_but, exit_now};
use crate::signal::{SignalMask, is_ignored, keeping_errno, set_action};
use crate::socket::{abort_echo, reset};

/// A child made by [`fork_session`]. Its descriptor, a pidfd, becomes readable when the child has ended.
#[derive(Debug)]
pub struct Child {
    pidfd: OwnedFd,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
    /// Another wait with `__WALL` has reaped it, so its status is lost.
    Unknown,
}

impl Child {
    /// Reaps the child if it has ended. Takes no other child of the process.
    #[must_use]
    pub fn reap(&self) -> Option<Exit> {
        let options = exited() | WaitIdOptions::NOHANG;
        match waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
            Ok(None) | Err(Errno::INTR) => None,
            Ok(status) => Some(exit_of(status)),
            Err(_) => Some(Exit::Unknown),
        }
    }

    /// Asks the child to finish (SIGTERM): its reading side is shut, so it echoes what was received and then sees end of file.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Makes the child abort its connection ([`abort_echo`]), which wakes it from any call on the socket. A child that is
    /// stopped is continued.
    pub fn let_go(&self) {
        self.send(LET_GO_SIGNAL);
        self.signal(Signal::CONT);
    }

    /// Makes the child reset its connection ([`reset`]), which wakes it from any call on the socket. A child that is stopped is
    /// continued. Does not wait for its end.
    pub fn reset(&self) {
        self.send(RESET_SIGNAL);
        self.signal(Signal::CONT);
    }

    /// Does [`cut_off_all`] with this child alone.
    pub fn cut_off(&self) {
        cut_off_all([self]);
    }

    /// Waits for the end of the child until `deadline`, without reaping it. Returns whether it has ended.
    fn ends_by(&self, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let limit =
                Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut [PollFd::new(self, PollFlags::IN)], Some(&limit)) {
                Ok(ready) => return ready > 0,
                // poll(2) is never restarted after a signal handler (signal(7)).
                Err(Errno::INTR) => {}
                // There is no memory for the call.
                Err(_) if left.is_zero() => return false,
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Waits for the end of the child and reaps it.
    fn wait(&self) -> Exit {
        loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), exited()) {
                Err(Errno::INTR) => {}
                result => return exit_of(result.ok().flatten()),
            }
        }
    }

    /// Sends a real-time signal.
    fn send(&self, signal: i32) {
        let pidfd = self.pidfd.as_raw_fd();
        let no_details = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is open through the call, and a null pointer asks for what kill(2) would send.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, no_details, 0) };
    }

    /// Kills the child (SIGKILL).
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // It can only fail because the child has ended, which is what is wanted.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

fn exit_of(status: Option<WaitIdStatus>) -> Exit {
    let Some(status) = status else { return Exit::Unknown };
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Exited(code),
        (_, Some(signal)) => Exit::Killed(signal),
        _ => Exit::Unknown,
    }
}

/// How long children may take to reset their connections before they are killed.
const CUTTING_OFF: Duration = Duration::from_secs(1);

/// Makes children reset their connections ([`reset`]), waits for their ends, and reaps them. A child that is stopped is
/// continued. Those that are left after a second in total are killed; then the kernel closes their connections, with FIN
/// where no byte is unread.
pub fn cut_off_all<'a>(children: impl IntoIterator<Item = &'a Child, IntoIter: Clone>) {
    cut_off_within(CUTTING_OFF, children, |_, _| ());
}

/// [`cut_off_all`] with another time. Passes each child's exit to `told`.
fn cut_off_within<'a>(
    limit: Duration,
    children: impl IntoIterator<Item = &'a Child, IntoIter: Clone>,
    mut told: impl FnMut(&'a Child, Exit),
) {
    let children = children.into_iter();
    for child in children.clone() {
        child.reset();
    }
    let deadline = Instant::now() + limit;
    if !children.clone().all(|child| child.ends_by(deadline)) {
        // Has no effect on those that have ended.
        children.clone().for_each(Child::kill);
    }
    for child in children {
        told(child, child.wait());
    }
}

/// Tests whether this kernel and sandbox have pidfds (pidfd_open(2), Linux 5.3).
///
/// # Errors
/// `ENOSYS` on an older kernel, `EPERM` behind a seccomp filter.
pub fn probe_pidfd() -> Result<(), Errno> {
    pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).map(drop)
}

/// Forks a child that runs `body` with `socket`, its only open descriptor, and exits with what `body` returns.
///
/// In the child every signal has its default action again, but SIGALRM, SIGUSR1, SIGUSR2 and SIGPIPE are ignored, and
/// SIGTERM, SIGINT and SIGHUP shut the socket's reading side, so that `body` reads what has come and then end of file;
/// [`Child::let_go`] aborts the connection. SIGINT, SIGHUP and SIGQUIT stay ignored if they are, as nohup(1) and a shell's
/// background jobs mean it: a terminal sends them to the children too. The child is killed when the thread that called
/// this ends, and its end sends no SIGCHLD.
///
/// `body` runs in a copy of a possibly multi-threaded process. It may make system calls and use existing memory. If it
/// allocates or locks, it may block for ever. It cannot make descriptors (`EMFILE`), and poll(2) takes no entries there.
///
/// The parent's `socket` is closed in any case: the child's end of it is the connection's (UNP 4.8). It is closed before
/// the child's pidfd is opened, so a process that had a descriptor left for the one has one for the other.
///
/// # Errors
/// fork(2): `EAGAIN` at a limit on processes, `ENOMEM`; pidfd_open(2): `EMFILE`, `ENFILE`, `ENOMEM`. Then the connection is
/// reset and the child is gone; one that does not end by itself is killed after a second.
pub fn fork_session(
    socket: OwnedFd,
    body: impl FnOnce(BorrowedFd<'_>) -> i32,
) -> Result<Child, Errno> {
    let parent = rustix::process::getpid();
    // SAFETY: without flags nothing is shared. The child runs `prepare_child` and `body`. What `body` may do is the caller's
    // documented duty, and breaking it cannot corrupt memory: the child is a copy in which the other threads never run again,
    // so a lock that one of them holds blocks it for ever; it exits without unwinding a frame of the parent; and no stale
    // descriptor number can come to mean another file, see `prepare_child`.
    let pid = unsafe {
        clone(0, std::ptr::null_mut(), |_| {
            prepare_child(socket.as_fd(), parent);
            body(socket.as_fd())
        })
    };
    if pid.is_err() {
        reset(&socket);
    }
    drop(socket);
    watch(pid?)
}

/// Opens the new child's pidfd, or makes the child reset its connection and reaps it.
fn watch(pid: i32) -> Result<Child, Errno> {
    let pid = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
    pidfd_open(pid, PidfdFlags::empty()).map(|pidfd| Child { pidfd }).inspect_err(|_| {
        // SAFETY: kill(2) has no precondition, and the number is our child's until it is reaped.
        unsafe { libc::kill(pid.as_raw_nonzero().get(), RESET_SIGNAL) };
        let _ = rustix::process::kill_process(pid, Signal::CONT);
        // Without a descriptor there is nothing to wait with.
        for _ in 0..1000 {
            if !matches!(waitid(WaitId::Pid(pid), exited() | WaitIdOptions::NOHANG), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = rustix::process::kill_process(pid, Signal::KILL);
        while matches!(waitid(WaitId::Pid(pid), exited()), Err(Errno::INTR)) {}
    })
}

/// Options of waitid(2) that also find a child whose end sends no signal.
fn exited() -> WaitIdOptions {
    WaitIdOptions::EXITED | WaitIdOptions::from_bits_retain(libc::__WALL as u32)
}

/// Real-time signals that nobody else sends; the C library keeps only the first two.
const LET_GO_SIGNAL: i32 = 45;
const RESET_SIGNAL: i32 = 46;

/// The socket of this process, if it is a child of [`fork_session`]; -1 otherwise.
static SOCKET: AtomicI32 = AtomicI32::new(-1);
/// Whether this process is a child that [`Child::let_go`] or [`Child::cut_off`] was called for.
static LET_GO: AtomicBool = AtomicBool::new(false);

/// Returns whether this process is a child of [`fork_session`].
#[cfg(feature = "uring")]
pub(crate) fn is_session() -> bool {
    SOCKET.load(Relaxed) >= 0
}

/// Returns whether this process is a child of [`fork_session`] that [`Child::let_go`] or [`Child::cut_off`] was called for.
#[must_use]
pub fn was_let_go() -> bool {
    LET_GO.load(Relaxed)
}

extern "C" fn asked_to_end(signal: libc::c_int) {
    // SAFETY: the socket stays open until this process ends, and the handler is installed in such a child only.
    let socket = unsafe { BorrowedFd::borrow_raw(SOCKET.load(Relaxed)) };
    keeping_errno(|| {
        LET_GO.fetch_or(matches!(signal, LET_GO_SIGNAL | RESET_SIGNAL), Relaxed);
        match signal {
            LET_GO_SIGNAL => abort_echo(socket),
            RESET_SIGNAL => reset(socket),
            _ => drop(rustix::net::shutdown(socket, Shutdown::Read)),
        }
    });
}

fn prepare_child(socket: BorrowedFd<'_>, parent: Pid) {
    SOCKET.store(socket.as_raw_fd(), Relaxed);
    for signal in 1..=64 {
        let (action, flags) = match signal {
            libc::SIGINT | libc::SIGHUP | libc::SIGQUIT if is_ignored(signal) => (libc::SIG_IGN, 0),
            libc::SIGTERM | libc::SIGINT | libc::SIGHUP | LET_GO_SIGNAL | RESET_SIGNAL => {
                (asked_to_end as *const () as libc::sighandler_t, libc::SA_RESTART)
            }
            libc::SIGALRM | libc::SIGUSR1 | libc::SIGUSR2 | libc::SIGPIPE => (libc::SIG_IGN, 0),
            _ => (libc::SIG_DFL, 0),
        };
        // SIGKILL, SIGSTOP and the two signals that the C library keeps for itself are refused (EINVAL) and stay as they are.
        // SAFETY: `asked_to_end` makes only async-signal-safe calls, and keeps errno.
        let _ = unsafe { set_action(signal, action, flags) };
    }
    SignalMask::empty().restore();
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    if rustix::process::getppid() != Some(parent) && rustix::process::getppid().is_some() {
        // The parent ended before the death signal was asked for.
        exit_now(0);
    }
    // SAFETY: `body` gets this socket only. Whatever else it can reach names a descriptor of the parent, and such a number
    // means nothing from now on (EBADF), because `allow_no_descriptors` follows.
    unsafe { close_all_but(socket) };
    allow_no_descriptors();
}

/// Makes every call fail that would make a descriptor, so that a number that was closed never means another file.
fn allow_no_descriptors() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Nofile, none);
}

/// Makes the process that `command` will start receive `signal` when the thread that starts it ends for any reason
/// (`PR_SET_PDEATHSIG`, prctl(2)). The setting survives execve(2), for example of a shell's `exec`, and not fork(2).
pub fn end_with_parent(command: &mut std::process::Command, signal: Signal) {
    use std::os::unix::process::CommandExt;
    let parent = rustix::process::getpid();
    let prepare = move || {
        rustix::process::set_parent_process_death_signal(Some(signal))?;
        // The parent may have ended before the signal was asked for.
        if rustix::process::getppid() != Some(parent) {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two system calls that are async-signal-safe, allocates nothing and
    // takes no lock.
    unsafe { command.pre_exec(prepare) };
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use rustix::net::{RecvFlags, recv};

    use super::*;
    use crate::signal::{Disposition, dispose};

    const PATIENCE: Duration = Duration::from_secs(60);

    fn connection() -> (TcpStream, OwnedFd) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0.into())
    }

    /// A child that waits for the end of its connection and exits with 3, or with 4 if it was let go.
    fn child() -> (TcpStream, Child) {
        let (client, socket) = connection();
        let body = |socket: BorrowedFd<'_>| {
            let mut byte = [0];
            while matches!(recv(socket, &mut byte, RecvFlags::empty()), Ok((1, _))) {}
            if was_let_go() { 4 } else { 3 }
        };
        (client, fork_session(socket, body).unwrap())
    }

    fn exit(child: &Child) -> Exit {
        let patience = Timespec { tv_sec: 60, tv_nsec: 0 };
        poll(&mut [PollFd::new(child, PollFlags::IN)], Some(&patience)).unwrap();
        child.reap().expect("the child ends")
    }

    #[test]
    fn a_child_ends_as_it_is_asked_to() {
        let (client, lives) = child();
        assert_eq!(lives.reap(), None);
        drop(client);
        assert_eq!(exit(&lives), Exit::Exited(3));
        for (end, wanted) in [
            (Child::terminate as fn(&Child), Exit::Exited(3)),
            (Child::let_go, Exit::Exited(4)),
            (Child::kill, Exit::Killed(libc::SIGKILL)),
        ] {
            let (_client, child) = child();
            end(&child);
            assert_eq!(exit(&child), wanted);
            // Somebody has reaped it.
            assert_eq!(child.reap(), Some(Exit::Unknown));
        }
    }

    #[test]
    fn a_child_that_is_cut_off_resets_an_idle_connection_and_has_ended() {
        let (client, child) = child();
        assert_eq!(cut_off(&child), Exit::Exited(4));
        assert_eq!(child.reap(), Some(Exit::Unknown));
        is_reset(client);
    }

    /// Cuts a child off and gives it all the time that it needs.
    fn cut_off(child: &Child) -> Exit {
        let mut exits = Vec::new();
        cut_off_within(PATIENCE, [child], |_, exit| exits.push(exit));
        exits[0]
    }

    fn is_reset(mut client: TcpStream) {
        let end = client.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
    }

    /// The child takes its time, and meanwhile signals interrupt the wait for it.
    #[test]
    fn a_signal_does_not_shorten_the_time_in_which_a_child_resets_its_connection() {
        dispose(libc::SIGUSR2, Disposition::Catch).unwrap();
        let (client, socket) = connection();
        let child = fork_session(socket, |socket| {
            let mask = SignalMask::block_all();
            let _ = rustix::thread::nanosleep(&Timespec { tv_sec: 0, tv_nsec: 200_000_000 });
            mask.restore();
            let _ = recv(socket, &mut [0], RecvFlags::empty());
            if was_let_go() { 4 } else { 3 }
        })
        .unwrap();
        let waiting = rustix::thread::gettid();
        let done = AtomicBool::new(false);
        let exit = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let (process, thread) = (rustix::process::getpid(), waiting);
                    let [process, thread] = [process, thread].map(|id| id.as_raw_nonzero().get());
                    // SAFETY: tgkill(2) has no precondition.
                    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR2) };
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let exit = cut_off(&child);
            done.store(true, Relaxed);
            exit
        });
        assert_eq!(exit, Exit::Exited(4));
        is_reset(client);
    }

    #[test]
    fn children_that_are_stopped_are_continued_and_reset_their_connections() {
        let stopped: Vec<_> = (0..20).map(|_| child()).collect();
        for (_, child) in &stopped {
            child.signal(Signal::STOP);
        }
        let mut exits = Vec::new();
        let children = stopped.iter().map(|(_, child)| child);
        cut_off_within(PATIENCE, children, |_, exit| exits.push(exit));
        assert_eq!(exits, [Exit::Exited(4); 20]);
        for (client, _) in stopped {
            is_reset(client);
        }
    }

    /// They share one deadline.
    #[test]
    fn children_that_do_not_end_are_killed_together() {
        let children: Vec<_> = (0..200).map(|_| sleeping_child()).collect();
        let (start, mut exits) = (Instant::now(), Vec::new());
        let limit = Duration::from_secs(1);
        cut_off_within(limit, &children, |_, exit| exits.push(exit));
        assert_eq!(exits, [Exit::Killed(libc::SIGKILL); 200]);
        // One after the other takes more than three minutes.
        let took = start.elapsed();
        assert!(took >= limit && took < limit * 100, "{took:?}");
    }

    #[test]
    fn a_child_that_does_not_end_is_killed_and_reaped() {
        let child = sleeping_child();
        child.cut_off();
        assert_eq!(child.reap(), Some(Exit::Unknown));
    }

    /// A child that resets its connection when it is asked to, and does not end.
    fn sleeping_child() -> Child {
        let body = |_: BorrowedFd<'_>| loop {
            let _ = rustix::thread::nanosleep(&Timespec { tv_sec: 60, tv_nsec: 0 });
        };
        fork_session(connection().1, body).unwrap()
    }
}
