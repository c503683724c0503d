//! Compiles real programs and asks about them. Used by the tests of this crate.
#![allow(dead_code)]
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use heapql_symbols::{ModuleRef, Resolution, SymbolSettings, Symbols};

/// Standard output of a command that must succeed.
pub(crate) fn run(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output().unwrap_or_else(|e| panic!("{command}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn source(name: &str) -> String {
    format!("{}/tests/programs/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Compiles a file of tests/programs into `directory`, as `name`.
pub(crate) fn compile(compiler: &str, from: &str, directory: &Path, name: &str, options: &[&str]) -> PathBuf {
    let to = directory.join(name);
    let from = source(from);
    run(compiler, &[&["-g", &from, "-o", text(&to)], options].concat());
    to
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Empty if the file has none.
pub(crate) fn build_id(path: &Path) -> Vec<u8> {
    let notes = run("readelf", &["-n", text(path)]);
    let Some(id) = notes.split("Build ID: ").nth(1) else { return Vec::new() };
    let id = id.lines().next().unwrap().trim();
    (0..id.len() / 2).map(|i| u8::from_str_radix(&id[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// (address, size) of a symbol.
pub(crate) fn symbol(path: &Path, name: &str) -> (u64, u64) {
    let table = run("nm", &["-S", text(path)]);
    let line = table.lines().find(|l| l.split_whitespace().last() == Some(name)).unwrap_or_else(|| panic!("no {name}"));
    let number = |at| u64::from_str_radix(line.split_whitespace().nth(at).unwrap(), 16).unwrap();
    (number(0), number(1))
}

/// (address, size) of a section.
pub(crate) fn section(path: &Path, name: &str) -> (u64, u64) {
    let table = run("readelf", &["-SW", text(path)]);
    let wanted = format!(" {name} ");
    let line = table.lines().find(|l| l.contains(&wanted)).unwrap_or_else(|| panic!("no {name}"));
    let fields: Vec<&str> = line.split(&wanted).nth(1).unwrap().split_whitespace().collect();
    (u64::from_str_radix(fields[1], 16).unwrap(), u64::from_str_radix(fields[3], 16).unwrap())
}

/// Looks for files again at every call, and for debug files in that directory only.
pub(crate) fn symbols(debug_directory: &Path) -> Symbols {
    let debug_directories = vec![debug_directory.to_owned()];
    Symbols::new(SymbolSettings { debug_directories, retry: Duration::ZERO, ..SymbolSettings::default() })
}

pub(crate) fn module<'a>(path: &'a Path, build_id: &'a [u8], pid: Option<i32>) -> ModuleRef<'a> {
    ModuleRef { path: text(path), build_id, pid }
}

/// One address of a file, by one who knows nothing yet.
pub(crate) fn resolve(path: &Path, build_id: &[u8], address: u64) -> Arc<Resolution> {
    symbols(path.parent().unwrap()).resolve(&module(path, build_id, None), &[address]).remove(0)
}

/// The outermost function's name.
pub(crate) fn name(resolved: &Resolution) -> &str {
    resolved.frames.last().unwrap().function.as_deref().unwrap_or("")
}

pub(crate) fn note(resolved: &Resolution) -> &str {
    resolved.note.as_deref().unwrap_or("")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
