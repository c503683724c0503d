//! Where the binary under test is, and the directories of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The directory that holds this package's manifest.
pub(crate) fn tests_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn workspace_dir() -> &'static Path {
    tests_dir().parent().expect("the tests are a member of the workspace")
}

/// The directory of the profile this test was built with, such as `target/debug`.
pub(crate) fn target_dir() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let deps = test.parent().expect("a test lies in a directory");
    deps.parent().expect("deps/ lies in the profile's directory").to_owned()
}

/// The heapql binary: `HEAPQL_BIN`, else the one built beside this test, which is built now if it is missing.
pub(crate) fn heapql() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        if let Some(given) = std::env::var_os("HEAPQL_BIN") {
            return PathBuf::from(given);
        }
        let beside = target_dir().join("heapql");
        if !beside.exists() {
            build();
        }
        assert!(beside.exists(), "there is no {}", beside.display());
        beside
    });
    &BINARY
}

fn build() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "-p", "heapql"])
        .current_dir(workspace_dir())
        .status()
        .expect("cargo can be started");
    assert!(built.success(), "cargo build -p heapql: {built}");
}
