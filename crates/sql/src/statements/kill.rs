//! `KILL [QUERY | CONNECTION] id`.

use super::Answer;
use super::Context;
use crate::text::tokens::Cursor;
use heapql_server::failure::{Failure, FailureKind};

pub(super) fn run(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<Option<Answer>, Failure> {
    let only_query = cursor.any_word(&["QUERY", "CONNECTION"]) == Some("QUERY");
    let id = cursor.literal().ok_or_else(|| cursor.unexpected("the id of a connection"))?;
    cursor.end()?;
    if !context.effective {
        return Ok(Some(Answer::done("KILL")));
    }
    let connections = context.session.server().connections();
    let found = match id.parse() {
        Ok(id) if only_query => connections.cancel(id),
        Ok(id) => connections.kill(id),
        Err(_) => false,
    };
    if found {
        return Ok(Some(Answer::done("KILL")));
    }
    Err(Failure::new(FailureKind::Query, format!("Unknown thread id: {id}")).hint("SHOW PROCESSLIST lists them"))
}
