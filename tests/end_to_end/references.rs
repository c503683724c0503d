//! Everything that documents and comments refer to exists: files, and modules and items of the crates.
//!
//! Checked in every Markdown file and in every comment of Rust source: paths below a top-level directory, names of source
//! files in backticks, targets of Markdown links, and paths in backticks that begin with a crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::harness::workspace_dir;
use crate::source::{Crate, ModulePath};

/// Directories with files that are not in the repository.
const SKIPPED: [&str; 3] = ["target", ".git", "node_modules"];

/// A word in backticks with such an ending is a source file, wherever it lies.
const SOURCES: [&str; 5] = [".rs", ".py", ".sh", ".sql", ".slt"];

/// The crates by their short names, such as `ledger`.
type Crates = BTreeMap<String, Crate>;

struct Workspace {
    root: PathBuf,
    top_level: Vec<String>,
    files: Vec<PathBuf>,
    crates: Crates,
}

/// A line of a document or a comment.
struct Line<'a> {
    file: &'a Path,
    number: usize,
    text: &'a str,
}

impl Workspace {
    fn read(root: &Path) -> Workspace {
        let names = entries(root).into_iter().filter(|path| path.is_dir()).map(|path| name(&path));
        let crates = entries(&root.join("crates")).into_iter().map(|directory| {
            let roots = [directory.join("src/lib.rs"), directory.join("src/main.rs")];
            let found = roots.iter().find(|root| root.exists()).expect("a crate has a root");
            (name(&directory), Crate::read(found))
        });
        Workspace { root: root.to_owned(), top_level: names.collect(), files: files(root), crates: crates.collect() }
    }

    /// References to what does not exist, a line each.
    fn dangling(&self) -> Vec<String> {
        let mut found = Vec::new();
        for file in &self.files {
            let extension = file.extension().and_then(|extension| extension.to_str());
            if !matches!(extension, Some("md" | "rs")) {
                continue;
            }
            let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            for (number, line) in (1..).zip(text.lines()) {
                let is_comment = line.trim_start().starts_with("//");
                let line = Line { file, number, text: line };
                match extension {
                    Some("md") => {
                        found.extend(self.dangling_links(&line).into_iter().chain(self.dangling_names(&line)))
                    }
                    _ if is_comment => found.extend(self.dangling_names(&line)),
                    _ => {}
                }
            }
        }
        found
    }

    fn dangling_names(&self, line: &Line) -> Vec<String> {
        let paths = tokens(line.text).filter(|token| self.is_path(token) && !self.exists(line.file, token));
        let sources = quoted(line.text).filter(|word| self.is_lost_source(word));
        let modules = quoted(line.text).filter_map(module_path).filter(|path| !self.is_known(line.file, path));
        let names = paths.chain(sources).map(str::to_owned).chain(modules.map(|path| path.join("::")));
        names.map(|name| self.report(line, &name)).collect()
    }

    fn dangling_links(&self, line: &Line) -> Vec<String> {
        let targets = line.text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ', '#']).next());
        let local = targets.filter(|target| !target.is_empty() && !target.contains(':'));
        let directory = line.file.parent().expect("a file lies in a directory");
        local.filter(|target| !directory.join(target).exists()).map(|target| self.report(line, target)).collect()
    }

    fn report(&self, line: &Line, name: &str) -> String {
        let file = line.file.strip_prefix(&self.root).expect("it lies in the workspace");
        format!("{}:{}: {name}", file.display(), line.number)
    }

    /// Whether a word is the path of a file, as far as its first name tells.
    fn is_path(&self, word: &str) -> bool {
        word.split_once('/').is_some_and(|(first, rest)| {
            !rest.is_empty() && (first == "src" || self.top_level.iter().any(|name| name == first))
        })
    }

    /// Whether a word is the end of a source file's path, and no file has it.
    fn is_lost_source(&self, word: &str) -> bool {
        let is_name = word.chars().all(|char| char.is_alphanumeric() || "_-./$".contains(char));
        let is_source = is_name && SOURCES.iter().any(|ending| word.ends_with(ending)) && !word.starts_with(['/', '.']);
        is_source && !self.is_path(word) && !self.files.iter().any(|file| file.ends_with(word))
    }

    /// A path is meant from the workspace, from the crate, or from the file's directory.
    fn exists(&self, file: &Path, path: &str) -> bool {
        let package = file.ancestors().skip(1).find(|directory| directory.join("Cargo.toml").exists());
        let bases = [Some(self.root.as_path()), package, file.parent()];
        alternatives(path).iter().all(|path| bases.iter().flatten().any(|base| matches(base, path)))
    }

