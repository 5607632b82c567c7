//! The HTML pages: they are well-formed, every link leads somewhere, and they work without scripts and other files.

#[path = "pages/html.rs"]
mod html;
#[path = "common/lab.rs"]
mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use html::Page;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use support::text;

/// A directory that goes at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("tcpecho-pages-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn tcpecho(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tcpecho")).args(args).output().unwrap()
}

/// Runs `tcpecho lab site`; prints SKIP and returns nothing where no hosts can be made.
fn site(args: &[&str]) -> Option<String> {
    support::shown(&tcpecho(&[&["lab", "site"], args].concat()))
}

/// Checks what all pages have in common, and that every link inside the set of pages leads somewhere.
fn check(pages: &BTreeMap<String, Page>) {
    for (name, page) in pages {
        page.check(name);
        for link in page.links.iter().filter(|link| !html::is_a_source(link)) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { name } else { file };
            let Some(target) = pages.get(file) else { panic!("{name}: {link} leads nowhere") };
            assert!(
                fragment.is_empty() || target.ids.contains(fragment),
                "{name}: {link} leads nowhere"
            );
        }
    }
}

fn check_one(name: &str, text: &str) -> Page {
    let pages = BTreeMap::from([(name.to_owned(), Page::read(text))]);
    check(&pages);
    Page::read(text)
}

fn pages_of(folder: &Path) -> BTreeMap<String, Page> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pages = files.filter(|path| path.extension().is_some_and(|extension| extension == "html"));
    let page = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, Page::read(&fs::read_to_string(path).unwrap()))
    };
    pages.map(page).collect()
}

/// The checks below are worth nothing if they pass on anything.
#[test]
fn a_page_that_is_not_well_formed_is_noticed() {
    for (wrong, complaint) in [
        ("<p><b></p></b>", "</p> ends another element"),
        ("<p>", "not ended"),
        ("<p id=\"a\"></p><p id=\"a\"></p>", "the id \"a\" twice"),
        ("<p aria-labelledby=\"b\"></p>", "no id \"b\""),
        ("<p id=a></p>", "is not an attribute"),
        ("<p onclick=\"x\"></p>", "onclick is a script"),
        ("<script></script>", "<script> is not allowed"),
        ("<svg></svg>", "a chart without a name"),
        ("a < b", "a tag without an end"),
    ] {
        let complaints = Page::read(&format!("<!DOCTYPE html>\n{wrong}")).complaints;
        assert!(complaints.iter().any(|one| one.contains(complaint)), "{wrong}: {complaints:?}");
    }
    let page =
        |text: &str| Page::read(&format!("<!DOCTYPE html>\n<p id=\"content\">Made by {text}</p>"));
    let site = |link: &str| {
        let first = page(&format!("<a href=\"{link}\">x</a>"));
        let pages = BTreeMap::from([("a.html".to_owned(), first), ("b.html".to_owned(), page(""))]);
        std::panic::catch_unwind(|| check(&pages)).is_ok()
    };
    assert!(site("b.html") && site("#content") && site("b.html#content"));
    assert!(
        !site("c.html") && !site("#other") && !site("b.html#other") && !site("https://x.example")
    );
}

/// What every page says of its origin.
fn has_origin(page: &Page, command: &str) {
    let kernel = rustix::system::uname();
    let kernel = format!("kernel: {}", kernel.release().to_str().unwrap());
    for part in [command, &kernel, concat!("tcpecho ", env!("CARGO_PKG_VERSION"))] {
        assert!(page.text.contains(part), "{part} is missing: {}", page.text);
    }
}

#[test]
fn a_ladder_has_every_header_field_and_says_where_it_comes_from() {
    let Some(shown) = support::shown(&support::lab(&[
        "run",
        "segment-lost",
        "unreachable-during-connect",
        "--family",
        "both",
        "--format",
        "html",
    ])) else {
        return;
    };
    let page = check_one("page.html", &shown);
    has_origin(&page, "tcpecho lab run segment-lost unreachable-during-connect --family both");
    for part in [
        "time to live",
        "hop limit",
        "flow label",
        "acknowledgment number",
        "0 (not valid without ACK)",
        "window scale",
        "maximum segment size",
        "timestamps",
        "SACK",
        "urgent pointer",
        "quoted sequence number",
        "ICMPv6",
        ", right",
        "docs/scenarios.md",
        "crates/tcpecho-lab/src/scenario/segment_lost.rs",
        "FIN_WAIT_1, FIN_WAIT_2, CLOSING",
    ] {
        assert!(page.text.contains(part), "{part} is missing");
    }
    assert!(!page.text.contains(", wrong"), "a checksum is wrong");
    let packets = shown.matches("<details class=\"packet").count();
    assert!(packets > 20 && shown.matches("<div class=\"fields\">").count() == packets);
}

