//! The clients, as somebody would start them who wants to know what goes on.

use std::process::Command;

use tcpecho_lab::Family;

use crate::situations::{Target, Tool, is_installed, ours};

const TOOLS: &[Tool] = &[
    Tool { name: "tcpecho", argv: |target| ours(target, &["--exit-detail"]), descriptors: Some(4) },
    Tool { name: "ncat", argv: ncat, descriptors: Some(4) },
    Tool { name: "nc", argv: nc, descriptors: None },
    Tool { name: "socat", argv: socat, descriptors: Some(5) },
    Tool { name: "curl", argv: curl, descriptors: None },
];

/// The programs behind the names.
const PROGRAMS: &[(&str, &str)] =
    &[("ncat", "ncat"), ("nc", "nc.openbsd"), ("socat", "socat"), ("curl", "curl")];

pub(crate) fn installed() -> Vec<&'static Tool> {
    let absent = missing();
    TOOLS.iter().filter(|tool| !absent.contains(&tool.name)).collect()
}

pub(crate) fn missing() -> Vec<&'static str> {
    let absent = |program: &str| !is_installed(program);
    PROGRAMS.iter().filter(|(_, program)| absent(program)).map(|(name, _)| *name).collect()
}

/// The versions that were run, one line each.
pub(crate) fn versions() -> Vec<String> {
    let first_line = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit())).map(str::to_owned)
    };
    [("ncat", "--version"), ("socat", "-V"), ("curl", "--version")]
        .into_iter()
        .filter_map(|(program, argument)| first_line(program, argument))
        .collect()
}

fn is_address(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
}

/// `-4` or `-6` with an address; with a name it is free to choose.
fn family(target: &Target) -> Vec<String> {
    let option = if target.family == Family::V4 { "-4" } else { "-6" };
    if is_address(&target.host) { vec![option.into()] } else { Vec::new() }
}

fn ncat(target: &Target) -> Vec<String> {
    let mut argv = vec!["ncat".to_owned(), "-v".into()];
    argv.extend(family(target));
    if let Some((addr, port)) = source(target) {
        argv.extend(["-s".into(), addr]);
        argv.extend(port.into_iter().flat_map(|port| ["-p".into(), port]));
    }
    argv.extend([target.host.clone(), target.port.to_string()]);
    argv
}

fn nc(target: &Target) -> Vec<String> {
    let mut argv = vec!["nc.openbsd".to_owned(), "-v".into()];
    argv.extend(family(target));
    if let Some((addr, port)) = source(target) {
        argv.extend(["-s".into(), addr]);
        argv.extend(port.into_iter().flat_map(|port| ["-p".into(), port]));
    }
    argv.extend([target.host.clone(), target.port.to_string()]);
    argv
}

fn socat(target: &Target) -> Vec<String> {
    let kind = match target.family {
        _ if !is_address(&target.host) => "TCP",
        Family::V4 => "TCP4",
        Family::V6 => "TCP6",
    };
    let host =
        if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
    let bind =
        target.source.as_ref().map_or(String::new(), |source| format!(",bind={source},reuseaddr"));
    vec!["socat".into(), "STDIO".into(), format!("{kind}:{host}:{}{bind}", target.port)]
}

fn curl(target: &Target) -> Vec<String> {
    let mut argv = vec!["curl".to_owned(), "-sS".into(), "-N".into()];
    if let Some((addr, port)) = source(target) {
        argv.extend(["--interface".into(), addr]);
        argv.extend(port.into_iter().flat_map(|port| ["--local-port".into(), port]));
    }
    let host =
        if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
    argv.push(format!("telnet://{host}:{}", target.port));
    argv
}

fn source(target: &Target) -> Option<(String, Option<String>)> {
    let source = target.source.as_ref()?;
    Some(match source.rsplit_once(':') {
        Some((addr, port)) => (addr.into(), Some(port.into())),
        None => (source.clone(), None),
    })
}
