//! `handler SIGNAL restart|norestart|default|ignore|wait|waitpid-loop`, `disposition SIGNAL`.

use rustix::process::Signal;
use tcpecho_os::signal::{Current, Disposition, current, dispose};

use super::{Answer, Refusal, call};

pub(super) fn handle(signal: &str, what: &str) -> Answer {
    let disposition = match what {
        "restart" => Disposition::CatchAndRestart,
        "norestart" => Disposition::Catch,
        "wait" => Disposition::CatchAndWait,
        "waitpid-loop" => Disposition::CatchAndWaitpid,
        "default" => Disposition::Default,
        "ignore" => Disposition::Ignore,
        _ => return Err(Refusal::Unknown),
    };
    call(dispose(named(signal)?.as_raw(), disposition))
}

pub(super) fn disposition(signal: &str) -> Answer {
    Ok(match current(named(signal)?.as_raw())? {
        Current::Default => "SIG_DFL".into(),
        Current::Ignored => "SIG_IGN".into(),
        Current::Caught => "handler".into(),
    })
}

fn named(signal: &str) -> Result<Signal, Refusal> {
    Ok(match signal {
        "SIGCHLD" => Signal::CHILD,
        "SIGUSR1" => Signal::USR1,
        "SIGUSR2" => Signal::USR2,
        "SIGTERM" => Signal::TERM,
        "SIGINT" => Signal::INT,
        "SIGHUP" => Signal::HUP,
        "SIGALRM" => Signal::ALARM,
        "SIGPIPE" => Signal::PIPE,
        "SIGURG" => Signal::URG,
        "SIGKILL" => Signal::KILL,
        "SIGSTOP" => Signal::STOP,
        _ => return Err(Refusal::Unknown),
    })
}
