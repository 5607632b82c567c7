//! Names of scenarios and trials: patterns, and what to say about a name that none has.

use std::fmt::Write as _;

use tcpecho_lab::{
    scenario::Scenario,
    text::{Group, Text},
};

/// Whether a name, a pattern or a group that was typed selects a scenario or a trial.
pub(super) fn selects(typed: &str, text: &Text) -> bool {
    matches(typed, text.name) || is_group(typed, group_of(text))
}

/// Whether this is the name of the group, with a hyphen for a space or without.
pub(super) fn is_group(typed: &str, group: Group) -> bool {
    typed == group.words() || typed == typed_group(group)
}

/// The name of a group as one word of a command line.
pub(crate) fn typed_group(group: Group) -> &'static str {
    match group {
        Group::Data => "data-transfer",
        group => group.words(),
    }
}

/// The group of a scenario, and of a trial, which may have that of its scenario.
pub(super) fn group_of(text: &Text) -> Group {
    let of_scenario = || Scenario::named(text.name)?.text.group;
    text.group.or_else(of_scenario).unwrap_or(Group::Startup)
}

/// The number of names that are suggested.
const MOST: usize = 3;

/// Whether it is a pattern.
pub(super) fn is_glob(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether a name matches a pattern: `*` is any number of letters, `?` is one.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern.chars().count() == name.chars().count() && begins(pattern, name);
    };
    let ends = || name.char_indices().map(|(at, _)| at).chain([name.len()]);
    let count = first.chars().count();
    name.chars().count() >= count
        && begins(first, name)
        && ends().skip(count).any(|at| matches(rest, &name[at..]))
}

/// Whether the letters of a pattern without `*` are those that a name begins with.
fn begins(pattern: &str, name: &str) -> bool {
    pattern.chars().zip(name.chars()).all(|(wanted, letter)| wanted == '?' || wanted == letter)
}

/// Returns the end of an error about this name: the nearest names, if any, and where all of them
/// are.
pub(super) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    format!("{}; {LIST}", near(name, known))
}

/// Where the names of scenarios and trials are.
pub(super) const LIST: &str = "tcpecho lab list shows all names";

/// Returns a question with the nearest names, if there are any.
pub(super) fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near: Vec<String> = nearest(name, known).iter().map(|name| format!("'{name}'")).collect();
    let mut hint = String::new();
    match near.as_slice() {
        [] => {}
        [one] => {
            let _ = write!(hint, " (did you mean {one}?)");
        }
        [first @ .., last] => {
            let _ = write!(hint, " (did you mean {} or {last}?)", first.join(", "));
        }
    }
    hint
}

/// Returns the names that differ from this one in at most a third of its letters, the nearest
/// first, then those that contain it.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let name = name.to_lowercase().replace('_', "-");
    let most = name.chars().count().div_ceil(3);
    let mut near = Vec::new();
    for known in known {
        let distance = strsim::osa_distance(&name, known);
        let is_part = name.len() > 2 && known.contains(&name);
        if (distance <= most || is_part) && !near.contains(&(distance, known)) {
            near.push((distance, known));
        }
    }
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(MOST).map(|(_, known)| known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        for (pattern, name, wanted) in [
            ("refused", "refused", true),
            ("refused", "refuse", false),
            ("segment-*", "segment-lost", true),
            ("segment-*", "segments-reordered", false),
            ("*-lost", "segment-lost", true),
            ("*e*e*", "refused", true),
            ("*", "", true),
            ("?efused", "refused", true),
            ("?", "", false),
            ("a?*", "a", false),
            ("*a*b", "xaxbxb", true),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn a_group_is_one_word_and_no_name() {
        for group in Group::ALL {
            assert_eq!(typed_group(group), group.words().replace(' ', "-"));
            assert!(Scenario::named(typed_group(group)).is_none());
        }
    }

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let known =
            ["refused", "half-close", "zero-window", "crash-and-reboot", "crash", "refused"];
        for (name, near) in [
            ("refusde", &["refused"][..]),
            ("half_close", &["half-close"]),
            ("Zero-Windows", &["zero-window"]),
            ("reboot", &["crash-and-reboot"]),
            ("crash", &["crash", "crash-and-reboot"]),
            ("nonsense", &[]),
            ("", &[]),
        ] {
            assert_eq!(nearest(name, known), near, "{name}");
        }
        assert_eq!(
            hint("crasj", known),
            " (did you mean 'crash'?); tcpecho lab list shows all names"
        );
        assert_eq!(hint("?", known), "; tcpecho lab list shows all names");
    }
}
