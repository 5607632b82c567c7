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
    strsim::osa_distance(typed, suggested) <= edits
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
    }
}
