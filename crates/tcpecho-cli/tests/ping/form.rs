//! The habits of ping(8), and the line of fping.

use std::{process::Command, time::Duration};

use crate::{
    common::{
        Serving, has,
        peers::{deserted, echo},
        program, somewhere,
    },
    support::*,
};

#[test]
fn what_is_not_understood_exits_with_2() {
    for args in [
        &["-c", "0"][..],
        &["-i", "soon"],
        &["-s", "0"],
        &["-s", "17M"],
        &["-W", "0"],
        &["127.0.0.1:0"],
        &["-4", "-6"],
        &["-6", "-I", "127.0.0.1"],
        &["9877"],
        &["1.2.3"],
        &["0x7f.1"],
        &["127.0.0.1", "127.0.0.2", "9877"],
        &["127.0.0.1:7", "9877"],
        &["127.0.0.1", "70000"],
        &["-I", "no-such-if"],
        &["-C", "3", "-c", "3"],
        &["--plot"],
        &["--idle-sweep", "--size-sweep"],
        &["--size-sweep", "1k"],
        &["--idle-sweep", "5s"],
    ] {
        let ended = ping(args);
        ended.with(2);
        assert!(!ended.stderr.is_empty(), "{args:?}");
    }
    ping(&["--size-sweep", "1k"])
        .says("write the limit of --size-sweep after \"=\": --size-sweep=1k");
}

#[test]
fn a_name_without_an_address_does_not_keep_the_others_from_being_probed() {
    let server = Serving::start("epoll", somewhere(), &[]);
    let ended = ping_to(server.addr(), &["-c", "1", "no-such-host.invalid"]);
    ended.with(3).shows("1 received").says("tcpecho: resolve-failed");
    ping_to(server.addr(), &["--size-sweep=64", "no..name"]).with(3).shows("64 bytes pass");
}

#[test]
fn a_deadline_ends_it() {
    let ended = ping(&["-w", "1", "-i", "0.05"]);
    ended.with(0).shows("seq=2 time=");
    assert!(ended.took >= Duration::from_secs(1) && ended.took < Duration::from_secs(20));
}

#[test]
fn with_a_deadline_the_count_is_of_answers() {
    // Every other probe is lost.
    let lossy = || answering(|number, probe| Some(probe.repeat(number % 2)));
    let ended = ping_to(lossy(), &["-c", "3", "-w", "30", "-i", "0.05", "-W", "100ms"]);
    ended.with(0).shows("seq=5 time=");
    // So many do not come back in time.
    let ended = ping_to(lossy(), &["-c", "1000000", "-w", "1.5", "-i", "0.05"]);
    ended.with(1).shows("seq=3 time=");
}

#[test]
fn quiet_has_a_summary_only_and_dates_stand_in_front() {
    let ended = ping(&["-c", "2", "-i", "0.02", "-q"]);
    ended.with(0).hides("seq=").shows("PING 127.0.0.1:").shows("2 received, 0% loss");

    let ended = ping(&["-c", "2", "-i", "0.02", "-D"]);
    let line = ended.with(0).stdout.iter().find(|line| line.contains("seq=1")).unwrap();
    let date = line.strip_prefix('[').unwrap().split_once("] 64 bytes from ").unwrap().0;
    assert!(humantime::parse_rfc3339(date).is_ok() && date.ends_with('Z'), "{line}");
}

#[test]
fn flood_and_adapt_wait_for_the_answer() {
    for pace in ["-f", "-A"] {
        let ended = ping(&[pace, "-c", "300", "-q"]);
        ended.with(0).shows("300 probes transmitted, 300 received, 0% loss");
    }
    // An interval is the least then.
    let ended = ping(&["-A", "-i", "0.1", "-c", "5", "-q"]);
    ended.with(0);
    assert!(ended.took >= Duration::from_millis(400), "{:?}", ended.took);
}

#[test]
fn a_steady_pace_keeps_its_time() {
    // Twenty intervals of 25 ms; an answer that takes 20 ms delays none of them.
    let addr = answering(|_, probe| {
        std::thread::sleep(Duration::from_millis(20));
        Some(probe.to_vec())
    });
    let ended = ping_to(addr, &["-c", "21", "-i", "25ms", "--json"]);
    let report = ended.with(0).object();
    let spent = report["duration_us"].as_f64().unwrap();
    assert!(spent >= 520_000.0, "{report}");
    assert!(report["targets"][0]["time"]["min_us"].as_f64().unwrap() >= 20_000.0, "{report}");
}

