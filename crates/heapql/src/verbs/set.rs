//! `heapql set NAME=VALUE..`: ALTER SYSTEM SET without a client.
//!
//! The statement goes to every server that runs over the ledgers, so that the values that a server shows and keeps are those of the
//! processes. The servers check names, values and ranges.

use std::process::ExitCode;

use crate::cli::{EndpointFlags, SetArguments};
use crate::client::{self, Client, Endpoint};
use crate::error::Error;
use crate::paths;
use crate::service;
use crate::stderr::say;

pub(crate) fn run(arguments: SetArguments) -> Result<ExitCode, Error> {
    let statement = statement(&arguments.assignments)?;
    let password = client::password(&arguments.ask)?;
    service::runtime()?.block_on(async {
        for endpoint in servers_to_set(&arguments.ask)? {
            let client = Client::connect(&endpoint, password.as_deref()).await?;
            client.ask(&statement).await?;
            client.take_notices().iter().for_each(|notice| say!("{notice}"));
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn servers_to_set(flags: &EndpointFlags) -> Result<Vec<Endpoint>, Error> {
    if flags.server.is_some() {
        return Ok(vec![Endpoint::choose(flags)?]);
    }
    let root = paths::ledger_root(flags.dir.dir.as_deref())?;
    let (servers, is_one_left_out) = Endpoint::all(&root);
    if is_one_left_out {
        say!("warning: a server without a PostgreSQL listener goes on showing the values it had");
    }
    Ok(if servers.is_empty() { vec![Endpoint::Ledgers(root)] } else { servers })
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

    fn statement_of(assignments: &[&str]) -> Option<String> {
        let assignments: Vec<_> = assignments.iter().map(|text| (*text).to_owned()).collect();
        statement(&assignments).ok()
    }

    #[test]
    fn several_become_one_statement() {
        let expected = "ALTER SYSTEM SET _min_malloc_sample_interval = '1', x = '16.5'";
        assert_eq!(statement_of(&["_min_malloc_sample_interval=1", "x=16.5"]).as_deref(), Some(expected));
    }

    #[test]
    fn nothing_else_gets_into_it() {
        for wrong in ["x", "x=", "=1", "x y=1", "x=1'", "x=1\\", "x; DROP=1"] {
            assert_eq!(statement_of(&[wrong]), None, "{wrong}");
        }
    }
}
