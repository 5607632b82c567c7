//! `handler SIGNAL restart|norestart|default|ignore|wait|waitpid-loop`.

use rustix::process::Signal;
use tcpecho_os::signal::{Disposition, dispose};

use super::{Answer, Refusal, call};

pub(super) fn handle(signal: &str, what: &str) -> Answer {
    let signal = match signal {
        "SIGCHLD" => Signal::CHILD,
        "SIGUSR1" => Signal::USR1,
        "SIGUSR2" => Signal::USR2,
        "SIGTERM" => Signal::TERM,
        "SIGINT" => Signal::INT,
        "SIGHUP" => Signal::HUP,
        "SIGALRM" => Signal::ALARM,
        "SIGPIPE" => Signal::PIPE,
        _ => return Err(Refusal::Unknown),
    };
    let disposition = match what {
        "restart" => Disposition::CatchAndRestart,
        "norestart" => Disposition::Catch,
        "wait" => Disposition::CatchAndWait,
        "waitpid-loop" => Disposition::CatchAndWaitpid,
        "default" => Disposition::Default,
        "ignore" => Disposition::Ignore,
        _ => return Err(Refusal::Unknown),
    };
    call(dispose(signal.as_raw(), disposition))
}
