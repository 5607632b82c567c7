//! `tcpecho schema`: the JSON schemas of what the program writes.

use std::process::ExitCode;

use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser},
};

use crate::{
    output,
    width::{hang, stdout_columns},
};

/// Print the JSON schema of what a command writes; without NAME, list them
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Which schema
    #[arg(value_parser = names())]
    name: Option<String>,
}

/// A schema: its name, what writes such an object, its text.
type Row = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
const SCHEMAS: &[Row] = &[
    ("connect", "connect --json", include_str!("../../schema/connect.json")),
    ("failure", "--json, where a command fails before it has a result", include_str!("../../schema/failure.json")),
    ("ping", "ping --json and --json-stream", include_str!("../../schema/ping.json")),
    ("bench", "bench --json, for one server", include_str!("../../schema/bench.json")),
    ("bench-comparison", "bench --json, for several servers", include_str!("../../schema/bench-comparison.json")),
    ("serve-log", "serve --log json", include_str!("../../schema/serve-log.json")),
    ("gallery", "serve --gallery --json", include_str!("../../schema/gallery.json")),
    ("lab-run", "lab run --format ndjson", include_str!("../../schema/lab-run.json")),
    ("lab-test", "lab test --format json", include_str!("../../schema/lab-test.json")),
    ("lab-list", "lab list --json", include_str!("../../schema/lab-list.json")),
];

fn names() -> PossibleValuesParser {
    SCHEMAS.iter().map(|row| PossibleValue::new(row.0).help(row.1)).collect::<Vec<_>>().into()
}

/// Prints the schema, or the list.
pub(crate) fn run(args: &SchemaArgs) -> ExitCode {
    let (mut text, width) = (String::new(), stdout_columns().unwrap_or(usize::MAX));
    for (name, what, schema) in SCHEMAS {
        match &args.name {
            None => {
                hang(&mut text, &format!("{name:<18}"), &" ".repeat(18), what, width);
            }
            Some(wanted) if wanted == name => text.push_str(schema),
            Some(_) => {}
        }
    }
    ExitCode::from(output::print(&text, None).map_or_else(|why| why.status(0), |()| 0))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tcpecho::internal::ENDINGS;
    use tcpecho_lab::{text::Group, timeline::Verdict, trial::Fault};

    use super::*;

    fn schema(name: &str) -> Value {
        let row = SCHEMAS.iter().find(|row| row.0 == name);
        serde_json::from_str(row.unwrap_or_else(|| panic!("no schema {name}")).2).unwrap()
    }

    fn words(schema: &Value, pointer: &str) -> Vec<String> {
        let words = schema.pointer(pointer).unwrap()["enum"].as_array().unwrap();
        words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    }

    /// Every word that a table of the program has is in the schema, and no other.
    #[test]
    fn words_are_those_of_the_tables() {
        let sorted = |mut words: Vec<String>| {
            words.sort_unstable();
            words
        };
        let same = |name, pointer, table: Vec<&str>| {
            let table = table.into_iter().map(str::to_owned).collect();
            assert_eq!(sorted(words(&schema(name), pointer)), sorted(table), "{name}{pointer}");
        };
        same("connect", "/$defs/ending", ENDINGS.iter().map(|row| row.word).collect());
        same("lab-run", "/$defs/packet/properties/verdict", Verdict::WORDS.into());
        let groups = "/properties/scenarios/items/properties/group";
        same("lab-list", groups, Group::ALL.map(Group::words).into());
        let faults = Fault::ALL.iter().map(|(fault, _)| fault.word());
        let others = ["right", "broken", "interrupted", "skipped"];
        same("lab-test", "/$defs/verdict", faults.chain(others).collect());
    }

    /// A reference names something that is there, in the same schema or in one that is printed.
    #[test]
    fn every_reference_leads_somewhere() {
        fn check(name: &str, root: &Value, value: &Value) {
            match value {
                Value::Object(object) => {
                    for (key, value) in object {
                        if let (true, Value::String(target)) = (key == "$ref", value) {
                            let (file, pointer) = target.split_once('#').unwrap_or((target, ""));
                            let other = file.strip_suffix(".json").map(schema);
                            let found = other.as_ref().unwrap_or(root).pointer(pointer);
                            assert!(found.is_some(), "{name}: {target}");
                        }
                        check(name, root, value);
                    }
                    if object.get("type").is_some_and(|kind| *kind == "object")
                        && object.contains_key("properties")
                    {
                        let other = &object["additionalProperties"];
                        assert_eq!(*other, false, "{name}: a field that is not described");
                    }
                }
                Value::Array(values) => values.iter().for_each(|value| check(name, root, value)),
                _ => {}
            }
        }
        for (name, ..) in SCHEMAS {
            let root = schema(name);
            check(name, &root, &root);
        }
    }
}
