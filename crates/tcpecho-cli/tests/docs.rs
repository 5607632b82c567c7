//! What the README says of endings, engines and options is what the tables say.

use std::process::Command;

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap()
}

#[test]
fn every_ending_stands_in_the_readme_as_in_the_table() {
    let readme = readme();
    for row in tcpecho::ENDINGS {
        let line = format!("| {} | {} | {} |", row.word, row.sentence, row.exit_status);
        assert!(readme.contains(&line), "missing: {line}");
    }
}

#[test]
fn every_engine_stands_in_the_readme_as_it_is_listed() {
    let readme = readme();
    let list = Command::new(env!("CARGO_BIN_EXE_tcpecho"))
        .args(["serve", "--engine", "list"])
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert_eq!(list.lines().count(), tcpecho::ENGINES.len());
    for line in list.lines() {
        // Whether it is available is the host's business.
        let (shown, _) = line.split_at(line.find("available").unwrap());
        assert!(readme.contains(shown.trim_end_matches("un")), "missing: {shown}");
    }
}

#[test]
fn every_option_that_the_readme_names_exists() {
    let verbs = [&["serve"][..], &["connect"], &["lab", "run"], &["bench"], &["report"]];
    let help = verbs.map(|verb| {
        let output = Command::new(env!("CARGO_BIN_EXE_tcpecho")).args(verb).arg("--help").output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    });
    let help = help.concat();
    let readme = readme();
    let shown = readme
        .split('`')
        .filter(|code| code.starts_with("--"))
        .map(|code| code.split(' ').next().unwrap());
    for option in shown {
        assert!(help.contains(option), "{option} is in no --help");
    }
}
