//! `tcpecho lab doctor`: whether the lab can be used here, what else can, and how to get the rest.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
    process::ExitCode,
};

use tcpecho_lab::doctor::{self, Finding};
use tcpecho_os::failed::Failed;

use crate::{
    exit,
    output::OutputBuffer,
    width::{columns, hang},
};

/// The name of `--calls` among what can be used.
const CALLS: &str = "system calls (--calls)";

pub(super) fn examine() -> ExitCode {
    let findings = doctor::examine();
    let observed = doctor::try_observing().err();
    let width = if io::stdout().is_terminal() { columns() } else { usize::MAX };
    let mut out = OutputBuffer::text();
    let _ = out.write_all(report(&findings, observed.as_ref(), width).as_bytes());
    let is_usable = findings.iter().any(|finding| finding.failed.is_none());
    ExitCode::from(out.end(if is_usable { 0 } else { exit::SKIPPED }))
}

/// The conclusion, then what works besides, then what does not and how to get it.
fn report(findings: &[Finding], unobserved: Option<&Failed>, width: usize) -> String {
    let mut page = String::new();
    let mut works: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.failed.is_none())
        .map(|finding| finding.way.words())
        .collect();
    let conclusion = if works.is_empty() {
        "The lab cannot be used here: no way to make virtual hosts works".to_string()
    } else {
        format!("The lab can be used here: {}", works.remove(0))
    };
    hang(&mut page, "", "  ", &conclusion, width);
    works.extend(unobserved.is_none().then_some(CALLS));
    if !works.is_empty() {
        hang(&mut page, "", "  ", &format!("Also available: {}", works.join("; ")), width);
    }
    let missing = |page: &mut String, what: &str, failed: &Failed, ways_out: &[String]| {
        hang(page, "  ", "    ", &format!("{what}: {failed}"), width);
        for way_out in ways_out {
            hang(page, "    try: ", "         ", way_out, width);
        }
    };
    let mut rest = String::new();
    for finding in findings {
        if let Some(failed) = &finding.failed {
            missing(&mut rest, finding.way.words(), failed, &finding.ways_out);
        }
    }
    if let Some(failed) = unobserved {
        missing(&mut rest, CALLS, failed, &doctor::observing_ways_out(failed));
    }
    if !rest.is_empty() {
        let _ = write!(page, "Not available:\n{rest}");
    }
    page
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;
    use tcpecho_lab::doctor::Way;

    use super::*;

    fn finding(way: Way, failed: Option<(&'static str, Errno)>, way_out: &str) -> Finding {
        let failed = failed.map(|(operation, errno)| Failed { operation: operation.into(), errno });
        let ways_out = failed.iter().map(|_| way_out.into()).collect();
        Finding { way, failed, ways_out }
    }

    #[test]
    fn the_conclusion_comes_first_and_what_is_missing_last() {
        let [root, tun, veth] = Way::ALL;
        let no_tun = Some(("open /dev/net/tun", Errno::ACCESS));
        let findings = [
            finding(root, Some(("unshare(CLONE_NEWNET)", Errno::PERM)), "run it as root (sudo)"),
            finding(tun, no_tun, "let users open it: chmod 666 /dev/net/tun"),
            finding(veth, None, ""),
        ];
        let wide = "\
The lab can be used here: user namespace, veth pairs
Also available: system calls (--calls)
Not available:
  root, TUN devices: unshare(CLONE_NEWNET): Operation not permitted (EPERM)
    try: run it as root (sudo)
  user namespace, TUN devices: open /dev/net/tun: Permission denied (EACCES)
    try: let users open it: chmod 666 /dev/net/tun
";
        for width in [usize::MAX, 120, 80] {
            assert_eq!(report(&findings, None, width), wide);
        }
        let narrow = report(&findings, None, 60);
        assert!(narrow.lines().all(|line| line.len() <= 60), "{narrow}");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&narrow), words(wide));
    }

    #[test]
    fn without_any_way_the_lab_cannot_be_used() {
        let none = Way::ALL.map(|way| finding(way, Some(("clone", Errno::NOSPC)), "wait"));
        let failed = Failed { operation: "ptrace".into(), errno: Errno::PERM };
        let page = report(&none, Some(&failed), 80);
        assert!(page.starts_with("The lab cannot be used here: "), "{page}");
        assert!(page.contains("\n  system calls (--calls): ptrace: "), "{page}");
        assert!(!page.contains("Also"), "{page}");
    }
}