#[test]
fn a_source_may_be_an_address_or_an_interface() {
    let server = Serving::start("epoll", somewhere(), &[]);
    let ended = ping_to(server.addr(), &["-c", "1", "-I", "127.0.0.9"]);
    ended.with(0).shows(" from 127.0.0.9:");
    let ended = ping_to(server.addr(), &["-c", "1", "-I", "lo"]);
    ended.with(0).shows("1 received");
}

#[test]
fn a_number_after_the_host_is_its_port() {
    let server = Serving::start("epoll", somewhere(), &[]);
    let (host, port) = ("127.0.0.1", server.addr().port().to_string());
    let ended = ping(&["-c", "1", host, &port]);
    ended.with(0).shows(&format!("PING {} 64 bytes", server.addr())).shows("1 received");
    ping(&["--size-sweep=64", host, &port]).with(0).shows("64 bytes pass");
    let ended = ping(&["-c", "1", host, "localhost", &port]);
    ended.with(2).says(&format!("\"{port}\" is a number, not a host"));
}

#[test]
fn an_interface_may_have_a_dot_in_its_name() {
    // The loopback interface of a network namespace, renamed.
    let script = "ip link set lo name eth0.100 && ip link set eth0.100 up || exit 77; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "sh", "-c", script, "sh", program(), "ping"]);
    let output = command.args(["-c", "1", "-I", "eth0.100"]).output().unwrap();
    let (out, err) = (output.stdout.escape_ascii(), output.stderr.escape_ascii());
    if output.status.code() == Some(77)
        || output.status.code() == Some(1) && output.stdout.is_empty()
    {
        eprintln!("SKIP no network namespace here: {err}");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert!(out.to_string().contains("1 received"), "{out}");

    let ended = ping(&["-c", "1", "-I", "eth0.4094"]);
    ended.with(2).says("-I: \"eth0.4094\" is neither an IP address nor an interface of this host");
}

#[test]
fn the_address_of_a_name_that_answers_is_used() {
    let (_held, nobody) = deserted(somewhere());
    let listener = std::net::TcpListener::bind(("127.0.0.2", nobody.port())).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            echo(stream.unwrap());
        }
    });
    let Some(hosts) = Hosts::new("127.0.0.1 both.test\n127.0.0.2 both.test\n") else { return };
    let target = format!("both.test:{}", nobody.port());
    let ended = hosts.ping(&["-c", "2", "-i", "0.02", &target]).ends();
    ended.with(0).shows(&format!("PING {target} (127.0.0.2:{})", nobody.port()));
    ended.shows("64 bytes from 127.0.0.2: seq=2 ");
}

#[test]
fn the_clock_is_named() {
    ping(&["-c", "1", "--timestamps", "user"]).with(0).shows(", user timestamps");
    let ended = ping(&["-c", "1"]);
    ended.with(0).shows(" timestamps");
    // Where the kernel has them, it has them for every probe but perhaps the first.
    if ended.count("kernel timestamps") > 0 {
        ping(&["-c", "9", "-i", "0.02", "--timestamps", "kernel"])
            .with(0)
            .shows("kernel timestamps");
    } else {
        eprintln!("SKIP: no kernel timestamps here");
    }
}

#[test]
fn a_histogram_has_the_bars_of_bench() {
    let mut command = crate::support::command(&["-c", "20", "-i", "2ms", "--histogram", "-q"]);
    let output = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains('█'));
}

#[test]
fn a_histogram_has_every_time() {
    let ended = ping(&["-c", "50", "-i", "0.002", "--histogram", "-q"]);
    let rows =
        ended.with(0).stdout.iter().filter(|line| line.contains(" ms ") && line.contains("% "));
    let counts = rows.map(|row| row.split_whitespace().nth(4).unwrap().parse::<u64>().unwrap());
    assert_eq!(counts.sum::<u64>(), 50, "{ended:#?}");
}

