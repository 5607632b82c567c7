//! How a program is to be started.

use crate::tracer::{Injection, Wanted, When};

use super::{CString, Errno, Failed, OsStr, OsStrExt, OsString, Path, PathBuf, Start};
use std::os::fd::BorrowedFd;

use tcpecho_lab_os::host_init::NotStarted;

/// A program to start: what to run, and how it differs from what the lab itself would see.
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
    /// A program and its arguments. Without a slash it is looked for in `PATH`; on the timeline it has its file's name.
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

    /// What it is called on the timeline.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Launch { name: name.into(), ..self }
    }

    /// Sets an environment variable; the others are the lab's.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Where it starts; else where the lab is.
    #[must_use]
    pub fn directory(self, directory: impl Into<PathBuf>) -> Self {
        Launch { directory: Some(directory.into()), ..self }
    }

    /// Refuse it ports below 1024, as to an ordinary user.
    #[must_use]
    pub fn with_ordinary_ports(self) -> Self {
        Launch { ordinary_ports: true, ..self }
    }

    /// Write its system calls to the timeline, and those of its threads and children: all that concern sockets, standard
    /// streams, waiting and processes. At each of these it stops twice for the tracer; all others run at full speed.
    #[must_use]
    pub fn observed(self) -> Self {
        Launch { observed: true, ..self }
    }

    /// Should it be observed: leave out what it reads and writes on its standard streams.
    #[must_use]
    pub fn without_streams(self) -> Self {
        Launch { without_streams: true, ..self }
    }

    /// Makes a call fail that is not even executed; what only the libraries tell apart, such as accept(2) and accept4(2),
    /// is one name. Whatever is made up is marked so on the timeline.
    #[must_use]
    pub fn inject(mut self, call: &str, when: When, errno: Errno) -> Self {
        self.injections.push(Injection::new(call, when, errno));
        self
    }

    /// What a tracer has to do, if there has to be one.
    pub(crate) fn wanted(&self, everybody_is: bool) -> Option<Wanted> {
        let calls = self.observed || everybody_is;
        let (streams, injections) = (!self.without_streams, self.injections.clone());
        let is_any = calls || !injections.is_empty();
        is_any.then_some(Wanted { calls, streams, injections })
    }

    /// Hands everything to `start`, in the form that the init wants.
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

    /// The attempt, for an error.
    pub(crate) fn failed(&self, why: NotStarted) -> Failed {
        let program =
            self.argv.first().map_or("nothing".into(), |program| program.to_string_lossy());
        match why {
            NotStarted::Failed(errno) => {
                Failed { operation: format!("start {program}").into(), errno }
            }
            // No errno says so; this is the one of the usual reason.
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

/// As execvp(3) looks for it.
fn find(program: &OsStr) -> Option<PathBuf> {
    use rustix::fs::{Access, access};
    if program.as_bytes().contains(&b'/') {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let mut candidates = std::env::split_paths(&path).map(|directory| directory.join(program));
    candidates.find(|file| file.is_file() && access(file, Access::EXEC_OK).is_ok())
}
