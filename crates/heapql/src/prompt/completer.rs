//! Completes names of tables and columns, and keywords of SQL. The names are asked for once, when the prompt begins.

use std::collections::{BTreeMap, BTreeSet};

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::command::is_complete;
use crate::client::Client;
use crate::rows::Cell;

const COLUMNS: &str = "SELECT table_name, column_name FROM information_schema.columns \
                       WHERE table_schema IN ('oceanbase', 'heapql')";
/// Maximum number of columns that are completed.
const MAX_COLUMNS: usize = 5000;
const KEYWORDS: [&str; 30] = [
    "ALTER SYSTEM SET",
    "AND",
    "AS",
    "ASC",
    "AVG",
    "BETWEEN",
    "BY",
    "CASE",
    "COUNT",
    "DESC",
    "DISTINCT",
    "EXPLAIN",
    "FROM",
    "GROUP BY",
    "HAVING",
    "IN",
    "IS NULL",
    "JOIN",
    "LIKE",
    "LIMIT",
    "MAX",
    "MIN",
    "NOT",
    "ON",
    "OR",
    "ORDER BY",
    "SELECT",
    "SHOW",
    "SUM",
    "WHERE",
];

/// Keywords that only a table can follow.
const BEFORE_TABLES: [&str; 5] = ["FROM", "JOIN", "DESC", "DESCRIBE", "\\d"];

#[derive(Default)]
pub(super) struct NameCompleter {
    columns_of: BTreeMap<String, Vec<String>>,
}

impl NameCompleter {
    /// Asks for the names. Without an answer there are none.
    pub(super) async fn load(client: &Client) -> NameCompleter {
        let mut names = NameCompleter::default();
        if let Ok(Some(mut answer)) = client.ask(COLUMNS).await {
            for _ in 0..MAX_COLUMNS {
                let Ok(Some(row)) = answer.next().await else { break };
                if let [Cell::Text(table), Cell::Text(column)] = &row[..] {
                    names.columns_of.entry(table.clone()).or_default().push(column.clone());
                }
            }
        }
        names
    }

    /// Completions of a word: tables after a keyword that only a table can follow, else also columns and keywords. The columns are those of
    /// the tables that the statement names, or of all tables if it names none.
    fn candidates(&self, line: &str, before: &str, word: &str) -> Vec<String> {
        let wanted = word.to_lowercase();
        let begins = |name: &&str| name.to_lowercase().starts_with(&wanted);
        let previous = before.split_whitespace().next_back().unwrap_or_default();
        if BEFORE_TABLES.iter().any(|keyword| keyword.eq_ignore_ascii_case(previous)) {
            return self.columns_of.keys().map(String::as_str).filter(begins).map(str::to_owned).collect();
        }
        let mut named = line.split(|char: char| !is_part(char)).filter_map(|name| self.columns_of.get(name)).peekable();
        let columns: Vec<&String> = match named.peek() {
            Some(_) => named.flatten().collect(),
            None => self.columns_of.values().flatten().collect(),
        };
        let names = self.columns_of.keys().chain(columns).map(String::as_str);
        let mut found: BTreeSet<String> = names.filter(begins).map(str::to_owned).collect();
        if !word.is_empty() {
            let is_lower = word.chars().all(|char| !char.is_uppercase());
            let keywords = KEYWORDS.iter().copied().filter(begins);
            found.extend(keywords.map(|word| if is_lower { word.to_lowercase() } else { word.to_owned() }));
        }
        found.into_iter().collect()
    }
}

fn is_part(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

impl Completer for NameCompleter {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let before = &line[..at];
        let start = before
            .rfind(|char| !is_part(char))
            .map_or(0, |end| end + before[end..].chars().next().map_or(1, char::len_utf8));
        Ok((start, self.candidates(line, &before[..start], &before[start..])))
    }
}

impl Validator for NameCompleter {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(context.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for NameCompleter {
    type Hint = String;
}

impl Highlighter for NameCompleter {}

impl Helper for NameCompleter {}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> NameCompleter {
        let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        NameCompleter {
            columns_of: [
                ("callsites".to_owned(), columns(&["est_bytes", "label", "pid"])),
                ("processes".to_owned(), columns(&["pid", "program"])),
            ]
            .into(),
        }
    }

    #[test]
    fn columns_are_those_of_the_tables_that_are_named() {
        let names = names();
        let of = |line: &str, word: &str| names.candidates(line, line.split(word).next().unwrap_or_default(), word);
        assert_eq!(of("SELECT p", "p"), ["pid", "processes", "program"]);
        assert_eq!(of("SELECT p FROM callsites", "p"), ["pid", "processes"]);
        assert_eq!(of("SELECT sum(EST", "EST"), ["est_bytes"]);
        assert_eq!(of("SELECT * fr", "fr"), ["from"]);
        assert_eq!(of("SELECT * F", "F"), ["FROM"]);
        assert_eq!(of("SELECT * from p", "p"), ["processes"]);
    }

    #[test]
    fn what_is_completed_begins_after_the_last_other_character() {
        let history = FileHistory::new();
        let complete = |line: &str| names().complete(line, line.len(), &Context::new(&history)).expect("completed");
        assert_eq!(complete("SELECT c.lab"), (9, vec!["label".to_owned()]));
        assert_eq!(complete("é.call"), (3, vec!["callsites".to_owned()]));
    }

    use rustyline::history::FileHistory;
}
