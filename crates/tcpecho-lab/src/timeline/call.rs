//! A system call of a traced program.

use std::fmt;
use std::sync::Arc;

use rustix::io::Errno;

/// A program enters or leaves a system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallMoment {
    /// The program's name.
    pub program: Arc<str>,
    /// The process or thread, by its number inside the host; `None` for the program's first.
    pub task: Option<i32>,
    /// The name of the kernel's call in section 2 of the manual: `accept4`, `recvfrom`. Empty for
    /// what an agent does in many calls, or in none: `arguments` describes it.
    pub name: &'static str,
    /// Its arguments in words, without parentheses.
    pub arguments: String,
    /// Whether it begins or ends, and the result.
    pub phase: Phase,
    /// Whether the result was injected: the call was not executed.
    pub injected: bool,
}

/// Whether a call begins or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It begins. A later moment of the same call has the rest.
    Enters,
    /// It is restarted after a signal.
    EntersAgain,
    /// It ends; its beginning was a moment of its own.
    Returns(Outcome),
    /// It begins and ends.
    Whole(Outcome),
}

/// The result of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It returned this; what it wrote elsewhere, in words, or nothing.
    Value(i64, String),
    /// It returned this, in words: an agent's call.
    Words(String),
    /// It failed.
    Failed(Errno),
    /// A signal interrupted it. Whether it is restarted or fails with EINTR depends on the signal's
    /// handler, and is known later.
    Interrupted,
    /// It does not return.
    Never,
}

impl CallMoment {
    /// The result; `None` when it begins.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.phase {
            Phase::Enters | Phase::EntersAgain => None,
            Phase::Returns(outcome) | Phase::Whole(outcome) => Some(outcome),
        }
    }

    /// Joins the beginning of a call with its end, if `next` is its end.
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
        if name.is_empty() {
            f.write_str(arguments)?;
        } else {
            write!(f, "{name}({arguments})")?;
        }
        match &self.phase {
            Phase::Returns(Outcome::Words(words)) | Phase::Whole(Outcome::Words(words))
                if name.is_empty() =>
            {
                write!(f, ": {words}")?;
            }
            Phase::Returns(outcome @ Outcome::Failed(_))
            | Phase::Whole(outcome @ Outcome::Failed(_))
                if name.is_empty() =>
            {
                write!(f, ":{}", outcome.to_string().trim_start_matches(" ="))?;
            }
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
            Outcome::Words(words) => write!(f, " = {words}"),
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
    fn a_blocking_call_has_two_moments_and_others_can_be_joined_into_one() {
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
    fn an_injected_call_is_marked() {
        let failed = Phase::Whole(Outcome::Failed(Errno::CONNABORTED));
        let call = CallMoment { injected: true, task: Some(2), ..accept(failed) };
        assert_eq!(call.to_string(), "[2] accept4(3) = ECONNABORTED (injected)");
        let interrupted = accept(Phase::Returns(Outcome::Interrupted));
        assert_eq!(interrupted.to_string(), "… accept4(3) is interrupted");
    }
}
