//! A limit on threads (RLIMIT_NPROC): a server that is ready says so also where nothing more can be started, and one that
//! cannot have its threads does not start.

use std::process::Command;

use rustix::process::geteuid;

use crate::common::{server::refused_command, *};

/// `tcpecho serve` where there can be so many threads and processes: as a user without privileges, for whom the limit
/// holds, in a user namespace, where nobody else's are counted (Linux 5.14).
fn limited(threads: usize, engine: &str) -> Command {
    let as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let alone = ["unshare", "--user", "--map-root-user", "prlimit"];
    let words =
        if geteuid().is_root() { [&as_nobody[..], &alone].concat() } else { alone.to_vec() };
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(format!("--nproc={threads}")).arg(program());
    command.args(["serve", "-l", "127.0.0.1:0", "--engine", engine]);
    command
}

/// Whether the limit can be set and holds here; SKIP where not.
fn can_limit() -> bool {
    let trial = limited(1000, "list").output();
    if !trial.as_ref().is_ok_and(|trial| trial.status.success()) {
        eprintln!(
            "SKIP: nobody cannot run the program in a user namespace (setpriv, unshare, prlimit): {trial:?}"
        );
        return false;
    }
    // One thread is too few for any engine.
    let ended = limited(1, "epoll").arg("--idle-timeout=1ms").output().unwrap();
    if ended.status.code() != Some(2) {
        eprintln!("SKIP: RLIMIT_NPROC does not hold in a user namespace here: {ended:?}");
        return false;
    }
    true
}

fn threads(server: &Serving) -> usize {
    let tasks = format!("/proc/{}/task", server.pid().as_raw_nonzero());
    std::fs::read_dir(tasks).unwrap().count()
}

#[test]
fn a_server_is_ready_with_the_threads_it_needs_and_not_without() {
    if !can_limit() {
        return;
    }
    for engine in engines() {
        let needed = threads(&Serving::start(engine, somewhere(), &[]));
        let server = Serving::run(&mut limited(needed, engine));
        assert_eq!(threads(&server), needed);
        // These start something for each client.
        if engine == "fork" || engine == "thread" {
            assert!(!answers(&mut server.connects()), "{engine}");
            server.says("ending=limit");
        } else {
            visits(server.addr());
        }
        server.stops().with(0).says("counters");
        refused_command(&mut limited(needed - 1, engine)).with(2).says("(EAGAIN)");
    }
}
