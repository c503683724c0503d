//! Runs one statement of `heapql sql` and prints its rows to stdout. Ctrl-C cancels it.
//!
//! Texts are split, and prompts shown, by the callers: `verbs::sql` and `prompt`.

use std::io::{self, BufWriter, IsTerminal};
use std::time::Duration;

use tokio::signal::ctrl_c;
use tokio::time::sleep;

use crate::client::{Client, ClientError, RowStream};
use crate::error::Error;
use crate::rows::{PrintSummary, RowPrinter, TableLayout};
use crate::stderr::say;

/// Interval between two cancel requests for the same statement.
const CANCEL_INTERVAL: Duration = Duration::from_millis(200);
/// Number of rows after which other tasks get a turn, so that Ctrl-C is noticed.
const ROWS_PER_TURN: usize = 256;

/// The reasons for which not all rows of a statement were printed.
pub(crate) enum Interruption {
    Error(Error),
    /// Ctrl-C has cancelled the statement.
    Interrupted,
    /// A second Ctrl-C did not wait for that. The connection still waits for the end of the statement.
    Abandoned,
    /// The reader of stdout is gone.
    Reader,
}

impl From<ClientError> for Interruption {
    fn from(failed: ClientError) -> Interruption {
        Interruption::Error(failed.into())
    }
}

impl From<io::Error> for Interruption {
    fn from(error: io::Error) -> Interruption {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Interruption::Reader,
            _ => Interruption::Error(Error::new(format!("cannot write to stdout: {error}"))),
        }
    }
}

/// Runs one statement and prints its rows. Ctrl-C cancels it; a second Ctrl-C does not wait for that.
pub(crate) async fn run_statement(client: &Client, statement: &str, layout: TableLayout) -> Result<(), Interruption> {
    let mut work = Box::pin(print(client, statement, layout));
    tokio::select! {
        done = &mut work => return done,
        _ = ctrl_c() => {}
    }
    loop {
        // It is repeated, because it may arrive between two steps of the statement.
        client.canceller().cancel().await?;
        tokio::select! {
            // The statement may have ended before.
            done = &mut work => return done.map_err(|interruption| match interruption {
                Interruption::Error(error) => {
                    say!("canceled: {error}");
                    Interruption::Interrupted
                }
                interruption => interruption,
            }),
            () = sleep(CANCEL_INTERVAL) => {}
            _ = ctrl_c() => return Err(Interruption::Abandoned),
        }
    }
}

async fn print(client: &Client, statement: &str, layout: TableLayout) -> Result<(), Interruption> {
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

async fn rows(mut answer: RowStream, layout: TableLayout) -> Result<(), Interruption> {
    let columns = answer.columns.iter().map(|column| column.name.clone()).collect();
    let mut rows = RowPrinter::begin(BufWriter::new(io::stdout()), layout, columns)?;
    let mut count = 0;
    while let Some(row) = answer.next().await? {
        rows.row(row)?;
        count += 1;
        if count % ROWS_PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    let PrintSummary { count, note } = rows.end()?;
    if io::stderr().is_terminal() {
        let note = note.map(|note| format!("; {note}")).unwrap_or_default();
        say!("({count} row{}{note})", if count == 1 { "" } else { "s" });
    }
    Ok(())
}
