//! What is wrong with a file that should be JSON, in words.

use tcpecho_os::text::spaced;

/// Returns why a text is not what it should be, such as `a result of tcpecho bench --json`.
pub(crate) fn sentence(what: &str, error: &serde_json::Error) -> String {
    if error.is_eof() {
        let (line, column) = (error.line(), error.column());
        if (line, column) == (1, 0) {
            return format!("not {what}: the file is empty");
        }
        return format!("the file is cut off: its JSON ends in line {line}, column {column}");
    }
    format!("not {what}: {}", spaced(&error.to_string()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_file_that_is_cut_off_is_not_explained_by_the_parser() {
        for (text, wanted) in [
            ("{\"a\":\n\"b", "the file is cut off: its JSON ends in line 2, column 2"),
            ("{\"a\"", "the file is cut off: its JSON ends in line 1, column 4"),
            ("", "not x: the file is empty"),
            ("[", "the file is cut off: its JSON ends in line 1, column 1"),
        ] {
            let error = serde_json::from_str::<serde_json::Value>(text).unwrap_err();
            assert_eq!(super::sentence("x", &error), wanted);
        }
        let error = serde_json::from_str::<u8>("\"a\"").unwrap_err();
        assert!(super::sentence("a number", &error).starts_with("not a number: "));
    }
}
