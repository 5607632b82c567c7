//! The `console` blocks of a page: commands with their output.

use std::ops::Range;

/// A command with its output, as the page shows it.
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) output: Vec<String>,
    /// The lines of the page that hold the output.
    pub(crate) lines: Range<usize>,
}

/// A `console` block.
pub(crate) struct Block {
    pub(crate) page: String,
    pub(crate) line: usize,
    pub(crate) steps: Vec<Step>,
}

impl Block {
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }

    pub(crate) fn begins_with(&self, page: &str, command: &str) -> bool {
        self.page == page && self.steps[0].command.starts_with(command)
    }

    /// A script that runs the commands one after the other, with a record separator after the output of each.
    ///
    /// A command in the background is a server: its first lines, as many as the page shows, say that it is ready.
    pub(crate) fn script(&self) -> String {
        let mut script = String::from(
            "exec 2>&1 </dev/null\nmkfifo ready\nexec 8<>ready\n\
             next() { local status=$?; printf '\\x1e'; return $status; }\n",
        );
        for step in &self.steps {
            match step.command.strip_suffix(" &") {
                None => script += &step.command,
                Some(server) => {
                    let lines = "x ".repeat(step.output.len());
                    let read = "IFS= read -r -t 60 line <&8 && printf '%s\\n' \"$line\"";
                    script =
                        format!("{script}{server} >&8 &\nfor line in {lines}\ndo {read}; done");
                }
            }
            script += "\nnext\n";
        }
        script + "kill $(jobs -p)\nwait\n"
    }
}

/// Returns the `console` blocks of a page.
pub(crate) fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line != "```console" {
            continue;
        }
        let inside: Vec<_> = lines.by_ref().take_while(|(_, line)| *line != "```").collect();
        let steps = steps(&inside);
        assert!(!steps.is_empty(), "{page}:{}: a console block without a command", at + 1);
        blocks.push(Block { page: page.to_owned(), line: at + 1, steps });
    }
    blocks
}

fn steps(lines: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = lines.iter().copied();
    while let Some((at, line)) = lines.next() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                let mut command = command.to_owned();
                let mut end = at + 1;
                // The lines of a here-document belong to the command.
                if command.ends_with("<<END") {
                    for (at, line) in lines.by_ref() {
                        command = format!("{command}\n{line}");
                        end = at + 1;
                        if line == "END" {
                            break;
                        }
                    }
                }
                steps.push(Step { command, output: Vec::new(), lines: end..end });
            }
            (None, Some(step)) => {
                step.output.push(line.to_owned());
                step.lines.end = at + 1;
            }
            (None, None) => panic!("line {}: output before the first command", at + 1),
        }
    }
    // An empty line before the next command is not output.
    for step in &mut steps {
        while step.output.last().is_some_and(String::is_empty) {
            step.output.pop();
            step.lines.end -= 1;
        }
    }
    steps
}