    /// Whether the names lead to a module or an item, if the first is a crate.
    fn is_known(&self, file: &Path, path: &[String]) -> bool {
        let own = self.crates.values().find_map(|source| Some((source, source.module_of(file)?)));
        let is_local = own.as_ref().is_some_and(|(source, module)| source.resolve(module, path).is_some());
        if is_local || path[0] == "crate" {
            return is_local || own.is_none();
        }
        let crate_name = path[0].strip_prefix("heapql_").unwrap_or(&path[0]);
        self.crates.get(crate_name).is_none_or(|source| source.resolve(&ModulePath::new(), &path[1..]).is_some())
    }
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| !SKIPPED.contains(&name(path).as_str()));
    paths.sort();
    paths
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let (directories, mut found): (Vec<_>, Vec<_>) = entries(directory).into_iter().partition(|path| path.is_dir());
    found.extend(directories.iter().flat_map(|directory| files(directory)));
    found
}

/// Words that may be paths; punctuation at their ends is none of theirs.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let is_boundary = |char: char| char.is_whitespace() || "`\"'()[]<>|;=".contains(char);
    text.split(is_boundary).map(|word| word.trim_start_matches("./").trim_end_matches(['.', ',', ':', '!', '?']))
}

/// The parts of a line in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// `a::b::C` as names; `None` if there is no `::`. What follows the path, such as arguments, is left out.
fn module_path(text: &str) -> Option<Vec<String>> {
    let end = text.find(|char: char| !char.is_alphanumeric() && char != '_' && char != ':').unwrap_or(text.len());
    let path = text[..end].trim_end_matches(':');
    let names: Vec<String> = path.split("::").map(str::to_owned).collect();
    (names.len() > 1 && names.iter().all(|name| !name.is_empty() && !name.contains(':'))).then_some(names)
}

/// `a.{b,c}` as `a.b` and `a.c`.
fn alternatives(path: &str) -> Vec<String> {
    let parts = path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        Some((before, (names, after))) => {
            names.split(',').flat_map(|name| alternatives(&format!("{before}{name}{after}"))).collect()
        }
        None => vec![path.to_owned()],
    }
}

/// Whether there is a file of this path, in which `*` stands for any characters of a name.
fn matches(base: &Path, path: &str) -> bool {
    match path.split_once('/') {
        None if path.is_empty() => base.exists(),
        None => !matching(base, path).is_empty(),
        Some((first, rest)) => matching(base, first).iter().any(|base| matches(base, rest)),
    }
}

fn matching(base: &Path, pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return Some(base.join(pattern)).filter(|path| path.exists()).into_iter().collect();
    };
    let is_match = |path: &PathBuf| {
        let name = name(path);
        name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
    };
    if base.is_dir() { entries(base).into_iter().filter(is_match).collect() } else { Vec::new() }
}

#[test]
fn what_is_referred_to_exists() {
    let dangling = Workspace::read(workspace_dir()).dangling();
    assert!(dangling.is_empty(), "{} references lead nowhere:\n{}", dangling.len(), dangling.join("\n"));
}

#[test]
fn a_reference_that_leads_nowhere_is_found() {
    let home = crate::harness::scratch();
    let write = |path: &str, text: &str| {
        let path = home.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    };
    write("crates/one/Cargo.toml", "");
    write("crates/one/src/lib.rs", "//! `src/lib.rs`, `one::a::B`, `crate::a::C`, `two::b`.\nmod a;");
    write(
        "crates/one/src/a.rs",
        "pub struct B;\n// See docs/gone.md and docs/there.md. `src/a.rs`, `b.rs`\n// `a::B::f()`, `one::b`",
    );
    write(
        "docs/there.md",
        "[a](there.md#part) [b](gone.md) https://a.b/docs/c\n`crates/{one,two}/src/*.rs`, `crates/*/src`.",
    );
    let expected = [
        "crates/one/src/a.rs:2: b.rs",
        "crates/one/src/a.rs:2: docs/gone.md",
        "crates/one/src/a.rs:3: one::b",
        "crates/one/src/lib.rs:1: crate::a::C",
        "docs/there.md:1: gone.md",
        "docs/there.md:2: crates/{one,two}/src/*.rs",
    ];
    let mut found = Workspace::read(home.path()).dangling();
    found.sort();
    assert_eq!(found, expected);
}
