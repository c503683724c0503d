//! Parses a line of the prompt into a command or statements. It runs neither.

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
pub(super) enum PromptCommand {
    Ask(Vec<String>),
    /// The columns of a table.
    Describe(String),
    Help,
    Quit,
    Vertical,
    Unknown(String),
}

impl PromptCommand {
    pub(super) fn parse(line: &str) -> PromptCommand {
        let words = line.trim().trim_end_matches(';').trim_end();
        let (verb, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
        let name = rest.trim();
        match verb {
            "help" | "\\?" | "\\h" if name.is_empty() => PromptCommand::Help,
            "exit" | "quit" | "\\q" if name.is_empty() => PromptCommand::Quit,
            "\\x" if name.is_empty() => PromptCommand::Vertical,
            "\\d" | "\\dt" | "\\d+" | "\\dt+" if name.is_empty() => PromptCommand::Ask(vec![TABLES.to_owned()]),
            "\\d" | "\\d+" if is_name(name) => PromptCommand::Describe(name.to_owned()),
            _ if verb.starts_with('\\') => PromptCommand::Unknown(one_line(words)),
            _ => PromptCommand::Ask(statements(line, Dialect::Postgres)),
        }
    }
}

fn one_line(words: &str) -> String {
    crate::rows::one_line(words).into_owned()
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || "_.".contains(char))
}

/// Returns whether a line is complete: a command, or statements of which the last one has ended.
pub(super) fn is_complete(text: &str) -> bool {
    if !matches!(PromptCommand::parse(text), PromptCommand::Ask(_))
        || text.trim_start().starts_with('\\')
        || text.trim().is_empty()
    {
        return true;
    }
    // Text after an unended statement, quote or comment belongs to it.
    let count = |text: &str| statements(text, Dialect::Postgres).len();
    count(&format!("{text}\n1")) > count(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_statements() {
        assert_eq!(PromptCommand::parse("\\q"), PromptCommand::Quit);
        assert_eq!(PromptCommand::parse(" quit; "), PromptCommand::Quit);
        assert_eq!(PromptCommand::parse("\\x"), PromptCommand::Vertical);
        assert_eq!(PromptCommand::parse("help"), PromptCommand::Help);
        assert_eq!(PromptCommand::parse("\\dt;"), PromptCommand::parse("\\d"));
        assert_eq!(PromptCommand::parse("\\d heapql.callsites"), PromptCommand::Describe("heapql.callsites".into()));
        assert_eq!(PromptCommand::parse("\\d a;DROP"), PromptCommand::Unknown("\\d a;DROP".into()));
        assert_eq!(PromptCommand::parse("\\nonsense\x1b"), PromptCommand::Unknown("\\nonsense\\u{1b}".into()));
        assert_eq!(
            PromptCommand::parse("select 1; select 2;"),
            PromptCommand::Ask(vec!["select 1".into(), "select 2".into()])
        );
        assert_eq!(PromptCommand::parse("quit smoking"), PromptCommand::Ask(vec!["quit smoking".into()]));
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
