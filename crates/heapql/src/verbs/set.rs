//! `heapql set NAME=VALUE..`: ALTER SYSTEM SET without a client.
//!
//! Names, values and ranges are the catalog's to check.

use std::process::ExitCode;

use crate::cli::SetArguments;
use crate::error::Error;
use crate::offline::Offline;
use crate::service;

pub(crate) fn run(arguments: SetArguments) -> Result<ExitCode, Error> {
    let statement = statement(&arguments.assignments)?;
    service::runtime()?.block_on(async {
        let offline = Offline::open(arguments.dir.dir.as_deref())?;
        offline.execute(&statement).await?;
        offline.print_warnings();
        Ok(ExitCode::SUCCESS)
    })
}

fn statement(assignments: &[String]) -> Result<String, Error> {
    let items = assignments.iter().map(|assignment| item(assignment)).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("ALTER SYSTEM SET {}", items.join(", ")))
}

fn item(assignment: &str) -> Result<String, Error> {
    let (name, value) = assignment.split_once('=').unwrap_or((assignment, ""));
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    // A backslash is an escape in the MySQL dialect.
    let is_value = !value.is_empty() && !value.contains(['\'', '\\']);
    if !is_name || !is_value {
        return Err(Error::usage(format!("'{assignment}' is not NAME=VALUE"))
            .hint("for example: heapql set _min_malloc_sample_interval=16 _max_malloc_sample_interval=256"));
    }
    Ok(format!("{name} = '{value}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(assignments: &[&str]) -> Option<String> {
        let assignments: Vec<_> = assignments.iter().map(|text| (*text).to_owned()).collect();
        statement(&assignments).ok()
    }

    #[test]
    fn several_become_one_statement() {
        let expected = "ALTER SYSTEM SET _min_malloc_sample_interval = '1', x = '16.5'";
        assert_eq!(of(&["_min_malloc_sample_interval=1", "x=16.5"]).as_deref(), Some(expected));
    }

    #[test]
    fn nothing_else_gets_into_it() {
        for wrong in ["x", "x=", "=1", "x y=1", "x=1'", "x=1\\", "x; DROP=1"] {
            assert_eq!(of(&[wrong]), None, "{wrong}");
        }
    }
}
