//! `tcpecho completions`: completion scripts for shells.

use std::{fmt::Write, process::ExitCode};

use clap::{
    Arg, Args, Command,
    builder::{PossibleValue, PossibleValuesParser},
};
use clap_complete::Shell;
use tcpecho::{ENGINES, PRESETS};
use tcpecho_lab::{
    scenario::{SCENARIOS, Scenario},
    text::Group,
    trial,
};

use crate::{lab::typed_group, output};

/// Print a completion script for a shell
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    let mut command = with_names(without_hidden(super::command()));
    clap_complete::generate(args.shell, &mut command, "tcpecho", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    match args.shell {
        Shell::Fish => fish_operands(&command, &[], &mut script),
        Shell::Zsh => zsh_report(&mut script),
        _ => {}
    }
    ExitCode::from(output::print(&script, None).map_or_else(|why| why.status(0), |()| 0))
}

/// Completes the options of `bench report`: in the script of `clap_complete` for zsh, a command below `bench` comes after
/// its two operands.
fn zsh_report(script: &mut String) {
    const VERB: &str = "            (bench)\n";
    const OPTIONS: &str = "            (report)\n";
    let Some(verb) = script.find(VERB).map(|at| at + VERB.len()) else { return };
    let Some((_, after)) = script[verb..].split_once(OPTIONS) else { return };
    let Some((options, _)) = after.split_once(";;") else { return };
    let report = format!(
        "if [[ $words[2] == report ]]; then\n    shift words\n    (( CURRENT -= 1 ))\n{options}    return ret\nfi\n"
    );
    script.insert_str(verb, &report);
}

/// Adds what `clap_complete` leaves out for fish: the values of operands, of this command and of those below it.
fn fish_operands(command: &Command, path: &[&str], script: &mut String) {
    let values = command.get_positionals().flat_map(Arg::get_possible_values);
    let names: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
    let condition = match path {
        [verb] => format!("__fish_tcpecho_using_subcommand {verb}"),
        [verb, inner] => format!(
            "__fish_tcpecho_using_subcommand {verb}; and __fish_seen_subcommand_from {inner}"
        ),
        _ => String::new(),
    };
    if !names.is_empty() && !condition.is_empty() {
        let names = names.join(" ");
        let _ = writeln!(script, "complete -c tcpecho -n \"{condition}\" -f -a \"{names}\"");
    }
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        fish_operands(verb, &[path, &[verb.get_name()]].concat(), script);
    }
}

/// Returns the command without those that help does not show, which clap_complete would propose.
fn without_hidden(command: Command) -> Command {
    let names: Vec<String> =
        command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    if command.get_subcommands().any(Command::is_hide_set) {
        let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        let bare = Command::new(word(&command));
        return bare
            .about(command.get_about().cloned().unwrap_or_default())
            .args(command.get_arguments())
            .subcommands(shown.cloned().map(without_hidden));
    }
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, without_hidden))
}

/// The name of a command. There are few, and clap wants them for ever.
fn word(command: &Command) -> &'static str {
    command.get_name().to_owned().leak()
}

/// Returns a command without options for each command, and those below it: the pages of `tcpecho man`.
fn named_after(command: &Command) -> Vec<Command> {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let page = |verb: &Command| {
        Command::new(word(verb))
            .about(verb.get_about().cloned().unwrap_or_default())
            .disable_help_flag(true)
            .disable_version_flag(true)
            .disable_help_subcommand(true)
            .subcommands(named_after(verb))
    };
    verbs.map(page).collect()
}

/// Makes the names of scenarios, engines and commands values that can be completed. The commands themselves also take other
/// words.
fn with_names(command: Command) -> Command {
    // For fish, a word that was typed is not proposed again, so a page `man` would hide all others.
    let pages = named_after(&command).into_iter().filter(|page| page.get_name() != "man");
    let command = command.mut_subcommand("man", |man| {
        let about = man.get_about().cloned().unwrap_or_default();
        Command::new("man").about(about).disable_help_subcommand(true).subcommands(pages)
    });
    let command = command.mut_subcommand("bench", |bench| {
        let engines = ENGINES.iter().map(|engine| engine.name).chain(["all"]);
        let engines: Vec<&str> = engines.collect();
        let report = PossibleValue::new("report").help("Merge results, or show one again");
        bench
            .mut_arg("engines", |arg| arg.value_parser(PossibleValuesParser::from(engines)))
            .mut_arg("host", |arg| arg.value_parser(PossibleValuesParser::from(vec![report])))
    });
    let command = command.mut_subcommand("serve", |serve| {
        let preset = |preset: &tcpecho::Preset| {
            let equals = usize::from(!preset.parameter.is_empty());
            let value = &preset.example[..preset.name.len() + equals];
            PossibleValue::new(value).help(preset.sentence)
        };
        let list = PossibleValue::new("list").help("print the presets");
        let presets: Vec<PossibleValue> = PRESETS.iter().map(preset).chain([list]).collect();
        serve.mut_arg("fault", |arg| {
            arg.value_parser(PossibleValuesParser::from(presets)).hide_possible_values(true)
        })
    });
    let all = || PossibleValue::new("all").help("All of them");
    let scenarios = || -> Vec<PossibleValue> {
        let texts = SCENARIOS.iter().map(|scenario| &scenario.text);
        texts.map(|text| PossibleValue::new(text.name).help(text.title)).collect()
    };
    let trials = || -> Vec<PossibleValue> {
        let mut texts: Vec<_> = trial::all().map(|trial| &trial.text).collect();
        texts.dedup_by_key(|text| text.name);
        texts.iter().map(|text| PossibleValue::new(text.name).help(text.title)).collect()
    };
    let everything = || {
        let mut names = scenarios();
        let is_new = |trial: &PossibleValue| Scenario::named(trial.get_name()).is_none();
        names.extend(trials().into_iter().filter(is_new));
        names
    };
    command.mut_subcommand("lab", |lab| {
        let taking = |verb: &'static str, argument: &'static str, names: Vec<PossibleValue>| {
            move |lab: Command| {
                lab.mut_subcommand(verb, |verb| {
                    verb.mut_arg(argument, |arg| {
                        arg.value_parser(PossibleValuesParser::from(names))
                            .hide_possible_values(true)
                    })
                })
            }
        };
        let groups =
            || Group::ALL.map(|group| PossibleValue::new(typed_group(group)).help("A group"));
        let with_all = |mut names: Vec<PossibleValue>| {
            names.extend(groups());
            names.push(all());
            names
        };
        let lab =
            taking("list", "pattern", everything().into_iter().chain(groups()).collect())(lab);
        let lab = taking("run", "names", with_all(scenarios()))(lab);
        let lab = taking("explain", "names", with_all(everything()))(lab);
        let lab = taking("learn", "name", scenarios())(lab);
        let lab = taking("learn", "from", scenarios())(lab);
        taking("test", "names", with_all(trials()))(lab)
    })
}
