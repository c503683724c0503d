//! The help text, as a golden file: what changes there is seen in a review. Written anew with HEAPQL_BLESS=1.

use std::process::Command;

use crate::harness::{Ended, heapql, tests_dir, tool};

const VERBS: [&str; 13] =
    ["run", "demo", "serve", "env", "sql", "top", "flame", "diff", "export", "ps", "set", "doctor", "completions"];

fn help(arguments: &[&str]) -> String {
    let output = tool(Command::new(heapql()).args(arguments).env("NO_COLOR", "1").env("COLUMNS", "100"), "");
    format!("$ heapql {}\n{}\n", arguments.join(" "), output.ok())
}

#[test]
fn the_help_text_is_the_golden_one() {
    let mut text = help(&["--help"]);
    for verb in VERBS {
        text.push_str(&help(&[verb, "--help"]));
    }
    let path = tests_dir().join("golden/help.txt");
    if std::env::var_os("HEAPQL_BLESS").is_some() {
        std::fs::write(&path, &text).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    for (printed, expected) in text.lines().zip(golden.lines()) {
        assert_eq!(printed, expected, "HEAPQL_BLESS=1 writes tests/golden/help.txt anew");
    }
    assert_eq!(text.lines().count(), golden.lines().count(), "HEAPQL_BLESS=1 writes tests/golden/help.txt anew");
}

#[test]
fn mistakes_on_the_command_line_are_status_2_and_say_what_is_accepted() {
    let cases: [(&[&str], &str); 5] = [
        (&["no-such-verb"], "no-such-verb"),
        (&["run", "--no-such-flag", "--", "true"], "--no-such-flag"),
        (&["run", "--min", "0", "--", "true"], "10000"),
        (&["run", "--mysql", "nonsense", "--", "true"], "--mysql"),
        (&["run"], "Usage"),
    ];
    for (arguments, word) in cases {
        let output = tool(Command::new(heapql()).args(arguments), "");
        assert_eq!(output.ended, Ended::Status(2), "{arguments:?}: {}", output.stderr);
        assert!(output.stderr.contains(word), "{arguments:?}: {}", output.stderr);
        assert_eq!(output.stdout, "", "{arguments:?}");
    }
    let output = tool(Command::new(heapql()).args(["run", "--min", "300", "--max", "200", "--", "true"]), "");
    assert_ne!(output.ended, Ended::Status(0), "{}", output.stderr);
    assert!(output.stderr.contains("300") && output.stderr.contains("200"), "{}", output.stderr);
}
