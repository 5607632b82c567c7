//! The pages that are written by hand, and the links in all pages.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

/// Pages made by programs, whose text their own tests compare.
const GENERATED: &[&str] = &[
    "docs/diagnosis.md",
    "docs/errnos.md",
    "docs/gallery-clients.md",
    "docs/questions.md",
    "docs/scenarios.md",
    "docs/situations.md",
    "docs/verdicts.md",
];

/// Held by a test that may write a page whose other parts another test writes.
pub(crate) static WRITING: Mutex<()> = Mutex::new(());

/// Paraphrases that nobody searches for, and that cost a reader a second reading.
pub(crate) const NOT_PLAIN: &[&str] = &[
    "so long",
    "so often",
    "whoever",
    "is told",
    "are told",
    "knock",
    "guest",
    "stranger",
    "lets go of",
    "befall",
    "gravest",
    "in vain",
    "is owed",
    "are owed",
    "not to be had",
    "tell nothing",
    "given again",
    "is asked whether",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

/// Returns the text of a page, such as `docs/ping.md`.
pub(crate) fn page(name: &str) -> String {
    let path = root().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns name, path and text of every page: those of the top folder and those of docs/.
fn all_pages() -> Vec<(String, PathBuf, String)> {
    let mut names: Vec<String> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(str::to_owned).into();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if has_extension(&name, "md") {
            names.push(format!("docs/{name}"));
        }
    }
    names.sort();
    let with_text = |name: String| (name.clone(), root().join(&name), page(&name));
    names.into_iter().map(with_text).collect()
}

/// Returns name, path and text of the README and of the pages of docs/ that are written by hand.
pub(crate) fn pages() -> Vec<(String, PathBuf, String)> {
    let mut pages = all_pages();
    pages.retain(|(name, ..)| !GENERATED.contains(&name.as_str()));
    pages
}

/// Returns the targets of the links of a page.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1);
    targets.filter_map(|rest| rest.split(')').next()).collect()
}

/// Returns the anchors of a page, made of its headings as GitHub and mdBook make them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn relative_links_resolve() {
    for (name, path, text) in all_pages() {
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            assert!(target.exists(), "{name}: no {link}");
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                assert!(anchors(&text).iter().any(|found| found == anchor), "{name}: no {link}");
            }
        }
    }
}

/// mdBook renders docs/ only, so a link to a page outside of it leads nowhere in the book.
#[test]
fn links_of_the_book_stay_in_the_book() {
    for (name, _, text) in all_pages().into_iter().filter(|(name, ..)| name.starts_with("docs/")) {
        let outside = links(&text).into_iter().find(|link| link.starts_with("../"));
        assert_eq!(outside, None, "{name}");
    }
}

#[test]
fn the_summary_lists_every_page() {
    let summary = page("docs/SUMMARY.md");
    for (name, ..) in all_pages() {
        let Some(file) = name.strip_prefix("docs/").filter(|file| *file != "SUMMARY.md") else {
            continue;
        };
        assert!(summary.contains(&format!("({file})")), "docs/SUMMARY.md does not list {name}");
    }
}

#[test]
fn the_readme_and_the_architecture_are_short() {
    for name in ["README.md", "ARCHITECTURE.md"] {
        let lines = page(name).lines().count();
        assert!(lines <= 200, "{name} has {lines} lines; move details to docs/");
    }
}

#[test]
fn the_pages_use_the_terms_of_the_field() {
    for (name, _, text) in pages() {
        // What the program prints is not the page's own.
        let own: String = text.split("```").step_by(2).collect();
        let own = own.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        for phrase in NOT_PLAIN {
            assert!(!own.contains(phrase), "{name}: {phrase:?}");
        }
    }
}

/// Every source file that a page for developers names, such as `engine/epoll.rs`, is the end of a path below crates/ or
/// fuzz/src/.
#[test]
fn the_source_files_that_the_pages_name_exist() {
    let files = ["crates", "fuzz/src"].map(|folder| files_below(&root().join(folder))).concat();
    for name in ["ARCHITECTURE.md", "docs/design.md"] {
        let text = page(name);
        let named = text.split('`').skip(1).step_by(2).filter(|code| has_extension(code, "rs"));
        for file in named.filter(|file| !file.contains('*')) {
            let found = files.iter().any(|path| path.ends_with(file));
            assert!(found, "{name}: no {file}");
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}
