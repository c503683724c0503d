//! Prints rows to stdout: as an aligned table, CSV, JSON or Markdown.
//!
//! The output is for people and pipes; encodings of protocols are the wire crate's. Called by `sql`, `ps` and `top`.

use std::borrow::Cow;
use std::io::{self, Write};
use std::mem;

use crate::cli::OutputFormat;

/// The text of one cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Cell {
    Null,
    /// A number or a truth value, which is unquoted in JSON and aligned to the right in a table.
    Bare(String),
    Text(String),
}

impl Cell {
    /// The text, or `null` for no value.
    pub(crate) fn words<'a>(&'a self, null: &'a str) -> &'a str {
        match self {
            Cell::Null => null,
            Cell::Bare(text) | Cell::Text(text) => text,
        }
    }

    pub(crate) fn json(&self) -> String {
        match self {
            Cell::Null => "null".to_owned(),
            Cell::Bare(text) => text.clone(),
            Cell::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        }
    }
}

/// The form of a printed result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TableLayout {
    pub(crate) format: OutputFormat,
    /// A table has one line per cell.
    pub(crate) vertical: bool,
    /// Width beyond which a table becomes vertical.
    pub(crate) columns: Option<usize>,
    /// Columns that are printed. Empty for all.
    pub(crate) only: &'static [&'static str],
}

impl From<OutputFormat> for TableLayout {
    fn from(format: OutputFormat) -> TableLayout {
        TableLayout { format, vertical: false, columns: None, only: &[] }
    }
}

/// Maximum number and size of the rows that decide the widths of a table. Wider cells in later rows are not aligned.
const KEPT_ROWS: usize = 1000;
const KEPT_BYTES: usize = 4 << 20;

/// Maximum length of the rule under the last column's heading.
const MAX_LAST_RULE: usize = 60;

/// The number of printed rows, and a note about their form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PrintSummary {
    pub(crate) count: usize,
    /// A difference between the table and its requested form.
    pub(crate) note: Option<String>,
}

/// Prints one result row by row. A table begins after its first rows, because they decide its widths.
pub(crate) struct RowPrinter<W> {
    out: W,
    layout: TableLayout,
    columns: Vec<String>,
    /// Rows of a table whose widths are not decided yet.
    kept: Vec<Vec<Cell>>,
    kept_bytes: usize,
    /// Column widths of a table that has begun.
    widths: Option<Vec<usize>>,
    count: usize,
    note: Option<String>,
}

impl<W: Write> RowPrinter<W> {
    pub(crate) fn begin(mut out: W, layout: impl Into<TableLayout>, columns: Vec<String>) -> io::Result<RowPrinter<W>> {
        let layout = layout.into();
        match layout.format {
            OutputFormat::Table => {}
            OutputFormat::Csv => writeln!(out, "{}", joined(&columns, ",", |name| csv(name)))?,
            OutputFormat::Json => out.write_all(b"[")?,
            OutputFormat::Md => {
                writeln!(out, "| {} |", joined(&columns, " | ", |name| markdown(name)))?;
                writeln!(out, "|{}", "---|".repeat(columns.len()))?;
            }
        }
        Ok(RowPrinter { out, layout, columns, kept: Vec::new(), kept_bytes: 0, widths: None, count: 0, note: None })
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) -> io::Result<()> {
        self.count += 1;
        match self.layout.format {
            OutputFormat::Table if self.layout.vertical => self.vertical(self.count, &cells),
            OutputFormat::Table => self.table_row(cells),
            OutputFormat::Csv => writeln!(self.out, "{}", joined(&cells, ",", |cell| csv(cell.words("")))),
            OutputFormat::Md => {
                writeln!(self.out, "| {} |", joined(&cells, " | ", |cell| markdown(cell.words("NULL"))))
            }
            OutputFormat::Json => {
                let separator = if self.count == 1 { "\n" } else { ",\n" };
                let fields: Vec<_> = self.columns.iter().zip(&cells).collect();
                let field = |(name, cell): &(&String, &Cell)| {
                    format!("{}:{}", serde_json::Value::from(name.as_str()), cell.json())
                };
                write!(self.out, "{separator}{{{}}}", joined(&fields, ",", field))
            }
        }
    }

