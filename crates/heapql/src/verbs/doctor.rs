//! `heapql doctor`: prints why nothing is recorded, and the remedy. It repairs nothing; the checks are `doctor`'s.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::DoctorArguments;
use crate::doctor;
use crate::error::Error;
use crate::target;

pub(crate) fn run(arguments: DoctorArguments) -> Result<ExitCode, Error> {
    let dir = arguments.dir.dir.as_deref();
    let has_failed = match (arguments.pid, &arguments.program) {
        (Some(pid), _) => doctor::of_process(pid, dir),
        (None, Some(program)) => {
            // As run would find it, or beside us.
            let found =
                target::find(program).or_else(|| Some(Path::new(program).to_owned()).filter(|path| path.exists()));
            let missing = || Error::usage(format!("there is no program '{}'", program.display()));
            doctor::of_program(&found.ok_or_else(missing)?, dir)
        }
        (None, None) => doctor::of_host(dir),
    };
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
