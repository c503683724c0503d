//! `heapql env`: shell assignments that have every program started from that shell recorded, for eval.
//!
//! It only prints them, or else the interfaces by which programs label their memory, so that the one binary is a complete installation.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{Api, EnvArguments};
use crate::error::Error;
use crate::launch::preload_list;
use crate::paths;
use crate::shell::quote;
use crate::stderr::say;

pub(crate) fn run(arguments: EnvArguments) -> Result<ExitCode, Error> {
    let text = match arguments.api {
        Some(Api::C) => include_str!("../../../../include/heapql.h").to_owned(),
        Some(Api::Python) => include_str!("../../../../python/heapql.py").to_owned(),
        None => assignments(arguments.dir.dir.as_deref())?,
    };
    let mut out = io::stdout();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Error::new(format!("cannot write to stdout: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

fn assignments(dir: Option<&Path>) -> Result<String, Error> {
    let root = paths::ledger_root(dir)?;
    let library = paths::unpack(&root)?;
    let preload = preload_list(&library, env::var_os("LD_PRELOAD").as_deref());
    let mut lines = String::new();
    for (name, value) in [("HEAPQL_DIR", root.as_os_str()), ("LD_PRELOAD", &preload)] {
        let value = value.to_str().ok_or_else(|| Error::new(format!("'{}' is not UTF-8", value.display())))?;
        lines += &format!("export {name}={}\n", quote(value));
    }
    if io::stdout().is_terminal() {
        say!("hint: this is for a shell: eval \"$(heapql env)\"");
    }
    Ok(lines)
}
