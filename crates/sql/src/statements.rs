//! The statements that SQL lacks, as a table of cases: leading words, dialect, and the function that answers. What no
//! case takes is a query. Only the session calls this.

mod alter_system;
mod describe;
mod kill;
mod parameters;
mod refused;
mod set;
mod show;
mod show_tables;
mod transaction;
mod warnings;

use datafusion::sql::sqlparser::tokenizer::Token;
use futures::future::BoxFuture;

use crate::session::{RowsLabel, Session};
use crate::text::tokens::{Cursor, TokenStream, lex};
use heapql_server::diagnostics::Diagnostics;
use heapql_server::dialect::Dialect;
use heapql_server::failure::{Failure, Warning};
use heapql_tables::listing::Listing;

/// The answer to a statement that is not a query.
pub(crate) enum Answer {
    /// DEALLOCATE of one prepared statement, or of all for None.
    Deallocate(Option<String>),
    /// Nothing but a tag.
    Done(String),
    /// Work that takes other servers, then a tag. Only for a statement that is effective.
    Later(BoxFuture<'static, Result<Vec<Warning>, Failure>>, String),
    /// Rows made by hand, perhaps filtered by the text of a WHERE.
    Rows(Listing, Option<String>),
    /// A query to run instead.
    Query(String),
}

impl Answer {
    pub(crate) fn done(tag: &str) -> Answer {
        Answer::Done(tag.to_owned())
    }
}

/// The context that a case may use.
pub(crate) struct Context<'a> {
    pub(crate) session: &'a Session,
    pub(crate) diagnostics: &'a Diagnostics,
    /// False while a statement is only prepared: nothing may change.
    pub(crate) effective: bool,
}

type Run = fn(&Context<'_>, &mut Cursor<'_>) -> Result<Option<Answer>, Failure>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Both,
    MySql,
    Postgres,
}

/// Tried in order. `None` from a case means "not mine": the next one is asked.
const CASES: &[(&str, In, Run)] = &[
    ("ALTER SYSTEM", In::Both, alter_system::run),
    ("SHOW PARAMETERS", In::Both, parameters::show),
    ("SHOW", In::Both, show::run),
    ("DESCRIBE", In::Both, describe::run),
    ("DESC", In::Both, describe::run),
    ("EXPLAIN", In::MySql, describe::explain),
    ("USE", In::Both, describe::use_database),
    ("SET", In::MySql, set::mysql),
    ("SET", In::Postgres, set::postgres),
    ("RESET", In::Postgres, set::reset),
    ("KILL", In::Both, kill::run),
    ("BEGIN", In::Both, transaction::begin),
    ("START TRANSACTION", In::Both, transaction::begin),
    ("COMMIT", In::Both, transaction::commit),
    ("END", In::Postgres, transaction::commit),
    ("ROLLBACK", In::Both, transaction::rollback),
    ("ABORT", In::Postgres, transaction::rollback),
    ("SAVEPOINT", In::Both, transaction::savepoint),
    ("RELEASE", In::Both, transaction::release),
    ("DISCARD", In::Postgres, transaction::discard),
    ("DEALLOCATE", In::Both, transaction::deallocate),
    ("UNLISTEN", In::Postgres, transaction::unlisten),
    ("LOCK TABLES", In::MySql, transaction::lock),
    ("UNLOCK TABLES", In::MySql, transaction::unlock),
    ("", In::Both, refused::run),
];

/// The answer of the first case that takes the statement, if any.
pub(crate) fn answer(context: &Context<'_>, lexed: &TokenStream<'_>) -> Result<Option<Answer>, Failure> {
    let dialect = context.session.dialect();
    let speaks = |wanted: In| match wanted {
        In::Both => true,
        In::MySql => dialect == Dialect::MySql,
        In::Postgres => dialect == Dialect::Postgres,
    };
    for (words, _, run) in CASES.iter().filter(|(_, wanted, _)| speaks(*wanted)) {
        let mut cursor = lexed.cursor();
        if !words.is_empty() && !cursor.words(words) {
            continue;
        }
        if let Some(answer) = run(context, &mut cursor)? {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// Whether the statement only looks at the warnings of the one before, and so must not replace them.
pub(crate) fn is_diagnostic(lexed: &TokenStream<'_>) -> bool {
    let mut cursor = lexed.cursor();
    cursor.words("SHOW") && (cursor.words("WARNINGS") || cursor.words("ERRORS") || cursor.words("COUNT"))
}

/// The label of a statement's rows, from its first words.
pub(crate) fn rows_label(lexed: &TokenStream<'_>) -> RowsLabel {
    let tag = lexed.cursor().any_word(&["SHOW", "EXPLAIN"]);
    RowsLabel { tag, is_diagnostic: is_diagnostic(lexed) }
}

/// Keywords that begin a statement which only reads.
const READING_KEYWORDS: [&str; 8] = ["SELECT", "WITH", "SHOW", "EXPLAIN", "DESC", "DESCRIBE", "VALUES", "TABLE"];

/// Returns whether a statement only reads, by its first keyword.
pub fn only_reads(statement: &str, dialect: Dialect) -> bool {
    lex(statement, dialect).is_ok_and(|lexed| {
        let mut cursor = lexed.cursor();
        cursor.any_word(&READING_KEYWORDS).is_some() || cursor.take(&Token::LParen)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> RowsLabel {
        rows_label(&lex(text, Dialect::MySql).expect("lexed"))
    }

    #[test]
    fn labels_are_found_behind_comments() {
        for text in ["show  warnings", "/* a */ -- b\n SHOW COUNT(*) WARNINGS", "SHOW ERRORS LIMIT 1"] {
            assert!(label(text).is_diagnostic, "{text}");
        }
        for text in ["SHOW TABLES", "SELECT 'show warnings'", "-- only a comment"] {
            assert!(!label(text).is_diagnostic, "{text}");
        }
        assert_eq!(label("\n explain select 1").tag, Some("EXPLAIN"));
        assert_eq!(label("SELECT 1").tag, None);
    }
}
