//! Bars of a histogram in eighths of a character.

const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// Returns a bar for `number`, `width` columns long for `most`. A number above 0 has a bar, however small.
pub(crate) fn bar(number: u64, most: u64, width: usize) -> String {
    let eighths = (number as f64 / most.max(1) as f64 * (width * 8) as f64).round() as usize;
    let eighths = if number > 0 { eighths.max(1) } else { 0 };
    let mut bar = "█".repeat(eighths / 8);
    if eighths % 8 > 0 {
        bar.push(EIGHTHS[eighths % 8 - 1]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        assert_eq!((bar(0, 10, 50), bar(10, 10, 50)), (String::new(), "█".repeat(50)));
        assert_eq!(bar(1, 1_000_000, 50), "▏");
        assert_eq!(bar(3, 8, 2), "▊");
        assert_eq!(bar(1, 0, 0), "▏");
    }
}
