//! `.ci/skips`: a skipped test is counted, and one that nobody expects fails the run.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

/// What the test harness prints with `--show-output`, two binaries of it.
const OUTPUT: &str = "\
     Running tests/lab.rs (target/debug/deps/lab-0123456789abcdef)

running 3 tests
test packets ... ok

successes:

---- packets::v6 stdout ----
of no interest
SKIP no tcpdump


successes:
    packets::v6

test result: ok. 3 passed; 0 failed
     Running tests/diagnosis.rs (target/debug/deps/diagnosis-fedcba9876543210)
SKIP: no lab here
";

fn skips(output: &str, expected: &str, name: &str) -> Option<Output> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.ci/skips");
    if !script.exists() {
        println!("SKIP: the script is not part of a package: {}", script.display());
        return None;
    }
    let list = std::env::temp_dir().join(format!("tcpecho-skips-{}-{name}", std::process::id()));
    fs::write(&list, expected).unwrap();
    let mut script = Command::new(script)
        .arg(&list)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    script.stdin.take().unwrap().write_all(output.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    fs::remove_file(list).unwrap();
    Some(output)
}

#[test]
fn a_skip_that_is_not_expected_fails_the_run() {
    let Some(output) = skips(OUTPUT, "# a comment\n\n^diagnosis -: SKIP: no lab", "one") else {
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("== SKIPs: 2, of them 1 not expected"), "{text}");
    assert!(text.contains("NOT EXPECTED: lab packets::v6: SKIP no tcpdump"), "{text}");
    assert!(!text.contains("of no interest"), "the output of tests that pass is left out: {text}");
    assert!(text.contains("test packets ... ok\n"), "everything else is passed on: {text}");
}

#[test]
fn expected_skips_are_counted_and_fail_nothing() {
    let expected = "^lab packets::v[46]: SKIP no tcpdump$\n^diagnosis -: SKIP";
    let Some(output) = skips(OUTPUT, expected, "both") else { return };
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("== SKIPs: 2, of them 0 not expected"), "{text}");
    let Some(output) = skips("test result: ok\n", "", "none") else { return };
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("== SKIPs: 0"), "{text}");
}
