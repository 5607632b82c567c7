//! Numbers with their nouns.

/// Returns the number and the word for it: `1 byte`, `2 bytes`.
#[must_use]
pub fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Returns `1 byte`, `2 bytes`.
pub(crate) fn bytes(count: u64) -> String {
    counted(count, "byte", "bytes")
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_is_not_many() {
        let words = [0, 1, 2].map(super::bytes);
        assert_eq!(words, ["0 bytes", "1 byte", "2 bytes"]);
    }
}
