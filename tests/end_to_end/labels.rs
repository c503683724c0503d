//! Programs that label their memory, in C, C++, Python and Rust: rows per label, exact in full mode; wrong uses; programs
//! without HeapQL.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::harness::{Client, Launch, Program, Server, heapql, ledger_files, scratch, tool, workspace_dir};
use crate::linked_sampler::{Target, labels_of_size};

/// The objects that the examples hold.
const BYTES: usize = 3000;

const C: &str = "../../examples/labels.c";
const CPP: &str = "../../examples/labels.cpp";
const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// A program under `heapql run` that has said "ready".
fn run(program: impl AsRef<Path>, arguments: &[&str]) -> Server {
    let python = workspace_dir().join("python");
    let launch = Launch::run(program, arguments).intervals(1, 1).env("PYTHONPATH", python);
    let server = launch.env("PYTHONDONTWRITEBYTECODE", "1").start();
    server.ready();
    server
}

fn assert_rows(client: &mut dyn Client, bytes: usize, expected: &[(&str, &str, &str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|&(tenant, ctx, label, count)| [tenant, ctx, label, count]).collect();
    assert_eq!(labels_of_size(client, bytes), expected);
}

/// Runs to its end on an empty line, without HeapQL.
fn plain(program: impl AsRef<Path>) -> String {
    let home = scratch();
    let mut command = Command::new(program.as_ref());
    command.env_remove("LD_PRELOAD").env("HEAPQL_DIR", home.path());
    let said = tool(&mut command, "\n").ok().to_owned();
    assert!(ledger_files(home.path()).is_empty(), "{} left a ledger", program.as_ref().display());
    said
}

#[test]
fn the_c_example_has_rows_per_label() {
    let expected = [
        ("500", "22", "glibc_malloc", "5"),
        ("1001", "12", "cache", "20"),
        ("1001", "0", "report", "100"),
        ("2000", "0", "shop0", "40"),
        ("2001", "0", "shop1", "40"),
        ("2002", "0", "shop2", "40"),
    ];
    // A weak symbol of a program that is not position independent could be taken for absent when it is linked.
    for flags in [&["-std=c99", "-D_GNU_SOURCE"][..], &["-no-pie", "-fno-pie"], &["-O0", "-fPIE", "-pie"]] {
        let program = Program::new(C).flags(&STRICT).flags(flags).path();
        assert_eq!(plain(&program), "ready\n");
        assert_rows(&mut run(&program, &[]).mysql(), BYTES, &expected);
    }
}

#[test]
fn the_cpp_example_has_rows_per_label() {
    let expected = [
        ("500", "22", "glibc_malloc", "10"),
        ("1001", "12", "cache", "13"),
        ("2000", "0", "shop0", "40"),
        ("2001", "0", "shop1", "40"),
        ("2002", "0", "shop2", "40"),
    ];
    for standard in ["-std=c++11", "-std=c++20"] {
        let program = Program::new(CPP).flags(&STRICT).flags(&[standard]).path();
        assert_eq!(plain(&program), "ready\n");
        assert_rows(&mut run(&program, &[]).postgres(), BYTES, &expected);
    }
}

#[test]
fn a_static_program_runs_without_labels() {
    assert_eq!(plain(Program::new(C).flags(&["-static"]).path()), "ready\n");
}

#[test]
fn the_python_example_has_rows_per_label() {
    let script = workspace_dir().join("examples/labels.py");
    let script = script.to_str().expect("a path in UTF-8");
    let expected = [
        ("500", "22", "glibc_malloc", "16"),
        ("1001", "12", "cache", "20"),
        ("1001", "0", "report", "100"),
        ("1003", "0", "background", "30"),
        ("1004", "0", "session", "100"),
        ("2000", "0", "shop0", "40"),
        ("2001", "0", "shop1", "40"),
        ("2002", "0", "shop2", "40"),
    ];
    for allocator in ["malloc", "pymalloc"] {
        let allocator = format!("PYTHONMALLOC={allocator}");
        let server = run("/usr/bin/env", &[&allocator, "python3", script]);
        assert_rows(&mut server.mysql(), BYTES, &expected);
    }
    assert_runs_without_heapql(script);
}

#[test]
fn python_refuses_what_cannot_be_a_scope() {
    let script = tests_script("scopes.py");
    let server = run("/usr/bin/env", &["python3", &script]);
    let expected =
        [("500", "22", "glibc_malloc", "6"), ("1001", "0", "outer", "4"), ("1001", "0", "\u{fc}ml\u{fffd}ut", "2")];
    assert_rows(&mut server.mysql(), BYTES, &expected);
    assert_runs_without_heapql(&script);
}

/// Runs a Python script with the label interface and without a recorder.
fn assert_runs_without_heapql(script: &str) {
    let mut python = Command::new("python3");
    python.arg(script).env("PYTHONPATH", workspace_dir().join("python")).env("PYTHONDONTWRITEBYTECODE", "1");
    assert_eq!(tool(&mut python, "\n").ok(), "ready\n");
}

fn tests_script(name: &str) -> String {
    let path = crate::harness::tests_dir().join("programs").join(name);
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// The rows of `examples/labels.rs`, which has the default label of its recorder.
fn rust_rows(
    ctx: &'static str,
    default: &'static str,
) -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    let mut rows = vec![
        ("500", ctx, default, "13"),
        ("1001", "12", "cache", "20"),
        ("1001", "0", "report", "100"),
        ("1001", "0", "run time", "6"),
        ("1003", "0", "background", "240"),
    ];
    let shops = ["shop0", "shop1", "shop2", "shop3", "shop4", "shop5", "shop6", "shop7"];
    let tenants = ["2000", "2001", "2002", "2003", "2004", "2005", "2006", "2007"];
    rows.extend(tenants.into_iter().zip(shops).map(|(tenant, shop)| (tenant, "0", shop, "40")));
    rows
}

#[test]
fn tasks_keep_their_labels_across_awaits_and_threads() {
    let program = env!("CARGO_BIN_EXE_labels");
    let home = Arc::new(scratch());
    let _target = Target::start_program(program, &home, "");
    assert_rows(&mut Launch::serve(&home).start().mysql(), BYTES, &rust_rows("0", "rust_alloc"));
    assert_rows(&mut run(program, &[]).mysql(), BYTES, &rust_rows("22", "glibc_malloc"));
}

#[test]
fn a_rust_program_with_another_allocator_is_labelled_where_it_is_recorded() {
    let program = env!("CARGO_BIN_EXE_foreign-alloc");
    let expected = [("500", "22", "glibc_malloc", "10"), ("1001", "0", "mine", "100")];
    assert_rows(&mut run(program, &[]).postgres(), 1009, &expected);
    assert!(plain(program).starts_with("ready "));
}

#[test]
fn scopes_of_the_c_interface_nest() {
    let path = Program::new("scopes.c").path();
    plain(&path);
    let expected = [("500", "22", "glibc_malloc", "10"), ("1007", "3", "outer", "60"), ("1008", "0", "inner", "30")];
    assert_rows(&mut run(&path, &[]).postgres(), 1009, &expected);
}

#[test]
fn wrong_uses_of_the_c_interface_leave_the_label_around_them() {
    let path = Program::new("misuse.c").flags(&STRICT).path();
    assert_eq!(plain(&path), "ready\n");
    let server = run(&path, &[]);
    // Each refused one holds one under the label around it, the one too many two.
    let most = "9223372036854775807";
    let expected = [
        ("500", "22", "glibc_malloc", "10"),
        ("1001", "0", "", "10"),
        ("1001", "1", "", "15"),
        ("1001", "2", "abcdefghijklmno", "11"),
        ("1001", "3", "fourteen bytes", "12"),
        ("1001", "4", "\u{fffd}\u{fffd}", "13"),
        ("1002", "0", "signal", "3"),
        // The deepest of 32; of the 68 further ones it is the label around.
        ("1003", "0", "deep31", "7"),
        (most, most, "most", "14"),
    ];
    for mut client in server.clients() {
        let mut rows = labels_of_size(client.as_mut(), 1009);
        rows.sort_by_key(|row| (row[0].parse::<i64>().ok(), row[1].parse::<i64>().ok()));
        assert_eq!(rows, expected.map(|(tenant, ctx, label, count)| [tenant, ctx, label, count]));
    }
    // 40 labels came before the 600, and one after them.
    let losses = "SELECT sum(value) FROM heapql.self_usage WHERE name LIKE '%labels_full%'";
    assert_eq!(server.mysql().query(losses).number(), 40 + 600 + 1 - 512);
    let said: Vec<_> = server.log().lines().filter(|line| line.contains("no scope")).map(str::to_owned).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("'tenant 0' has tenant 0") && said[0].contains("1..9223372036854775807"), "{said:?}");
}

#[test]
fn heapql_prints_the_interfaces() {
    for (language, path) in [("c", "include/heapql.h"), ("python", "python/heapql.py")] {
        let printed = tool(Command::new(heapql()).args(["env", "--api", language]), "").ok().to_owned();
        assert_eq!(printed, std::fs::read_to_string(workspace_dir().join(path)).expect("in the tree"), "{path}");
    }
}
