//! Finds what `tcpecho --version` says of the build: commit and target.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    let mut built = env::var("TARGET").unwrap_or_default();
    // Other profiles would be built again with every commit.
    if env::var("PROFILE").as_deref() == Ok("release") {
        // A build script runs in its package.
        if let Some(commit) = commit(Path::new(".")) {
            built = format!("{commit}, {built}");
        }
    } else {
        println!("cargo::rerun-if-changed=build.rs");
        built.push_str(", not optimized");
    }
    println!("cargo::rustc-env=TCPECHO_BUILT={built}");
}

/// Returns the commit of the package in `folder`, with a `+` if files were changed since.
pub(crate) fn commit(folder: &Path) -> Option<String> {
    packaged(folder).or_else(|| checked_out(folder))
}

/// The commit of a package, `.cargo_vcs_info.json`.
fn packaged(folder: &Path) -> Option<String> {
    println!("cargo::rerun-if-changed=build.rs");
    let info = fs::read_to_string(folder.join(".cargo_vcs_info.json")).ok()?;
    let (_, rest) = info.split_once("\"sha1\": \"")?;
    // cargo package --allow-dirty
    let changed = info.contains("\"dirty\": true");
    Some(marked(rest.get(..12)?, changed))
}

fn marked(commit: &str, changed: bool) -> String {
    format!("{commit}{}", if changed { "+" } else { "" })
}

/// The commit that is checked out, if git is installed and the repository is this workspace's: sources that were unpacked
/// inside of another repository are not of a commit of it.
fn checked_out(folder: &Path) -> Option<String> {
    let workspace = folder.join("../..").canonicalize().ok()?;
    let top = PathBuf::from(git(folder, &["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != workspace {
        return None;
    }
    git(folder, &["ls-files", "--error-unmatch", "Cargo.toml"])?;
    for watched in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(folder, &["rev-parse", "--git-path", watched]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    // What is built. A change makes the commit a changed one.
    let sources = ["crates", "Cargo.toml", "Cargo.lock"];
    for source in sources {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    let mut status = vec!["status", "--porcelain", "--"];
    status.extend(sources);
    let changes = git(&workspace, &status)?;
    let commit = git(folder, &["rev-parse", "--short=12", "HEAD"])?;
    Some(marked(&commit, !changes.is_empty()))
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    // Not the index of somebody who works in the repository meanwhile.
    let mut git = Command::new("git");
    let output =
        git.arg("--no-optional-locks").args(arguments).current_dir(folder).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
