//! The agent as a program of its own, for the lab's tests; see [`tcpecho_lab::agent`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> std::io::Result<ExitCode> {
    tcpecho_lab::agent::main_loop(std::io::stdin().lock(), std::io::stdout()).map(ExitCode::from)
}