#[test]
fn long_options_are_those_of_the_short_ones() {
    let ended =
        ping(&["--count=2", "--interval=20ms", "--size=100", "--timeout=30s", "--deadline=60s"]);
    ended.with(0).shows("100 bytes").shows("seq=2 time=").shows("2 probes transmitted");
}

#[test]
fn every_figure_of_an_answer_has_its_unit() {
    let ended = ping(&["-c", "1", "--reconnect"]);
    let line = ended.with(0).stdout.iter().find(|line| line.contains("seq=1")).unwrap();
    for name in ["time=", "rtt=", "connect=", "kernel: srtt ", "minrtt "] {
        let (_, after) = line.split_once(name).unwrap_or_else(|| panic!("{name}: {line}"));
        let (number, rest) = after.split_once(' ').unwrap();
        assert!(number.parse::<f64>().is_ok() && rest.starts_with("ms"), "{name}: {line}");
    }
}

#[test]
fn a_condition_decides_the_exit_status() {
    for (condition, status, line) in [
        ("loss>1%", 0, "tcpecho: ok loss>1%: 0 %, limit 1 %"),
        ("p99>1h", 0, "tcpecho: ok p99>1h: "),
        ("p50>1us", 1, "tcpecho: FAIL p50>1us: "),
        ("max<1h", 1, "tcpecho: FAIL max<1h: "),
        ("avg>1h", 0, "limit 3600000 ms"),
    ] {
        ping(&["-c", "3", "-i", "10ms", "--fail-if", condition]).with(status).says(line);
    }
    // Loss, and several targets.
    let (_held, nobody) = deserted(somewhere());
    let server = Serving::start("epoll", somewhere(), &[]);
    let addrs = [server.addr(), nobody].map(|addr| addr.to_string());
    let args = ["-c", "2", "-i", "10ms", "--fail-if", "loss>1%", "--fail-if", "p99>1h"];
    let ended = ping(&[&args[..], &[&addrs[0], &addrs[1]]].concat());
    ended.with(1).says(&format!("ok {}: loss>1%: 0 %", addrs[0]));
    ended.says(&format!("FAIL {}: loss>1%: 100 %", addrs[1]));
    ended.says(&format!("FAIL {}: p99>1h: not measured", addrs[1]));
    for wrong in ["loss>1", "p99>+10%", "throughput<5", "errors>0", "loss", "p98>1ms"] {
        ping(&["-c", "1", "--fail-if", wrong]).with(2).says("is not a condition of ping: ");
    }
    let help = ping(&["--help"]).stdout.join(" ");
    for figure in ["loss", "p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"] {
        ping(&["-c", "1", "--fail-if", &format!("{figure}=1")]).with(2).says(figure);
        assert!(help.contains(figure), "{figure}");
    }
}

#[test]
fn the_call_of_smokeping_is_accepted() {
    let server = Serving::start("epoll", somewhere(), &[]);
    let addr = server.addr().to_string();
    let ended = ping(&["-C", "2", "-q", "-B1", "-r1", "-i10", &addr]);
    ended.with(0);
    assert_eq!(ended.stdout, Vec::<String>::new());
    assert_eq!(values(&ended.stderr[0]).1.len(), 2);
    // One probe a second; ten seconds would be the meaning of -i alone.
    assert!(ended.took >= Duration::from_secs(1) && ended.took < Duration::from_secs(10));
    ping(&["-r1", &addr]).with(2);
}

/// SmokePing reads a line for each target, and nothing else.
#[test]
fn an_unresolved_target_has_its_line_and_no_explanation() {
    let (_held, nobody) = deserted(somewhere());
    let addr = nobody.to_string();
    let ended = ping(&["-C", "2", "-i", "50ms", "-q", "no..name", &addr]);
    ended.with(3);
    assert_eq!(ended.stdout, Vec::<String>::new());
    assert_eq!(ended.stderr.len(), 2, "{ended:#?}");
    assert_eq!(ended.stderr[0].split_whitespace().collect::<Vec<_>>(), ["no..name", ":", "-", "-"]);
    assert!(ended.stderr[1].starts_with(&addr), "{ended:#?}");
    let ended = ping(&["-C", "3", "-q", "no..name", "smtp"]);
    assert_eq!(ended.with(3).stderr, ["no..name:25 : - - -"]);
}

