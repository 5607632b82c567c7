//! A file that a result will be written to: opened before the run, so that a path that cannot be written is
//! known before anything is measured, and left as it is until the result is there.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use tcpecho_os::{errno::io_words, text::printable};

use super::close;

/// A file for a result.
pub(crate) struct OutputFile {
    path: PathBuf,
    /// None for a named pipe, whose open(2) waits for a reader.
    file: Option<File>,
    /// It was not there before, and goes again if nothing is written.
    created: bool,
}

impl OutputFile {
    /// Opens it, or creates it empty.
    ///
    /// # Errors
    /// A sentence with the path.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let new = |file, created| Self { path: path.to_owned(), file, created };
        let is_pipe = path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
        if is_pipe {
            return Ok(new(None, false));
        }
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => Ok(new(Some(file), true)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // With `create` for a link to a file that is not there yet.
                let open = OpenOptions::new().write(true).create(true).truncate(false).open(path);
                open.map(|file| new(Some(file), false))
                    .map_err(|error| sentence("create", path, &error))
            }
            Err(error) => Err(sentence("create", path, &error)),
        }
    }

    /// The file, empty from now on.
    pub(crate) fn into_file(mut self) -> Result<File, String> {
        let file = self.file.take().map_or_else(|| File::create(&self.path), Ok);
        let file = file.and_then(|file| {
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            Ok(file)
        });
        file.map_err(|error| sentence("create", &self.path, &error))
    }

    /// Replaces what is in it.
    pub(crate) fn write(self, text: &str) -> Result<(), String> {
        let path = self.path.clone();
        let mut file = self.into_file()?;
        let written = file.write_all(text.as_bytes());
        written.map_err(|error| sentence("write", &path, &error))?;
        close(file).map_err(|errno| sentence("close", &path, &errno.into()))
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.created && self.file.is_some() {
            // Nothing was written to it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// What failed, with the path as a terminal may show it.
pub(crate) fn sentence(op: &str, path: &Path, error: &io::Error) -> String {
    format!("{op} {}: {}", printable(&path.display().to_string()), io_words(error))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_left_as_it_is_until_there_is_something_to_write() {
        let path = std::env::temp_dir().join(format!("tcpecho-output-{}", std::process::id()));
        let open = || OutputFile::open(&path).unwrap();
        drop(open());
        assert!(!path.exists());
        open().write("a result").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a result");
        drop(open());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a result");
        open().write("short").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "short");
        fs::remove_file(&path).unwrap();
        let nowhere = OutputFile::open(Path::new("/nowhere/at/\x1ball")).err().unwrap();
        assert!(nowhere.starts_with("create /nowhere/at/\\u{1b}all: "), "{nowhere}");
        assert!(OutputFile::open(Path::new("/")).is_err());
    }
}
