//! Traces another process's system calls (ptrace(2)): it stops before and after a call, and at each signal.
//!
//! It stops only for those calls that [`crate::system_call`] names, by a filter (seccomp(2)) that says SECCOMP_RET_TRACE to
//! them: all others, of which a program's start has thousands, run at full speed.
//!
//! Tracing belongs to a thread: [`Tracees`] stay in the thread that made them, and it waits for its own only, so no
//! child of the program around it is ever taken (`__WNOTHREAD`). When that thread ends, however, the tracees are killed
//! (`PTRACE_O_EXITKILL`): nothing is left stopped for ever.
//!
//! Only x86-64 and ARM64 are supported; elsewhere [`Tracees::seize`] returns `ENOSYS`.

use std::marker::PhantomData;

use rustix::io::Errno;

use tcpecho_os::errno::last_errno;
use tcpecho_os::failed::Failed;
use tcpecho_os::fork::clone_process;
use tcpecho_os::process::Exit;

use crate::system_call::ARCHITECTURE;

/// The tracees of one thread. It cannot leave the thread.
#[derive(Debug)]
pub struct Tracees(PhantomData<*const ()>);

/// Why a tracee stopped, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It enters or leaves a system call.
    SystemCall,
    /// A signal is about to be delivered.
    Signal(i32),
    /// It was stopped by a signal (SIGSTOP and its like), with its whole process; [`Tracees::stay`] leaves it so.
    Stopped,
    /// It has become another program (execve(2)).
    Executed,
    /// Something else: it was just made, has made a child, or was continued. Resume it.
    Other,
    /// It has ended, and was reaped as far as the tracer is concerned; its parent still may.
    Ended(Exit),
}

/// Where in a system call a tracee stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Before the call.
    Enters {
        /// Which call, by this machine's numbers.
        number: i64,
        /// Its arguments.
        arguments: [u64; 6],
    },
    /// After the call.
    Leaves {
        /// Its result; below zero, a negated errno or one of the kernel's restart codes, [`is_restart`].
        value: i64,
        /// The address where the program continues.
        instruction: u64,
    },
    /// In no call, or in one of another architecture (a 32-bit program's).
    Elsewhere,
}

/// Returns whether a result is one of the kernel's codes for a call that a signal interrupted and that may be restarted: ERESTARTSYS, ERESTARTNOINTR,
/// ERESTARTNOHAND and ERESTART_RESTARTBLOCK. No program ever sees them.
#[must_use]
pub fn is_restart(value: i64) -> bool {
    matches!(-value, 512..=514 | 516)
}

