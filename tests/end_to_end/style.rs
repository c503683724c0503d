//! The rules that `docs/style/measure.py` checks: few doc comments open with a fragment, and no two public types share a name.

use std::process::Command;

use crate::harness::{Ended, tool, workspace_dir};

#[test]
fn the_words_and_names_keep_the_rules() {
    let script = workspace_dir().join("docs/style/measure.py");
    let output = tool(Command::new("python3").arg(script).arg("--check"), "");
    assert_eq!(output.ended, Ended::Status(0), "{}{}", output.stdout, output.stderr);
}
