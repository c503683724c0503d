//! `heapql ps`: the recorded processes, dead and unreadable ones included, without an engine.
//!
//! Live memory by label or stack is for SQL.

use std::io::{self, BufWriter};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use datafusion::arrow::temporal_conversions::timestamp_s_to_datetime;
use heapql_registry::{RegistrySettings, Source, SourceState};

use crate::cli::PsArguments;
use crate::error::Error;
use crate::paths;
use crate::rows::{Cell, RowPrinter};
use crate::service;
use crate::stderr::say;

const COLUMNS: [&str; 8] =
    ["pid", "state", "started_at", "intervals", "sampled_count", "sampled_bytes", "ledger_bytes", "command"];

pub(crate) fn run(arguments: PsArguments) -> Result<ExitCode, Error> {
    let root = paths::ledger_root(arguments.dir.dir.as_deref())?;
    let sources = service::open(RegistrySettings::read_only(root.clone()))?.sources();
    if sources.is_empty() {
        say!("no process is recorded in '{}' (hint: heapql run -- CMD)", root.display());
    }
    let print = || {
        let out = BufWriter::new(io::stdout().lock());
        let mut rows = RowPrinter::begin(out, arguments.format, COLUMNS.map(str::to_owned).into())?;
        for source in &sources {
            rows.row(cells(source))?;
        }
        rows.end()
    };
    match print() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn cells(source: &Source) -> Vec<Cell> {
    let number = |number: i128| Cell::Bare(number.to_string());
    let (state, command) = match source.state() {
        SourceState::Alive => ("alive", source.command().to_string()),
        SourceState::Dead => ("dead", source.command().to_string()),
        SourceState::Unreadable(why) => ("unreadable", why),
    };
    // Zeroes would be a claim about what could not be read.
    let known = source.intervals();
    let live = known.and_then(|_| source.callsites().ok());
    let sum = |of: fn(&heapql_registry::Callsite) -> i64| {
        live.as_ref().map_or(Cell::Null, |live| number(live.iter().map(|callsite| i128::from(of(callsite))).sum()))
    };
    vec![
        number(source.pid().into()),
        Cell::Text(state.to_owned()),
        known.map_or(Cell::Null, |_| Cell::Text(words(source.started_at()))),
        known.map_or(Cell::Null, |pair| Cell::Text(format!("{}..{}", pair.min, pair.max))),
        sum(|callsite| callsite.counters.live_count),
        sum(|callsite| callsite.counters.live_bytes),
        number(source.ledger_bytes().into()),
        Cell::Text(command),
    ]
}

/// UTC, to the second.
fn words(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let time = i64::try_from(seconds).ok().and_then(timestamp_s_to_datetime);
    time.map_or_else(String::new, |time| time.format("%Y-%m-%d %H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_utc() {
        assert_eq!(words(UNIX_EPOCH + Duration::from_secs(1_700_000_000)), "2023-11-14 22:13:20Z");
    }
}
