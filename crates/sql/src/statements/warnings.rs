//! SHOW WARNINGS, SHOW ERRORS and SHOW COUNT(*) WARNINGS | ERRORS: about the statement before.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::Context;
use crate::text::tokens::Cursor;
use heapql_server::failure::{Failure, Level, Warning};
use heapql_tables::listing::{Cell, Listing};

pub(super) fn warnings(context: &Context<'_>, _: &mut Cursor<'_>) -> Result<Listing, Failure> {
    Ok(listing(context, &context.session.diagnosed()))
}

pub(super) fn errors(context: &Context<'_>, _: &mut Cursor<'_>) -> Result<Listing, Failure> {
    Ok(listing(context, &only_errors(context)))
}

pub(super) fn count(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<Listing, Failure> {
    for token in [Token::LParen, Token::Mul, Token::RParen] {
        if !cursor.take(&token) {
            return Err(cursor.unexpected("COUNT(*)"));
        }
    }
    let (name, count) = match cursor.any_word(&["WARNINGS", "ERRORS"]) {
        Some("WARNINGS") => ("@@session.warning_count", context.session.diagnosed().len()),
        Some(_) => ("@@session.error_count", only_errors(context).len()),
        None => return Err(cursor.unexpected("WARNINGS or ERRORS")),
    };
    let count = Cell::Int(i64::try_from(count).unwrap_or(i64::MAX));
    Ok(Listing::new([name]).int(name).rows([vec![count]]))
}

fn only_errors(context: &Context<'_>) -> Vec<Warning> {
    context.session.diagnosed().into_iter().filter(|warning| warning.level == Level::Error).collect()
}

fn listing(context: &Context<'_>, warnings: &[Warning]) -> Listing {
    let server = context.session.server();
    let row = |warning: &Warning| -> Vec<Cell> {
        let number = Cell::Int(i64::from(server.error_number(warning.kind)));
        vec![warning.level.name().into(), number, warning.message.as_str().into()]
    };
    Listing::new(["Level", "Code", "Message"]).int("Code").rows(warnings.iter().map(row))
}
