//! The samples of the README in a terminal: each is typed at a login shell in a pane of tmux(1), of 80 columns and 24 rows.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use tcpecho_lab_os::netns::NetNs;

use crate::{
    blocks::{Block, Step, blocks},
    lines::{is_state, looked_late},
    mask::mask,
    pages::page,
    printed::paragraphs,
    samples::{loopback, needs_missing},
};

/// No command of the README takes half of this.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the README shows and a terminal of 80 columns does not, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("64 bytes from 127.0.0.1: ", "ping: the first line says it"),
    (" remarks", "lab test: remarks have lines of their own"),
    ("; see tcpecho lab run", "lab test: the command has a line of its own"),
];

/// What stands there instead.
const INSTEAD: &[(&str, &str)] = &[("; see tcpecho lab run", " tcpecho lab run")];

/// A pane of a tmux server of its own, with a login shell.
struct Pane {
    socket: PathBuf,
}

impl Pane {
    /// Opens it in a network namespace; the shell's home is `folder`.
    fn open(netns: &NetNs, folder: &Path) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_tcpecho")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
        // Says that the command before has ended.
        let profile =
            format!("PATH='{path}'\nPS1='$ '\nPROMPT_COMMAND='tmux wait-for -S prompt'\n");
        fs::write(folder.join(".bash_profile"), profile).unwrap();
        fs::write(folder.join("tmux.conf"), "set -g status off\nset -g history-limit 9999\n")
            .unwrap();
        let pane = Pane { socket: folder.join("tmux.socket") };
        let mut tmux = pane.tmux();
        tmux.arg("-f").arg(folder.join("tmux.conf")).args(["new-session", "-d", "-x80", "-y24"]);
        tmux.arg("exec bash --login").current_dir(folder).env("HOME", folder);
        tmux.env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .env_remove("COLUMNS");
        assert!(netns.run(|| tmux.status()).unwrap().unwrap().success());
        pane.wait(1, [0, 0]);
        pane
    }

    fn tmux(&self) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.arg("-u").arg("-S").arg(&self.socket);
        tmux
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.tmux().args(args).output().unwrap();
        assert!(output.status.success(), "tmux {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits for the end of a command, and then for so many prompts from a row on: what is typed earlier stands there twice.
    fn wait(&self, prompts: usize, [scrolled, row]: [i64; 2]) {
        let patience = PATIENCE.as_secs().to_string();
        let mut tmux = Command::new("timeout");
        tmux.args([&patience, "tmux", "-S"]).arg(&self.socket).args(["wait-for", "prompt"]);
        let has_ended = tmux.status().unwrap().success();
        assert!(has_ended, "no prompt:\n{}", self.run(&["capture-pane", "-p", "-S-"]));
        let start = Instant::now();
        while self.rows(scrolled + row, "-p").matches("\n$").count() < prompts {
            assert!(start.elapsed() < PATIENCE, "no prompt");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the rows from this one on, counted from the first of all; `how` is an option of capture-pane.
    fn rows(&self, first: i64, how: &str) -> String {
        let [scrolled, _] = self.place();
        let first = (first - scrolled).to_string();
        format!("\n{}", self.run(&["capture-pane", how, "-S", &first]))
    }

    /// Types a command, and returns its output when `is_whole` says so.
    fn play(&self, step: &Step, is_whole: impl Fn(&str) -> bool) -> String {
        let [scrolled, row] = self.place();
        self.run(&["send-keys", "-l", "--", &step.command]);
        self.run(&["send-keys", "Enter"]);
        self.wait(2, [scrolled, row]);
        let start = Instant::now();
        loop {
            // With the lines joined that the terminal has wrapped, and then as they stand.
            let captured =
                |how| output_of(&step.command, self.rows(scrolled + row, how).trim_start());
            let lines = captured("-pJ");
            // A command in the background prints behind the prompt, and the next one needs a prompt of its own.
            let is_background = step.command.ends_with('&');
            if is_whole(&lines) || !is_background || start.elapsed() > PATIENCE {
                let rows = captured("-p");
                assert_eq!(rows, lines, "the terminal has wrapped a line of: {}", step.command);
                if is_background {
                    let place = self.place();
                    self.run(&["send-keys", "Enter"]);
                    self.wait(1, place);
                }
                return lines;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many rows have scrolled away, and the row of the cursor.
    fn place(&self) -> [i64; 2] {
        let place = self.run(&["display-message", "-p", "#{history_size} #{cursor_y}"]);
        let mut numbers = place.split_whitespace().map(|number| number.parse().unwrap());
        [(); 2].map(|()| numbers.next().unwrap())
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        let _ = self.tmux().arg("kill-server").status();
    }
}

/// What stands below a command, without prompts and what the shell says of its jobs.
fn output_of(command: &str, screen: &str) -> String {
    let mut rest = screen.strip_prefix("$ ").unwrap_or(screen).chars();
    // The terminal has wrapped the command wherever it was full.
    for letter in command.chars().filter(|letter| !letter.is_whitespace()) {
        let found = rest.by_ref().find(|found| !found.is_whitespace());
        assert_eq!(found, Some(letter), "{command:?} was typed:\n{screen}");
    }
    let mut output = String::new();
    for line in rest.as_str().lines().map(str::trim_end) {
        let line = if line == "$" { "" } else { line.strip_prefix("$ ").unwrap_or(line) };
        let is_of_job = line.starts_with('[') && line.contains("] ") || line.starts_with("[1]+");
        if !is_of_job {
            output = format!("{output}{line}\n");
        }
    }
    output.trim().to_owned()
}

/// Returns the masked words of a text, without the lines of sockets and arrows on a ladder; those of a note of `bench` depend on
/// how busy the machine is.
fn words(text: &str) -> Vec<String> {
    let text = text.replace(['│', '┊', '─'], " ");
    let steady = paragraphs(&text).into_iter().filter(|line| !line.starts_with("note: "));
    let words = steady
        .flat_map(|line| mask(&line).split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    words.collect()
}

/// Whether the lines that the README shows, where `...` stands for any number of lines, are on the screen: each of them on a
/// ladder, on which the order of lines is not certain; all in their order elsewhere.
fn shows(step: &Step, output: &str) -> Result<(), String> {
    on_screen(&step.command, &step.output, output)
}

fn on_screen(command: &str, shown: &[String], output: &str) -> Result<(), String> {
    let narrow = |line: &String| {
        let line =
            INSTEAD.iter().fold(line.clone(), |line, (long, short)| line.replace(long, short));
        LEFT_OUT.iter().fold(line, |line, (part, _)| line.replace(part, ""))
    };
    let shown: Vec<String> = shown.iter().map(narrow).collect();
    let is_elided = shown.iter().any(|line| line == "...");
    let found = words(output);
    if !is_elided {
        let expected = words(&shown.join("\n"));
        return if expected == found { Ok(()) } else { Err(format!("{expected:?}\n{found:?}")) };
    }
    let is_ladder = command.contains("tcpecho lab ");
    let mut from = 0;
    let late = is_ladder && looked_late(output);
    let counts = |line: &&String| *line != "..." && !(late && is_state(line));
    for line in shown.iter().filter(counts) {
        let line = words(line);
        let at = (from..found.len()).find(|at| found[*at..].starts_with(&line));
        match at {
            Some(at) if !is_ladder => from = at + line.len(),
            Some(_) => {}
            None => return Err(format!("{line:?} not in\n{found:?}")),
        }
    }
    Ok(())
}

#[test]
fn the_readme_is_what_a_terminal_shows() {
    if Command::new("tmux").arg("-V").output().is_err() {
        println!("SKIP: no tmux here");
        return;
    }
    let folder = std::env::temp_dir().join(format!("tcpecho-screen-{}", std::process::id()));
    let mut wrong = String::new();
    for block in blocks("README.md", &page("README.md")) {
        if needs_missing(&block) {
            continue;
        }
        let Some(netns) = loopback() else { return };
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        wrong += &play(&block, &Pane::open(&netns, &folder));
    }
    let _ = fs::remove_dir_all(&folder);
    assert!(wrong.is_empty(), "{wrong}");
}

/// Plays a block, and says what is not as the README shows it.
fn play(block: &Block, pane: &Pane) -> String {
    let mut wrong = String::new();
    for step in &block.steps {
        let output = pane.play(step, |output| shows(step, output).is_ok());
        match shows(step, &output) {
            Ok(()) => every_line_counts(step, &output),
            Err(difference) => {
                let (name, command) = (block.name(), &step.command);
                wrong = format!("{wrong}\n{name}: $ {command}\n{output}\n{difference}\n");
            }
        }
    }
    wrong
}

/// A line that is not on the screen is noticed.
fn every_line_counts(step: &Step, output: &str) {
    let lines = step.output.iter().enumerate();
    let late = looked_late(output);
    let counts = |line: &str| !line.is_empty() && line != "..." && !(late && is_state(line));
    for (at, line) in lines.filter(|(_, line)| counts(line)) {
        let mut changed = step.output.clone();
        changed[at] = line.replacen(char::is_alphabetic, "_", 1);
        let is_noticed = on_screen(&step.command, &changed, output).is_err();
        assert!(is_noticed || changed[at] == *line, "{}: {line}", step.command);
    }
}
