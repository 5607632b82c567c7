//! Did-you-mean: only what is near to what was typed.

use clap::{
    builder::StyledStr,
    error::{ContextKind, ContextValue},
};

/// Removes clap's suggestions that are not near to what was typed: `--cont` is `--count` with one letter missing, and not
/// `--connect-timeout`.
pub(crate) fn keep_near(error: &mut clap::Error) {
    for (typed, suggested) in [
        (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        (ContextKind::InvalidValue, ContextKind::SuggestedValue),
        (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand),
    ] {
        let Some(ContextValue::String(word)) = error.get(typed) else { continue };
        let (word, suggestion) = (word.clone(), error.get(suggested).cloned());
        let kept = match suggestion {
            Some(ContextValue::String(one)) if !is_near(&word, &one) => None,
            Some(ContextValue::Strings(all)) => {
                let near: Vec<String> = all.into_iter().filter(|one| is_near(&word, one)).collect();
                (!near.is_empty()).then_some(ContextValue::Strings(near))
            }
            None => continue,
            other => other,
        };
        if let Some(kept) = kept {
            error.insert(suggested, kept);
        } else {
            error.remove(suggested);
            // The usage was that of the suggestion.
            if suggested == ContextKind::SuggestedArg {
                error.insert(ContextKind::Usage, ContextValue::StyledStr(StyledStr::new()));
                error.remove(ContextKind::Usage);
            }
        }
    }
}

/// One edit in a word of up to five letters, two in a longer one.
fn is_near(typed: &str, suggested: &str) -> bool {
    let [typed, suggested] = [typed, suggested].map(|word| word.trim_start_matches('-'));
    let edits = if typed.chars().count() <= 5 { 1 } else { 2 };
    distance(typed, suggested) <= edits
}

/// The number of letters to insert, delete or replace (Levenshtein), or pairs of neighbours to swap.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (row[j] + usize::from(a != b)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_is_near() {
        for (typed, suggested, near) in [
            ("--timeou", "--timeout", true),
            ("--conections", "--connections", true),
            ("--tiemout", "--timeout", true),
            ("--cont", "--count", true),
            ("--count", "--connect", false),
            ("--cont", "--connect-timeout", false),
            ("nosuch", "bench", false),
            ("srve", "serve", true),
        ] {
            assert_eq!(is_near(typed, suggested), near, "{typed} {suggested}");
        }
        assert_eq!(
            (distance("", "abc"), distance("ab", "ba"), distance("same", "same")),
            (3, 1, 0)
        );
    }
}
