//! `heapql sql`: statements without a client. Rows go to stdout, everything else to stderr.
//!
//! The statements come from the command line or from stdin; on a terminal without either, from a prompt (`prompt`). The running server is
//! asked if there is one, else the ledgers are read, with the same answers. One statement is run by `statement`.

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

use heapql_server::Dialect;

use crate::cli::SqlArguments;
use crate::client::Client;
use crate::error::Error;
use crate::prompt;
use crate::rows::TableLayout;
use crate::service;
use crate::statement::{Interruption, run_statement};

/// Exit status after Ctrl-C: 128 and SIGINT, as in a shell.
const INTERRUPTED: u8 = 130;

pub(crate) fn run(arguments: SqlArguments) -> Result<ExitCode, Error> {
    let layout = TableLayout { columns: terminal_columns(), ..arguments.format.into() };
    let text = match arguments.query {
        Some(query) => query,
        None if io::stdin().is_terminal() && io::stdout().is_terminal() => return prompt::run(&arguments.ask, layout),
        None => from_stdin()?,
    };
    service::runtime()?.block_on(async {
        let client = Client::open(&arguments.ask).await?;
        for statement in heapql_sql::statements(&text, Dialect::Postgres) {
            match run_statement(&client, &statement, layout).await {
                Ok(()) => {}
                // The reader of the rows is gone.
                Err(Interruption::Reader) => break,
                Err(Interruption::Interrupted | Interruption::Abandoned) => return Ok(ExitCode::from(INTERRUPTED)),
                Err(Interruption::Error(error)) => return Err(error),
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn from_stdin() -> Result<String, Error> {
    let mut stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Error::usage("there is no query").hint("heapql sql 'SHOW TABLES', or pipe statements in"));
    }
    let mut text = String::new();
    stdin.read_to_string(&mut text).map_err(|error| Error::new(format!("cannot read stdin: {error}")))?;
    Ok(text)
}

/// The width of the terminal, or None without one.
fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}