#[test]
fn the_programs_of_a_host_with_several_are_named() {
    let Some(shown) = support::shown(&support::lab(&[
        "run",
        "simultaneous-open",
        "backlog-full",
        "--format",
        "html",
    ])) else {
        return;
    };
    let page = check_one("page.html", &shown);
    assert!(page.text.contains("client 2: socket(AF_INET)"), "{}", page.text);
    assert!(page.text.contains("server: bind("), "{}", page.text);
    assert!(page.text.contains("client → server: SYN"), "{}", page.text);
}

#[test]
fn a_bench_page_and_a_comparison_have_names_for_their_charts() {
    let folder = Folder::new("bench");
    let (run, comparison) = (folder.file("run.html"), folder.file("comparison.html"));
    let fast = ["-d", "300ms", "--warmup", "0", "-q", "--html"];
    let ran =
        tcpecho(&[&["bench", "-R", "300", "--interval", "50ms"], &fast[..], &[&run]].concat());
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let page = check_one("run.html", &fs::read_to_string(&run).unwrap());
    has_origin(&page, "tcpecho bench -R 300 --interval 50ms -d 300ms --warmup 0 -q --html");
    let compared = [
        "bench",
        "--engines",
        "epoll,thread",
        "--rounds",
        "1",
        "--against",
        "broken=exit 7 # {port}",
    ];
    let ran = tcpecho(&[&compared, &fast[..], &[&comparison]].concat());
    let shown = fs::read_to_string(&comparison).unwrap_or_else(|_| panic!("{}", text(&ran.stderr)));
    let page = check_one("comparison.html", &shown);
    has_origin(
        &page,
        "tcpecho bench --engines epoll,thread --rounds 1 --against 'broken=exit 7 # {port}'",
    );
    // The notes say why a server is not in the comparison.
    assert!(page.text.contains("broken is left out: "), "{}", page.text);
}

#[test]
fn a_ping_page_has_its_targets_and_what_they_lack() {
    let folder = Folder::new("ping");
    let file = folder.file("ping.html");
    let ran = tcpecho(&["ping", "-c", "20", "-i", "0", "--html", &file]);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    assert!(text(&ran.stdout).contains("20 received"), "the lines are as without --html");
    let page = check_one("ping.html", &fs::read_to_string(&file).unwrap());
    has_origin(&page, "tcpecho ping -c 20 -i 0 --html");
    for part in ["20 probes transmitted, 20 received", "0 %", "Times over the run", "Histogram"] {
        assert!(page.text.contains(part), "{part} is missing: {}", page.text);
    }
    // Bound, so that nobody else takes the port, and not listening.
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let bound = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
    let target = format!("localhost:{}", bound.port());
    let ran =
        tcpecho(&["ping", "-4", "-w", "1", "-i", "100ms", "--html", &file, &target, "<b>.invalid"]);
    assert_eq!(ran.status.code(), Some(3), "{}", text(&ran.stderr));
    let page = check_one("ping.html", &fs::read_to_string(&file).unwrap());
    for part in ["not answered", "100% loss", "&lt;b&gt;.invalid", "Seen"] {
        assert!(page.text.contains(part), "{part} is missing: {}", page.text);
    }
}

