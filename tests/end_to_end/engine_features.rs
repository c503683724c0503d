//! The query engine is one build, whichever package is asked for: its dependencies have the features that they have in the whole
//! workspace. `crates/features` sees to it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::harness::{tool, workspace_dir};

/// Crates that are built from the engine or from parts of it.
const CRATES: [&str; 6] = ["heapql-server", "heapql-tables", "heapql-sql", "heapql-wire", "heapql-cluster", "heapql"];

/// Sets of features by package.
type Features = BTreeMap<String, BTreeSet<String>>;

/// The features of each package outside the workspace, as cargo resolves them for a selection of packages. Procedural macros
/// have features of their own, so there may be two sets for one package.
fn features(selection: &[&str], edges: &str) -> Features {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p} [{f}]", "--edges", edges]);
    let output = tool(command.args(selection).current_dir(workspace_dir()), "");
    let mut found = Features::new();
    for line in output.ok().lines().filter(|line| !line.is_empty() && !line.starts_with("heapql")) {
        let (package, features) = line.split_once(" [").unwrap_or_else(|| panic!("{line:?}"));
        let features = features.split(']').next().unwrap_or_default();
        found.entry(package.to_owned()).or_default().insert(features.to_owned());
    }
    found
}

/// Packages of one selection with other features than in the workspace. Packages that only tests use are not in the
/// workspace's build.
fn differences(name: &str, selected: Features, workspace: &Features) -> Vec<String> {
    let shared = selected.into_iter().filter_map(|(package, own)| Some((workspace.get(&package)?, package, own)));
    let differing = shared.filter(|(all, _, own)| !own.is_subset(all));
    differing.map(|(all, package, own)| format!("{name}: {package} has {own:?}, not {all:?}")).collect()
}

#[test]
fn every_selection_of_packages_builds_the_same_engine() {
    let mut found = Vec::new();
    // What is linked, then procedural macros and build scripts as well.
    for (build, tests) in [("normal,no-proc-macro", "normal,dev,no-proc-macro"), ("normal,build", "normal,build,dev")] {
        let workspace = features(&["--workspace"], build);
        for name in CRATES {
            found.extend(differences(name, features(&["--package", name], tests), &workspace));
        }
    }
    assert!(
        found.is_empty(),
        "the engine would be built again, name these features in crates/features:\n{}",
        found.join("\n")
    );
}
