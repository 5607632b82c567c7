//! The JUnit report of `lab run` and `lab test`.

use std::io::{self, Write};

use crate::markup::escaped;

/// A test case.
pub(super) struct Case<'a> {
    pub(super) family: String,
    pub(super) name: &'a str,
    pub(super) seconds: f64,
    /// Why it did not pass.
    pub(super) problem: Option<Problem<'a>>,
}

/// Why a test case did not pass.
pub(super) struct Problem<'a> {
    /// `failure`, `error` or `skipped`.
    pub(super) element: &'static str,
    /// The kind in one word.
    pub(super) kind: &'a str,
    pub(super) message: String,
}

/// Writes a suite with these cases.
pub(super) fn write(
    out: &mut impl Write,
    suite: &str,
    seconds: f64,
    cases: &[Case],
) -> io::Result<()> {
    let count = |element: &str| {
        let problems = cases.iter().filter_map(|case| case.problem.as_ref());
        problems.filter(|problem| problem.element == element).count()
    };
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        out,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\">",
        escaped(suite),
        cases.len(),
        count("failure"),
        count("error"),
        count("skipped"),
    )?;
    for Case { family, name, seconds, problem } in cases {
        write!(out, "  <testcase classname=\"{family}\" name=\"{name}\" time=\"{seconds:.3}\"")?;
        let Some(Problem { element, kind, message }) = problem else {
            writeln!(out, "/>")?;
            continue;
        };
        let kind = if *element == "skipped" { String::new() } else { format!(" type=\"{kind}\"") };
        writeln!(out, "><{element}{kind} message=\"{}\"/></testcase>", escaped(message))?;
    }
    writeln!(out, "</testsuite>")
}
