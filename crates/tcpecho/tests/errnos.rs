//! Every errno that connect(2), bind(2), setsockopt(2), send(2) and recv(2) can give, towards every kind of address, with
//! IPv6 on and off and loopback up and down: what is said of it. The page docs/errnos.md is made here
//! (`TCPECHO_WRITE_DOCS=1 cargo test -p tcpecho --test errnos`), and was read row by row.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    os::fd::AsFd,
    time::Duration,
};

use rustix::io::Errno;
use tcpecho::{
    Attempt, ConnectOptions, Connection, Diagnosis, Error, Evidence, Phase,
    internal::{CASES, ENDINGS, KernelFacts, Route, Stack, ask_host},
};
use tcpecho_lab_os::{link::Links, netns::NetNs};
use tcpecho_os::errno;

/// IPv6 and loopback, each on and off.
const CONDITIONS: [(bool, bool); 4] = [(true, true), (false, true), (true, false), (false, false)];

/// Addresses by kind; `%link` stands for the one interface besides loopback, `%none` for one that does not exist.
const KINDS: [(&str, &str); 14] = [
    ("loopback", "127.0.0.1"),
    ("loopback v6", "::1"),
    ("unspecified", "0.0.0.0"),
    ("unspecified v6", "::"),
    ("own", "192.0.2.10"),
    ("on the link", "192.0.2.20"),
    ("on the link v6", "2001:db8::20"),
    ("no route", "203.0.113.9"),
    ("link-local, no interface", "fe80::9"),
    ("link-local", "fe80::9%link"),
    ("link-local, wrong interface", "fe80::9%none"),
    ("multicast", "224.0.0.1"),
    ("multicast v6", "ff02::1%link"),
    ("broadcast", "255.255.255.255"),
];

/// More of them, which only the first table has: what the kernel says of them is what matters.
const MORE: [(&str, &str); 4] = [
    ("broadcast of the link", "192.0.2.255"),
    ("mapped loopback", "::ffff:127.0.0.1"),
    ("mapped multicast", "::ffff:224.0.0.1"),
    ("no route v6", "2001:db8:9::9"),
];

/// From where to where.
const SOURCES: [(&str, &str); 9] = [
    ("127.0.0.1", "192.0.2.20"),
    ("::1", "2001:db8::20"),
    ("::1", "::ffff:127.0.0.1"),
    ("192.0.2.77", "192.0.2.20"),
    ("2001:db8::77", "2001:db8::20"),
    ("fe80::1", "2001:db8::20"),
    ("fe80::1%none", "2001:db8::20"),
    ("ff02::1", "2001:db8::20"),
    ("192.0.2.10", "127.0.0.1"),
];

/// What each call's man page, ip(7) and tcp(7) list, what an ICMP error or a seccomp filter makes it say, and what a
/// program that uses it wrongly gets. EINPROGRESS and, on what does not block, EAGAIN are no failures.
const ERRNOS: [(&str, Phase, &[Errno]); 6] = [
    (
        "connect",
        Phase::Connect,
        &[
            Errno::ACCESS,
            Errno::PERM,
            Errno::ADDRINUSE,
            Errno::ADDRNOTAVAIL,
            Errno::AFNOSUPPORT,
            Errno::AGAIN,
            Errno::ALREADY,
            Errno::BADF,
            Errno::CONNREFUSED,
            Errno::CONNRESET,
            Errno::FAULT,
            Errno::HOSTDOWN,
            Errno::HOSTUNREACH,
            Errno::INTR,
            Errno::INVAL,
            Errno::ISCONN,
            Errno::NETDOWN,
            Errno::NETUNREACH,
            Errno::NOBUFS,
            Errno::NODEV,
            Errno::NOMEM,
            Errno::NONET,
            Errno::NOPROTOOPT,
            Errno::NOSYS,
            Errno::NOTSOCK,
            Errno::OPNOTSUPP,
            Errno::PROTO,
            Errno::PROTOTYPE,
            Errno::TIMEDOUT,
        ],
    ),
    (
        "bind",
        Phase::Bind,
        &[
            Errno::ACCESS,
            Errno::PERM,
            Errno::ADDRINUSE,
            Errno::ADDRNOTAVAIL,
            Errno::AFNOSUPPORT,
            Errno::BADF,
            Errno::FAULT,
            Errno::INVAL,
            Errno::NOBUFS,
            Errno::NODEV,
            Errno::NOMEM,
            Errno::NOSYS,
            Errno::NOTSOCK,
        ],
    ),
    ("bind", Phase::Bind, &[Errno::ACCESS, Errno::PERM, Errno::ADDRINUSE, Errno::ADDRNOTAVAIL]),
    (
        "setsockopt",
        Phase::Socket,
        &[
            Errno::ACCESS,
            Errno::PERM,
            Errno::BADF,
            Errno::BUSY,
            Errno::DOM,
            Errno::FAULT,
            Errno::INVAL,
            Errno::NODEV,
            Errno::NOMEM,
            Errno::NOPROTOOPT,
            Errno::NOSYS,
            Errno::NOTCONN,
            Errno::NOTSOCK,
            Errno::OPNOTSUPP,
        ],
    ),
    ("send", Phase::Send, ESTABLISHED),
    ("recv", Phase::Receive, ESTABLISHED),
];

