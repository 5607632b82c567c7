//! How to start a program.

use crate::tracer::{Injection, Wanted, When};

use super::{CString, Errno, Failed, OsStr, OsStrExt, OsString, Path, PathBuf, Start};
use std::os::fd::BorrowedFd;

use tcpecho_lab_os::host_init::NotStarted;

/// A program to start, and how its environment differs from that of the lab.
#[derive(Debug, Clone)]
pub struct Launch {
    pub(crate) name: String,
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    ordinary_ports: bool,
    observed: bool,
    without_streams: bool,
    injections: Vec<Injection>,
}

impl Launch {
    /// A program and its arguments. A name without a slash is looked up in `PATH`; the timeline
    /// calls it by its file name.
    #[must_use]
    pub fn new<S: AsRef<OsStr>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv: Vec<OsString> = argv.into_iter().map(|arg| arg.as_ref().into()).collect();
        let file = argv.first().and_then(|program| Path::new(program).file_name());
        let name = file.map_or(String::new(), |file| file.to_string_lossy().into_owned());
        Launch {
            name,
            argv,
            env: Vec::new(),
            directory: None,
            ordinary_ports: false,
            observed: false,
            without_streams: false,
            injections: Vec::new(),
        }
    }

    /// Sets its name on the timeline.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Launch { name: name.into(), ..self }
    }

    /// Sets an environment variable; all others are the lab's.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Sets its working directory; the default is the lab's.
    #[must_use]
    pub fn directory(self, directory: impl Into<PathBuf>) -> Self {
        Launch { directory: Some(directory.into()), ..self }
    }

    /// Removes the privilege to bind ports below 1024, as for an ordinary user.
    #[must_use]
    pub fn with_ordinary_ports(self) -> Self {
        Launch { ordinary_ports: true, ..self }
    }

    /// Records its system calls, and those of its threads and children: all that concern sockets,
    /// standard streams, waiting and processes. It stops twice for the tracer at each of these; all
    /// others run at full speed.
    #[must_use]
    pub fn observed(self) -> Self {
        Launch { observed: true, ..self }
    }

    /// Does not record its reads and writes of the standard streams.
    #[must_use]
    pub fn without_streams(self) -> Self {
        Launch { without_streams: true, ..self }
    }

    /// Injects a result into a call, which is not executed; names that only libraries distinguish,
    /// such as accept(2) and accept4(2), are one. An injected result is marked on the timeline.
    #[must_use]
    pub fn inject(mut self, call: &str, when: When, errno: Errno) -> Self {
        self.injections.push(Injection::new(call, when, errno));
        self
    }

    /// What a tracer must do, if one is needed.
    pub(crate) fn wanted(&self, everybody_is: bool) -> Option<Wanted> {
        let calls = self.observed || everybody_is;
        let (streams, injections) = (!self.without_streams, self.injections.clone());
        let is_any = calls || !injections.is_empty();
        is_any.then_some(Wanted { calls, streams, injections })
    }

    /// Passes everything to `start`, in the form that the init needs.
    pub(crate) fn with(
        &self,
        id: u32,
        stdio: [BorrowedFd<'_>; 3],
        gate: Option<BorrowedFd<'_>>,
        start: impl FnOnce(&Start<'_>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let program = self.argv.first().ok_or(Errno::INVAL)?;
        let path = text(find(program).ok_or(Errno::NOENT)?.as_os_str())?;
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let directory = text(self.directory.as_ref().unwrap_or(&here).as_os_str())?;
        let argv = self.argv.iter().map(|arg| text(arg)).collect::<Result<Vec<_>, _>>()?;
        let env = self.environment()?;
        let (path, directory, ordinary_ports) = (&*path, &*directory, self.ordinary_ports);
        start(&Start { id, path, argv: &argv, env: &env, directory, ordinary_ports, stdio, gate })
    }

    fn environment(&self) -> Result<Vec<CString>, Errno> {
        let ours = |key: &OsStr| self.env.iter().any(|(other, _)| other == key);
        let inherited = std::env::vars_os().filter(|(key, _)| !ours(key));
        let variables = inherited.chain(self.env.iter().cloned()).map(|(mut variable, value)| {
            variable.push("=");
            variable.push(value);
            text(&variable)
        });
        variables.collect()
    }

    /// The operation, for an error.
    pub(crate) fn failed(&self, why: NotStarted) -> Failed {
        let program =
            self.argv.first().map_or("nothing".into(), |program| program.to_string_lossy());
        match why {
            NotStarted::Failed(errno) => {
                Failed { operation: format!("start {program}").into(), errno }
            }
            // No errno tells the reason; this is the one of the usual reason.
            NotStarted::DescriptorsLost => Failed {
                operation: format!("start {program}: pass its standard streams to the host").into(),
                errno: Errno::MFILE,
            },
        }
    }
}

fn text(text: &OsStr) -> Result<CString, Errno> {
    CString::new(text.as_bytes()).map_err(|_| Errno::INVAL)
}

/// Looks it up as execvp(3) does.
fn find(program: &OsStr) -> Option<PathBuf> {
    use rustix::fs::{Access, access};
    if program.as_bytes().contains(&b'/') {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let mut candidates = std::env::split_paths(&path).map(|directory| directory.join(program));
    candidates.find(|file| file.is_file() && access(file, Access::EXEC_OK).is_ok())
}
