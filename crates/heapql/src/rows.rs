//! Rows on stdout: an aligned table, CSV, JSON or Markdown.
//!
//! Not the wire's encodings: this is for people and pipes. Called by `sql` and `ps`.

use std::io::{self, Write};

use crate::cli::Format;

/// One cell, already in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Cell {
    Null,
    /// A number or a truth value: unquoted in JSON, and to the right in a table.
    Bare(String),
    Text(String),
}

impl Cell {
    /// `null` is what stands for no value.
    fn words<'a>(&'a self, null: &'a str) -> &'a str {
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

/// Prints one result. Tables are printed when it is complete, since their widths are known only then; everything else row
/// by row.
pub(crate) struct Rows<W> {
    out: W,
    format: Format,
    columns: Vec<String>,
    /// Of a table only.
    kept: Vec<Vec<Cell>>,
    count: usize,
}

impl<W: Write> Rows<W> {
    pub(crate) fn begin(mut out: W, format: Format, columns: Vec<String>) -> io::Result<Rows<W>> {
        match format {
            Format::Table => {}
            Format::Csv => writeln!(out, "{}", joined(&columns, ",", |name| csv(name)))?,
            Format::Json => out.write_all(b"[")?,
            Format::Md => {
                writeln!(out, "| {} |", joined(&columns, " | ", |name| markdown(name)))?;
                writeln!(out, "|{}", "---|".repeat(columns.len()))?;
            }
        }
        Ok(Rows { out, format, columns, kept: Vec::new(), count: 0 })
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) -> io::Result<()> {
        self.count += 1;
        match self.format {
            Format::Table => self.kept.push(cells),
            Format::Csv => writeln!(self.out, "{}", joined(&cells, ",", |cell| csv(cell.words(""))))?,
            Format::Md => writeln!(self.out, "| {} |", joined(&cells, " | ", |cell| markdown(cell.words("NULL"))))?,
            Format::Json => {
                let separator = if self.count == 1 { "\n" } else { ",\n" };
                let fields: Vec<_> = self.columns.iter().zip(&cells).collect();
                let field = |(name, cell): &(&String, &Cell)| {
                    format!("{}:{}", serde_json::Value::from(name.as_str()), cell.json())
                };
                write!(self.out, "{separator}{{{}}}", joined(&fields, ",", field))?;
            }
        }
        Ok(())
    }

    /// How many rows there were.
    pub(crate) fn end(mut self) -> io::Result<usize> {
        match self.format {
            Format::Table => self.table()?,
            Format::Json => self.out.write_all(if self.count == 0 { b"]\n" } else { b"\n]\n" })?,
            Format::Csv | Format::Md => {}
        }
        self.out.flush()?;
        Ok(self.count)
    }

    fn table(&mut self) -> io::Result<()> {
        let mut widths: Vec<usize> = self.columns.iter().map(|name| width(name)).collect();
        for row in &self.kept {
            for (most, cell) in widths.iter_mut().zip(row) {
                *most = (*most).max(width(&one_line(cell.words("NULL"))));
            }
        }
        let heading = self.columns.iter().zip(&widths).map(|(name, &most)| padded(name, most, false));
        let heading: Vec<_> = heading.collect();
        let rule: Vec<_> = widths.iter().map(|&most| "-".repeat(most + 2)).collect();
        writeln!(self.out, " {}", heading.join(" | ").trim_end())?;
        writeln!(self.out, "{}", rule.join("+"))?;
        for row in &self.kept {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, &most)| padded(&one_line(cell.words("NULL")), most, matches!(cell, Cell::Bare(_))));
            writeln!(self.out, " {}", cells.collect::<Vec<_>>().join(" | ").trim_end())?;
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

/// A cell with line breaks would tear the table.
fn one_line(text: &str) -> String {
    text.replace('\n', "\\n").replace('\r', "\\r")
}

/// RFC 4180.
fn csv(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn markdown(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: Format, rows: &[&[Cell]]) -> String {
        let mut out = Vec::new();
        let columns = vec!["name".to_owned(), "count".to_owned()];
        let mut printer = Rows::begin(&mut out, format, columns).expect("begun");
        for row in rows {
            printer.row(row.to_vec()).expect("printed");
        }
        assert_eq!(printer.end().expect("ended"), rows.len());
        String::from_utf8(out).expect("text")
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
        assert_eq!(printed(Format::Table, rows), table);
        assert_eq!(printed(Format::Table, &[]), " name | count\n------+-------\n");
    }

    #[test]
    fn csv_is_quoted_where_it_must_be() {
        let rows: &[&[Cell]] = &[&[text("a, \"b\""), number(7)], &[Cell::Null, Cell::Null]];
        assert_eq!(printed(Format::Csv, rows), "name,count\n\"a, \"\"b\"\"\",7\n,\n");
    }

    #[test]
    fn json_is_one_array() {
        let rows: &[&[Cell]] = &[&[text("a\"\n"), number(7)], &[Cell::Null, Cell::Null]];
        let json = printed(Format::Json, rows);
        let parsed: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(parsed, serde_json::json!([{"name": "a\"\n", "count": 7}, {"name": null, "count": null}]));
        assert_eq!(printed(Format::Json, &[]), "[]\n");
    }

    #[test]
    fn markdown_keeps_its_bars() {
        let rows: &[&[Cell]] = &[&[text("a|b"), number(7)]];
        assert_eq!(printed(Format::Md, rows), "| name | count |\n|---|---|\n| a\\|b | 7 |\n");
    }
}