const ESTABLISHED: &[Errno] = &[
    Errno::ACCESS,
    Errno::PERM,
    Errno::BADF,
    Errno::CONNABORTED,
    Errno::CONNREFUSED,
    Errno::CONNRESET,
    Errno::DESTADDRREQ,
    Errno::FAULT,
    Errno::HOSTDOWN,
    Errno::HOSTUNREACH,
    Errno::INVAL,
    Errno::ISCONN,
    Errno::MSGSIZE,
    Errno::NETDOWN,
    Errno::NETUNREACH,
    Errno::NOBUFS,
    Errno::NOMEM,
    Errno::NONET,
    Errno::NOPROTOOPT,
    Errno::NOSYS,
    Errno::NOTCONN,
    Errno::NOTSOCK,
    Errno::OPNOTSUPP,
    Errno::PIPE,
    Errno::PROTO,
    Errno::TIMEDOUT,
];

/// A call, when it is made, and the port that bind(2) is asked for.
type Call = (&'static str, Phase, u16);

/// Nobody listens there.
const PORT: u16 = 9;
const PREFACE: &str = "\
# The cause of each errno

This page is generated and compared by a test (`TCPECHO_WRITE_DOCS=1 cargo test -p tcpecho --test errnos`). The test runs in
a network namespace with loopback and one more interface (192.0.2.10/24, 2001:db8::10/64, no other host on its link, no
default route). It tries IPv6 on and off, and loopback up and down; a row names these conditions only if they matter. A cause
that is a guess begins with \"probably\". [Diagnosis](diagnosis.md) has the table of all causes.
";

#[test]
fn the_page_of_errnos_matches_and_no_cause_is_invented() {
    let places = match CONDITIONS.map(|(ipv6, lo)| place(ipv6, lo)) {
        [Ok(one), Ok(two), Ok(three), Ok(four)] => [one, two, three, four],
        results => {
            let why = results.into_iter().find_map(Result::err);
            println!("SKIP no network namespace here: {}", why.unwrap_or_default());
            return;
        }
    };
    let mut page = String::from(PREFACE);
    for_real(&places, &mut page);
    let mut before = "";
    for (call, phase, errnos) in ERRNOS {
        // The second time that bind(2) comes, it is with a port.
        let port = if call == before { 99 } else { 0 };
        walk(&places, (call, phase, port), errnos, &mut page);
        before = call;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errnos.md");
    if std::env::var_os("TCPECHO_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    for (line, expected) in written.lines().zip(page.lines()) {
        assert_eq!(line, expected, "docs/errnos.md is not what is said");
    }
    assert_eq!(written.len(), page.len(), "docs/errnos.md is not what is said");
}

/// A namespace under one condition, and its interface.
struct Place {
    netns: NetNs,
    link: u32,
}

fn place(ipv6: bool, lo: bool) -> Result<Place, String> {
    let text = |failed: tcpecho_os::failed::Failed| failed.to_string();
    let netns = NetNs::new().map_err(text)?;
    let set = |key: &str, value: &str| netns.set_sysctl(key, value);
    // An address can be used at once, and the interface's own does not differ from run to run.
    for key in ["net.ipv6.conf.default.accept_dad", "net.ipv6.conf.default.dad_transmits"] {
        set(key, "0").map_err(text)?;
    }
    let near = netns.as_fd();
    let link = netns.run(|| {
        let links = Links::open()?;
        links.set_up(links.index("lo")?, lo)?;
        links.add_veth("link", "end", near)?;
        let (link, end) = (links.index("link")?, links.index("end")?);
        links.set_up(link, true)?;
        links.set_up(end, true)?;
        links.add_address(link, Ipv4Addr::new(192, 0, 2, 10).into(), 24)?;
        links.add_address(link, "2001:db8::10".parse::<IpAddr>().unwrap(), 64)?;
        Ok::<_, tcpecho_os::failed::Failed>(link)
    });
    let link = link.map_err(text)?.map_err(text)?;
    if !ipv6 {
        netns.set_sysctl("net.ipv6.conf.all.disable_ipv6", "1").map_err(text)?;
    }
    Ok(Place { netns, link })
}

impl Place {
    fn address(&self, text: &str, port: u16) -> SocketAddr {
        let (ip, scope) = text.split_once('%').unwrap_or((text, ""));
        let mut addr = SocketAddr::new(ip.parse().unwrap(), port);
        if let SocketAddr::V6(addr) = &mut addr {
            addr.set_scope_id(match scope {
                "link" => self.link,
                "none" => 999,
                _ => 0,
            });
        }
        addr
    }
}

/// What the kernel says when it is asked.
fn for_real(places: &[Place; 4], page: &mut String) {
    page.push_str("\n## What Linux says\n\nNobody listens anywhere, and each address is tried for 100 ms.\n\n");
    page.push_str("| to | errno | case | means | try |\n|---|---|---|---|---|\n");
    for (kind, text) in KINDS.iter().chain(&MORE) {
        let mut rows = Rows::default();
        for (number, place) in places.iter().enumerate() {
            let attempt = attempt(place, None, text);
            rows.add(said(&attempt), number);
        }
        rows.write(&format!("{kind} ({text})"), page);
    }
    page.push_str("\nWith a source address:\n\n| from, to | errno | case | means | try |\n|---|---|---|---|---|\n");
    for (source, text) in SOURCES {
        let mut rows = Rows::default();
        for (number, place) in places.iter().enumerate() {
            rows.add(said(&attempt(place, Some(source), text)), number);
        }
        rows.write(&format!("{source}, {text}"), page);
    }
}

fn attempt(place: &Place, source: Option<&str>, to: &str) -> Attempt {
    let source = source.map(|source| place.address(source, 0));
    let to = place.address(to, PORT);
    let failed = place.netns.run(|| {
        let timeout = Duration::from_millis(100);
        let how = ConnectOptions::default().source(source).timeout(timeout);
        Connection::open(&[to], &how).map(drop)
    });
    let failed = failed.unwrap();
    let [attempt] = failed.unwrap_err().attempts.try_into().unwrap();
    check(&attempt.diagnosis);
    attempt
}

/// errno, case, means, try.
fn said(attempt: &Attempt) -> [String; 4] {
    let Attempt { error, diagnosis, .. } = attempt;
    let call = if error.op == "connect" { String::new() } else { format!("{}: ", error.op) };
    let errno = error.source.name().unwrap_or("?");
    // Interfaces are numbered as they come.
    let plain = |text: &str| match attempt.addr {
        SocketAddr::V6(addr) if addr.scope_id() != 0 => {
            text.replace(&format!("%{}", addr.scope_id()), "%link")
        }
        _ => text.to_owned(),
    };
    let Diagnosis { case, cause, advice, .. } = diagnosis;
    [format!("{call}{errno}"), (*case).into(), plain(cause), plain(advice)]
}

/// What holds of everything that is ever said.
fn check(diagnosis: &Diagnosis) {
    let Diagnosis { case, seen, cause, advice, certain, .. } = diagnosis;
    for text in [seen, cause, advice] {
        assert!(!text.contains(['{', '}']) && !text.is_empty(), "{diagnosis:?}");
        assert!(!text.contains("ADDRESS") && !text.ends_with('.'), "{diagnosis:?}");
    }
    assert_eq!(cause.starts_with("probably "), !certain, "{diagnosis:?}");
    let row = CASES.iter().find(|row| row.word == *case);
    // What no row knows is a guess, and does not take the name of a row.
    assert_eq!(row.is_some_and(|row| row.certain), *certain, "{diagnosis:?}");
}

/// The same for each errno, whether this kernel gives it here or not.
fn walk(places: &[Place; 4], call: Call, errnos: &[Errno], page: &mut String) {
    let (name, phase, port) = call;
    let with = match phase {
        Phase::Bind if port == 0 => " without a port",
        Phase::Bind => " with a port",
        _ => "",
    };
    let _ = write!(page, "\n## {name}(2){with}\n\n");
    page.push_str(match phase {
        Phase::Send => {
            "Five of ten bytes had been echoed, and the other five were not acknowledged.\n\n"
        }
        Phase::Receive => "Everything that was sent had been echoed.\n\n",
        _ => "",
    });
    page.push_str("| errno | address | case | means | try |\n|---|---|---|---|---|\n");
    for errno in errnos {
        let mut cases: Vec<(String, BTreeMap<usize, Vec<usize>>)> = Vec::new();
        for (kind, (_, text)) in KINDS.iter().enumerate() {
            for (number, place) in places.iter().enumerate() {
                let diagnosis = diagnose(place, call, *errno, text);
                check(&diagnosis);
                truth(&diagnosis, *errno, place.address(text, PORT), CONDITIONS[number]);
                let case = diagnosis.case.to_owned();
                let known = cases.iter().position(|(known, _)| *known == case);
                let known = known.unwrap_or_else(|| {
                    cases.push((case, BTreeMap::new()));
                    cases.len() - 1
                });
                cases[known].1.entry(kind).or_default().push(number);
            }
        }
        for (case, places) in cases {
            let (cause, advice) = texts(&case);
            let name = errno::name(*errno).unwrap();
            let _ = writeln!(
                page,
                "| {name} | {} | {case} | {cause} | {advice} |",
                whereabouts(&places)
            );
        }
    }
}

fn diagnose(place: &Place, (call, phase, port): Call, errno: Errno, text: &str) -> Diagnosis {
    let addr = place.address(text, PORT);
    let mut evidence = Evidence::new(phase);
    if phase.is_established() {
        let returned = if phase == Phase::Send { 5 } else { 10 };
        let queued = Some(10 - returned as u32);
        (evidence.written, evidence.returned, evidence.received) = (10, returned, returned);
        (evidence.queued, evidence.echo) = (queued, true);
    }
    place.netns.run(|| ask_host(&mut evidence, addr, Some(errno), None)).unwrap();
    // bind(2) and setsockopt(2) are about our own address.
    let about = if phase == Phase::Bind { place.address(text, port) } else { addr };
    Diagnosis::of(&Error::at(call, about, errno).into(), &evidence)
}

/// The rows that claim something of this host, against what this host is.
fn truth(diagnosis: &Diagnosis, errno: Errno, addr: SocketAddr, (ipv6, lo): (bool, bool)) {
    let ip = addr.ip().to_canonical();
    let holds = match diagnosis.case {
        "no-ipv6" => !ipv6 && ip.is_ipv6(),
        "loopback-down" => !lo,
        "lacks-interface" => ip.to_string().starts_with("fe80") && errno == Errno::INVAL,
        "multicast-address" => ip.is_multicast(),
        "broadcast-address" => ip == IpAddr::V4(Ipv4Addr::BROADCAST),
        "blackhole-route" | "prohibit-route" | "unreachable-route" | "ports-exhausted" => false,
        "nobody-listens-here" => {
            ip.is_loopback() || ip.is_unspecified() || ip.to_string() == "192.0.2.10"
        }
        _ => true,
    };
    assert!(holds, "{addr}, IPv6 {ipv6}, lo {lo}: {diagnosis:?}");
}

/// Cause and advice as the table has them.
fn texts(case: &str) -> (String, &'static str) {
    if let Some(row) = CASES.iter().find(|row| row.word == case) {
        let guess = if row.certain { "" } else { "probably " };
        return (format!("{guess}{}", row.cause), row.advice);
    }
    let row = ENDINGS.iter().find(|row| row.word == case).unwrap();
    (format!("probably {}", row.sentence), row.advice)
}

/// Which addresses, and under which conditions.
fn whereabouts(places: &BTreeMap<usize, Vec<usize>>) -> String {
    if places.len() == KINDS.len() && places.values().all(|conditions| conditions.len() == 4) {
        return "any".into();
    }
    let each = places.iter().map(|(kind, conditions)| {
        let (kind, condition) = (KINDS[*kind].0, condition(conditions));
        if condition.is_empty() { kind.into() } else { format!("{kind} ({condition})") }
    });
    each.collect::<Vec<_>>().join("; ")
}

fn condition(numbers: &[usize]) -> String {
    match numbers {
        [_, _, _, _] => String::new(),
        [0, 2] => "IPv6 on".into(),
        [1, 3] => "IPv6 off".into(),
        [0, 1] => "lo up".into(),
        [2, 3] => "lo down".into(),
        numbers => {
            let word = |on, yes, no| if on { yes } else { no };
            let each = numbers.iter().map(|number| {
                let (ipv6, lo) = CONDITIONS[*number];
                format!("IPv6 {} and lo {}", word(ipv6, "on", "off"), word(lo, "up", "down"))
            });
            each.collect::<Vec<_>>().join(", or ")
        }
    }
}

/// Rows of the first table: what was said, under which conditions.
#[derive(Default)]
struct Rows(Vec<([String; 4], Vec<usize>)>);

impl Rows {
    fn add(&mut self, said: [String; 4], number: usize) {
        match self.0.iter_mut().find(|row| row.0 == said) {
            Some(row) => row.1.push(number),
            None => self.0.push((said, vec![number])),
        }
    }

    fn write(&self, title: &str, page: &mut String) {
        for ([errno, case, cause, advice], numbers) in &self.0 {
            let condition = condition(numbers);
            let title =
                if condition.is_empty() { title.into() } else { format!("{title}; {condition}") };
            let _ = writeln!(page, "| {title} | {errno} | {case} | {cause} | {advice} |");
        }
    }
}

/// What the kernel has said is what the evidence is made of: one situation in full.
#[test]
fn an_ipv6_address_without_ipv6_is_diagnosed_with_its_evidence() {
    let Ok(place) = place(false, true) else {
        println!("SKIP no network namespace here");
        return;
    };
    let attempt = attempt(&place, None, "::1");
    assert_eq!(attempt.diagnosis.case, "no-ipv6");
    let KernelFacts { stack, route, .. } = KernelFacts::of(&attempt.evidence);
    assert_eq!(route, Some(Route::None(tcpecho::Errno::EADDRNOTAVAIL)));
    assert_eq!(
        *stack,
        Stack { v6_addresses: Some(0), loopback_up: Some(true), ..Stack::default() }
    );
    // Of a name's addresses the one that a server can be asked at is the one to tell of.
    let addrs = [place.address("127.0.0.1", PORT), place.address("::1", PORT)];
    let failed = place.netns.run(|| {
        let overlapping = ConnectOptions::default().overlap(true);
        Connection::open(&addrs, &overlapping).unwrap_err()
    });
    let failed = failed.unwrap();
    assert_eq!(failed.attempts.len(), 2);
    assert_eq!(failed.most_informative().unwrap().diagnosis.case, "nobody-listens-here");
}

/// Ports run short at connect(2), whether a source address is named or not, and only there.
#[test]
fn a_source_address_takes_no_port_before_the_peer_is_known() {
    let Ok(place) = place(true, true) else {
        println!("SKIP no network namespace here");
        return;
    };
    place.netns.set_sysctl("net.ipv4.ip_local_port_range", "50000 50001").unwrap();
    place.netns.run(|| ports_run_short(&place)).unwrap();
}

fn ports_run_short(place: &Place) {
    let listeners =
        ["192.0.2.10:1000", "192.0.2.10:1001"].map(|addr| TcpListener::bind(addr).unwrap());
    let [one, other] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    let how = ConnectOptions::default().source(place.address("192.0.2.10", 0));
    let connect = |to| Connection::open(&[to], &how);
    let _taken = [connect(one).unwrap(), connect(one).unwrap()];
    let failed = connect(one).unwrap_err();
    assert_eq!(
        (failed.attempts[0].error.op, failed.attempts[0].diagnosis.case),
        ("connect", "ports-exhausted")
    );
    // Towards another peer the same ports are free.
    let _free = connect(other).unwrap();
}
