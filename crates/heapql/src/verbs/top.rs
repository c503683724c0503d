//! `heapql top`: what is live and how fast it grows, on a terminal for as long as somebody looks, else once.

use std::io::{self, BufWriter, IsTerminal};
use std::process::ExitCode;

use crate::cli::{Format, TopArguments};
use crate::client::{self, Whom};
use crate::error::Error;
use crate::rows::Rows;
use crate::service;
use crate::top::{self, Source};

pub(crate) fn run(arguments: TopArguments) -> Result<ExitCode, Error> {
    let whom = Whom::of(&arguments.ask)?;
    let password = client::password(&arguments.ask)?;
    let mut source = Source::new(whom, password, arguments.pid, arguments.ask);
    service::runtime()?.block_on(async {
        if !arguments.once && io::stdin().is_terminal() && io::stdout().is_terminal() {
            // What is wrong from the beginning is said before the screen is taken.
            source.look(arguments.by).await?;
            return top::live(source, arguments.by, arguments.interval).await;
        }
        let look = source.look(arguments.by).await?;
        let print = || {
            let mut rows = Rows::begin(BufWriter::new(io::stdout()), Format::Table, arguments.by.headings())?;
            look.iter().try_for_each(|line| rows.row(line.cells()))?;
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
