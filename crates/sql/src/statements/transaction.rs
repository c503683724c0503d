//! Statements about transactions and server-side objects: nothing to do on a read-only server, and clients send them.
//! Each query sees what is live when it runs; a transaction freezes nothing.

use datafusion::sql::sqlparser::tokenizer::{Token, Word};

use super::Answer;
use super::Context;
use crate::text::tokens::Cursor;
use heapql_server::failure::Failure;

type StatementResult = Result<Option<Answer>, Failure>;

pub(super) fn begin(context: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    cursor.rest();
    if context.effective {
        context.session.set_in_transaction(true);
    }
    Ok(Some(Answer::done("BEGIN")))
}

pub(super) fn commit(context: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    end(context, cursor, "COMMIT")
}

pub(super) fn rollback(context: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    if cursor.words("TO") || cursor.words("WORK TO") || cursor.words("TRANSACTION TO") {
        cursor.rest();
        return Ok(Some(Answer::done("ROLLBACK")));
    }
    end(context, cursor, "ROLLBACK")
}

fn end(context: &Context<'_>, cursor: &mut Cursor<'_>, tag: &str) -> StatementResult {
    cursor.rest();
    if context.effective {
        context.session.set_in_transaction(false);
    }
    Ok(Some(Answer::done(tag)))
}

fn nothing(cursor: &mut Cursor<'_>, tag: &str) -> StatementResult {
    cursor.rest();
    Ok(Some(Answer::done(tag)))
}

pub(super) fn savepoint(_: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    nothing(cursor, "SAVEPOINT")
}

pub(super) fn release(_: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    nothing(cursor, "RELEASE")
}

pub(super) fn discard(context: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    let all = cursor.words("ALL");
    cursor.rest();
    if all && context.effective {
        context.session.settings().reset_all();
    }
    Ok(Some(Answer::done(if all { "DISCARD ALL" } else { "DISCARD" })))
}

/// The protocols hold the prepared statements, so this one only reads the name. A quoted name keeps its case.
pub(super) fn deallocate(_: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    cursor.words("PREPARE");
    if cursor.words("ALL") {
        cursor.end()?;
        return Ok(Some(Answer::Deallocate(None)));
    }
    let name = match cursor.next() {
        Some(Token::Word(Word { value, quote_style: None, .. })) => value.to_ascii_lowercase(),
        Some(Token::Word(word)) => word.value.clone(),
        _ => return Err(cursor.unexpected("the name of a prepared statement")),
    };
    cursor.end()?;
    Ok(Some(Answer::Deallocate(Some(name))))
}

pub(super) fn unlisten(_: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    nothing(cursor, "UNLISTEN")
}

/// To read is all there is; mysqldump asks for it.
pub(super) fn lock(_: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    let asked = cursor.rest().to_ascii_uppercase();
    if asked.split(|char: char| !char.is_ascii_alphabetic()).any(|word| word == "WRITE") {
        return Err(Failure::read_only("LOCK TABLES .. WRITE"));
    }
    Ok(Some(Answer::done("LOCK TABLES")))
}

pub(super) fn unlock(_: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    nothing(cursor, "UNLOCK TABLES")
}
