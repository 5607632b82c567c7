//! Nothing is left after a normal exit, nor after the lab itself is killed.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

mod common;
use common::*;

const ROLE: &str = "TCPECHO_LAB_TEST_ROLE";

/// Not a test: the tests below run it in a process of its own.
#[test]
fn victim() {
    match std::env::var(ROLE).as_deref() {
        Ok(role @ ("is killed" | "is killed while it observes")) => Lab::with(Family::V4, |lab| {
            if role.contains("observes") {
                lab.two.observe_calls();
            }
            let _alive = (busy(&lab, Side::Client), busy(&lab, Side::Server), lab.connected());
            println!("pids {}", numbers(&lab));
            // Until it is killed, or the test that would kill it has gone.
            let _ = std::io::stdin().read_line(&mut String::new());
        }),
        Ok("ends well") => Lab::with(Family::V4, |lab| {
            let before = (threads(), descriptors());
            let two = TwoHosts::new(&Options::default()).unwrap();
            if tcpecho_lab::doctor::try_observing().is_ok() {
                two.observe_calls();
            }
            let mut inner = Lab { two, family: Family::V4 };
            let programs = (busy(&inner, Side::Server), inner.connected());
            inner.two.client.reboot().unwrap();
            let pids = numbers(&inner);
            drop(inner);
            println!("pids {pids}");
            drop(programs);
            // A joined thread is still in /proc for a moment; one of before may have been so, too.
            let end = Instant::now() + PATIENCE;
            let is_more = || threads() > before.0 || descriptors() > before.1;
            while is_more() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(!is_more(), "{:?} was {before:?}", (threads(), descriptors()));
            drop(lab);
        }),
        _ => {}
    }
}

/// A program with a child and a grandchild that it does not wait for.
fn busy(lab: &Lab, side: Side) -> Program {
    let script = "(sh -c 'sleep 1000 & echo up; sleep 1000' &) ; sleep 1000";
    let program = lab.two.host(side).program(["/bin/sh", "-c", script]).unwrap();
    assert_eq!(program.next_line(PATIENCE).unwrap(), "up");
    program
}

/// All processes in the hosts' networks.
fn numbers(lab: &Lab) -> String {
    let networks: BTreeSet<_> = Side::BOTH
        .iter()
        .map(|side| {
            lab.two.host(*side).run(|| std::fs::read_link("/proc/thread-self/ns/net").unwrap())
        })
        .map(Result::unwrap)
        .collect();
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let network = std::fs::read_link(entry.path().join("ns/net"));
        network.is_ok_and(|network| networks.contains(&network))
    });
    let pids: Vec<_> = pids.map(|entry| entry.file_name().into_string().unwrap()).collect();
    pids.join(" ")
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The process, its further output, and the processes of its hosts.
fn victim_that(role: &str) -> (Child, impl Iterator<Item = String>, Option<Vec<String>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture", "--test-threads", "1"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let pids = lines.find_map(|line| {
        let (_, pids) = line.split_once("pids ")?;
        Some(pids.split_whitespace().map(Into::into).collect())
    });
    (child, lines, pids)
}

/// A descriptor for each, readable when the process has exited; none for those that have gone
/// already.
fn opened(pids: &[String]) -> Vec<OwnedFd> {
    let number = |pid: &String| Pid::from_raw(pid.parse().unwrap()).unwrap();
    let opened = pids.iter().map(|pid| pidfd_open(number(pid), PidfdFlags::empty()));
    opened.filter_map(Result::ok).collect()
}

fn all_gone(pids: &[String]) -> bool {
    // A zombie of another parent is not ours to reap, and does not count as a process.
    let alive = |pid: &String| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    !pids.iter().any(alive)
}

#[test]
fn after_sigkill_of_the_lab_all_its_processes_are_gone() {
    all_are_gone_when_it("is killed");
}

/// Its tracees, too: no process stays stopped because its tracer is gone.
#[test]
fn after_sigkill_of_a_tracing_lab_all_its_processes_are_gone() {
    match tcpecho_lab::doctor::try_observing() {
        Ok(()) => all_are_gone_when_it("is killed while it observes"),
        Err(failed) => eprintln!("SKIP: {failed}"),
    }
}

fn all_are_gone_when_it(role: &str) {
    let (mut lab, _lines, pids) = victim_that(role);
    let Some(pids) = pids else {
        lab.wait().unwrap();
        return eprintln!("SKIP: no laboratory here");
    };
    assert!(pids.len() >= 2 * 5 + 2, "{pids:?}");
    let processes = opened(&pids);
    lab.kill().unwrap();
    lab.wait().unwrap();
    let patience = Timespec::try_from(PATIENCE).unwrap();
    for process in &processes {
        let mut watched = [PollFd::new(process, PollFlags::IN)];
        let ended = retry_on_intr(|| poll(&mut watched, Some(&patience))).unwrap();
        assert_eq!(ended, 1, "still there: {pids:?}");
    }
}

#[test]
fn after_a_normal_exit_no_process_thread_or_descriptor_is_left() {
    let (mut lab, lines, pids) = victim_that("ends well");
    let Some(pids) = pids else {
        lab.wait().unwrap();
        return eprintln!("SKIP: no laboratory here");
    };
    // Printed after the exit, so no waiting is needed.
    assert!(all_gone(&pids), "{pids:?}");
    let rest: Vec<_> = lines.collect();
    assert!(lab.wait().unwrap().success(), "{rest:?}");
}
