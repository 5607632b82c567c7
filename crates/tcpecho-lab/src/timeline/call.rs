//! A system call of a program, as seen from outside.

use std::fmt;
use std::sync::Arc;

use rustix::io::Errno;

/// A program enters or leaves a system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallMoment {
    /// Which program.
    pub program: Arc<str>,
    /// Which of its processes or threads, by its number inside the host; `None`: the program's first.
    pub task: Option<i32>,
    /// The call's name in section 2 of the manual, of its kernel form: `accept4`, `recvfrom`.
    pub name: &'static str,
    /// What it was given, in words, without parentheses.
    pub arguments: String,
    /// Whether it begins or ends.
    pub phase: Phase,
    /// Whether the result was made up: the call was not executed.
    pub injected: bool,
}

/// Whether a call begins or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It begins. A later moment of the same call tells the rest.
    Enters,
    /// It begins a second time, after a signal.
    EntersAgain,
    /// It ends, and had a moment when it began.
    Returns(Outcome),
    /// It begins and ends.
    Whole(Outcome),
}

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It returned this; what it wrote elsewhere, in words, or nothing.
    Value(i64, String),
    /// It failed.
    Failed(Errno),
    /// A signal interrupted it. Whether it starts again or fails with EINTR depends on the signal's handler, and comes
    /// to light later.
    Interrupted,
    /// It does not return.
    Never,
}

impl CallMoment {
    /// What it came to; `None` when it begins.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.phase {
            Phase::Enters | Phase::EntersAgain => None,
            Phase::Returns(outcome) | Phase::Whole(outcome) => Some(outcome),
        }
    }

    /// If `self` begins the call that `next` ends: both in one.
    #[must_use]
    pub fn joined_with(&self, next: &CallMoment) -> Option<CallMoment> {
        let same = (&self.program, self.task, self.name, &self.arguments)
            == (&next.program, next.task, next.name, &next.arguments);
        match &next.phase {
            Phase::Returns(outcome) if same && self.phase == Phase::Enters => {
                Some(CallMoment { phase: Phase::Whole(outcome.clone()), ..next.clone() })
            }
            _ => None,
        }
    }
}

impl fmt::Display for CallMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CallMoment { name, arguments, .. } = self;
        if matches!(self.phase, Phase::Returns(_)) {
            f.write_str("… ")?;
        }
        if let Some(task) = self.task {
            write!(f, "[{task}] ")?;
        }
        write!(f, "{name}({arguments})")?;
        match &self.phase {
            Phase::Enters => f.write_str(" …")?,
            Phase::EntersAgain => f.write_str(" … starts again")?,
            Phase::Returns(outcome) | Phase::Whole(outcome) => write!(f, "{outcome}")?,
        }
        f.write_str(if self.injected { " (injected)" } else { "" })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Value(value, detail) if detail.is_empty() => write!(f, " = {value}"),
            Outcome::Value(value, detail) => write!(f, " = {value} {detail}"),
            Outcome::Failed(errno) => match tcpecho_os::errno::name(*errno) {
                Some(name) => write!(f, " = {name}"),
                None => write!(f, " = errno {}", errno.raw_os_error()),
            },
            Outcome::Interrupted => f.write_str(" is interrupted"),
            Outcome::Never => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(phase: Phase) -> CallMoment {
        let (program, arguments) = (Arc::from("server"), "3".into());
        CallMoment { program, task: None, name: "accept4", arguments, phase, injected: false }
    }

    #[test]
    fn a_call_that_waits_has_two_moments_and_one_that_does_not_can_be_told_in_one() {
        let outcome = || Outcome::Value(4, "from 192.0.2.10:7".into());
        let (begins, ends) = (accept(Phase::Enters), accept(Phase::Returns(outcome())));
        assert_eq!(begins.to_string(), "accept4(3) …");
        assert_eq!(ends.to_string(), "… accept4(3) = 4 from 192.0.2.10:7");
        let whole = begins.joined_with(&ends).unwrap();
        assert_eq!(whole.to_string(), "accept4(3) = 4 from 192.0.2.10:7");
        let other = CallMoment { task: Some(12), ..ends };
        assert_eq!(begins.joined_with(&other), None);
    }

    #[test]
    fn what_was_injected_is_said_to_be() {
        let failed = Phase::Whole(Outcome::Failed(Errno::CONNABORTED));
        let call = CallMoment { injected: true, task: Some(2), ..accept(failed) };
        assert_eq!(call.to_string(), "[2] accept4(3) = ECONNABORTED (injected)");
        let interrupted = accept(Phase::Returns(Outcome::Interrupted));
        assert_eq!(interrupted.to_string(), "… accept4(3) is interrupted");
    }
}
