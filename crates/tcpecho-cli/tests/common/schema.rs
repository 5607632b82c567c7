//! As much of JSON Schema (2020-12) as the schemas in schema/ use; anything else in one is an error.

use serde_json::Value;

/// Checks `value` against the schema in that file of schema/; the complaints name the place.
#[allow(dead_code, reason = "every test program uses its own part of it")]
pub(crate) fn complaints(file: &str, value: &Value) -> Vec<String> {
    let root = read(file);
    let mut found = Vec::new();
    check(&root, &root, value, "$", &mut found);
    found
}

/// Checks `value` against a schema that refers to parts of `root`.
#[allow(dead_code, reason = "every test program uses its own part of it")]
pub(crate) fn complaints_with(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(root, schema, value, "$", &mut found);
    found
}

/// Checks every line of a stream of objects.
#[allow(dead_code, reason = "every test program uses its own part of it")]
pub(crate) fn check_lines(file: &str, lines: &str) {
    let root = read(file);
    for line in lines.lines() {
        let value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        let mut found = Vec::new();
        check(&root, &root, &value, "$", &mut found);
        assert!(found.is_empty(), "{found:#?}");
    }
}

fn read(file: &str) -> Value {
    let path = format!("{}/schema/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn check(root: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    for (keyword, wanted) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "type" => is_type(wanted, value),
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| fits(wanted.as_str().unwrap(), text)),
            "required" => value.as_object().is_none_or(|object| {
                wanted
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|key| object.contains_key(key.as_str().unwrap()))
            }),
            "additionalProperties" => {
                let known = schema["properties"].as_object();
                let others = value.as_object().into_iter().flatten();
                let others =
                    others.filter(|(key, _)| !known.is_some_and(|known| known.contains_key(*key)));
                match wanted {
                    Value::Bool(allowed) => *allowed || others.count() == 0,
                    schema => {
                        for (key, value) in others {
                            check(root, schema, value, &format!("{place}.{key}"), found);
                        }
                        true
                    }
                }
            }
            "properties" => {
                for (key, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        check(root, schema, value, &format!("{place}.{key}"), found);
                    }
                }
                true
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, wanted, item, &format!("{place}[{number}]"), found);
                }
                true
            }
            "$ref" => {
                let target = wanted.as_str().unwrap();
                let (file, pointer) = target.split_once('#').unwrap_or((target, ""));
                let other = (!file.is_empty()).then(|| read(file));
                let root = other.as_ref().unwrap_or(root);
                check(root, root.pointer(pointer).unwrap(), value, place, found);
                true
            }
            "const" => wanted == value,
            "anyOf" | "oneOf" => {
                let holds = |schema: &&Value| {
                    let mut found = Vec::new();
                    check(root, schema, value, place, &mut found);
                    found.is_empty()
                };
                let holding = wanted.as_array().unwrap().iter().filter(holds).count();
                if keyword == "oneOf" { holding == 1 } else { holding > 0 }
            }
            "minLength" => value
                .as_str()
                .is_none_or(|text| text.chars().count() as u64 >= wanted.as_u64().unwrap()),
            "$schema" | "$defs" | "title" | "description" => true,
            other => panic!("{other} is not checked here"),
        };
        if !holds {
            found.push(format!("{place}: {keyword} {wanted}: {value}"));
        }
    }
}

fn is_type(wanted: &Value, value: &Value) -> bool {
    let one = |name: &Value| match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type is called {other}"),
    };
    wanted.as_array().map_or_else(|| one(wanted), |names| names.iter().any(one))
}

/// The two patterns that the schemas use.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern {
        "^E[A-Z0-9]+$" => {
            text.starts_with('E')
                && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        }
        "^[a-z0-9-]+$" => {
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        }
        other => panic!("the pattern {other} is not known here"),
    }
}
