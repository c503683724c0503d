//! `heapql flame`, `export` and `diff`: the heap as a picture or a file. Each runs one statement, such as `SELECT flamegraph_svg(..)`, on
//! the running server or on the ledgers, and writes its value. Drawing is the server's.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{DiffArguments, ExportArguments, ExportFormat, FlameArguments, FlameFormat, SelectionArguments};
use crate::client::{Client, RowStream};
use crate::error::Error;
use crate::rows::Cell;
use crate::service;
use crate::stderr::say;

pub(crate) fn flame(arguments: FlameArguments) -> Result<ExitCode, Error> {
    let FlameArguments { format, value, selection } = arguments;
    let format = chosen(format, selection.output.as_deref());
    let statement = call(function(format), &[text(&value), pid(&selection), label(&selection)]);
    write_value(&selection, &statement, Content::Picture)
}

pub(crate) fn diff(arguments: DiffArguments) -> Result<ExitCode, Error> {
    let DiffArguments { from, to, format, value, selection } = arguments;
    let format = chosen(format, selection.output.as_deref());
    let to = to.as_deref().map_or_else(null, text);
    let statement = call(function(format), &[text(&value), pid(&selection), label(&selection), text(&from), to]);
    write_value(&selection, &statement, Content::Picture)
}

pub(crate) fn export(arguments: ExportArguments) -> Result<ExitCode, Error> {
    let ExportArguments { format, value, selection } = arguments;
    match format {
        ExportFormat::Pprof => {
            let statement = call("pprof", &[pid(&selection), label(&selection)]);
            write_value(&selection, &statement, Content::Binary)
        }
        ExportFormat::Folded => {
            let statement = call("folded", &[text(&value), pid(&selection), label(&selection)]);
            write_value(&selection, &statement, Content::Text)
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Text,
    Picture,
    Binary,
}

/// The requested format, else that of the file's name, else SVG.
fn chosen(format: Option<FlameFormat>, output: Option<&Path>) -> FlameFormat {
    let extension = output.and_then(Path::extension).and_then(|extension| extension.to_str());
    format.unwrap_or(match extension {
        Some("html" | "htm") => FlameFormat::Html,
        _ => FlameFormat::Svg,
    })
}

fn function(format: FlameFormat) -> &'static str {
    match format {
        FlameFormat::Svg => "flamegraph_svg",
        FlameFormat::Html => "flamegraph_html",
    }
}

fn call(function: &str, arguments: &[String]) -> String {
    format!("SELECT {function}({})", arguments.join(", "))
}

/// A SQL literal. A backslash is no escape in PostgreSQL.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn null() -> String {
    "NULL".to_owned()
}

fn pid(selection: &SelectionArguments) -> String {
    selection.pid.map_or_else(null, |pid| pid.to_string())
}

fn label(selection: &SelectionArguments) -> String {
    selection.label.as_deref().map_or_else(null, text)
}

fn write_value(selection: &SelectionArguments, statement: &str, content: Content) -> Result<ExitCode, Error> {
    if selection.output.is_none() && content != Content::Text && io::stdout().is_terminal() {
        return Err(Error::usage("this would fill the terminal with what no person reads")
            .hint("name a file with -o, for example -o heap.html, or pipe it on"));
    }
    let bytes = service::runtime()?.block_on(async {
        let client = Client::open(&selection.ask).await?;
        let answer = client.ask(statement).await?;
        let bytes = match answer {
            Some(answer) => value(answer, content).await,
            None => Err(Error::new("the server gave no value")),
        };
        client.take_notices().iter().for_each(|notice| say!("{notice}"));
        bytes
    })?;
    match &selection.output {
        Some(path) => {
            let cannot = |error| Error::new(format!("cannot write '{}': {error}", path.display()));
            fs::write(path, &bytes).map_err(cannot)?;
            say!("wrote {} ({} bytes)", path.display(), bytes.len());
        }
        None => match io::stdout().write_all(&bytes).and_then(|()| io::stdout().flush()) {
            // The reader is gone.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            wrote => wrote.map_err(|error| Error::new(format!("cannot write to stdout: {error}")))?,
        },
    }
    Ok(ExitCode::SUCCESS)
}

async fn value(mut answer: RowStream, content: Content) -> Result<Vec<u8>, Error> {
    let missing = || Error::new("the server gave no value");
    let row = answer.next().await?.ok_or_else(missing)?;
    let Some(Cell::Text(text) | Cell::Bare(text)) = row.into_iter().next() else { return Err(missing()) };
    if content != Content::Binary {
        return Ok(text.into_bytes());
    }
    unhexed(&text).ok_or_else(|| Error::new("the server gave a value that is no bytea"))
}

/// Decodes PostgreSQL's text form of bytes: `\x0aff`.
fn unhexed(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let digit = |byte: u8| (byte as char).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_literals() {
        assert_eq!(call("folded", &[text("it's \\"), null()]), "SELECT folded('it''s \\', NULL)");
    }

    #[test]
    fn a_files_name_says_what_it_is() {
        let of = |name: &str| chosen(None, Some(Path::new(name)));
        assert_eq!((of("a.html"), of("a.svg"), of("a")), (FlameFormat::Html, FlameFormat::Svg, FlameFormat::Svg));
        assert_eq!(chosen(Some(FlameFormat::Svg), Some(Path::new("a.html"))), FlameFormat::Svg);
    }

    #[test]
    fn bytes_come_as_digits() {
        assert_eq!(unhexed("\\x00ff1F"), Some(vec![0, 255, 31]));
        assert_eq!(unhexed("\\x"), Some(Vec::new()));
        for wrong in ["", "00", "\\x0", "\\x0g"] {
            assert_eq!(unhexed(wrong), None, "{wrong}");
        }
    }
}
