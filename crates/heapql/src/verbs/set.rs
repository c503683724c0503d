//! `heapql set NAME=VALUE..`: ALTER SYSTEM SET without a client.
//!
//! Every server that runs over the ledgers is told, so that what it shows, and keeps in its parameter file, is what the
//! processes do. Names, values and ranges are the catalog's to check.

use std::process::ExitCode;

use crate::cli::{AskFlags, SetArguments};
use crate::client::{self, Client, Whom};
use crate::error::Error;
use crate::place;
use crate::service;
use crate::talk::say;

pub(crate) fn run(arguments: SetArguments) -> Result<ExitCode, Error> {
    let statement = statement(&arguments.assignments)?;
    let password = client::password(&arguments.ask)?;
    service::runtime()?.block_on(async {
        for whom in told(&arguments.ask)? {
            let client = Client::connect(&whom, password.as_deref()).await?;
            client.ask(&statement).await?;
            client.take_notices().iter().for_each(|notice| say!("{notice}"));
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn told(flags: &AskFlags) -> Result<Vec<Whom>, Error> {
    if flags.server.is_some() {
        return Ok(vec![Whom::of(flags)?]);
    }
    let root = place::ledger_root(flags.dir.dir.as_deref())?;
    let (servers, is_one_left_out) = Whom::all(&root);
    if is_one_left_out {
        say!("warning: a server without a PostgreSQL listener goes on showing the values it had");
    }
    Ok(if servers.is_empty() { vec![Whom::Ledgers(root)] } else { servers })
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
