//! The servers that are compared: our engines, and a minimal C epoll echo as the measure.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A server, and how many connections it is meant to serve at once.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) crowd: usize,
}

pub(crate) const BASELINE: &str = "c_epoll";

/// What the ratios are taken to when the baseline cannot be had.
pub(crate) const SECOND_BASELINE: &str = "epoll";

/// A process or a thread for each connection: more than this many is not what they are for.
const BLOCKING: usize = 1000;

pub(crate) const ENGINES: &[(&str, usize)] = &[
    ("iterative", 1),
    ("fork", BLOCKING),
    ("thread", BLOCKING),
    ("epoll", usize::MAX),
    ("uring", usize::MAX),
];

impl Peer {
    pub(crate) fn engine(name: &str, crowd: usize) -> Self {
        let program = env!("CARGO_BIN_EXE_tcpecho");
        let line = [program, "serve", "-l", "127.0.0.1:0", "--engine", name, "--log", "off"];
        Self { name: name.to_owned(), command: line.map(str::to_owned).to_vec(), crowd }
    }

    /// Compiles the baseline; the error is why it cannot be had.
    pub(crate) fn baseline() -> Result<Self, String> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/engines/c_epoll.c");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(BASELINE);
        let status = Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(source).status();
        match status {
            Err(error) => Err(format!("cc: {error}")),
            Ok(status) if !status.success() => Err(format!("cc: {status}")),
            Ok(_) => Ok(Self {
                name: BASELINE.to_owned(),
                command: vec![program.to_string_lossy().into_owned()],
                crowd: usize::MAX,
            }),
        }
    }

    /// A command of words without quotes.
    pub(crate) fn other(name: &str, command: &str) -> Self {
        let command = command.split_whitespace().map(str::to_owned).collect();
        Self { name: name.to_owned(), command, crowd: usize::MAX }
    }

    /// Its name and its command, without the folder it was built in.
    pub(crate) fn describe(&self) -> String {
        let program = self.command.first().map(Path::new).and_then(Path::file_name);
        let program = program.unwrap_or_default().to_string_lossy();
        let arguments = self.command.get(1..).unwrap_or_default().join(" ");
        format!("{}: `{}`", self.name, format!("{program} {arguments}").trim_end())
    }

    /// Where its standard error goes, to be quoted when it does not start.
    pub(crate) fn stderr(&self) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.stderr", self.name))
    }
}
