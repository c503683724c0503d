//! The source of one crate as modules: what each defines, imports and names. Test code is left out.
//!
//! Macros are not expanded. Their tokens are searched for paths and for definitions such as `static NAME`.

mod resolve;

pub(crate) use resolve::Target;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

/// Names from the crate's root down; empty for the root itself.
pub(crate) type ModulePath = Vec<String>;

#[derive(Default, Debug)]
pub(crate) struct Module {
    /// An index into [`Crate::files`].
    pub(crate) file: usize,
    pub(crate) items: BTreeSet<String>,
    /// Imported names, and the path of each as it is written.
    pub(crate) imports: BTreeMap<String, Vec<String>>,
    /// Modules and enums of which every name is imported.
    pub(crate) globs: Vec<Vec<String>>,
    /// Every path that the module writes, those of its imports included.
    pub(crate) paths: BTreeSet<Vec<String>>,
}

#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) modules: BTreeMap<ModulePath, Module>,
}

#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    /// The outermost module in the file.
    pub(crate) module: ModulePath,
}

impl Crate {
    /// Reads a crate from its root, which is `lib.rs` or `main.rs`.
    pub(crate) fn read(root: &Path) -> Crate {
        let mut read = Crate { files: Vec::new(), modules: BTreeMap::new() };
        read.add_file(root, Vec::new());
        read
    }

    /// The outermost module in a file; `None` if the crate has no such file.
    pub(crate) fn module_of(&self, path: &Path) -> Option<&ModulePath> {
        self.files.iter().find(|file| file.path == path).map(|file| &file.module)
    }

    fn add_file(&mut self, path: &Path, module: ModulePath) {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.files.push(SourceFile { path: path.to_owned(), module: module.clone() });
        self.add_module(&parsed.items, self.files.len() - 1, module);
    }

    fn add_module(&mut self, items: &[syn::Item], file: usize, path: ModulePath) {
        let mut reader = ModuleReader { module: Module { file, ..Module::default() }, children: Vec::new() };
        items.iter().for_each(|item| reader.visit_item(item));
        let ModuleReader { module, children } = reader;
        self.modules.insert(path.clone(), module);
        for child in children {
            let mut child_path = path.clone();
            child_path.push(child.ident.to_string());
            match child.content {
                Some((_, items)) => self.add_module(&items, file, child_path),
                None => self.add_file(&self.file_of_child(file, &child_path, &child.attrs), child_path),
            }
        }
    }

    fn file_of_child(&self, file: usize, child: &[String], attributes: &[syn::Attribute]) -> PathBuf {
        let SourceFile { path, module } = &self.files[file];
        if let Some(named) = attributes.iter().find_map(path_attribute) {
            return path.with_file_name(named);
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name in UTF-8");
        let directory = match stem {
            "lib" | "main" | "mod" => path.with_file_name(""),
            _ => path.with_extension(""),
        };
        let base = child[module.len()..].iter().fold(directory, |path, name| path.join(name));
        let candidates = [base.with_extension("rs"), base.join("mod.rs")];
        let found = candidates.into_iter().find(|path| path.exists());
        found.unwrap_or_else(|| panic!("{}: there is no file for the module {}", path.display(), child.join("::")))
    }
}

/// The file that `path = ".."` names, alone or under a condition. Of files for several targets the first is read.
fn path_attribute(attribute: &syn::Attribute) -> Option<String> {
    match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(literal) => literal_text(&literal.lit),
            _ => None,
        },
        syn::Meta::List(list) if list.path.is_ident("cfg_attr") => {
            let tokens = list.tokens.clone().into_iter();
            let name = tokens.skip_while(|token| token.to_string() != "path").nth(2)?;
            syn::parse2::<syn::Lit>(name.into()).ok().as_ref().and_then(literal_text)
        }
        _ => None,
    }
}

fn literal_text(literal: &syn::Lit) -> Option<String> {
    match literal {
        syn::Lit::Str(text) => Some(text.value()),
        _ => None,
    }
}

struct ModuleReader {
    module: Module,
    children: Vec<syn::ItemMod>,
}

/// Whether an item is compiled for tests only.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string() == "test",
        meta => meta.path().is_ident("test"),
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn defined_name(item: &syn::Item) -> Option<&syn::Ident> {
    match item {
        syn::Item::Const(item) => Some(&item.ident),
        syn::Item::Enum(item) => Some(&item.ident),
        syn::Item::Fn(item) => Some(&item.sig.ident),
        syn::Item::Macro(item) => item.ident.as_ref(),
        syn::Item::Static(item) => Some(&item.ident),
        syn::Item::Struct(item) => Some(&item.ident),
        syn::Item::Trait(item) => Some(&item.ident),
        syn::Item::Type(item) => Some(&item.ident),
        syn::Item::Union(item) => Some(&item.ident),
        _ => None,
    }
}

impl<'ast> Visit<'ast> for ModuleReader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if is_test(attributes(item)) {
            return;
        }
        if let Some(name) = defined_name(item) {
            self.module.items.insert(name.to_string());
        }
        match item {
            syn::Item::Mod(child) => self.children.push(child.clone()),
            other => syn::visit::visit_item(self, other),
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.add_import(&item.tree, &mut Vec::new());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path.leading_colon.is_none() {
            self.module.paths.insert(names);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.add_tokens(called.tokens.clone());
        syn::visit::visit_macro(self, called);
    }

    // Neither is a use of what it names.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}

impl ModuleReader {
    fn add_import(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        let (last, name) = match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.add_import(&path.tree, before);
                before.pop();
                return;
            }
            syn::UseTree::Group(group) => return group.items.iter().for_each(|tree| self.add_import(tree, before)),
            syn::UseTree::Glob(_) => return self.module.globs.push(before.clone()),
            syn::UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
            syn::UseTree::Rename(renamed) => (renamed.ident.to_string(), renamed.rename.to_string()),
        };
        let mut path = before.clone();
        let is_module_itself = last == "self";
        let name = if is_module_itself && name == "self" { before.last().cloned().unwrap_or_default() } else { name };
        if !is_module_itself {
            path.push(last);
        }
        self.module.paths.insert(path.clone());
        self.module.imports.insert(name, path);
    }

    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => path.push(ident.to_string()),
                TokenTree::Ident(ident) => {
                    let name = ident.to_string();
                    if let Some("static" | "const" | "fn" | "struct" | "enum") = path.last().map(String::as_str) {
                        self.module.items.insert(name.clone());
                    }
                    self.module.paths.insert(std::mem::replace(&mut path, vec![name]));
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => {
                    self.add_tokens(group.stream());
                    self.module.paths.insert(std::mem::take(&mut path));
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.module.paths.insert(std::mem::take(&mut path));
                }
            }
            colons = 0;
        }
        self.module.paths.insert(path);
    }
}
