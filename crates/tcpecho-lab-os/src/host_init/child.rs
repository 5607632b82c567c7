//! The init's main loop, and how its children execute programs. Everything here runs in a copied process: it neither
//! allocates nor locks, and a panic only ends the process.

use std::ffi::{CStr, c_char};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitOptions, pidfd_send_signal, wait};

use super::message::{Answer, Header, receive, send};
use super::start::{LONGEST_START, NotStarted};
use crate::exec_gate;
use tcpecho_os::errno::last_errno;
use tcpecho_os::fork::{clone_process, close_all_but, reset_dispositions, reset_signals};

/// The init's memory, allocated before the copy is made.
pub(super) struct Memory {
    text: Vec<u8>,
    pointers: Vec<*const c_char>,
}

impl Memory {
    /// The most arguments and variables together.
    const STRINGS: usize = 8192;

    pub(super) fn new() -> Self {
        Memory { text: vec![0; LONGEST_START], pointers: vec![std::ptr::null(); Self::STRINGS + 2] }
    }
}

/// The init's body. It returns, and the kernel kills the whole host with it, when the lab's end of `socket` is closed or a
/// call fails that it cannot do without: the lab sees both as a host that is off.
pub(super) fn run(socket: BorrowedFd<'_>, name: &[u8], memory: &mut Memory) -> i32 {
    // SAFETY: this is a copy of the lab with one thread, which uses no descriptor but `socket` and only makes system calls.
    unsafe {
        close_all_but(socket);
        reset_dispositions();
    }
    let _ = rustix::process::setsid();
    let _ = rustix::system::sethostname(name);
    for _ in 0..3 {
        occupy_lowest_descriptor();
    }
    match child_signals().and_then(|signals| work(signals.as_fd(), socket, memory)) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

/// Reaps and answers until the lab's end of `socket` is closed. Any error but EINTR and EAGAIN is the end: a call that will
/// never work again would otherwise be tried for ever, at full speed.
fn work(signals: BorrowedFd<'_>, socket: BorrowedFd<'_>, memory: &mut Memory) -> Result<(), Errno> {
    loop {
        let mut ready = [
            PollFd::from_borrowed_fd(signals, PollFlags::IN),
            PollFd::from_borrowed_fd(socket, PollFlags::IN),
        ];
        retry_on_intr(|| poll(&mut ready, None))?;
        let [ended, asked] = [0, 1].map(|row: usize| ready[row].revents());
        if !ended.is_empty() {
            reap(signals, socket)?;
        }
        if asked.is_empty() {
            continue;
        }
        match receive(socket, &mut memory.text) {
            Ok((0, _)) | Err(Errno::CONNRESET | Errno::PIPE) => return Ok(()),
            Ok((length, descriptors)) => answer(socket, length, descriptors, memory)?,
            Err(Errno::AGAIN) if !asked.contains(PollFlags::HUP) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Takes the lowest free descriptor. With 0, 1 and 2 taken, no descriptor that the init receives has such a number.
fn occupy_lowest_descriptor() {
    use rustix::fs::{Mode, OFlags, open};
    if let Ok(null) = open(c"/dev/null", OFlags::RDWR, Mode::empty()) {
        std::mem::forget(null);
    }
}

/// A descriptor that is readable when a child has ended (signalfd(2)); the signal itself stays blocked.
fn child_signals() -> Result<OwnedFd, Errno> {
    // SAFETY: an all-zero sigset_t is the empty set on Linux; the calls read and write the set only.
    let fd = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if fd < 0 {
        return Err(last_errno());
    }
    // SAFETY: the descriptor is new and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn reap(signals: BorrowedFd<'_>, socket: BorrowedFd<'_>) -> Result<(), Errno> {
    // One signal may stand for many ends; the descriptor is emptied first and then everybody asked.
    match rustix::io::read(signals, &mut [0_u8; 128]) {
        Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
        Err(errno) => return Err(errno),
    }
    loop {
        match retry_on_intr(|| wait(WaitOptions::NOHANG)) {
            Ok(Some((pid, status))) => {
                let pid = pid.as_raw_nonzero().get();
                tell(socket, Answer::Ended { pid, status: status.as_raw() }, &[])?;
            }
            Ok(None) | Err(Errno::CHILD) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
}

/// Sends an answer. Fails if the lab is gone; any other failure ends the init, too, since the lab would wait for ever.
fn tell(
    socket: BorrowedFd<'_>,
    answer: Answer,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    send(socket, &[IoSlice::new(&answer.to_bytes())], descriptors)
}

/// Answers one message of the lab.
fn answer(
    socket: BorrowedFd<'_>,
    length: usize,
    descriptors: [Option<OwnedFd>; 4],
    memory: &mut Memory,
) -> Result<(), Errno> {
    let header = Header::from_bytes(&memory.text[..length]).ok_or(Errno::BADMSG)?;
    let started = match descriptors {
        [Some(input), Some(output), Some(error), gate] => {
            start(socket, header, length, memory, &[input, output, error], gate)
        }
        _ => Err(NotStarted::DescriptorsLost),
    };
    match started {
        Ok((pid, pidfd)) => tell(socket, Answer::Started { id: header.id, pid }, &[pidfd.as_fd()]),
        Err(why) => tell(socket, Answer::NotStarted { id: header.id, errno: why.number() }, &[]),
    }
}

fn start(
    socket: BorrowedFd<'_>,
    header: Header,
    length: usize,
    memory: &mut Memory,
    stdio: &[OwnedFd; 3],
    gate: Option<OwnedFd>,
) -> Result<(i32, OwnedFd), NotStarted> {
    let program = Exec::find(header, length, memory)?;
    if header.gated && gate.is_none() {
        return Err(NotStarted::DescriptorsLost);
    }
    let (said, say) = pipe_with(PipeFlags::CLOEXEC)?;
    let in_the_child = || {
        let errno = match gate.as_ref().map_or(Ok(()), exec_gate::wait_for_permission) {
            Ok(()) => program.become_it(header.ordinary_ports, stdio),
            Err(errno) => errno,
        };
        let _ = rustix::io::write(&say, &errno.raw_os_error().to_ne_bytes());
        127
    };
    // SAFETY: no flags. The body makes system calls only, on memory that the init was given, and shares nothing.
    let child = unsafe { clone_process(0, libc::SIGCHLD, in_the_child) }?;
    drop((say, gate));
    let mut errno = [0; 4];
    let heard = readable_while_connected(said.as_fd(), socket)
        .and_then(|()| retry_on_intr(|| rustix::io::read(&said, &mut errno)));
    let failed = match heard {
        // End of file: the pipe was closed by a successful execve.
        Ok(0) => return Ok(child),
        Ok(4) => Errno::from_raw_os_error(i32::from_ne_bytes(errno)),
        Ok(_) => Errno::BADMSG,
        Err(errno) => errno,
    };
    // After an error of read(2) it is unknown whether execve(2) has succeeded: the program must not run unnoticed.
    let _ = pidfd_send_signal(&child.1, Signal::KILL);
    Err(failed.into())
}

/// Waits until `from` is readable; fails with `EPIPE` if the lab is gone.
fn readable_while_connected(from: BorrowedFd<'_>, socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut ready = [
        PollFd::from_borrowed_fd(from, PollFlags::IN),
        PollFd::from_borrowed_fd(socket, PollFlags::empty()),
    ];
    retry_on_intr(|| poll(&mut ready, None))?;
    if ready[0].revents().is_empty() { Err(Errno::PIPE) } else { Ok(()) }
}

/// The strings of a program to start, as pointers into the init's memory.
struct Exec {
    path: *const c_char,
    directory: *const c_char,
    arguments: *const *const c_char,
    variables: *const *const c_char,
}

impl Exec {
    fn find(header: Header, length: usize, memory: &mut Memory) -> Result<Self, Errno> {
        let (arguments, variables) = (header.arguments as usize, header.variables as usize);
        if arguments.saturating_add(variables) > Memory::STRINGS || arguments == 0 {
            return Err(Errno::TOOBIG);
        }
        let mut rest = memory.text.get(Header::SIZE..length).ok_or(Errno::BADMSG)?;
        let mut next = || {
            let string = CStr::from_bytes_until_nul(rest).map_err(|_| Errno::BADMSG)?;
            rest = &rest[string.count_bytes() + 1..];
            Ok::<_, Errno>(string.as_ptr())
        };
        let (path, directory) = (next()?, next()?);
        let (argv, others) = memory.pointers.split_at_mut(arguments + 1);
        let envp = &mut others[..=variables];
        for list in [&mut *argv, &mut *envp] {
            let (end, strings) = list.split_last_mut().ok_or(Errno::BADMSG)?;
            for string in strings {
                *string = next()?;
            }
            *end = std::ptr::null();
        }
        Ok(Exec { path, directory, arguments: argv.as_ptr(), variables: envp.as_ptr() })
    }

    /// Calls execve(2), in the child. Returns only the errno of a failure.
    fn become_it(&self, ordinary_ports: bool, stdio: &[OwnedFd; 3]) -> Errno {
        let _ = rustix::process::setsid();
        // SAFETY: the process has one thread, and these are plain system calls. The four pointers come from `find`, which made
        // NUL-ended strings and NULL-ended lists of them in memory that outlives the calls.
        unsafe {
            reset_signals();
            if ordinary_ports {
                const CAP_NET_BIND_SERVICE: libc::c_ulong = 10;
                libc::prctl(libc::PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE, 0, 0, 0);
            }
            for (number, descriptor) in (0..).zip(stdio) {
                if libc::dup2(descriptor.as_raw_fd(), number) < 0 {
                    return last_errno();
                }
            }
            if libc::chdir(self.directory) < 0 {
                return last_errno();
            }
            libc::execve(self.path, self.arguments, self.variables);
        }
        last_errno()
    }
}