#[test]
fn a_ping_page_that_cannot_be_written_is_exit_status_2_and_the_result_is_printed() {
    let ran = tcpecho(&["ping", "-c", "1", "--html", "/dev/full"]);
    let said = text(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(text(&ran.stdout).contains("1 received"), "{said}");
    assert!(said.contains("write /dev/full: No space left on device (ENOSPC)"), "{said}");
    let ran = tcpecho(&["ping", "-c", "1", "--html", "/nowhere/at/all"]);
    let said = text(&ran.stderr);
    assert_eq!((ran.status.code(), text(&ran.stdout)), (Some(2), String::new()), "{said}");
    assert!(said.contains("create /nowhere/at/all: No such file or directory (ENOENT)"), "{said}");
    let ran = tcpecho(&["ping", "--idle-sweep=1s", "--html", "/nowhere/at/all"]);
    assert_eq!(ran.status.code(), Some(2), "{}", text(&ran.stderr));
}

/// Returns the page of a gallery, and the JSON line with which it was ready.
fn gallery_page() -> (String, String) {
    let mut gallery = Command::new(env!("CARGO_BIN_EXE_tcpecho"))
        .args(["serve", "--gallery", "--json", "--seed", "5"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(gallery.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let object: serde_json::Value = serde_json::from_str(&ready).unwrap();
    let at = object["index"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(at).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    gallery.kill().unwrap();
    gallery.wait().unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-security-policy: default-src 'none'; "), "{head}");
    (body.to_owned(), ready)
}

#[test]
fn the_page_of_the_gallery_explains_every_row() {
    let (body, ready) = gallery_page();
    let page = Page::read(&body);
    page.check("gallery");
    has_origin(&page, "tcpecho serve --gallery --json --seed 5");
    let object: serde_json::Value = serde_json::from_str(&ready).unwrap();
    for row in object["faults"].as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        assert!(page.ids.contains(name) && page.links.contains(&format!("#{name}")), "{name}");
        for part in ["does", "ending", "expect"].map(|key| row[key].as_str().unwrap()) {
            let part = part.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
            assert!(page.text.contains(&part), "{name}: {part}");
        }
        let command = format!("tcpecho connect 127.0.0.1:{} ", row["port"]);
        assert!(page.text.contains(&command), "{command}");
        let script = row["script"].as_str().unwrap_or_default().replace('"', "&quot;");
        assert!(page.text.contains(&script), "{name}: {script}");
    }
    for link in &page.links {
        let id = link.strip_prefix('#');
        let leads_somewhere = id.is_some_and(|id| page.ids.contains(id));
        assert!(leads_somewhere || link == "/gallery.json", "{link} leads nowhere");
    }
}

/// A result of `lab test` with everything that a program can write.
const VERDICTS: &str = r#"{"role": "client", "command": "evil '<script>alert(1)</script>' {port}", "right": 1, "of": 2,
 "seconds": 1.5, "trials": [
 {"name": "refused", "family": "IPv4", "verdict": "right", "expected": "right", "faults": [], "exit_status": 1,
  "signal": null, "ended_by_lab": false, "noticed_ms": 1.5, "connections": 1, "lost_bytes": 0,
  "leaked_descriptors": null, "zombies": null, "close_wait": null, "memory_growth_bytes": null,
  "said": "<img src=x onerror=alert(2)>", "last_output": null, "last_error": null, "notes": [], "failed": [],
  "duration_ms": 12.5},
 {"name": "\"><script>", "family": "IPv6", "verdict": "late", "expected": "right", "faults": ["late"],
  "exit_status": null, "signal": 9, "ended_by_lab": true, "noticed_ms": null, "connections": null,
  "lost_bytes": 0, "leaked_descriptors": null, "zombies": null, "close_wait": null, "memory_growth_bytes": null,
  "said": null, "last_output": null, "last_error": null, "notes": ["a < b"], "failed": ["x & y"],
  "duration_ms": 1e300}]}"#;

#[test]
fn every_link_of_a_site_leads_somewhere() {
    let folder = Folder::new("site");
    let (dir, verdicts) = (folder.file("site"), folder.file("verdicts.json"));
    fs::write(&verdicts, VERDICTS).unwrap();
    let names = ["refused", "segment-lost", "normal-termination", "refused"];
    let options = ["--verdicts", &verdicts, "--verdicts", &verdicts];
    let Some(shown) = site(&[&[dir.as_str()], &names[..], &options[..]].concat()) else { return };
    assert!(shown.contains("6 of 6 passed") && shown.contains("6 pages, from "), "{shown}");
    let pages = pages_of(Path::new(&dir));
    check(&pages);
    let names: Vec<&str> = pages.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "index.html",
            "normal-termination.html",
            "quiz.html",
            "refused.html",
            "segment-lost.html",
            "verdicts.html"
        ]
    );
    for page in pages.values() {
        has_origin(page, "tcpecho lab site ");
    }
    // Every page can be reached from the index.
    for name in names.iter().filter(|name| **name != "index.html") {
        assert!(pages["index.html"].links.iter().any(|link| link == name), "{name}");
    }
    for family in ["Over IPv4", "Over IPv6", "pass: ", "[UNP 4.3]", "[measured]"] {
        assert!(pages["refused.html"].text.contains(family), "{family}");
    }
    let quiz = fs::read_to_string(Path::new(&dir).join("quiz.html")).unwrap();
    let questions = quiz.matches("class=\"question\"").count();
    assert!(questions > 5, "{quiz}");
    assert_eq!(quiz.matches("✓ Right").count(), questions, "each question has one right answer");
    let verdicts = &pages["verdicts.html"].text;
    for part in ["✓ right", "✗ late", "1 of 2 right", "All clients", "&lt;script&gt;alert(1)"] {
        assert!(verdicts.contains(part), "{part} is missing: {verdicts}");
    }

    // Made again with fewer pages: what is old goes, and what is not of the site stays.
    fs::write(Path::new(&dir).join("mine.txt"), "kept").unwrap();
    site(&[&dir, "refused"]).unwrap();
    let pages = pages_of(Path::new(&dir));
    check(&pages);
    assert_eq!(pages.keys().collect::<Vec<_>>(), ["index.html", "quiz.html", "refused.html"]);
    assert!(Path::new(&dir).join("mine.txt").exists());
}

/// The site is in files: `tcpecho lab site DIR | true` writes it, too.
#[test]
fn a_site_does_not_need_a_reader_of_stdout() {
    let folder = Folder::new("reader");
    let dir = folder.file("site");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = Command::new(env!("CARGO_BIN_EXE_tcpecho"))
        .args(["lab", "site", &dir, "refused"])
        .stdout(writer)
        .output()
        .unwrap();
    let said = text(&ran.stderr);
    match ran.status.code() {
        Some(77) => return println!("SKIP {said}"),
        status => assert_eq!(status, Some(0), "{said}"),
    }
    assert_eq!(pages_of(Path::new(&dir)).len(), 3);
}

#[test]
fn a_directory_with_files_of_others_is_refused() {
    let folder = Folder::new("refused");
    let refused = |args: &[&str], what: &str| {
        let ran = tcpecho(&[&["lab", "site"], args].concat());
        let said = text(&ran.stderr);
        assert_eq!((ran.status.code(), text(&ran.stdout)), (Some(2), String::new()), "{said}");
        assert!(said.contains(what), "{said}");
    };
    let mine = folder.file("mine");
    fs::write(&mine, "kept").unwrap();
    let dir = folder.0.display().to_string();
    refused(&[&dir], "is not empty and was not made by lab site");
    assert_eq!(fs::read_to_string(&mine).unwrap(), "kept");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    refused(&[&mine], "mine: Not a directory (ENOTDIR)");
    let new = folder.file("new");
    refused(&[&new, "refusde"], "did you mean 'refused'");
    refused(&[&new, "many-clients"], "--server");
    refused(
        &[&new, "--verdicts", "/nowhere/at/all"],
        "/nowhere/at/all: No such file or directory (ENOENT)",
    );
    for wrong in ["", "[]", "{}", "{\"role\": 1}", "\u{1b}[2J"] {
        fs::write(&mine, wrong).unwrap();
        refused(&[&new, "--verdicts", &mine], "mine: not a result of lab test --format json: ");
    }
    assert!(!Path::new(&new).exists());
}

/// Where the lab cannot run or the directory cannot be made, nothing is left behind.
#[test]
fn a_site_that_cannot_be_made_says_why() {
    let ran = tcpecho(&["lab", "site", "/nowhere/at/all", "refused"]);
    let said = text(&ran.stderr);
    match ran.status.code() {
        Some(77) => return println!("SKIP {said}"),
        status => assert_eq!(status, Some(2), "{said}"),
    }
    assert!(said.contains("mkdir /nowhere/at/all: No such file or directory (ENOENT)"), "{said}");
    let folder = Folder::new("none");
    let dir = folder.file("site");
    // Namespaces cannot be made under strace when unshare(2) fails.
    let program = env!("CARGO_BIN_EXE_tcpecho");
    let calls = "unshare,clone,clone3,setns";
    let inject = format!("inject={calls}:error=EPERM");
    let ran = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject])
        .args([program, "lab", "site", &dir, "refused"])
        .output();
    let Ok(ran) = ran else { return println!("SKIP no strace") };
    let said = text(&ran.stderr);
    assert_eq!(ran.status.code(), Some(77), "{said}");
    assert!(said.contains("SKIP: ") && said.contains("EPERM"), "{said}");
    assert!(!Path::new(&dir).exists());
}
