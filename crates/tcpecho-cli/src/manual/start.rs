//! What `tcpecho` without arguments prints: what each command is for, and an example of it.

use std::process::ExitCode;

use clap::CommandFactory;

use super::Page;
use crate::{
    Args, output,
    width::{columns, hang, hang_command},
};

/// Prints the page.
pub(crate) fn run() -> ExitCode {
    let page = page(columns());
    ExitCode::from(output::print_text(&page, None).map_or_else(|why| why.status(0), |()| 0))
}

fn page(width: usize) -> String {
    let command = Args::command();
    let mut page = String::new();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    hang(&mut page, "", "", &format!("tcpecho: {about}"), width);
    page.push('\n');
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = verb.get_name();
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        hang(&mut page, &format!("{name:<12}"), &" ".repeat(12), &about, width);
        if let Some(example) = Page::of(name).and_then(Page::first_example) {
            hang_command(&mut page, &format!("{:12}$ ", ""), &" ".repeat(16), example, width);
        }
    }
    page.push('\n');
    let more = "More: tcpecho COMMAND --help, tcpecho man COMMAND.";
    hang(&mut page, "", "", more, width);
    page
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_command_is_on_the_page_with_an_example() {
        let page = super::page(80);
        for verb in ["serve", "connect", "ping", "bench", "lab", "man", "completions", "schema"] {
            assert!(page.contains(&format!("\n{verb} ")), "{verb}");
            assert!(page.contains(&format!("$ tcpecho {verb}")), "{verb}");
        }
    }
}
