//! The ways to make a laboratory, its captures, and making it repeatedly.

use std::process::Command;

mod common;
use common::*;
use tcpecho_lab::doctor::{self, Way};
use tcpecho_lab::host::Cable;

#[test]
fn the_doctor_reports_each_way_as_working_or_why_not() {
    for finding in doctor::examine() {
        match &finding.failed {
            None => eprintln!("{}: open", finding.way.words()),
            Some(failed) => eprintln!("{}: {failed}; {:?}", finding.way.words(), finding.ways_out),
        }
        let works = TwoHosts::new(&Options::default());
        assert!(finding.way != Way::RootTun || finding.failed.is_none() == works.is_ok());
    }
}

#[test]
fn a_wire_of_veth_pairs_carries_whole_packets() {
    for family in Family::BOTH {
        let options = Options { family, cable: Cable::Veth, ..Options::default() };
        let two = match TwoHosts::new(&options) {
            Ok(two) => two,
            Err(failed) => return eprintln!("SKIP: {failed}"),
        };
        let lab = Lab { two, family };
        let (client, server) = lab.connected();
        assert_eq!(client.ask("send 100000 bytes", PATIENCE).unwrap(), "ok 100000");
        // A longer line of output would be cut.
        let mut received = 0;
        while received < 100_000 {
            let said = server.ask("recv 20000", PATIENCE).unwrap();
            received += said.split(' ').nth(1).unwrap().parse::<usize>().unwrap();
        }
        for moment in lab.packets() {
            let bytes = moment.packet.bytes();
            assert!(
                bytes.len() <= 1500 && tcpecho_lab::packet::are_right(bytes),
                "{}",
                moment.line
            );
        }
        lab.two.wire.add(Rule::new(Matcher::data(), Action::Corrupt).once());
        assert_eq!(client.ask("send hello", PATIENCE).unwrap(), "ok 5");
        assert_eq!(server.ask("recv 5", PATIENCE).unwrap(), "ok 5 hello");
        assert_eq!(lab.two.server.counter("Tcp.InCsumErrors").unwrap(), 1);
    }
}

#[test]
fn an_ordinary_user_can_make_a_laboratory() {
    use std::os::unix::process::CommandExt;
    let tests = std::env::current_exe().unwrap();
    let example = tests.parent().unwrap().with_file_name("examples").join("handshake");
    // In a place that the user can read, whatever the mode of our own directories.
    let copy = std::env::temp_dir().join(format!("tcpecho-lab-handshake-{}", std::process::id()));
    // Were it written in this process, a child that another test forks meanwhile would keep it open for writing, and
    // execve(2) would fail with ETXTBSY.
    let install = || Command::new("install").args(["-m", "755"]).args([&example, &copy]).status();
    if !rustix::process::geteuid().is_root() || !install().is_ok_and(|status| status.success()) {
        return eprintln!("SKIP: not root, or the example is not built");
    }
    let run = Command::new(&copy).uid(65534).gid(65534).current_dir("/").output();
    std::fs::remove_file(&copy).unwrap();
    let run = match run {
        Ok(run) => run,
        Err(error) => return eprintln!("SKIP: that user cannot run {}: {error}", copy.display()),
    };
    let said =
        [run.stdout, run.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    eprintln!("{said}");
    assert!(run.status.success() || run.status.code() == Some(77), "{said}");
    assert!(run.status.code() == Some(77) || said.contains("user namespace, "), "{said}");
}

#[test]
fn tcpdump_reads_the_capture() {
    Lab::with(Family::V4, |lab| {
        lab.two.wire.add(Rule::drop(Matcher::syn()).once().because("on purpose"));
        let _connected = lab.connected();
        let file = std::env::temp_dir().join(format!("tcpecho-lab-{}.pcapng", std::process::id()));
        // A late packet may arrive while the capture is written.
        let before = lab.packets().len();
        let output = std::fs::File::create(&file).unwrap();
        tcpecho_lab::pcapng::write(&lab.two.timeline, output).unwrap();
        let after = lab.packets().len();
        let bytes = std::fs::read(&file).unwrap();
        let read = Command::new("tcpdump").arg("-nr").arg(&file).output();
        std::fs::remove_file(&file).unwrap();
        let comment = b"from client, dropped: on purpose";
        assert!(bytes.windows(comment.len()).any(|part| part == comment));
        assert!(bytes.len().is_multiple_of(4));
        let Ok(read) = read else { return eprintln!("SKIP: no tcpdump") };
        let text = String::from_utf8_lossy(&read.stdout);
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        assert!((before..=after).contains(&text.lines().count()), "{before} to {after}: {text}");
        assert!(text.contains("192.0.2.10") && text.contains("[S.]"), "{text}");
    });
}

/// The speed is printed only; it depends on the machine.
#[test]
fn two_hosts_can_be_made_repeatedly() {
    Lab::with(Family::V4, |_| {
        let mut times: Vec<_> = (0..10)
            .map(|_| {
                let start = Instant::now();
                let two = TwoHosts::new(&Options::default()).unwrap();
                let made = start.elapsed();
                drop(two);
                (made, start.elapsed())
            })
            .collect();
        times.sort_unstable();
        eprintln!("made, made and ended: {:?} … {:?}", times[0], times[9]);
    });
}
