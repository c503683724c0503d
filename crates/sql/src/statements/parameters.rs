//! `SHOW PARAMETERS [LIKE 'p'] [WHERE ..]`, rewritten to a SELECT over the table that holds them.

use super::Answer;
use super::Context;
use crate::text::tokens::Cursor;
use heapql_server::failure::{Failure, Warning};
use heapql_server::like;
use heapql_tables::PARAMETER_STAT;

const COLUMNS: &str = "zone, svr_type, svr_ip, svr_port, name, data_type, value, info, section, scope, source, \
                       edit_level, default_value, isdefault";

pub(super) fn show(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<Option<Answer>, Failure> {
    let pattern = if cursor.words("LIKE") {
        Some(cursor.text().ok_or_else(|| cursor.unexpected("a quoted pattern"))?)
    } else {
        None
    };
    let condition = if cursor.words("WHERE") { Some(cursor.rest()) } else { None };
    // TENANT = t is accepted and means the same: all parameters are the cluster's.
    if cursor.words("TENANT") {
        cursor.rest();
    }
    cursor.end()?;
    // A hidden name appears once changed, or when it is asked for.
    let asked = pattern.as_deref().is_some_and(like::names_something) || condition.is_some();
    if !asked && context.session.server().parameters().lines().iter().any(|line| line.value == line.default_value) {
        context.diagnostics.push(Warning::note(
            r"hidden parameters that have their default value are not shown; next: SHOW PARAMETERS LIKE '\_%'",
        ));
    }
    let mut conditions = Vec::new();
    if !asked {
        conditions.push("(name NOT LIKE '\\_%' OR isdefault = 0)".to_owned());
    }
    conditions.extend(pattern.map(|pattern| format!("name LIKE '{}'", quoted(&pattern, context))));
    conditions.extend(condition.map(|condition| format!("({condition})")));
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    Ok(Some(Answer::Query(format!("SELECT {COLUMNS} FROM oceanbase.{PARAMETER_STAT}{filter} ORDER BY name"))))
}

/// Names are lower case, and OceanBase's comparison ignores case.
fn quoted(pattern: &str, context: &Context<'_>) -> String {
    let quoted = pattern.to_lowercase().replace('\'', "''");
    if context.session.is_mysql() { quoted.replace('\\', "\\\\") } else { quoted }
}
