//! The data that is pictured and exported: stacks with estimates, as one moment showed them.
//!
//! It is plain data without rules of its own. The tables' heap profiles fill it in; every format reads it.

use std::sync::Arc;
use std::time::SystemTime;

use crate::value::{Value, Values};

/// One function at one place. Several stand at one address if some are inlined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The function's name, or `module+0x..`.
    pub function: Arc<str>,
    /// Path of the source file, if known.
    pub file: Option<Arc<str>>,
    /// Line in the source file, if known.
    pub line: Option<u32>,
    /// The function's code is inlined into that of the next frame.
    pub is_inline: bool,
}

/// One address of a stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    /// Index into [`Profile::modules`]. An index beyond its end means that no module is known.
    pub module: u32,
    /// Address in the module's file, as addr2line takes it.
    pub address: u64,
    /// The functions, the innermost (inlined) first. It is empty if nothing is known but the address.
    pub frames: Vec<Frame>,
}

/// A loaded ELF file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProfileModule {
    /// Path of the file, as the process saw it.
    pub path: String,
    /// Build-id in hexadecimal, or empty.
    pub build_id: String,
    /// First address in memory.
    pub start: u64,
    /// Address behind the last in memory.
    pub end: u64,
    /// Address in memory less address in the file.
    pub load_bias: u64,
}

/// One stack of one process with what was allocated there.
#[derive(Clone, PartialEq, Debug)]
pub struct Stack {
    /// The addresses, the innermost first.
    pub locations: Vec<Arc<Location>>,
    /// Module label of the allocations.
    pub label: Arc<str>,
    /// Address of the server that recorded it. It is empty if all stacks are of one server.
    pub server: Arc<str>,
    /// Number of the process.
    pub pid: i64,
    /// Command line of the process.
    pub command: Arc<str>,
    /// The estimates.
    pub values: Values,
}

/// The stacks of some processes at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Profile {
    /// Name of what is profiled, such as "pid 4242 ./app" or "every process of this host".
    pub title: String,
    /// The modules that locations lie in.
    pub modules: Vec<ProfileModule>,
    /// The stacks, in any order.
    pub stacks: Vec<Stack>,
    /// Time at which the numbers held.
    pub taken_at: SystemTime,
    /// Least and most allocations between two samples; (1, 1) is every allocation. `None` if it is not known or differs
    /// between processes.
    pub intervals: Option<(u32, u32)>,
    /// One standard error of each number's sum over all stacks.
    pub errors: Values,
    /// Sentences about losses, modules without symbols and the like, for the reader of the profile.
    pub notes: Vec<String>,
    /// The SQL statement that gives the same numbers.
    pub query: Option<String>,
}

impl Profile {
    /// A profile without stacks.
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

    /// The sum of one number over all stacks.
    pub fn sum(&self, value: Value) -> f64 {
        self.stacks.iter().map(|stack| stack.values.of(value)).sum()
    }
}

impl Location {
    /// The name of a frame of which nothing is known: `libc.so.6+0x1234`, or the bare address.
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