impl Tracees {
    /// Traces nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Tracees(PhantomData)
    }

    /// Attaches to a process without stopping it (`PTRACE_SEIZE`), and to the threads and children that it makes from now on. It
    /// stops first at its next execve(2) ([`Event::Executed`]).
    ///
    /// # Errors
    /// `EPERM` if it is traced already or may not be (Yama, a container's seccomp filter, other rights), `ESRCH`,
    /// `ENOSYS` on a machine that is not known here.
    pub fn seize(&self, pid: i32) -> Result<(), Errno> {
        if ARCHITECTURE == 0 {
            return Err(Errno::NOSYS);
        }
        let options = libc::PTRACE_O_TRACESYSGOOD
            | libc::PTRACE_O_TRACEFORK
            | libc::PTRACE_O_TRACEVFORK
            | libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACEEXEC
            | libc::PTRACE_O_TRACESECCOMP
            | libc::PTRACE_O_EXITKILL;
        request(libc::PTRACE_SEIZE, pid, options as usize)
    }

    /// Waits until something happens to a tracee; `None` when there is none left.
    ///
    /// # Errors
    /// Those of waitpid(2), except `EINTR` and `ECHILD`.
    pub fn wait(&self) -> Result<Option<(i32, Event)>, Errno> {
        let mut status = 0;
        loop {
            // SAFETY: the call only writes the status.
            let pid =
                unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
            if pid > 0 {
                return Ok(Some((pid, event_of(status))));
            }
            match last_errno() {
                Errno::INTR => {}
                Errno::CHILD => return Ok(None),
                errno => return Err(errno),
            }
        }
    }

    /// Resumes a tracee until the next call of interest; a `signal` above 0 is delivered to it.
    ///
    /// # Errors
    /// `ESRCH` if it was killed in the meantime; [`Tracees::wait`] reports its end.
    pub fn go_on(&self, tid: i32, signal: i32) -> Result<(), Errno> {
        request(libc::PTRACE_CONT, tid, signal as usize)
    }

    /// Resumes a tracee until it leaves the call that it is in; a `signal` above 0 is delivered to it.
    ///
    /// # Errors
    /// As [`Tracees::go_on`].
    pub fn go_on_to_return(&self, tid: i32, signal: i32) -> Result<(), Errno> {
        request(libc::PTRACE_SYSCALL, tid, signal as usize)
    }

    /// Leaves a stopped tracee stopped until SIGCONT comes.
    ///
    /// # Errors
    /// As [`Tracees::go_on`].
    pub fn stay(&self, tid: i32) -> Result<(), Errno> {
        request(libc::PTRACE_LISTEN, tid, 0)
    }

    /// Returns where a tracee stopped, after [`Event::SystemCall`] (`PTRACE_GET_SYSCALL_INFO`).
    ///
    /// # Errors
    /// As [`Tracees::go_on`]; `EIO` before Linux 5.3.
    pub fn position(&self, tid: i32) -> Result<Position, Errno> {
        let mut info = Info::default();
        let size = size_of::<Info>();
        let place = (&raw mut info).expose_provenance();
        // SAFETY: the request takes the size of `info` and its address, which lives through the call; all its fields are integers.
        unsafe { request_with(GET_SYSCALL_INFO, tid, size, place) }?;
        Ok(match info.operation {
            _ if info.architecture != ARCHITECTURE => Position::Elsewhere,
            1 | 3 => {
                let [number, arguments @ .., _] = info.rest;
                Position::Enters { number: number.cast_signed(), arguments }
            }
            2 => Position::Leaves {
                value: info.rest[0].cast_signed(),
                instruction: info.instruction,
            },
            _ => Position::Elsewhere,
        })
    }

    /// Makes the kernel skip the call that a tracee is about to make. Set its result with [`Tracees::set_result`] when the
    /// tracee leaves the call.
    ///
    /// # Errors
    /// As [`Tracees::go_on`].
    pub fn skip_call(&self, tid: i32) -> Result<(), Errno> {
        machine::skip_call(tid)
    }

    /// Changes the result of the call that a tracee leaves.
    ///
    /// # Errors
    /// As [`Tracees::go_on`].
    pub fn set_result(&self, tid: i32, value: i64) -> Result<(), Errno> {
        machine::change(tid, |registers| registers[machine::RESULT] = value.cast_unsigned())
    }

    /// Makes a tracee repeat `call`, which failed with `EINTR`, after the signal at which it stopped. `instruction` is where the
    /// program continues after the call. Returns false, and does nothing, if the tracee is not there.
    ///
    /// # Errors
    /// As [`Tracees::go_on`].
    pub fn make_again(
        &self,
        tid: i32,
        call: (i64, [u64; 6]),
        instruction: u64,
    ) -> Result<bool, Errno> {
        let mut stands_there = false;
        machine::change(tid, |registers| {
            let interrupted = i64::from(Errno::INTR.raw_os_error()).wrapping_neg().cast_unsigned();
            stands_there = registers[machine::INSTRUCTION] == instruction
                && registers[machine::RESULT] == interrupted;
            if stands_there {
                registers[machine::RESULT] = machine::result_before(call.0, call.1);
                registers[machine::INSTRUCTION] -= machine::CALL_LENGTH;
            }
        })?;
        Ok(stands_there)
    }
}

impl Default for Tracees {
    fn default() -> Self {
        Tracees::new()
    }
}

/// Reads another process's memory (process_vm_readv(2)). Returns fewer bytes if not all can be read.
#[must_use]
pub fn read_memory(pid: i32, address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0_u8; length];
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: length };
    let base = std::ptr::without_provenance_mut::<libc::c_void>(address as usize);
    let remote = libc::iovec { iov_base: base, iov_len: length };
    // SAFETY: `local` describes our own buffer; `remote` is only looked at in the other process, by the kernel, which
    // says EFAULT where there is nothing.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    bytes.truncate(usize::try_from(read).unwrap_or(0));
    bytes
}

/// PTRACE_GET_SYSCALL_INFO, and what it fills (linux/ptrace.h).
const GET_SYSCALL_INFO: libc::c_uint = 0x420e;

#[derive(Default)]
#[repr(C)]
struct Info {
    operation: u8,
    padding: [u8; 3],
    architecture: u32,
    instruction: u64,
    stack: u64,
    /// Entering: number and arguments. Leaving: the value, and whether it is an error.
    rest: [u64; 8],
}

fn event_of(status: i32) -> Event {
    if libc::WIFEXITED(status) {
        return Event::Ended(Exit::Exited(libc::WEXITSTATUS(status)));
    }
    if libc::WIFSIGNALED(status) {
        return Event::Ended(Exit::Killed(libc::WTERMSIG(status)));
    }
    let stops = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    match (libc::WSTOPSIG(status), status >> 16) {
        (signal, 0) if signal == libc::SIGTRAP | 0x80 => Event::SystemCall,
        (signal, 0) => Event::Signal(signal),
        (signal, libc::PTRACE_EVENT_STOP) if stops.contains(&signal) => Event::Stopped,
        (_, libc::PTRACE_EVENT_SECCOMP) => Event::SystemCall,
        (_, libc::PTRACE_EVENT_EXEC) => Event::Executed,
        _ => Event::Other,
    }
}

