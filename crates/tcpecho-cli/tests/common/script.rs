//! Programs under test, written in Python.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python program in a file of its own.
pub(crate) struct Script(PathBuf);

impl Script {
    /// Prints SKIP and returns nothing where there is no Python.
    pub(crate) fn new(name: &str, text: &str) -> Option<Self> {
        if Command::new("python3").arg("--version").output().is_err() {
            println!("SKIP no python3");
            return None;
        }
        let file = std::env::temp_dir().join(format!("tcpecho-{}-{name}", std::process::id()));
        std::fs::write(&file, text).unwrap();
        Some(Script(file))
    }

    pub(crate) fn as_client(&self) -> String {
        format!("python3 '{}' {{host}} {{port}}", self.0.display())
    }

    pub(crate) fn as_server(&self) -> String {
        format!("python3 '{}' {{port}}", self.0.display())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
