//! StackNames for the stacks of a process: frames with function, file and line, whose code each is, and which is the user's own.
//!
//! Files are opened and cached by `heapql_symbols`; which module an address lies in is the registry's to say. Called by the
//! tables and functions that show frames.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use heapql_registry::{ModuleMap, ModuleRecord, Source, SourceState, Usage};
pub use heapql_symbols::hex;
use heapql_symbols::{FrameKind, ModuleRef, Resolution, Rules, SymbolFrame, Symbols, unnamed};
use parking_lot::Mutex;

use crate::parameters::{APP_FRAME_RULES, Parameters};

/// One frame of a stack. An address has several if functions are inlined there.
#[derive(Clone, Debug)]
pub struct ResolvedFrame {
    /// As `back_trace` has it.
    pub address: u64,
    /// The path of the module; empty for code in no module.
    pub module: Arc<str>,
    /// The module's build-id in hexadecimal, or empty.
    pub build_id: Arc<str>,
    /// In the module's file.
    pub offset: u64,
    /// Function, file and line.
    pub frame: SymbolFrame,
    /// The owner of the code: allocator, runtime, library or application.
    pub kind: FrameKind,
    /// Why there is no name, or only a poorer one.
    pub note: Option<Arc<str>>,
}

impl ResolvedFrame {
    /// The function, or else module and offset.
    pub fn function(&self) -> String {
        match &self.frame.function {
            Some(function) => function.to_string(),
            None => unnamed(&self.module, self.offset),
        }
    }

    /// The pair that [`Rules::app_frame`] asks for.
    pub fn kind_and_name(&self) -> (FrameKind, bool) {
        (self.kind, self.frame.function.is_some())
    }

    /// "leak at demo.c:42", or what is known of that.
    pub fn write(&self, text: &mut String) {
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

/// The last component of a path.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The kind as `frames.kind` has it.
pub fn kind_name(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Allocator => "allocator",
        FrameKind::Runtime => "runtime",
        FrameKind::Library => "library",
        FrameKind::Application => "application",
    }
}

/// Debug info is large, and questions come together.
const CLOSED_AFTER: Duration = Duration::from_secs(60);

/// Symbols of files, and the rules that a parameter sets: what namers are made of.
#[derive(Default)]
pub struct StackNames {
    symbols: Arc<Symbols>,
    /// And the text that they were made of.
    rules: Mutex<(String, Arc<Rules>)>,
}

impl StackNames {
    fn rules(&self, parameters: &Parameters) -> Arc<Rules> {
        let text = parameters.text(&APP_FRAME_RULES);
        let mut rules = self.rules.lock();
        if rules.0 != text {
            // It was checked when it was set.
            *rules = (text.clone(), Arc::new(Rules::parse(&text).unwrap_or_default()));
        }
        Arc::clone(&rules.1)
    }

    /// The namers of one statement, with the rules that are in force now.
    pub fn namers(&self, parameters: &Parameters) -> Namers {
        Namers { symbols: Arc::clone(&self.symbols), rules: self.rules(parameters), known: HashMap::new() }
    }

    /// Closes files that nobody has asked about for a while.
    pub fn close_idle(&self) {
        self.symbols.close_idle(CLOSED_AFTER);
    }

    /// Rows of `self_usage` about names.
    pub fn usage(&self) -> Vec<Usage> {
        let counts = self.symbols.counts();
        let row = |name, value: u64, unit, description| Usage { name, value: value as i64, unit, description };
        vec![
            row("symbols_cached", counts.cached, "addresses", "addresses whose names are kept"),
            row("symbols_cached_bytes", counts.cached_bytes, "bytes", "memory of the names that are kept"),
            row("symbols_hits", counts.hits, "addresses", "addresses answered from what was kept, since the start"),
            row("symbols_misses", counts.misses, "addresses", "addresses looked up in files, since the start"),
            row("symbols_evicted", counts.evicted, "addresses", "names dropped for want of room, since the start"),
            row("symbols_modules_open", counts.open_modules, "modules", "modules whose symbols are in memory"),
            row("symbols_modules_bytes", counts.open_bytes, "bytes", "memory of the symbols of open modules, about"),
            row(
                "symbols_modules_opened",
                counts.opened,
                "modules",
                "times that a module's symbols were read, since the start",
            ),
            row(
                "symbols_modules_failed",
                counts.failed_modules,
                "modules",
                "modules without a file that could be read",
            ),
            row(
                "symbols_failures",
                counts.failures,
                "modules",
                "times that no file was found or could be read, since the start",
            ),
        ]
    }
}

/// StackNames the stacks of one process. It serves one statement and keeps what it has named.
pub struct Namer {
    symbols: Arc<Symbols>,
    rules: Arc<Rules>,
    modules: ModuleMap,
    /// Set while the process lives.
    pid: Option<i32>,
    /// The names that are known, by address and module generation.
    known: HashMap<(u64, u16), Arc<[ResolvedFrame]>>,
}

impl Namer {
    /// All frames, innermost first.
    pub fn stack(&mut self, stack: &[u64], generation: u16) -> Vec<ResolvedFrame> {
        self.prepare(stack, generation);
        stack.iter().flat_map(|address| self.address(*address, generation).to_vec()).collect()
    }

    /// All frames in words, one a line.
    pub fn stack_text(&mut self, stack: &[u64], generation: u16) -> String {
        let mut text = String::new();
        self.prepare(stack, generation);
        for address in stack {
            for named in self.address(*address, generation).iter() {
                if !text.is_empty() {
                    text.push('\n');
                }
                named.write(&mut text);
                if named.frame.is_inline {
                    text.push_str(" (inlined)");
                }
            }
        }
        text
    }

