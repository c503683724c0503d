//! Names for the stacks of a process: frames with function, file and line, whose code each is, and which is the user's own.
//!
//! Files are opened and cached by `heapql_symbols`; which module an address lies in is the registry's to say. Called by the
//! tables and functions that show frames.

use std::fmt::Write;
use std::sync::Arc;

use heapql_registry::{Modules, Source, State};
use heapql_symbols::{Frame, Kind, Module, Rules, Symbols, unnamed};

/// One frame of a stack. An address has several if functions are inlined there.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// As `back_trace` has it.
    pub(crate) address: u64,
    pub(crate) module: Arc<str>,
    /// In the module's file.
    pub(crate) offset: u64,
    pub(crate) frame: Frame,
    pub(crate) kind: Kind,
    pub(crate) note: Option<Arc<str>>,
}

impl Named {
    /// The function, or else module and offset.
    pub(crate) fn function(&self) -> String {
        match &self.frame.function {
            Some(function) => function.to_string(),
            None => unnamed(&self.module, self.offset),
        }
    }

    /// "leak at demo.c:42", or what is known of that.
    pub(crate) fn write(&self, text: &mut String) {
        match &self.frame.function {
            Some(function) => text.push_str(function),
            None => text.push_str(&unnamed(&self.module, self.offset)),
        }
        // Writing to a text cannot fail.
        match (&self.frame.file, self.frame.line) {
            (Some(file), Some(line)) => drop(write!(text, " at {}:{line}", base_name(file))),
            (Some(file), None) => drop(write!(text, " at {}", base_name(file))),
            _ => {}
        }
    }
}

pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Allocator => "allocator",
        Kind::Runtime => "runtime",
        Kind::Library => "library",
        Kind::Application => "application",
    }
}

/// What names the stacks of one process.
pub(crate) struct Namer<'a> {
    symbols: &'a Symbols,
    rules: Arc<Rules>,
    modules: Modules,
    /// While the process lives.
    pid: Option<i32>,
}

impl<'a> Namer<'a> {
    /// A ledger whose modules cannot be read gives addresses.
    pub(crate) fn new(symbols: &'a Symbols, rules: &Arc<Rules>, source: &Source) -> Namer<'a> {
        let pid = (source.state() == State::Alive).then(|| source.pid());
        Namer { symbols, rules: Arc::clone(rules), modules: source.modules().unwrap_or_default(), pid }
    }

    pub(crate) fn modules(&self) -> &Modules {
        &self.modules
    }

    /// All frames, innermost first.
    pub(crate) fn stack(&self, stack: &[u64], generation: u16) -> Vec<Named> {
        stack.iter().flat_map(|address| self.address(*address, generation)).collect()
    }

    /// The user's own frame; of the addresses behind it none is looked up.
    pub(crate) fn app_frame(&self, stack: &[u64], generation: u16) -> Option<Named> {
        let mut frames: Vec<Named> = Vec::new();
        for address in stack {
            let here = self.address(*address, generation);
            if let Some(own) = here.iter().find(|named| named.kind == Kind::Application) {
                return Some(own.clone());
            }
            frames.extend(here);
        }
        let chosen = Rules::app_frame(frames.iter().map(|named| named.kind))?;
        Some(frames.swap_remove(chosen))
    }

    /// As [`Namer::app_frame`], in words; empty for a stack without frames.
    pub(crate) fn app_frame_text(&self, stack: &[u64], generation: u16) -> String {
        let mut text = String::new();
        if let Some(named) = self.app_frame(stack, generation) {
            named.write(&mut text);
        }
        text
    }

    /// The frames at one return address.
    pub(crate) fn address(&self, address: u64, generation: u16) -> Vec<Named> {
        let Some((module, offset)) = self.modules.locate(address, generation) else {
            let frame = Frame { function: None, file: None, line: None, is_inline: false };
            // No file is mapped there: code that was made at run time, or a module that was not seen.
            let kind = Kind::Application;
            let note = Some("no module lies there".into());
            return vec![Named { address, module: "".into(), offset: address, frame, kind, note }];
        };
        let path: Arc<str> = module.path.as_str().into();
        let wanted = Module { path: &module.path, build_id: &module.build_id, pid: self.pid };
        // The call, not what it returns to.
        let resolved = self.symbols.resolve(&wanted, &[offset.saturating_sub(1)]);
        let named = |frame: &Frame, note: &Option<Arc<str>>| Named {
            address,
            module: Arc::clone(&path),
            offset,
            kind: self.rules.kind(&path, frame.function.as_deref(), frame.file.as_deref()),
            frame: frame.clone(),
            note: note.clone(),
        };
        resolved.iter().flat_map(|at| at.frames.iter().map(|frame| named(frame, &at.note))).collect()
    }
}
