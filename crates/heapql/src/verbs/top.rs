//! `heapql top`: live memory and its growth, continuously on a terminal, else once. The view is `top`'s.

use std::io::{self, BufWriter, IsTerminal};
use std::process::ExitCode;

use crate::cli::{OutputFormat, TopArguments};
use crate::client::{self, Endpoint};
use crate::error::Error;
use crate::rows::RowPrinter;
use crate::service;
use crate::top::{self, LineSource};

pub(crate) fn run(arguments: TopArguments) -> Result<ExitCode, Error> {
    let endpoint = Endpoint::choose(&arguments.ask)?;
    let password = client::password(&arguments.ask)?;
    let mut source = LineSource::new(endpoint, password, arguments.pid, arguments.ask);
    service::runtime()?.block_on(async {
        if !arguments.once && io::stdin().is_terminal() && io::stdout().is_terminal() {
            // What is wrong from the beginning is said before the screen is taken.
            source.poll(arguments.by).await?;
            return top::live(source, arguments.by, arguments.interval).await;
        }
        let lines = source.poll(arguments.by).await?;
        let print = || {
            let mut rows =
                RowPrinter::begin(BufWriter::new(io::stdout()), OutputFormat::Table, arguments.by.headings())?;
            lines.iter().try_for_each(|line| rows.row(line.cells()))?;
            rows.end()
        };
        match print() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::new(format!("cannot write to stdout: {error}")))
            }
            _ => Ok(ExitCode::SUCCESS),
        }
    })
}
