//! Whether the terminal, or the reader of a pipe, shows UTF-8.

use std::env;

/// Returns whether text may have characters beyond ASCII: the character set of the locale (locale(7): LC_ALL, LC_CTYPE, LANG)
/// is UTF-8, or none of these variables is set, as in most containers.
pub(crate) fn is_utf8() -> bool {
    let values = ["LC_ALL", "LC_CTYPE", "LANG"].map(|name| env::var(name).unwrap_or_default());
    names_utf8(values.iter().map(String::as_str))
}

/// The first variable that is not empty counts.
fn names_utf8<'a>(mut values: impl Iterator<Item = &'a str>) -> bool {
    let Some(locale) = values.find(|value| !value.is_empty()) else { return true };
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_names_the_character_set() {
        for (values, utf8) in [
            (["", "", ""], true),
            (["", "", "en_US.UTF-8"], true),
            (["C.utf8", "C", "C"], true),
            (["C", "", "en_US.UTF-8"], false),
            (["", "de_DE.ISO-8859-1", "en_US.UTF-8"], false),
            (["", "", "POSIX"], false),
        ] {
            assert_eq!(names_utf8(values.into_iter()), utf8, "{values:?}");
        }
    }
}
