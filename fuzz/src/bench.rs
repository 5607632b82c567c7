//! What `bench` and `report` read: histograms, logs of them, results, and baselines.

use tcpecho_cli::fuzzing::{self, File};

use crate::{accepted, text, within};

/// A decoded histogram takes half a megabyte whatever it is of; a few are alive at a time, and what zlib
/// inflates is bounded.
const HISTOGRAM: usize = 40 << 20;

/// Several of the structures of a result are larger than the text that asks for them.
const PER_BYTE: usize = 200;

/// One encoded histogram, without base64: figures are in order, what is written again is the same.
pub fn histogram(data: &[u8]) {
    let Some((count, figures, encoded)) =
        within(HISTOGRAM, || accepted(fuzzing::histogram(data), data.len()))
    else {
        return;
    };
    assert!(figures.iter().all(|figure| figure.is_finite() && *figure >= 0.0), "{figures:?}");
    assert_eq!(figures.is_empty(), count == 0);
    assert!(encoded.len() < 1 << 20);
    if let [quantiles @ .., least, most, mean, _] = figures.as_slice() {
        assert!(quantiles.is_sorted(), "{quantiles:?}");
        assert!(least <= most && (*least..=*most).contains(mean), "{least} {mean} {most}");
    }
}

/// An HDR log, as a file of results.
pub fn hdr_log(data: &[u8]) {
    if data.trim_ascii_start().first() != Some(&b'{') {
        file(data);
    }
}

/// A result or a comparison, as JSON.
pub fn result(data: &[u8]) {
    if data.trim_ascii_start().first() == Some(&b'{') {
        file(data);
    }
}

/// Reads a file; whatever the program makes of it is bounded, fit to be shown, and can be read again.
fn file(data: &[u8]) {
    let bound = HISTOGRAM + PER_BYTE * data.len();
    let read = || within(bound, || accepted(File::read(data, "file"), data.len()));
    let Some(mut file) = read() else { return };
    let json = check_forms(&file, data.len());
    let again = File::read(json.as_bytes(), "file").expect("our own JSON");
    assert_eq!(again.json().as_ref(), Ok(&json));
    if file.add(again).is_ok() {
        check_forms(&file, 4 * data.len());
    }
}

fn check_forms(file: &File, input: usize) -> String {
    let json = file.json().expect("JSON");
    let page = file.text();
    let unprintable = |c: char| c.is_control() && c != '\n';
    assert!(!page.contains(unprintable), "control characters in {page:?}");
    for bad in ["NaN", "inf "] {
        assert!(!page.contains(bad), "{bad} in {page}");
    }
    let html = file.html();
    assert!(!html.contains("NaN"), "NaN in {html}");
    assert!(!html.contains("<script"), "a script in {html}");
    for form in [&json, &page, &html] {
        assert!(form.len() <= (1 << 20) + 100 * input, "{} bytes", form.len());
    }
    json
}

/// A condition, a line end, and a result that is the baseline of twice itself.
pub fn baseline(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (condition, json) = (text(&data[..end]), &data[end + 1..]);
    let Some(condition) = condition else { return };
    let Some(before) = accepted(File::read(json, "before"), json.len()) else { return };
    let again = || File::read(json, "now").expect("what was read before");
    let mut now = again();
    // The sum may be more than a result can say.
    if accepted(now.add(again()), json.len()).is_none() {
        now = again();
    }
    for (now, before) in [(&now, &before), (&before, &now), (&before, &before)] {
        let Some((words, judged)) = now.against(before, condition) else { return };
        for sentence in [words, judged] {
            assert!(!sentence.contains(char::is_control), "{sentence:?}");
            assert!(!sentence.contains("NaN") && !sentence.contains("inf"), "{sentence}");
        }
    }
}
