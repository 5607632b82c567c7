//! The lab run by an ordinary user: in a user namespace, with a TUN device that users can open and
//! without one.
//!
//! The tests must be root to become another user, and to show that user a device node with another
//! mode.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder that all users can read, with a copy of the program in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self, std::io::Error> {
        let path = std::env::temp_dir().join(format!("tcpecho-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        let folder = Folder(path);
        readable(&folder.0)?;
        // Were it written in this process, a child that another test forks meanwhile would keep it open for writing, and
        // execve(2) would fail with ETXTBSY.
        let mut copy = Command::new("install");
        copy.args(["-m", "755", env!("CARGO_BIN_EXE_tcpecho")]).arg(folder.program());
        if !copy.status()?.success() {
            return Err(std::io::Error::other("install(1) failed"));
        }
        Ok(folder)
    }

    fn program(&self) -> PathBuf {
        self.0.join("tcpecho")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn readable(path: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

/// Runs `tcpecho lab` with these arguments as uid 65534; root runs `before` first, in a mount
/// namespace of its own.
fn as_nobody(folder: &Folder, before: &str, words: &str) -> Option<Output> {
    let program = folder.program();
    let become_nobody = "exec setpriv --reuid=65534 --regid=65534 --clear-groups";
    let script = format!("{before}cd / && {become_nobody} '{}' lab {words}", program.display());
    Command::new("unshare").args(["-m", "sh", "-c", &script]).output().ok()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}

/// Some scenarios hold for an ordinary user whose doctor reports this way as working.
fn plays(name: &str, before: &str, way: &str) {
    if !rustix::process::geteuid().is_root() {
        return println!("SKIP: only root can become somebody else");
    }
    let folder = Folder::new(name).unwrap();
    let before = before.replace("FOLDER", &folder.0.display().to_string());
    let Some(doctor) = as_nobody(&folder, &before, "doctor") else {
        return println!("SKIP: unshare(1) is not installed");
    };
    let findings = said(&doctor);
    let available = findings.split("Not available:").next().unwrap();
    if !available.contains(way) {
        return println!("SKIP: there is no lab with {way} here: {findings}");
    }
    assert!(!available.contains("root, TUN devices"), "{findings}");
    let scenarios = "normal-startup server-process-killed server-host-crashes segment-corrupted";
    let run = as_nobody(&folder, &before, &format!("run {scenarios} --family both")).unwrap();
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert!(said(&run).contains("8 of 8 passed"), "{}", said(&run));
}

#[test]
fn with_a_tun_device_that_users_may_open() {
    let before = "{ test -e FOLDER/tun || mknod FOLDER/tun c 10 200; } && chmod 666 FOLDER/tun && \
                  mount --bind FOLDER/tun /dev/net/tun && ";
    plays("user-tun", before, "user namespace, TUN devices");
}

#[test]
fn without_a_tun_device_veth_pairs_do() {
    let before = "mount --bind /dev/null /dev/net/tun 2>/dev/null; ";
    plays("user-veth", before, "user namespace, veth pairs");
}
