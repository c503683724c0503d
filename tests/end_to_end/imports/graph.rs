//! The files of one crate and which imports which, and the circles among them.
//!
//! A re-export is followed: the edge goes to the file that defines the item. A module and the modules inside it count as one
//! place, so there is no edge between a file and one of a module above or below it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use crate::source::{Crate, Target};

pub(super) struct Graph {
    files: Vec<String>,
    /// For each file, the files that it imports, with one imported path of each as it is written.
    edges: Vec<BTreeMap<usize, String>>,
}

impl Graph {
    /// Reads the crate at `root`; files are named from `base`.
    pub(super) fn of(root: &Path, base: &Path) -> Graph {
        let source = Crate::read(root);
        let name = |path: &Path| path.strip_prefix(base).unwrap_or(path).display().to_string();
        let mut edges = vec![BTreeMap::new(); source.files.len()];
        for (module_path, module) in &source.modules {
            for path in &module.paths {
                let Some(Target::Item(defined_in)) = source.resolve(module_path, path) else { continue };
                let file = source.modules[&defined_in].file;
                if are_apart(&source.files[module.file].module, &source.files[file].module) {
                    edges[module.file].entry(file).or_insert_with(|| path.join("::"));
                }
            }
        }
        Graph { files: source.files.iter().map(|file| name(&file.path)).collect(), edges }
    }

    /// Sets of files that all reach each other, largest first; single files are left out.
    pub(super) fn circles(&self) -> Vec<Vec<usize>> {
        let reached: Vec<BTreeSet<usize>> = (0..self.files.len()).map(|file| self.reached_from(file)).collect();
        let mut circles: Vec<Vec<usize>> = Vec::new();
        for file in 0..self.files.len() {
            if reached[file].contains(&file) && !circles.iter().any(|circle| circle.contains(&file)) {
                circles.push(reached[file].iter().copied().filter(|other| reached[*other].contains(&file)).collect());
            }
        }
        circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
        circles
    }

    fn reached_from(&self, file: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut waiting = vec![file];
        while let Some(next) = waiting.pop() {
            waiting.extend(self.edges[next].keys().filter(|other| reached.insert(**other)));
        }
        reached
    }

    /// The files of a circle, and the imports that tie them.
    pub(super) fn describe(&self, circle: &[usize]) -> String {
        let mut text = format!("a circle of {} files:\n", circle.len());
        for file in circle {
            let inside = self.edges[*file].iter().filter(|(other, _)| circle.contains(other));
            for (other, path) in inside {
                writeln!(text, "  {} -> {} ({path})", self.files[*file], self.files[*other]).expect("a string grows");
            }
        }
        text
    }
}

fn are_apart(one: &[String], other: &[String]) -> bool {
    !one.starts_with(other) && !other.starts_with(one)
}
