//! The query engine is one build, whichever package is asked for: its dependencies have the features that they have in the whole
//! workspace. `crates/features` sees to it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::harness::{tool, workspace_dir};

/// Crates that are built from the engine or from parts of it.
const CRATES: [&str; 6] = ["heapql-server", "heapql-tables", "heapql-sql", "heapql-wire", "heapql-cluster", "heapql"];

/// The features of each package outside the workspace, as cargo resolves them for a selection of packages. Procedural macros
/// have features of their own, so there may be two sets for one package.
fn features(selection: &[&str], edges: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p} [{f}]", "--edges", edges]);
    let output = tool(command.args(selection).current_dir(workspace_dir()), "");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in output.ok().lines().filter(|line| !line.is_empty() && !line.starts_with("heapql")) {
        let (package, features) = line.split_once(" [").unwrap_or_else(|| panic!("{line:?}"));
        let features = features.split(']').next().unwrap_or_default();
        found.entry(package.to_owned()).or_default().insert(features.to_owned());
    }
    found
}

/// Differences of one selection from the workspace. Packages that only tests use are not in the workspace's build.
fn differences(name: &str, kind: &str, in_workspace: &str, in_tests: &str) -> Vec<String> {
    let workspace = features(&["--workspace"], in_workspace);
    let selected = features(&["--package", name], in_tests);
    let shared = selected.into_iter().filter_map(|(package, own)| Some((workspace.get(&package)?, package, own)));
    let differing = shared.filter(|(all, _, own)| !own.is_subset(all));
    differing.map(|(all, package, own)| format!("{name}: {package} ({kind}) has {own:?}, not {all:?}")).collect()
}

#[test]
fn every_selection_of_packages_builds_the_same_engine() {
    let mut found = Vec::new();
    for name in CRATES {
        found.extend(differences(name, "linked", "normal,no-proc-macro", "normal,dev,no-proc-macro"));
        found.extend(differences(name, "linked or a macro's", "normal,build", "normal,build,dev"));
    }
    assert!(
        found.is_empty(),
        "the engine would be built again, name these features in crates/features:\n{}",
        found.join("\n")
    );
}