/// Makes a request that neither reads nor writes memory of this process: `data` is a number.
fn request(request: libc::c_uint, tid: i32, data: usize) -> Result<(), Errno> {
    // SAFETY: the callers' requests take no pointer. They change the tracee, which is another process.
    unsafe { request_with(request, tid, 0, data) }
}

/// # Safety
/// If the request takes an address of this process, `data` is that of a live object of the size and kind that the kernel
/// expects for it.
unsafe fn request_with(
    request: libc::c_uint,
    tid: i32,
    address: usize,
    data: usize,
) -> Result<(), Errno> {
    // SAFETY: the kernel changes nothing of this process but what `data` points to, which the caller answers for.
    let done =
        unsafe { libc::syscall(libc::SYS_ptrace, request as libc::c_long, tid, address, data) };
    if done < 0 { Err(last_errno()) } else { Ok(()) }
}

/// Values in which any bytes are valid, so that the kernel may fill them.
///
/// # Safety
/// The type has no padding and no invalid bit pattern.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe trait Registers {}

// SAFETY: arrays of integers.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe impl<const N: usize> Registers for [u64; N] {}
// SAFETY: an integer.
#[cfg(target_arch = "aarch64")]
unsafe impl Registers for i32 {}

/// Reads or writes one of a stopped tracee's sets of registers (`PTRACE_GETREGSET`, `PTRACE_SETREGSET`); as much of it as
/// `registers` has room for.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn register_set<T: Registers>(
    which: libc::c_uint,
    tid: i32,
    set: usize,
    registers: &mut T,
) -> Result<(), Errno> {
    let mut part =
        libc::iovec { iov_base: std::ptr::from_mut(registers).cast(), iov_len: size_of::<T>() };
    // SAFETY: both requests take an iovec, which names `registers` with its size; any bytes are valid there.
    unsafe { request_with(which, tid, set, (&raw mut part).expose_provenance()) }
}

#[cfg(target_arch = "x86_64")]
mod machine {
    //! struct user_regs_struct (sys/user.h), as numbers.
    use super::{Errno, register_set};

    /// rax.
    pub(super) const RESULT: usize = 10;
    /// orig_rax.
    const NUMBER: usize = 15;
    /// rip.
    pub(super) const INSTRUCTION: usize = 16;
    /// The instruction `syscall`.
    pub(super) const CALL_LENGTH: u64 = 2;

    pub(super) fn result_before(number: i64, _arguments: [u64; 6]) -> u64 {
        number.cast_unsigned()
    }

    pub(super) fn skip_call(tid: i32) -> Result<(), Errno> {
        change(tid, |registers| registers[NUMBER] = u64::MAX)
    }

    pub(super) fn change(tid: i32, change: impl FnOnce(&mut [u64; 27])) -> Result<(), Errno> {
        let mut registers = [0; 27];
        let set = libc::NT_PRSTATUS as usize;
        register_set(libc::PTRACE_GETREGSET, tid, set, &mut registers)?;
        change(&mut registers);
        register_set(libc::PTRACE_SETREGSET, tid, set, &mut registers)
    }
}

#[cfg(target_arch = "aarch64")]
mod machine {
    //! struct user_pt_regs (asm/ptrace.h), as numbers: x0 to x30, sp, pc, pstate.
    use super::{Errno, register_set};

    pub(super) const RESULT: usize = 0;
    pub(super) const INSTRUCTION: usize = 32;
    /// The instruction `svc`.
    pub(super) const CALL_LENGTH: u64 = 4;
    const NT_ARM_SYSTEM_CALL: usize = 0x404;

    /// x0 is the first argument before the call and the result after it.
    pub(super) fn result_before(_number: i64, arguments: [u64; 6]) -> u64 {
        arguments[0]
    }

    pub(super) fn skip_call(tid: i32) -> Result<(), Errno> {
        register_set(libc::PTRACE_SETREGSET, tid, NT_ARM_SYSTEM_CALL, &mut -1_i32)
    }

