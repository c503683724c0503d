//! `heapql demo`: `run` with a built-in program (`demo_program`), recorded through the preload library like any other.

use std::env;
use std::process::ExitCode;

use heapql_ledger::Intervals;

use super::run::Recording;
use crate::cli::DemoArguments;
use crate::error::Error;

pub(crate) fn run(arguments: DemoArguments) -> Result<ExitCode, Error> {
    let own =
        env::current_exe().map_err(|error| Error::new(format!("cannot find this program's own file: {error}")))?;
    Recording {
        command: vec![own.into(), "demo-program".into()],
        title: "heapql demo-program".to_owned(),
        listen: arguments.listen,
        intervals: Intervals::DEFAULT,
        allocator: None,
        keep: false,
        quiet: false,
    }
    .run()
}
