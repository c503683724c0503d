//! What is pictured and exported: stacks with estimates, as one moment showed them.
//!
//! Plain data without rules of its own. Filled in by `catalog`; read by every format.

use std::sync::Arc;
use std::time::SystemTime;

use crate::value::{Value, Values};

/// One function at one place: several stand at one address if some are inlined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// A name, or `module+0x..`.
    pub function: Arc<str>,
    pub file: Option<Arc<str>>,
    pub line: Option<u32>,
    pub is_inline: bool,
}

/// One address of a stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    /// Index into `modules`; beyond its end, no module is known.
    pub module: u32,
    /// Of the module's file: what addr2line takes.
    pub address: u64,
    /// The innermost (inlined) first. Empty: nothing is known but the address.
    pub frames: Vec<Frame>,
}

/// A loaded ELF file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProfileModule {
    pub path: String,
    /// In hexadecimal, or empty.
    pub build_id: String,
    /// Where it lies in memory.
    pub start: u64,
    pub end: u64,
    /// Address in memory less address in the file.
    pub load_bias: u64,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Stack {
    /// The innermost first.
    pub locations: Vec<Arc<Location>>,
    pub label: Arc<str>,
    /// Address of the server that recorded it; empty if all are of one.
    pub server: Arc<str>,
    pub pid: i64,
    pub command: Arc<str>,
    pub values: Values,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Profile {
    /// Of what: "pid 4242 ./app", "every process of this host".
    pub title: String,
    pub modules: Vec<ProfileModule>,
    pub stacks: Vec<Stack>,
    pub taken_at: SystemTime,
    /// Least and most allocations between two samples; (1, 1) is every allocation. None: not known, or not the same for all.
    pub intervals: Option<(u32, u32)>,
    /// One standard error of the sum over all stacks, of each value.
    pub errors: Values,
    /// What whoever reads this should know: losses, modules without symbols. One sentence each.
    pub notes: Vec<String>,
    /// The statement that gives the same numbers.
    pub query: Option<String>,
}

impl Profile {
    pub fn new(title: impl Into<String>, taken_at: SystemTime) -> Profile {
        Profile {
            title: title.into(),
            modules: Vec::new(),
            stacks: Vec::new(),
            taken_at,
            intervals: None,
            errors: Values::default(),
            notes: Vec::new(),
            query: None,
        }
    }

    /// Over all stacks.
    pub fn sum(&self, value: Value) -> f64 {
        self.stacks.iter().map(|stack| stack.values.of(value)).sum()
    }
}

impl Location {
    /// What a frame is called of which nothing is known: `libc.so.6+0x1234`, or the bare address.
    pub(crate) fn unnamed(&self, modules: &[ProfileModule]) -> String {
        match modules.get(self.module as usize) {
            Some(module) => {
                let name = module.path.rsplit('/').next().unwrap_or_default();
                format!("{name}+{:#x}", self.address)
            }
            None => format!("{:#x}", self.address),
        }
    }
}
