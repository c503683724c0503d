//! The arrows of the design: which crate may use which, checked against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::harness::workspace_dir;

/// Crates of ours that a crate may use. What is not listed may not exist.
const ARROWS: [(&str, &[&str]); 14] = [
    ("ledger", &[]),
    ("unwind", &[]),
    ("sampler", &["ledger", "unwind"]),
    ("preload", &["sampler"]),
    ("registry", &["ledger"]),
    ("symbols", &[]),
    ("profile", &[]),
    // No code, only features of what the engine is built from.
    ("features", &[]),
    ("server", &["features", "registry", "ledger", "symbols"]),
    ("tables", &["features", "server", "registry", "ledger", "symbols", "profile"]),
    ("sql", &["features", "tables", "server", "registry", "ledger", "symbols", "profile"]),
    ("cluster", &["features", "sql", "tables", "server", "registry", "ledger"]),
    ("wire", &["features", "sql", "tables", "server", "profile"]),
    // It is also a recorded program: the one arrow between the wings.
    ("heapql", &["features", "wire", "cluster", "sql", "tables", "server", "registry", "ledger", "symbols", "sampler"]),
];

/// The wing that is mapped into other people's programs, and all that it may link.
const WRITER_WING: [&str; 4] = ["ledger", "unwind", "sampler", "preload"];
const WRITER_LINKS: [&str; 2] = ["libc", "gimli"];

fn metadata() -> Metadata {
    MetadataCommand::new().current_dir(workspace_dir()).no_deps().exec().expect("cargo metadata")
}

fn short(name: &str) -> Option<&str> {
    if name == "heapql" { Some(name) } else { name.strip_prefix("heapql-") }
}

/// The crates that a crate links, build scripts included; tests may use more.
fn links(package: &Package) -> BTreeSet<&str> {
    let dependencies = package.dependencies.iter();
    let linked = dependencies.filter(|dependency| dependency.kind != DependencyKind::Development);
    linked.map(|dependency| dependency.name.as_str()).collect()
}

/// Every crate of the workspace by its short name, but for the tests.
fn crates(metadata: &Metadata) -> BTreeMap<&str, &Package> {
    let mut named = BTreeMap::new();
    for package in &metadata.packages {
        if let Some(name) = short(package.name.as_str()).filter(|name| *name != "tests") {
            named.insert(name, package);
        }
    }
    named
}

fn allowed(name: &str) -> &'static [&'static str] {
    let arrow = ARROWS.iter().find(|(from, _)| *from == name);
    arrow.unwrap_or_else(|| panic!("the design has no crate heapql-{name}")).1
}

#[test]
fn arrows_point_down_only() {
    let metadata = metadata();
    for (name, package) in crates(&metadata) {
        let allowed = allowed(name);
        for used in links(package).into_iter().filter_map(short) {
            assert!(allowed.contains(&used), "heapql-{name} uses heapql-{used}; it may use {allowed:?}");
        }
    }
}

#[test]
fn the_writer_wing_links_next_to_nothing() {
    let metadata = metadata();
    let crates = crates(&metadata);
    for name in WRITER_WING {
        let package = crates.get(name).unwrap_or_else(|| panic!("there is no heapql-{name}"));
        for used in links(package).into_iter().filter(|used| short(used).is_none()) {
            assert!(
                WRITER_LINKS.contains(&used),
                "heapql-{name} uses {used}; the writer wing may use {WRITER_LINKS:?}"
            );
        }
    }
}

#[test]
fn the_reader_wing_uses_the_ledger_only_of_the_writer_wing() {
    let metadata = metadata();
    for (name, package) in crates(&metadata) {
        // The binary records itself.
        let may_use = if name == "heapql" { &["ledger", "sampler"][..] } else { &["ledger"] };
        let used = links(package);
        let of_writer = used.iter().filter_map(|used| short(used)).filter(|used| WRITER_WING.contains(used));
        for used in of_writer.filter(|_| !WRITER_WING.contains(&name)) {
            assert!(may_use.contains(&used), "heapql-{name} uses heapql-{used} of the writer wing");
        }
    }
}

#[test]
fn the_tests_link_no_engine() {
    let metadata = metadata();
    let tests = metadata.packages.iter().find(|package| package.name.as_str() == "heapql-tests");
    let tests = tests.expect("this package");
    for dependency in &tests.dependencies {
        let ours = short(&dependency.name);
        assert!(ours.is_none() || ours == Some("sampler"), "heapql-tests uses {}", dependency.name);
        assert!(!dependency.name.starts_with("datafusion"), "heapql-tests uses {}", dependency.name);
    }
}
