//! DESC, MySQL's EXPLAIN of a table, and USE.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::Answer;
use super::Context;
use super::show_tables;
use crate::text::tokens::Cursor;
use heapql_server::failure::Failure;

type StatementResult = Result<Option<Answer>, Failure>;

/// `DESC [db.]table [column | 'pattern']`, and `DESC SELECT ..` which is EXPLAIN.
pub(super) fn run(context: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    let look = cursor.clone();
    if look.peek() == Some(&Token::LParen) || is_query(&look) {
        return Ok(Some(Answer::Query(format!("EXPLAIN {}", cursor.rest()))));
    }
    let table = show_tables::table(context, cursor)?;
    let mut listing = show_tables::described(&table.columns(), false);
    if let Some(pattern) = cursor.text() {
        listing = listing.like(&pattern);
    } else if let Some(name) = cursor.name() {
        listing = listing.like(&name.replace('_', r"\_"));
    }
    cursor.end()?;
    Ok(Some(Answer::Rows(listing, None)))
}

fn is_query(cursor: &Cursor<'_>) -> bool {
    let mut look = cursor.clone();
    look.any_word(&["SELECT", "WITH", "VALUES", "TABLE", "ANALYZE", "VERBOSE", "FORMAT", "EXTENDED"]).is_some()
}

/// `EXPLAIN table` is DESC; every other EXPLAIN is the engine's.
pub(super) fn explain(context: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    if cursor.peek() == Some(&Token::LParen) || is_query(cursor) {
        if cursor.words("EXTENDED") {
            return Ok(Some(Answer::Query(format!("EXPLAIN {}", cursor.rest()))));
        }
        return Ok(None);
    }
    let mut look = cursor.clone();
    match look.qualified_name() {
        Some(_) if look.at_end() => run(context, cursor),
        _ => Ok(None),
    }
}

pub(super) fn use_database(context: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    let name = cursor.name().ok_or_else(|| cursor.unexpected("the name of a database"))?;
    cursor.end()?;
    if context.effective {
        context.session.use_database(&name)?;
    }
    Ok(Some(Answer::done("USE")))
}