    pub(crate) fn end(mut self) -> io::Result<PrintSummary> {
        match self.layout.format {
            OutputFormat::Table if self.layout.vertical => {}
            OutputFormat::Table => self.settle()?,
            OutputFormat::Json => self.out.write_all(if self.count == 0 { b"]\n" } else { b"\n]\n" })?,
            OutputFormat::Csv | OutputFormat::Md => {}
        }
        self.out.flush()?;
        Ok(PrintSummary { count: self.count, note: self.note })
    }

    fn table_row(&mut self, cells: Vec<Cell>) -> io::Result<()> {
        if self.widths.is_some() {
            return self.line(&cells);
        }
        self.kept_bytes += cells.iter().map(|cell| cell.words("").len()).sum::<usize>();
        self.kept.push(cells);
        if self.kept.len() == KEPT_ROWS || self.kept_bytes > KEPT_BYTES {
            self.note = Some(format!("columns are as wide as the first {} rows", self.kept.len()));
            self.settle()?;
        }
        Ok(())
    }

    /// Prints the heading and the kept rows, unless the table has begun.
    fn settle(&mut self) -> io::Result<()> {
        if self.widths.is_some() || self.layout.vertical {
            return Ok(());
        }
        let kept = mem::take(&mut self.kept);
        let widths = self.measured(&kept);
        let width = widths.iter().map(|most| most + 3).sum::<usize>().saturating_sub(1);
        if let Some(columns) = self.layout.columns.filter(|&columns| width > columns) {
            self.note = Some(format!("the table is {width} columns wide, the terminal {columns}: one line per value"));
            self.layout.vertical = true;
            return kept.iter().enumerate().try_for_each(|(index, row)| self.vertical(index + 1, row));
        }
        let heading = self.columns.iter().zip(&widths).map(|(name, &most)| padded(name, most, false));
        let heading: Vec<_> = heading.collect();
        let last = widths.len().saturating_sub(1);
        // The last column needs no alignment, so its rule may be shorter than a long name.
        let ruled =
            |(at, &most): (usize, &usize)| "-".repeat(if at == last { most.min(MAX_LAST_RULE) } else { most } + 2);
        let rule: Vec<_> = widths.iter().enumerate().map(ruled).collect();
        writeln!(self.out, " {}", heading.join(" | ").trim_end())?;
        writeln!(self.out, "{}", rule.join("+"))?;
        self.widths = Some(widths);
        kept.iter().try_for_each(|row| self.line(row))
    }

    fn measured(&self, rows: &[Vec<Cell>]) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|name| width(name)).collect();
        for row in rows {
            for (most, cell) in widths.iter_mut().zip(row) {
                *most = (*most).max(width(&one_line(cell.words("NULL"))));
            }
        }
        widths
    }

    fn line(&mut self, row: &[Cell]) -> io::Result<()> {
        let cells = row
            .iter()
            .zip(self.widths.iter().flatten())
            .map(|(cell, &most)| padded(&one_line(cell.words("NULL")), most, matches!(cell, Cell::Bare(_))));
        let line = cells.collect::<Vec<_>>().join(" | ");
        writeln!(self.out, " {}", line.trim_end())
    }

    fn vertical(&mut self, number: usize, row: &[Cell]) -> io::Result<()> {
        let most = self.columns.iter().map(|name| width(name)).max().unwrap_or(0);
        writeln!(self.out, "-[ {number} ]-{}", "-".repeat(most.saturating_sub(5)))?;
        for (name, cell) in self.columns.iter().zip(row) {
            writeln!(self.out, "{} | {}", padded(name, most, false), one_line(cell.words("NULL")))?;
        }
        Ok(())
    }
}

fn joined<T>(items: &[T], separator: &str, words: impl Fn(&T) -> String) -> String {
    items.iter().map(words).collect::<Vec<_>>().join(separator)
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn padded(text: &str, most: usize, to_the_right: bool) -> String {
    let fill = " ".repeat(most.saturating_sub(width(text)));
    if to_the_right { fill + text } else { text.to_owned() + &fill }
}

/// Escapes control characters. A line break would break the table, and an escape sequence (a command line may hold any) would reach the
/// terminal.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let written =
        text.chars().map(|char| if char.is_control() { char.escape_default().to_string() } else { char.into() });
    written.collect::<String>().into()
}