    /// The user's own frame; of the addresses behind it none is looked up.
    pub fn app_frame(&mut self, stack: &[u64], generation: u16) -> Option<ResolvedFrame> {
        let mut frames: Vec<ResolvedFrame> = Vec::new();
        for address in stack {
            let here = self.address(*address, generation);
            if let Some(own) = here.iter().find(|named| named.kind == FrameKind::Application) {
                return Some(own.clone());
            }
            frames.extend(here.iter().cloned());
        }
        let chosen = Rules::app_frame(frames.iter().map(ResolvedFrame::kind_and_name))?;
        Some(frames.swap_remove(chosen))
    }

    /// As [`Namer::app_frame`], in words; empty for a stack without frames.
    pub fn app_frame_text(&mut self, stack: &[u64], generation: u16) -> String {
        let mut text = String::new();
        if let Some(named) = self.app_frame(stack, generation) {
            named.write(&mut text);
        }
        text
    }

    /// The frames at one return address.
    pub fn address(&mut self, address: u64, generation: u16) -> Arc<[ResolvedFrame]> {
        self.prepare(&[address], generation);
        self.known.get(&(address, generation)).cloned().unwrap_or_default()
    }

    /// Looks up what is not known yet, the addresses of a module together: that costs less than one by one.
    pub fn prepare(&mut self, addresses: &[u64], generation: u16) {
        let is_new = |address: &&u64| !self.known.contains_key(&(**address, generation));
        let mut located: Vec<_> = addresses
            .iter()
            .filter(is_new)
            .map(|address| (*address, self.modules.locate(*address, generation)))
            .collect();
        let key = |module: Option<(&ModuleRecord, u64)>| module.map(|(module, _)| (module.start, module.loaded));
        located.sort_by_key(|(address, module)| (key(*module), *address));
        located.dedup_by_key(|(address, _)| *address);
        let mut named: Vec<(u64, Vec<ResolvedFrame>)> = Vec::with_capacity(located.len());
        for together in located.chunk_by(|(_, one), (_, other)| key(*one) == key(*other)) {
            match together[0].1 {
                None => named.extend(together.iter().map(|(address, _)| (*address, vec![self.nowhere(*address)]))),
                Some((module, _)) => {
                    let offsets = together.iter().filter_map(|(address, at)| Some((*address, (*at)?.1))).collect();
                    named.extend(self.in_module(module, offsets));
                }
            }
        }
        self.known.extend(named.into_iter().map(|(address, named)| ((address, generation), named.into())));
    }

    /// Code that was made at run time, or a module that was not seen.
    fn nowhere(&self, address: u64) -> ResolvedFrame {
        let frame = SymbolFrame { function: None, file: None, line: None, is_inline: false };
        let note = Some("no module lies there".into());
        ResolvedFrame {
            address,
            module: "".into(),
            build_id: "".into(),
            offset: address,
            frame,
            kind: self.rules.kind("", None, None),
            note,
        }
    }

    /// The frames at return addresses, each with its place in the module's file.
    fn in_module(&self, module: &ModuleRecord, places: Vec<(u64, u64)>) -> Vec<(u64, Vec<ResolvedFrame>)> {
        let path: Arc<str> = module.path.as_str().into();
        let build_id: Arc<str> = hex(&module.build_id).into();
        let wanted = ModuleRef { path: &module.path, build_id: &module.build_id, pid: self.pid };
        // The call, not what it returns to.
        let calls: Vec<u64> = places.iter().map(|(_, offset)| offset.saturating_sub(1)).collect();
        let resolved = self.symbols.resolve(&wanted, &calls);
        let named = |address, offset, frame: &SymbolFrame, note: &Option<Arc<str>>| ResolvedFrame {
            address,
            module: Arc::clone(&path),
            build_id: Arc::clone(&build_id),
            offset,
            kind: self.rules.kind(&path, frame.function.as_deref(), frame.file.as_deref()),
            frame: frame.clone(),
            note: note.clone(),
        };
        let of = |((address, offset), at): ((u64, u64), Arc<Resolution>)| {
            (address, at.frames.iter().map(|frame| named(address, offset, frame, &at.note)).collect())
        };
        places.into_iter().zip(resolved).map(of).collect()
    }
}

/// The namers of a statement, one for each process.
pub struct Namers {
    symbols: Arc<Symbols>,
    rules: Arc<Rules>,
    /// The namers, by the source's id.
    known: HashMap<u64, Namer>,
}

impl Namers {
    /// The namer of a source's stacks.
    pub fn of(&mut self, source: &Source) -> &mut Namer {
        let Namers { symbols, rules, known } = self;
        known.entry(source.id()).or_insert_with(|| Namers::namer(symbols, rules, source))
    }

    /// The namer of one source alone. A ledger whose modules cannot be read gives addresses.
    pub fn only(self, source: &Source) -> Namer {
        Namers::namer(&self.symbols, &self.rules, source)
    }

    fn namer(symbols: &Arc<Symbols>, rules: &Arc<Rules>, source: &Source) -> Namer {
        let pid = (source.state() == SourceState::Alive).then(|| source.pid());
        let modules = source.modules().unwrap_or_default();
        Namer { symbols: Arc::clone(symbols), rules: Arc::clone(rules), modules, pid, known: HashMap::new() }
    }
}
