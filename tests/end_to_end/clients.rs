//! Drivers that people use: the scripts of `clients/`, each in the virtual environment that this module makes.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use crate::harness::{Client, Launch, Program, Server, target_dir, tests_dir, tool};

/// `target/test-venv/bin/python`, with the drivers that `clients/requirements.txt` lists; made once.
pub(crate) fn python() -> &'static PathBuf {
    static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
        let target = target_dir();
        let venv = target.parent().expect("target/ holds the profile's directory").join("test-venv");
        let python = venv.join("bin/python");
        let ready = |python: &PathBuf| {
            python.exists()
                && Command::new(python)
                    .args(["-c", "import google.protobuf, pymysql, psycopg"])
                    .status()
                    .is_ok_and(|it| it.success())
        };
        if !ready(&python) {
            make(&venv, &python);
        }
        python
    });
    &PYTHON
}

fn make(venv: &PathBuf, python: &PathBuf) {
    let run = |command: &mut Command| {
        let status = command.status().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        assert!(status.success(), "{command:?}: {status}");
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(venv));
    let requirements = tests_dir().join("clients/requirements.txt");
    run(Command::new(python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements));
}

fn recorded() -> Server {
    let mut server = Launch::run(Program::new("exact.c").path(), &[]).intervals(1, 1).start();
    server.ready();
    server.order("malloc 12 1009");
    server
}

fn assert_script(script: &str) {
    let server = recorded();
    let mut command = Command::new(python());
    command.arg(tests_dir().join("clients").join(script));
    command.args([server.endpoints.mysql_port(), server.endpoints.postgres_port()]);
    let output = tool(command.env("PYTHONDONTWRITEBYTECODE", "1"), "");
    assert_eq!(output.ok(), "ok\n", "{}", output.stderr);
    server.mysql().assert_alive();
}

#[test]
fn pymysql() {
    assert_script("with_pymysql.py");
}

#[test]
fn psycopg() {
    assert_script("with_psycopg.py");
}

#[test]
fn psql_commands_are_answered() {
    let server = recorded();
    let commands = [
        "\\d",
        "\\d+",
        "\\dt",
        "\\dt+",
        "\\dt oceanbase.*",
        "\\d heapql.processes",
        "\\d+ __all_virtual_malloc_sample_info",
        "\\dn",
        "\\l",
        "\\l+",
        "\\du",
        "\\df",
        "\\dv",
        "\\di",
        "\\ds",
        "\\dT",
        "\\dp",
        "\\z",
        "\\db",
        "\\dx",
        "\\conninfo",
        "\\encoding",
        "SELECT 1 AS one \\gdesc",
        "SELECT 1 AS one \\gx",
        "\\x",
        "SELECT 2 AS two;",
    ];
    let mut psql = Command::new("psql");
    psql.args(["-X", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", server.endpoints.postgres_port()]);
    let output = tool(psql.args(["-U", "root", "-d", "oceanbase"]), &(commands.join("\n") + "\n"));
    let text = output.ok();
    // There are no views, indexes and sequences, and it says so.
    assert!(output.stderr.lines().all(|line| line == "Did not find any relations."), "{}", output.stderr);
    for word in
        ["__all_virtual_malloc_sample_info", "processes", "oceanbase", "heapql", "alloc_bytes", "one | 1", "two | 2"]
    {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn mariadb_commands_are_answered() {
    let server = recorded();
    let login = ["--no-defaults", "-h127.0.0.1", "-P", server.endpoints.mysql_port(), "-uroot@sys"];
    let script = "status\nuse heapql\nshow tables;\nselect 1 as one\\G\nuse oceanbase\nshow tables;\n";
    // It reads all names for completion first.
    let output = tool(Command::new("mariadb").args(login).args(["-Doceanbase", "--auto-rehash"]), script);
    let text = output.ok();
    for word in ["5.7.25-OceanBase", "utf8mb4", "processes", "one: 1", "__all_virtual_malloc_sample_info"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    for command in ["ping", "status", "processlist", "extended-status", "variables"] {
        tool(Command::new("mysqladmin").args(login).arg(command), "").ok();
    }
}
