//! The resolution of a path to the module or item that it names, through imports and re-exports.

use super::{Crate, ModulePath};

/// Re-exports of re-exports are followed this far.
const MAX_DEPTH: usize = 16;

pub(crate) enum Target {
    Module(ModulePath),
    /// An item, by the module that defines it.
    Item(ModulePath),
}

impl Crate {
    /// The target of a path that is written in a module; `None` if it is in another crate or nowhere.
    pub(crate) fn resolve(&self, from: &ModulePath, path: &[String]) -> Option<Target> {
        resolve(self, from, path, MAX_DEPTH)
    }
}

fn resolve(source: &Crate, from: &ModulePath, path: &[String], depth: usize) -> Option<Target> {
    let mut names = path.iter().peekable();
    let mut module = match names.peek()?.as_str() {
        "crate" => {
            names.next();
            Vec::new()
        }
        "self" => {
            names.next();
            from.clone()
        }
        _ => from.clone(),
    };
    while names.next_if(|name| *name == "super").is_some() {
        module.pop()?;
    }
    while let Some(name) = names.next() {
        let is_last = names.peek().is_none();
        match lookup(source, &module, name, is_last, depth)? {
            Target::Module(found) => module = found,
            // What follows is a variant, a function or a constant of the item.
            item => return Some(item),
        }
    }
    Some(Target::Module(module))
}

/// A name in a module. An item and a module may share it: the last name of a path means the item.
fn lookup(source: &Crate, module: &ModulePath, name: &str, is_last: bool, depth: usize) -> Option<Target> {
    let depth = depth.checked_sub(1)?;
    let inside = &source.modules[module];
    let mut child = module.clone();
    child.push(name.to_owned());
    let child = source.modules.contains_key(&child).then_some(Target::Module(child));
    let item = inside.items.contains(name).then(|| Target::Item(module.clone()));
    let local = if is_last { item.or(child) } else { child.or(item) };
    local.or_else(|| resolve_import(source, module, inside.imports.get(name)?, name, depth)).or_else(|| {
        let modules = inside.globs.iter().filter_map(|glob| match resolve_import(source, module, glob, name, depth)? {
            Target::Module(found) => Some(found),
            Target::Item(_) => None,
        });
        modules.filter(|found| found != module).find_map(|found| lookup(source, &found, name, is_last, depth))
    })
}

/// `use http::Error` in a module `http` means a crate: no name is found by its own import.
fn resolve_import(source: &Crate, module: &ModulePath, path: &[String], name: &str, depth: usize) -> Option<Target> {
    let is_itself = path.len() == 1 && path[0] == name;
    if is_itself { None } else { resolve(source, module, path, depth) }
}
