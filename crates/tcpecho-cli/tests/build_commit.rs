//! Which commit `tcpecho --version` names (build.rs).

#[allow(dead_code, reason = "its main runs before the build")]
#[path = "../build.rs"]
mod build;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("build-commit-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]);
    git.args(["-c", "commit.gpgsign=false"]).args(arguments).current_dir(folder);
    let output = git.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn has_git() -> bool {
    let found = Command::new("git").arg("--version").output().is_ok();
    if !found {
        println!("SKIP: no git");
    }
    found
}

/// A workspace with a package, whose folder it returns.
fn workspace(root: &Path) -> PathBuf {
    let package = root.join("crates/tcpecho-cli");
    fs::create_dir_all(&package).unwrap();
    for file in [root.join("Cargo.toml"), root.join("Cargo.lock"), package.join("Cargo.toml")] {
        fs::write(file, "# a file\n").unwrap();
    }
    package
}

#[test]
fn a_changed_file_marks_the_commit() {
    if !has_git() {
        return;
    }
    let root = folder("changed");
    let package = workspace(&root);
    git(&root, &["init", "-q"]);
    git(&root, &["add", "."]);
    git(&root, &["commit", "-q", "-m", "all"]);
    let commit = git(&root, &["rev-parse", "--short=12", "HEAD"]);
    assert_eq!(build::commit(&package), Some(commit.clone()));
    fs::write(root.join("notes"), "not part of what is built").unwrap();
    assert_eq!(build::commit(&package), Some(commit.clone()));
    for changed in [root.join("Cargo.lock"), package.join("new.rs")] {
        let before = fs::read(&changed).ok();
        fs::write(&changed, "changed").unwrap();
        assert_eq!(build::commit(&package), Some(format!("{commit}+")), "{changed:?}");
        match before {
            Some(before) => fs::write(&changed, before).unwrap(),
            None => fs::remove_file(&changed).unwrap(),
        }
    }
    assert_eq!(build::commit(&package), Some(commit));
}

#[test]
fn sources_inside_of_another_repository_have_no_commit() {
    if !has_git() {
        return;
    }
    let other = folder("other");
    git(&other, &["init", "-q"]);
    fs::write(other.join("file"), "a file").unwrap();
    git(&other, &["add", "."]);
    git(&other, &["commit", "-q", "-m", "other"]);
    assert_eq!(build::commit(&workspace(&other.join("tcpecho"))), None);
    // Unpacked at its top.
    assert_eq!(build::commit(&workspace(&other)), None);
    // And kept there.
    git(&other, &["add", "."]);
    assert_eq!(build::commit(&workspace(&other.join("tcpecho"))), None);
}

#[test]
fn a_package_has_the_commit_that_it_was_made_of() {
    let package = folder("package");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for (dirty, wanted) in [("", "0123456789ab"), (",\n    \"dirty\": true", "0123456789ab+")] {
        let info = format!("{{\n  \"git\": {{\n    \"sha1\": \"{commit}\"{dirty}\n  }}\n}}");
        fs::write(package.join(".cargo_vcs_info.json"), info).unwrap();
        assert_eq!(build::commit(&package).as_deref(), Some(wanted));
    }
}
