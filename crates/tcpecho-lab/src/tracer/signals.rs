//! Whether a signal would have any effect on a program that is not traced.

/// The signals of a thread in `/proc/PID/status`: bit N - 1 is signal N.
#[derive(Debug, Default, Clone, Copy)]
struct Masks {
    pending: u64,
    blocked: u64,
    ignored: u64,
    caught: u64,
}

/// Whether the kernel would have discarded this signal if the thread were not traced, and no signal
/// with a handler is pending.
pub(super) fn is_idle(tid: i32, signal: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status"));
    status.is_ok_and(|status| masks(&status).is_idle(signal))
}

fn masks(status: &str) -> Masks {
    let mut masks = Masks::default();
    for line in status.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = u64::from_str_radix(value.trim(), 16).unwrap_or(0);
        match name {
            "SigPnd" | "ShdPnd" => masks.pending |= value,
            "SigBlk" => masks.blocked = value,
            "SigIgn" => masks.ignored = value,
            "SigCgt" => masks.caught = value,
            _ => {}
        }
    }
    masks
}

impl Masks {
    fn is_idle(self, signal: i32) -> bool {
        let bit = 1_u64.checked_shl(signal.wrapping_sub(1).cast_unsigned()).unwrap_or(0);
        let by_default = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
        let ignored = self.ignored & bit != 0 || by_default.contains(&signal);
        ignored && self.caught & bit == 0 && self.pending & self.caught & !self.blocked == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_without_a_handler_that_does_nothing_is_idle() {
        let status = |caught: u64, pending: u64| {
            format!(
                "Name:\tx\nSigPnd:\t{pending:016x}\nSigBlk:\t0\nSigIgn:\t1000\nSigCgt:\t{caught:x}\n"
            )
        };
        let idle = |signal, caught, pending| masks(&status(caught, pending)).is_idle(signal);
        assert!(idle(libc::SIGCHLD, 0, 0));
        assert!(idle(libc::SIGPIPE, 0, 0), "it is in SigIgn");
        assert!(!idle(libc::SIGCHLD, 1 << (libc::SIGCHLD - 1), 0));
        assert!(!idle(libc::SIGTERM, 0, 0));
        assert!(!idle(libc::SIGCHLD, 1 << (libc::SIGUSR1 - 1), 1 << (libc::SIGUSR1 - 1)));
    }
}