#[test]
fn an_unresolved_target_has_its_summary() {
    let (_held, nobody) = deserted(somewhere());
    let ended = ping(&["-c", "1", "no..name", &nobody.to_string()]);
    ended.with(3).shows("--- no..name tcpecho ping statistics ---");
    ended.shows("0 probes transmitted: the name has no address (resolve-failed)");
}

#[test]
fn a_lost_probe_has_colour_on_a_terminal_only() {
    let (_held, nobody) = deserted(somewhere());
    if !has("script") {
        return;
    }
    let line = format!("{} ping -c 1 -W 100ms {nobody} < /dev/null", program());
    let on_terminal = |term: &str| {
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("TERM", term).env("NO_COLOR", "");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let shown = on_terminal("xterm");
    assert!(shown.contains("\x1b[31mno connection: "), "{shown:?}");
    assert!(!on_terminal("dumb").contains("\x1b[31m"));
    assert!(
        ping(&["-c", "1", &nobody.to_string()]).stdout.iter().all(|line| !line.contains('\x1b'))
    );
}

/// What is written to a terminal, which script(1) makes; SKIP where there is none.
fn on_a_terminal(args: &str) -> Option<String> {
    if !has("script") {
        return None;
    }
    let line = format!("{} ping {args}", program());
    let mut command = Command::new("script");
    let output = command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_plot_has_the_screen_and_gives_it_back() {
    let Some(shown) = on_a_terminal("--plot -c 8 -i 0.1") else { return };
    let (before, rest) = shown.split_once("\x1b[?1049h").unwrap();
    let (screen, after) = rest.split_once("\x1b[?1049l").unwrap();
    assert!(!before.contains("seq="), "{shown:?}");
    assert!(screen.contains("% loss, min ") && screen.contains("log scale"), "{screen:?}");
    assert!(after.contains("8 probes transmitted, 8 received, 0% loss"), "{after:?}");
}

/// What `ping --plot ARGS` draws on a terminal with this environment.
fn plotted(args: &str, environment: &[(&str, &str)]) -> Option<String> {
    if !has("script") {
        return None;
    }
    let line = format!("stty cols 80 rows 30 && exec {} ping --plot {args}", program());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("NO_COLOR", "");
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    Some(shown.split("\x1b[?1049l").next().unwrap().to_owned())
}

#[test]
fn a_plot_has_axes_a_legend_and_dots_of_braille() {
    let utf8 = [("LC_ALL", "C.UTF-8")];
    let Some(screen) = plotted("-c 12 -i 0.05", &utf8) else { return };
    let is_braille = |letter: char| ('\u{2801}'..='\u{28ff}').contains(&letter);
    assert!(screen.contains(is_braille), "{screen:?}");
    for part in ["answered  L late  x lost", "log scale", "age └", " │", "\x1b[36m"] {
        assert!(screen.contains(part), "no {part:?} in {screen:?}");
    }
    let screen = plotted("-c 12 -i 0.05", &[("LC_ALL", "C")]).unwrap();
    assert!(screen.is_ascii() && screen.contains("* answered"), "{screen:?}");
    assert!(screen.contains("age +") && screen.contains('*'), "{screen:?}");
}

/// terminfo(5): such a terminal has no cursor that can be moved.
#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_no_escape_sequences() {
    let (_held, nobody) = deserted(somewhere());
    for term in ["dumb", ""] {
        let environment = [("TERM", term)];
        let Some(screen) = plotted("-c 1", &environment) else { return };
        assert!(screen.contains("--plot needs a terminal that can move its cursor"), "{screen:?}");
        assert!(!screen.contains('\x1b'), "{screen:?}");
        let line = format!("{} ping -f -c 2 -W 100ms {nobody} < /dev/null", program());
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("TERM", term).env("NO_COLOR", "");
        let shown = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(!shown.contains(['\x1b', '\x08']) && shown.contains("100% loss"), "{shown:?}");
    }
}

#[test]
fn a_plot_says_why_a_target_is_down() {
    let (_held, nobody) = deserted(somewhere());
    let server = Serving::start("epoll", somewhere(), &[]);
    let args = format!("-c 5 -i 0.1 {} {nobody}", server.addr());
    let Some(screen) = plotted(&args, &[("LC_ALL", "C.UTF-8")]) else { return };
    assert!(screen.contains("DOWN: refused: connect "), "{screen:?}");
    // Each target has its colour.
    assert!(screen.contains("\x1b[36m") && screen.contains("\x1b[33m"), "{screen:?}");
}

#[test]
fn text_is_ascii_where_the_locale_is() {
    for locale in ["C", "POSIX", "de_DE.ISO-8859-1"] {
        for args in [
            &["ping", "-c", "20", "-i", "1ms", "--histogram", "-W", "250us"][..],
            &["connect", "127.0.0.1:1", "-v", "--calls"],
            &["bench", "-q", "-d", "100ms", "--plot"],
            &["bench", "-q", "-d", "50ms", "--rounds", "2", "--engines", "epoll,thread"],
        ] {
            let mut command = Command::new(program());
            command.args(args).env("LC_ALL", locale).stdin(std::process::Stdio::null());
            let output = command.output().unwrap();
            for text in [output.stdout, output.stderr] {
                let text = String::from_utf8_lossy(&text);
                assert!(text.is_ascii(), "{locale} {args:?}: {text}");
            }
        }
    }
    // An object of JSON is UTF-8 in every locale, and the same.
    let mut command = Command::new(program());
    command.args(["connect", "127.0.0.1:1", "--json"]).env("LC_ALL", "C");
    let output = command.output().unwrap();
    let object: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    let seen = object["message"].as_str().unwrap();
    assert!(seen.contains("µs") || seen.contains("ms"), "{seen}");
}

#[test]
fn a_dot_stands_for_each_probe_that_is_not_answered() {
    let Some(shown) = on_a_terminal("-f -c 100") else { return };
    let count = |text: &str| shown.split("PING").nth(1).unwrap().matches(text).count();
    assert!(shown.contains("100 received, 0% loss"), "{shown:?}");
    assert!(count("\u{8} \u{8}") <= 100 && !shown.contains("seq="), "{shown:?}");
}

/// `NAME : TIME TIME -`
fn values(line: &str) -> (String, Vec<String>) {
    let (name, values) = line.split_once(" : ").unwrap_or_else(|| panic!("{line:?}"));
    (name.trim_end().into(), values.split(' ').map(String::from).collect())
}

#[test]
fn the_line_of_fping() {
    let (_held, nobody) = deserted(somewhere());
    let server = Serving::start("epoll", somewhere(), &[]);
    let addrs = [server.addr(), nobody].map(|addr| addr.to_string());
    let ended = ping(&["-C", "3", "-i", "0.02", "-q", &addrs[0], &addrs[1]]);
    ended.with(1);
    assert_eq!(ended.stdout, Vec::<String>::new());
    let lines = &ended.stderr;
    assert_eq!(lines.len(), 2, "{lines:?}");
    let (name, times) = values(&lines[0]);
    assert_eq!((name, times.len()), (addrs[0].clone(), 3));
    assert!(times.iter().all(|time| time.parse::<f64>().unwrap() > 0.0), "{lines:?}");
    assert_eq!(values(&lines[1]), (addrs[1].clone(), vec!["-".to_string(); 3]));
    // With lines for each probe too, unless -q.
    let ended = ping(&["-C", "2", "-i", "0.02"]);
    ended.with(0).shows("seq=2 time=").says(" : ");
}

#[test]
fn fping_itself_prints_such_a_line() {
    if !has("fping") {
        return;
    }
    let args = ["-C", "3", "-p", "20", "-q", "127.0.0.1", "192.0.2.1"];
    let output = Command::new("fping").args(args).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(" : ")).collect();
    let [answered, ..] = lines.as_slice() else {
        eprintln!("SKIP: fping cannot ping here: {said}");
        return;
    };
    let (name, times) = values(answered);
    assert_eq!((name.as_str(), times.len()), ("127.0.0.1", 3));
    // Three digits that matter, as ours.
    for time in times.iter().filter(|time| *time != "-") {
        let ours = match time.parse::<f64>().unwrap() {
            ms if ms < 1.0 => format!("{ms:.3}"),
            ms if ms < 10.0 => format!("{ms:.2}"),
            ms if ms < 100.0 => format!("{ms:.1}"),
            ms => format!("{ms:.0}"),
        };
        assert_eq!(*time, ours);
    }
}
