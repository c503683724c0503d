//! `heapql completions SHELL`: prints the script that a shell sources to complete this command line. clap generates it.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArguments};
use crate::error::Error;

pub(crate) fn run(arguments: CompletionsArguments) -> Result<ExitCode, Error> {
    // Into memory first: clap_complete panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "heapql", &mut script);
    let written = io::stdout().write_all(&script);
    written.map_err(|error| Error::new(format!("cannot write to stdout: {error}")))?;
    Ok(ExitCode::SUCCESS)
}
