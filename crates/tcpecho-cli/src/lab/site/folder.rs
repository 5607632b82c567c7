//! The directory of a site: only one that is empty or that was made by the same command is written to.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use tcpecho_os::{errno::io_words, text::printable};

use crate::output::write_file;

/// Lists the files of a site, a name in each line; a directory that has it was made by this command.
const LIST: &str = ".tcpecho-lab-site";

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The files of the site that was there before.
    before: Vec<String>,
    /// It was not there before, and goes again if nothing is written.
    is_created: bool,
}

impl Folder {
    /// Looks at the directory, and writes nothing.
    ///
    /// # Errors
    /// A sentence if it cannot be read, is no directory, or has files of others.
    pub(super) fn look(path: &Path) -> Result<Self, String> {
        let new = |before| Folder { path: path.to_owned(), before, is_created: false };
        let mut entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(new(Vec::new())),
            Err(error) => return Err(sentence("open", path, &error)),
        };
        match fs::read_to_string(path.join(LIST)) {
            Ok(list) => {
                Ok(new(list.lines().filter(|name| is_ours(name)).map(Into::into).collect()))
            }
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(sentence("read", &path.join(LIST), &error))
            }
            Err(_) => match entries.next() {
                None => Ok(new(Vec::new())),
                Some(Ok(_)) => Err(format!(
                    "{} is not empty and was not made by lab site: give an empty directory, or one \
                     that does not exist",
                    printable(&path.display().to_string())
                )),
                Some(Err(error)) => Err(sentence("read", path, &error)),
            },
        }
    }

    /// Creates it if it does not exist.
    pub(super) fn create(&mut self) -> Result<(), String> {
        match fs::create_dir(&self.path) {
            Ok(()) => self.is_created = true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(sentence("mkdir", &self.path, &error)),
        }
        Ok(())
    }

    /// Writes the files, and removes those that the site before had and this one has not.
    pub(super) fn write(mut self, files: &[(String, String)]) -> Result<(), String> {
        self.is_created = false;
        // First, so that what is written only in part can be written again.
        let names = self.before.iter().chain(files.iter().map(|(name, _)| name));
        self.list(names)?;
        for (name, text) in files {
            write_file(&self.path.join(name), text.as_bytes())?;
        }
        for old in self.before.iter().filter(|old| files.iter().all(|(name, _)| name != *old)) {
            let path = self.path.join(old);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(sentence("unlink", &path, &error));
                }
                _ => {}
            }
        }
        self.list(files.iter().map(|(name, _)| name))
    }

    fn list<'a>(&self, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
        let list: String = names.flat_map(|name| [name.as_str(), "\n"]).collect();
        write_file(&self.path.join(LIST), list.as_bytes())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_created {
            // Nothing was written to it.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Whether it is a name that a site can have: what is in the list is removed, and anybody may have changed the list.
fn is_ours(name: &str) -> bool {
    let stem = name.strip_suffix(".html").unwrap_or_default();
    !stem.is_empty() && stem.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
}

fn sentence(op: &str, path: &Path, error: &io::Error) -> String {
    format!("{op} {}: {}", printable(&path.display().to_string()), io_words(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_directory_or_one_of_ours_is_written_to() {
        let path = std::env::temp_dir().join(format!("tcpecho-site-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let file = |name: &str| (name.to_owned(), format!("text of {name}"));
        let mut folder = Folder::look(&path).unwrap();
        folder.create().unwrap();
        assert!(path.is_dir());
        drop(folder);
        assert!(!path.exists());

        let mut folder = Folder::look(&path).unwrap();
        folder.create().unwrap();
        folder.write(&[file("index.html"), file("old.html")]).unwrap();
        fs::write(path.join("mine.txt"), "kept").unwrap();
        fs::write(path.join(LIST), "index.html\nold.html\n../x.html\n/etc/passwd\nmine.txt\n")
            .unwrap();
        let folder = Folder::look(&path).unwrap();
        assert_eq!(folder.before, ["index.html", "old.html"]);
        folder.write(&[file("index.html"), file("new.html")]).unwrap();
        assert!(path.join("new.html").exists() && !path.join("old.html").exists());
        assert_eq!(fs::read_to_string(path.join("mine.txt")).unwrap(), "kept");

        fs::remove_file(path.join(LIST)).unwrap();
        let refused = Folder::look(&path).unwrap_err();
        assert!(refused.contains("is not empty"), "{refused}");
        let refused = Folder::look(&path.join("mine.txt")).unwrap_err();
        assert!(refused.contains("mine.txt: Not a directory (ENOTDIR)"), "{refused}");
        fs::remove_dir_all(&path).unwrap();
    }
}
