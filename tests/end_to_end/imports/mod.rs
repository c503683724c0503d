//! Imports inside crates: no circle of more than three files. The arrows between crates are checked by `architecture.rs`.

mod graph;

use std::path::{Path, PathBuf};

use graph::Graph;

use crate::harness::{scratch, workspace_dir};

const LARGEST_CIRCLE: usize = 3;

/// The roots of the crates below `crates/`: libraries and binaries.
fn roots(workspace: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(workspace.join("crates")).expect("the crates");
    let directories = entries.map(|entry| entry.expect("an entry").path().join("src"));
    let mut roots: Vec<PathBuf> = directories
        .flat_map(|source| [source.join("lib.rs"), source.join("main.rs")])
        .filter(|path| path.exists())
        .collect();
    roots.sort();
    roots
}

/// Circles of more than `largest` files, in words.
fn circles(workspace: &Path, largest: usize) -> Vec<String> {
    let mut found = Vec::new();
    for root in roots(workspace) {
        let graph = Graph::of(&root, workspace);
        for circle in graph.circles().iter().filter(|circle| circle.len() > largest) {
            let root = root.strip_prefix(workspace).expect("it lies in the workspace");
            found.push(format!("{}: {}\n", root.display(), graph.describe(circle)));
        }
    }
    found
}

#[test]
fn no_circle_is_larger_than_three_files() {
    let found = circles(workspace_dir(), LARGEST_CIRCLE).concat();
    assert!(found.is_empty(), "files import each other in a circle:\n{found}");
}

/// The files of a crate import each other through paths, re-exports, macros, renamed imports and globs.
#[test]
fn a_circle_is_found_however_it_is_written() {
    let workspace = scratch();
    let write = |name: &str, text: &str| {
        let path = workspace.path().join("crates/one/src").join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    };
    write("lib.rs", "mod a; mod b; mod c; mod d; mod f; pub use b::B; mod only { pub use crate::c::*; }");
    write("a.rs", "use crate::B; pub struct A(B);");
    write("b.rs", "pub struct B; fn f() { println!(\"{}\", super::only::C); } mod e;");
    write("b/e.rs", "pub struct E(super::B);");
    write("c.rs", "use crate::d as other; pub const C: u8 = other::D;");
    write("d.rs", "pub const D: u8 = 1; impl crate::f::F for u8 {}");
    write("f.rs", "use std::fmt; pub trait F {} #[cfg(test)] mod tests { use crate::c::C; }");
    assert!(circles(workspace.path(), 0).is_empty());
    write("f.rs", "use crate::a::*; pub trait F { fn a() -> A; }");
    let found = circles(workspace.path(), 4).concat();
    for edge in ["a.rs -> crates/one/src/b.rs", "b.rs -> crates/one/src/c.rs", "c.rs -> crates/one/src/d.rs"] {
        assert!(found.contains(edge), "{edge}: {found}");
    }
    assert!(found.contains("a circle of 5 files") && found.contains("f.rs -> crates/one/src/a.rs"), "{found}");
    assert!(!found.contains("b/e.rs"), "a module and its parent are one place: {found}");
}
