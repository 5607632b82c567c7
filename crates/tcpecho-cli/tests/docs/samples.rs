//! The samples of the README and of docs/ are what the program prints.
//!
//! Every `console` block is run by bash in a network namespace of its own, so that it can use the ports that it shows. Its
//! output is compared line by line with the page, after times, dates, free ports and measured values have been masked. A
//! line `...` stands for any number of lines. `TCPECHO_WRITE_DOCS=1` writes what has changed into the page, except where a
//! sample has such a line.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

use tcpecho_lab_os::{link::Links, netns::NetNs};

use crate::{
    blocks::{Block, Step, blocks},
    lines::{Line, is_elided, looked_late, masked, matches},
    pages::{WRITING, page, pages},
};

/// Blocks that are not run: the page, the beginning of the first command, and the reason.
const NOT_RUN: &[(&str, &str, &str)] = &[
    ("docs/connect.md", "tcpecho connect 198.51.100.20", "a firewall on another host refuses it"),
    ("docs/ping.md", "tcpecho ping 198.51.100.20", "the server is on another host, and is killed"),
    (
        "docs/bench.md",
        "tcpecho bench -c 50 --engines all --against",
        "takes minutes (docs/bench.sh)",
    ),
    ("docs/bench.md", "tcpecho bench -W crr -c 20 --engines", "takes minutes (docs/bench.sh)"),
    ("docs/bench.md", "tcpecho bench -W stream -c 8 --engines", "takes minutes (docs/bench.sh)"),
];

/// Programs that a block needs besides tcpecho.
const NEEDS: &[(&str, &str)] = &[("'nc -N", "nc"), ("curl ", "curl")];

/// Runs the block and returns the output of each command.
fn run(block: &Block, netns: &NetNs, folder: &Path) -> Vec<String> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_tcpecho")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &block.script()]).current_dir(folder).env("PATH", path);
    bash.env_remove("BASH_ENV").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = netns.run(|| bash.spawn()).unwrap().unwrap();
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    child.wait().unwrap();
    let output = String::from_utf8(output).unwrap();
    let outputs: Vec<String> = output.split('\x1e').map(str::to_owned).collect();
    assert!(outputs.len() > block.steps.len(), "{}: {output}", block.name());
    outputs
}

pub(crate) fn needs_missing(block: &Block) -> bool {
    let commands: String = block.steps.iter().map(|step| step.command.as_str()).collect();
    let wanted = NEEDS.iter().filter(|(text, _)| commands.contains(text));
    wanted.map(|(_, tool)| tool).any(|tool| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
        if !found {
            println!("SKIP: {}: no {tool} here", block.name());
        }
        !found
    })
}

/// Makes a network namespace with a loopback interface; SKIP where that is not allowed, or without IPv6.
pub(crate) fn loopback() -> Option<NetNs> {
    if !Path::new("/proc/net/if_inet6").exists() {
        println!("SKIP: samples need IPv6");
        return None;
    }
    let up = |netns: &NetNs| {
        netns.run(|| {
            let links = Links::open()?;
            links.set_up(links.index("lo")?, true)
        })?
    };
    let netns = NetNs::new().and_then(|netns| up(&netns).map(|()| netns));
    netns.inspect_err(|error| println!("SKIP: samples need a network namespace: {error:?}")).ok()
}

#[test]
fn samples_are_what_the_program_prints() {
    let folder = std::env::temp_dir().join(format!("tcpecho-samples-{}", std::process::id()));
    let mut wrong = String::new();
    let _writing = WRITING.lock();
    for (page, path, text) in pages() {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        // From the last one, so that the line numbers before it stay right.
        for block in blocks(&page, &text).iter().rev() {
            if NOT_RUN.iter().any(|(page, command, _)| block.begins_with(page, command))
                || needs_missing(block)
            {
                continue;
            }
            let Some(netns) = loopback() else { return };
            wrong += &check(block, &run(block, &netns, &folder), &path, &mut lines);
        }
    }
    let _ = fs::remove_dir_all(&folder);
    assert!(
        wrong.is_empty(),
        "TCPECHO_WRITE_DOCS=1 writes what has changed into the page.\n{wrong}"
    );
}

/// Compares a block with what its commands printed, and says what differs.
fn check(block: &Block, outputs: &[String], path: &Path, lines: &mut Vec<String>) -> String {
    let mut wrong = String::new();
    for (step, output) in block.steps.iter().zip(outputs).rev() {
        let shown = masked(step.output.iter().map(String::as_str));
        let printed = masked(output.lines());
        if matches(step, &shown, &printed) {
            every_line_counts(step, &shown, &printed);
            continue;
        }
        if std::env::var_os("TCPECHO_WRITE_DOCS").is_some() && !is_elided(&shown) {
            lines.splice(step.lines.clone(), output.lines().map(str::to_owned));
            fs::write(path, lines.join("\n") + "\n").unwrap();
            continue;
        }
        let (name, command) = (block.name(), &step.command);
        let text = |lines: &[Line]| {
            let lines: Vec<_> = lines.iter().map(|line| format!("  {}", line.text)).collect();
            lines.join("\n")
        };
        let (masked, shown) = (text(&printed), text(&shown));
        wrong =
            format!("{wrong}\n{name}: $ {command}\n{output}\nmasked:\n{masked}\nshown:\n{shown}\n");
    }
    wrong
}

/// A line of the output that changes is noticed.
fn every_line_counts(step: &Step, shown: &[Line], printed: &[Line]) {
    let late = printed.iter().any(|line| looked_late(&line.text));
    let counts = |line: &Line| line.text != "..." && !(late && line.is_state());
    for at in (0..shown.len()).filter(|at| counts(&shown[*at])) {
        let mut changed = shown.to_vec();
        changed[at].text += " and more";
        assert!(!matches(step, &changed, printed), "{}: {}", step.command, shown[at].text);
    }
}

#[test]
fn a_block_that_is_not_run_is_on_its_page() {
    for (name, command, reason) in NOT_RUN {
        let blocks = blocks(name, &page(name));
        let found = blocks.iter().any(|block| block.begins_with(name, command));
        assert!(found, "no block begins with {command:?} in {name} ({reason})");
    }
}

#[test]
fn every_verb_has_a_sample_that_is_run() {
    let shown: Vec<Block> = pages().iter().flat_map(|(page, _, text)| blocks(page, text)).collect();
    let run: String = shown
        .iter()
        .filter(|block| !NOT_RUN.iter().any(|(page, command, _)| block.begins_with(page, command)))
        .flat_map(|block| block.steps.iter().map(|step| format!("{}\n", step.command)))
        .collect();
    for verb in [
        "serve",
        "connect",
        "ping",
        "bench",
        "bench report",
        "lab run",
        "lab list",
        "lab explain",
        "lab test",
        "lab shell",
        "lab learn",
        "lab doctor",
    ] {
        assert!(run.contains(&format!("tcpecho {verb}")), "no sample of tcpecho {verb} is run");
    }
}