    pub(super) fn change(tid: i32, change: impl FnOnce(&mut [u64; 34])) -> Result<(), Errno> {
        let mut registers = [0; 34];
        let set = libc::NT_PRSTATUS as usize;
        register_set(libc::PTRACE_GETREGSET, tid, set, &mut registers)?;
        change(&mut registers);
        register_set(libc::PTRACE_SETREGSET, tid, set, &mut registers)
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod machine {
    use super::Errno;

    pub(super) const RESULT: usize = 0;
    pub(super) const INSTRUCTION: usize = 0;
    pub(super) const CALL_LENGTH: u64 = 0;

    pub(super) fn result_before(_number: i64, _arguments: [u64; 6]) -> u64 {
        0
    }

    pub(super) fn skip_call(_tid: i32) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    pub(super) fn change(_tid: i32, _change: impl FnOnce(&mut [u64; 1])) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }
}

/// Tests whether a child of this process can be traced.
///
/// # Errors
/// Those of [`Tracees::seize`] and clone(2).
pub fn probe() -> Result<(), Failed> {
    use rustix::process::{Signal, pidfd_send_signal};
    let tried = std::thread::scope(|scope| {
        let attempt = || {
            let (waits, holds) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
                .map_err(Failed::at("pipe"))?;
            // SAFETY: no flags. The body makes one system call on memory of its own stack.
            let child = unsafe {
                clone_process(0, 0, || {
                    // The other end is closed when the copy of it here is the only one left.
                    let _ = rustix::io::read(&waits, &mut [0_u8; 1]);
                    0
                })
            };
            let (pid, pidfd) = child.map_err(Failed::at("clone"))?;
            let tracees = Tracees::new();
            let seized = tracees.seize(pid).map_err(Failed::at("ptrace(PTRACE_SEIZE)"));
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            // It is a child and a tracee of this thread; either way it is reaped here.
            while let Ok(Some((tid, event))) = tracees.wait() {
                if !matches!(event, Event::Ended(_)) {
                    let _ = tracees.go_on(tid, 0);
                }
            }
            drop(holds);
            seized
        };
        let thread = std::thread::Builder::new().spawn_scoped(scope, attempt);
        thread.map(std::thread::ScopedJoinHandle::join)
    });
    match tried {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => Err(Failed::at_io("start a thread")(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_becomes_an_event() {
        let stop = |signal: i32, event: i32| event_of(event << 16 | signal << 8 | 0x7f);
        assert_eq!(stop(libc::SIGTRAP | 0x80, 0), Event::SystemCall);
        assert_eq!(stop(libc::SIGCHLD, 0), Event::Signal(libc::SIGCHLD));
        assert_eq!(stop(libc::SIGSTOP, libc::PTRACE_EVENT_STOP), Event::Stopped);
        assert_eq!(stop(libc::SIGTRAP, libc::PTRACE_EVENT_STOP), Event::Other);
        assert_eq!(stop(libc::SIGTRAP, libc::PTRACE_EVENT_FORK), Event::Other);
        assert_eq!(stop(libc::SIGTRAP, libc::PTRACE_EVENT_SECCOMP), Event::SystemCall);
        assert_eq!(stop(libc::SIGTRAP, libc::PTRACE_EVENT_EXEC), Event::Executed);
        assert_eq!(event_of(7 << 8), Event::Ended(Exit::Exited(7)));
        assert_eq!(event_of(9), Event::Ended(Exit::Killed(9)));
    }

    #[test]
    fn memory_is_read_as_far_as_it_goes() {
        let text = b"hello";
        let me = rustix::process::getpid().as_raw_pid();
        assert_eq!(read_memory(me, text.as_ptr().addr() as u64, 5), text);
        assert_eq!(read_memory(me, 8, 5), b"");
    }

    #[test]
    fn only_the_kernels_own_marks_are_restarts() {
        assert!([-512, -513, -514, -516].into_iter().all(is_restart));
        assert!(![0, 5, 512, -4, -515].into_iter().any(is_restart));
    }

    /// In a process of its own, since other tests have children, too.
    #[test]
    fn a_probe_leaves_no_child() {
        const ALONE: &str = "TCPECHO_TEST_ALONE";
        if std::env::var_os(ALONE).is_none() {
            let alone = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["ptrace::tests::a_probe_leaves_no_child", "--exact", "--nocapture"])
                .env(ALONE, "1")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&alone.stdout);
            assert!(said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&alone.stderr));
            said.lines()
                .filter(|line| line.starts_with("SKIP"))
                .for_each(|line| println!("{line}"));
            return;
        }
        let entries = |folder: &str| std::fs::read_dir(folder).unwrap().flatten();
        let descriptors = || entries("/proc/self/fd").count();
        let children = || {
            let lists = entries("/proc/self/task")
                .map(|task| std::fs::read_to_string(task.path().join("children")).unwrap());
            lists.collect::<String>()
        };
        assert_eq!(children(), "");
        let before = descriptors();
        if let Err(failed) = probe() {
            println!("\nSKIP: {failed}");
        }
        // Zombies are listed, too.
        assert_eq!((children(), descriptors()), (String::new(), before));
    }
}
