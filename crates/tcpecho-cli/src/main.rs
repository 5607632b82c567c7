//! The program `tcpecho`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    tcpecho_cli::main()
}
