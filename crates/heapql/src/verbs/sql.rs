//! `heapql sql`: statements without a client. Rows go to stdout, everything else to stderr.
//!
//! Statements of the command line or of stdin; on a terminal without either, a prompt (`prompt`). The running server is
//! asked if there is one; otherwise the ledgers are read, with the same answers.

use std::io::{self, BufWriter, IsTerminal, Read};
use std::process::ExitCode;
use std::time::Duration;

use heapql_server::Dialect;
use tokio::signal::ctrl_c;
use tokio::time::sleep;

use crate::cli::{AskFlags, SqlArguments};
use crate::client::{self, Answer, Client, Failed, Whom};
use crate::error::Error;
use crate::prompt;
use crate::rows::{Layout, Printed, Rows};
use crate::service;
use crate::talk::say;

/// 128 and SIGINT, as a shell has it.
const INTERRUPTED: u8 = 130;
/// Until a statement heeds it.
const CANCEL_EVERY: Duration = Duration::from_millis(200);
/// Rows after which others get a turn, a key among them.
const TURN: usize = 256;

pub(crate) fn run(arguments: SqlArguments) -> Result<ExitCode, Error> {
    let layout = Layout { columns: terminal_columns(), ..arguments.format.into() };
    let text = match arguments.query {
        Some(query) => query,
        None if io::stdin().is_terminal() && io::stdout().is_terminal() => return prompt::run(&arguments.ask, layout),
        None => from_stdin()?,
    };
    service::runtime()?.block_on(async {
        let client = connect(&arguments.ask).await?;
        for statement in heapql_sql::statements(&text, Dialect::Postgres) {
            match carry_out(&client, &statement, layout).await {
                Ok(()) => {}
                // Whoever reads our rows has enough of them.
                Err(Stopped::Reader) => break,
                Err(Stopped::Interrupted | Stopped::Abandoned) => return Ok(ExitCode::from(INTERRUPTED)),
                Err(Stopped::Error(error)) => return Err(error),
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) async fn connect(flags: &AskFlags) -> Result<Client, Error> {
    let whom = Whom::of(flags)?;
    Ok(Client::connect(&whom, client::password(flags)?.as_deref()).await?)
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

/// How wide a table may be; `None` where nobody sees it.
fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// Why a statement's rows were not all printed.
pub(crate) enum Stopped {
    Error(Error),
    /// By Ctrl-C.
    Interrupted,
    /// By a second one. The connection still waits for the end of the statement.
    Abandoned,
    Reader,
}

impl From<Failed> for Stopped {
    fn from(failed: Failed) -> Stopped {
        Stopped::Error(failed.into())
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stopped::Reader,
            _ => Stopped::Error(Error::new(format!("cannot write to stdout: {error}"))),
        }
    }
}

/// Runs one statement and prints what it gives. Ctrl-C has the server stop it; a second one does not wait for that.
pub(crate) async fn carry_out(client: &Client, statement: &str, layout: Layout) -> Result<(), Stopped> {
    let mut work = Box::pin(print(client, statement, layout));
    tokio::select! {
        done = &mut work => return done,
        _ = ctrl_c() => {}
    }
    loop {
        // More than once: it may have come between two steps of the statement.
        client.canceller().cancel().await?;
        tokio::select! {
            // It may also have been over before.
            done = &mut work => return done.map_err(|stopped| match stopped {
                Stopped::Error(error) => {
                    say!("canceled: {error}");
                    Stopped::Interrupted
                }
                stopped => stopped,
            }),
            () = sleep(CANCEL_EVERY) => {}
            _ = ctrl_c() => return Err(Stopped::Abandoned),
        }
    }
}

async fn print(client: &Client, statement: &str, layout: Layout) -> Result<(), Stopped> {
    let asked = client.ask(statement).await;
    let done = match asked {
        Ok(Some(answer)) if layout.only.is_empty() => rows(answer, layout).await,
        Ok(Some(answer)) => rows(answer.keep(layout.only), layout).await,
        Ok(None) => {
            say!("done");
            Ok(())
        }
        Err(failed) => Err(failed.into()),
    };
    client.take_notices().iter().for_each(|notice| say!("{notice}"));
    done
}

async fn rows(mut answer: Answer, layout: Layout) -> Result<(), Stopped> {
    let columns = answer.columns.iter().map(|column| column.name.clone()).collect();
    let mut rows = Rows::begin(BufWriter::new(io::stdout()), layout, columns)?;
    let mut count = 0;
    while let Some(row) = answer.next().await? {
        rows.row(row)?;
        count += 1;
        if count % TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    let Printed { count, note } = rows.end()?;
    if io::stderr().is_terminal() {
        let note = note.map(|note| format!("; {note}")).unwrap_or_default();
        say!("({count} row{}{note})", if count == 1 { "" } else { "s" });
    }
    Ok(())
}
