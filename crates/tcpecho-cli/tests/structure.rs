//! Dependencies point down only: between the crates, and between the modules inside a crate there is no cycle.
//!
//! The crates come from `cargo metadata`, the modules from the paths in their source (`use` lines and paths in place). An
//! item that a module only re-exports counts as an item of the module that has it. A module may use what the modules
//! above it have: together they are one thing in several files.

#[path = "structure/modules.rs"]
mod modules;

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use serde_json::Value;

use modules::Modules;

/// Which crates of the workspace a crate may depend on, tests aside. The order is from the top down.
const ARROWS: &[(&str, &[&str])] = &[
    ("tcpecho-cli", &["tcpecho", "tcpecho-lab", "tcpecho-load", "tcpecho-os", "tcpecho-probe"]),
    ("tcpecho-load", &["tcpecho", "tcpecho-os"]),
    ("tcpecho-probe", &["tcpecho", "tcpecho-os"]),
    ("tcpecho", &["tcpecho-os"]),
    ("tcpecho-lab", &["tcpecho-lab-os", "tcpecho-os"]),
    ("tcpecho-lab-os", &["tcpecho-os"]),
    ("tcpecho-os", &[]),
];

/// Cycles that are still there: a number for each crate that has some, which may only fall.
const CYCLES_LEFT: &[(&str, usize)] = &[];

struct Package {
    name: String,
    /// The first files of its library, its benchmarks and its tests.
    roots: Vec<PathBuf>,
    dependencies: BTreeSet<String>,
}

fn workspace() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let names: BTreeSet<&str> = packages.iter().filter_map(|one| one["name"].as_str()).collect();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
            Package {
                name: package["name"].as_str().expect("a name").into(),
                roots: roots(package),
                dependencies: dependencies
                    .filter(|dependency| dependency["kind"].is_null())
                    .filter_map(|dependency| dependency["name"].as_str())
                    .filter(|name| names.contains(name))
                    .map(Into::into)
                    .collect(),
            }
        })
        .collect()
}

/// The files that the library, the benchmarks and the tests of a package begin with.
fn roots(package: &Value) -> Vec<PathBuf> {
    let targets = package["targets"].as_array().expect("targets").iter();
    let has_modules = |target: &&Value| {
        let kinds = target["kind"].as_array().into_iter().flatten();
        kinds.filter_map(Value::as_str).any(|kind| matches!(kind, "lib" | "bench" | "test"))
    };
    let paths = targets.filter(has_modules).filter_map(|target| target["src_path"].as_str());
    paths.map(Into::into).collect()
}

#[test]
fn arrows_between_crates_point_down() {
    let packages = workspace();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(found, known, "the table has every crate");
    for (place, (name, allowed)) in ARROWS.iter().enumerate() {
        for below in *allowed {
            let at = ARROWS.iter().position(|(other, _)| other == below);
            assert!(at.is_some_and(|at| at > place), "the table points from {name} up to {below}");
        }
        let package = packages.iter().find(|package| package.name == *name).expect("it is known");
        for dependency in &package.dependencies {
            assert!(allowed.contains(&dependency.as_str()), "{name} depends on {dependency}");
        }
    }
}

#[test]
fn modules_form_no_cycles() {
    let mut complaints = Vec::new();
    for package in workspace() {
        let mut cycles = Vec::new();
        let mut count = 0;
        for root in &package.roots {
            let modules = Modules::read(root);
            count += modules.count();
            let named = |cycle| format!("{}: {cycle}", root.display());
            cycles.extend(modules.cycles().into_iter().map(named));
        }
        assert!(count > 3, "{}: only {count} modules found", package.name);
        let left = CYCLES_LEFT.iter().find(|(name, _)| *name == package.name);
        let left = left.map_or(0, |(_, count)| *count);
        if cycles.len() != left {
            complaints.push(format!("{}: {} cycles, not {left}", package.name, cycles.len()));
            complaints.extend(cycles);
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_cycle_is_found_through_a_macro() {
    let modules = Modules::of_texts(&[
        ("", "mod a; mod b;"),
        ("a", "pub struct Thing; table! { row { crate::b::other, 5 } }"),
        ("b", "use crate::a::Thing; pub fn other(_: Thing) {}"),
    ]);
    assert_eq!(modules.cycles().len(), 1, "{:?}", modules.cycles());
}

#[test]
fn a_cycle_is_found_through_a_re_export() {
    let modules = Modules::of_texts(&[
        ("", "mod a; mod b; mod c; pub use a::Thing;"),
        ("a", "use crate::b::other; pub struct Thing; mod deep;"),
        ("a::deep", "use super::Thing;"),
        ("b", "pub fn other(_: crate::Thing) {}"),
        ("c", "fn f() -> super::a::Thing { self::inner() } fn inner() {}"),
    ]);
    let cycles = modules.cycles();
    assert_eq!(cycles.len(), 1, "{cycles:?}");
    assert!(
        cycles[0].contains("a -> b: other") && cycles[0].contains("b -> a: Thing"),
        "{cycles:?}"
    );
}
