//! What a line at the prompt means: a command, or statements.

use heapql_server::Dialect;
use heapql_sql::statements;

pub(super) const HELP: &str = "\
  a statement ends with ;        it may take several lines
  \\d                             tables
  \\d NAME                        columns of a table
  \\x                             one line per value, on or off
  \\q                             end (also Ctrl-D, exit, quit)
  Ctrl-C                         stop what runs, or clear the line
  Tab                            complete names of tables and columns
First questions:
  SELECT * FROM processes;
  SELECT label, sum(est_bytes) AS bytes FROM callsites GROUP BY label ORDER BY bytes DESC;";

const TABLES: &str = "SELECT n.nspname AS schema, c.relname AS name, obj_description(c.oid, 'pg_class') AS description \
                      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                      WHERE n.nspname IN ('oceanbase', 'heapql') ORDER BY 1, 2";

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Command {
    Ask(Vec<String>),
    /// The columns of a table.
    Describe(String),
    Help,
    Quit,
    Vertical,
    Unknown(String),
}

impl Command {
    pub(super) fn of(line: &str) -> Command {
        let words = line.trim().trim_end_matches(';').trim_end();
        let (verb, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
        let name = rest.trim();
        match verb {
            "help" | "\\?" | "\\h" if name.is_empty() => Command::Help,
            "exit" | "quit" | "\\q" if name.is_empty() => Command::Quit,
            "\\x" if name.is_empty() => Command::Vertical,
            "\\d" | "\\dt" | "\\d+" | "\\dt+" if name.is_empty() => Command::Ask(vec![TABLES.to_owned()]),
            "\\d" | "\\d+" if is_name(name) => Command::Describe(name.to_owned()),
            _ if verb.starts_with('\\') => Command::Unknown(one_line(words)),
            _ => Command::Ask(statements(line, Dialect::Postgres)),
        }
    }
}

fn one_line(words: &str) -> String {
    crate::rows::one_line(words).into_owned()
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || "_.".contains(char))
}

/// Whether a line can be obeyed as it is: a command, or statements of which the last one has ended.
pub(super) fn is_complete(text: &str) -> bool {
    if !matches!(Command::of(text), Command::Ask(_)) || text.trim_start().starts_with('\\') || text.trim().is_empty() {
        return true;
    }
    // What follows an unended statement, quote or comment belongs to it.
    let count = |text: &str| statements(text, Dialect::Postgres).len();
    count(&format!("{text}\n1")) > count(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_statements() {
        assert_eq!(Command::of("\\q"), Command::Quit);
        assert_eq!(Command::of(" quit; "), Command::Quit);
        assert_eq!(Command::of("\\x"), Command::Vertical);
        assert_eq!(Command::of("help"), Command::Help);
        assert_eq!(Command::of("\\dt;"), Command::of("\\d"));
        assert_eq!(Command::of("\\d heapql.callsites"), Command::Describe("heapql.callsites".into()));
        assert_eq!(Command::of("\\d a;DROP"), Command::Unknown("\\d a;DROP".into()));
        assert_eq!(Command::of("\\nonsense\x1b"), Command::Unknown("\\nonsense\\u{1b}".into()));
        assert_eq!(Command::of("select 1; select 2;"), Command::Ask(vec!["select 1".into(), "select 2".into()]));
        assert_eq!(Command::of("quit smoking"), Command::Ask(vec!["quit smoking".into()]));
    }

    #[test]
    fn a_statement_goes_on_to_its_semicolon() {
        for text in ["", "  ", "\\d", "help", "select 1;", "select ';' ; ", "select 1; -- done", "-- nothing"] {
            assert!(is_complete(text), "{text:?}");
        }
        for text in ["select 1", "select ';", "select 1; select 2", "select 1 /* ;", "select 1 -- ;"] {
            assert!(!is_complete(text), "{text:?}");
        }
    }
}
