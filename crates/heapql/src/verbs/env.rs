//! `heapql env`: shell assignments that have every program started from that shell recorded, for eval.
//!
//! It only prints them.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::cli::DirArgument;
use crate::error::Error;
use crate::launch::preload_list;
use crate::place;
use crate::shell::quoted;
use crate::talk::say;

pub(crate) fn run(arguments: DirArgument) -> Result<ExitCode, Error> {
    let root = place::ledger_root(arguments.dir.as_deref())?;
    let library = place::unpack(&root)?;
    let preload = preload_list(&library, env::var_os("LD_PRELOAD").as_deref());
    let mut lines = String::new();
    for (name, value) in [("HEAPQL_DIR", root.as_os_str()), ("LD_PRELOAD", &preload)] {
        let value = value.to_str().ok_or_else(|| Error::new(format!("'{}' is not UTF-8", value.display())))?;
        lines += &format!("export {name}={}\n", quoted(value));
    }
    let mut out = io::stdout();
    if out.is_terminal() {
        say!("hint: this is for a shell: eval \"$(heapql env)\"");
    }
    let written = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Error::new(format!("cannot write to stdout: {error}")))?;
    Ok(ExitCode::SUCCESS)
}
