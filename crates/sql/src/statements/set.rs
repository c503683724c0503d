//! SET and RESET. Names that clients set when they start are accepted, the timeout is effective, anything else is
//! answered OK with a warning that says it was ignored. What reaches the engine's own options is refused.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::Answer;
use super::Context;
use crate::settings::SetOutcome;
use crate::text::tokens::Cursor;
use crate::text::words::expression;
use crate::text::words::is_engine_option;
use crate::text::words::scope_words;
use crate::text::words::variable;
use heapql_server::failure::{Failure, FailureKind, Warning};

type StatementResult = Result<Option<Answer>, Failure>;

pub(super) fn mysql(context: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    loop {
        mysql_item(context, cursor)?;
        if !cursor.take(&Token::Comma) {
            break;
        }
    }
    cursor.end()?;
    Ok(Some(Answer::done("SET")))
}

fn mysql_item(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<(), Failure> {
    if cursor.words("NAMES") {
        return names(context, cursor);
    }
    if cursor.words("CHARACTER SET") || cursor.words("CHARSET") {
        let charset = cursor.literal().ok_or_else(|| cursor.unexpected("a character set"))?;
        return put_all(context, &CHARSETS, &charset);
    }
    if cursor.words("PASSWORD") {
        return Err(Failure::read_only("SET PASSWORD"));
    }
    let global = scope_words(cursor);
    if cursor.words("TRANSACTION") {
        cursor.rest();
        return Ok(());
    }
    let name = variable(cursor)?;
    if !cursor.take(&Token::Eq) && !cursor.take(&Token::Assignment) {
        return Err(cursor.unexpected("'='"));
    }
    let value = expression(cursor)?;
    put(context, &name, value.as_deref())?;
    if global && context.effective {
        let message = format!("'{name}' is set for this session only: there are no global variables");
        context.diagnostics.push(Warning::new(FailureKind::Query, message));
    }
    Ok(())
}

const CHARSETS: [&str; 3] = ["character_set_client", "character_set_connection", "character_set_results"];

fn names(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<(), Failure> {
    let charset = cursor.literal().ok_or_else(|| cursor.unexpected("a character set"))?;
    put_all(context, &CHARSETS, &charset)?;
    if cursor.words("COLLATE") {
        let collation = cursor.literal().ok_or_else(|| cursor.unexpected("a collation"))?;
        put(context, "collation_connection", Some(&collation))?;
    }
    Ok(())
}

fn put_all(context: &Context<'_>, names: &[&str], value: &str) -> Result<(), Failure> {
    names.iter().try_for_each(|name| put(context, name, Some(value)))
}

/// Sets a variable, or back to its default (`None`).
fn put(context: &Context<'_>, name: &str, value: Option<&str>) -> Result<(), Failure> {
    if is_engine_option(name) {
        return Err(Failure::read_only(&format!("SET {name}")));
    }
    if !context.effective {
        return Ok(());
    }
    let settings = context.session.settings();
    let Some(value) = value else {
        settings.reset(name);
        return Ok(());
    };
    let why = match settings.set(name, value)? {
        SetOutcome::Yes => return Ok(()),
        SetOutcome::Unknown => "is not known to this server and was ignored",
        SetOutcome::Fixed => "cannot be changed and was ignored",
    };
    context.diagnostics.push(Warning::new(FailureKind::UnknownParameter, format!("variable '{name}' {why}")));
    Ok(())
}

pub(super) fn postgres(context: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    let done = Ok(Some(Answer::done("SET")));
    if cursor.words("SESSION CHARACTERISTICS") || cursor.words("TRANSACTION") || cursor.words("LOCAL TRANSACTION") {
        cursor.rest();
        return done;
    }
    if cursor.words("SESSION AUTHORIZATION") || cursor.words("ROLE") {
        return Err(Failure::new(FailureKind::Unsupported, "changing the user of a session is not supported")
            .hint("connect again as the other user"));
    }
    scope_words(cursor);
    let name = if cursor.words("TIME ZONE") {
        "timezone".to_owned()
    } else if cursor.words("NAMES") {
        "client_encoding".to_owned()
    } else {
        let name = variable(cursor)?;
        if !cursor.take(&Token::Eq) && !cursor.words("TO") {
            return Err(cursor.unexpected("'=' or TO"));
        }
        name
    };
    let mut values = vec![expression(cursor)?];
    while cursor.take(&Token::Comma) {
        values.push(expression(cursor)?);
    }
    cursor.end()?;
    let value: Option<Vec<String>> = values.into_iter().collect();
    put(context, &name, value.map(|values| values.join(", ")).as_deref())?;
    done
}

pub(super) fn reset(context: &Context<'_>, cursor: &mut Cursor<'_>) -> StatementResult {
    if cursor.words("ALL") {
        if context.effective {
            context.session.settings().reset_all();
        }
    } else {
        let name = if cursor.words("TIME ZONE") { "timezone".to_owned() } else { variable(cursor)? };
        put(context, &name, None)?;
    }
    cursor.end()?;
    Ok(Some(Answer::done("RESET")))
}