/// Quotes a CSV field by RFC 4180.
fn csv(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn markdown(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed_with_note(layout: TableLayout, rows: &[&[Cell]]) -> (String, Option<String>) {
        let mut out = Vec::new();
        let columns = vec!["name".to_owned(), "count".to_owned()];
        let mut printer = RowPrinter::begin(&mut out, layout, columns).expect("begun");
        for row in rows {
            printer.row(row.to_vec()).expect("printed");
        }
        let printed = printer.end().expect("ended");
        assert_eq!(printed.count, rows.len());
        (String::from_utf8(out).expect("text"), printed.note)
    }

    fn printed(format: OutputFormat, rows: &[&[Cell]]) -> String {
        printed_with_note(format.into(), rows).0
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    fn number(number: i64) -> Cell {
        Cell::Bare(number.to_string())
    }

    #[test]
    fn tables_are_aligned() {
        let rows: &[&[Cell]] = &[&[text("a"), number(7)], &[text("é\nb"), number(1234567)], &[Cell::Null, Cell::Null]];
        let lines = [" name | count", "------+---------", " a    |       7", " é\\nb | 1234567", " NULL | NULL", ""];
        let table = lines.join("\n");
        assert_eq!(printed(OutputFormat::Table, rows), table);
        assert_eq!(printed(OutputFormat::Table, &[]), " name | count\n------+-------\n");
    }

    #[test]
    fn a_table_that_does_not_fit_is_vertical_and_says_so() {
        let rows: &[&[Cell]] = &[&[text("a"), number(7)], &[text("b\x1b[2J"), Cell::Null]];
        let fits = TableLayout { columns: Some(20), ..OutputFormat::Table.into() };
        let (table, note) = printed_with_note(fits, rows);
        assert!(table.starts_with(" name       | count\n"), "{table}");
        assert_eq!(note, None);
        let narrow = TableLayout { columns: Some(10), ..OutputFormat::Table.into() };
        let (vertical, note) = printed_with_note(narrow, rows);
        let lines = ["-[ 1 ]-", "name  | a", "count | 7", "-[ 2 ]-", "name  | b\\u{1b}[2J", "count | NULL", ""];
        assert_eq!(vertical, lines.join("\n"));
        assert!(note.expect("a note").contains("the terminal 10"));
        let asked = TableLayout { vertical: true, ..OutputFormat::Table.into() };
        assert_eq!(printed_with_note(asked, rows), (vertical, None));
    }

    #[test]
    fn the_first_rows_decide_how_wide_a_long_table_is() {
        let (short, long) = ([text("a"), number(1)], [text("longer than before"), number(2)]);
        let mut rows: Vec<&[Cell]> = vec![&short; KEPT_ROWS];
        assert_eq!(printed_with_note(OutputFormat::Table.into(), &rows[1..]).1, None);
        rows.push(&long);
        let (table, note) = printed_with_note(OutputFormat::Table.into(), &rows);
        assert_eq!(table.lines().count(), KEPT_ROWS + 3);
        assert_eq!(table.lines().last(), Some(" longer than before |     2"));
        assert!(note.expect("a note").contains("1000"));
    }

    #[test]
    fn csv_is_quoted_where_it_must_be() {
        let rows: &[&[Cell]] = &[&[text("a, \"b\""), number(7)], &[Cell::Null, Cell::Null]];
        assert_eq!(printed(OutputFormat::Csv, rows), "name,count\n\"a, \"\"b\"\"\",7\n,\n");
    }

    #[test]
    fn json_is_one_array() {
        let rows: &[&[Cell]] = &[&[text("a\"\n"), number(7)], &[Cell::Null, Cell::Null]];
        let json = printed(OutputFormat::Json, rows);
        let parsed: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(parsed, serde_json::json!([{"name": "a\"\n", "count": 7}, {"name": null, "count": null}]));
        assert_eq!(printed(OutputFormat::Json, &[]), "[]\n");
    }

    #[test]
    fn markdown_keeps_its_bars() {
        let rows: &[&[Cell]] = &[&[text("a|b"), number(7)]];
        assert_eq!(printed(OutputFormat::Md, rows), "| name | count |\n|---|---|\n| a\\|b | 7 |\n");
    }
}
