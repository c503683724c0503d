//! SHOW, as a table of cases: leading words and the function that lists. Headings are MySQL's. In a PostgreSQL session
//! what is not in the table is a setting: `SHOW server_version`.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::Answer;
use super::Context;
use super::show_tables;
use super::warnings;
use crate::text::tokens::Cursor;
use heapql_server::connections::Connection;
use heapql_server::failure::{Failure, FailureKind};
use heapql_tables::listing::{Cell, Listing};

type List = fn(&Context<'_>, &mut Cursor<'_>) -> Result<Listing, Failure>;

/// Longer words first: the first that fits is taken.
const CASES: &[(&str, List)] = &[
    ("WARNINGS", |context, cursor| warnings::warnings(context, cursor)),
    ("ERRORS", |context, cursor| warnings::errors(context, cursor)),
    ("COUNT", |context, cursor| warnings::count(context, cursor)),
    ("FULL TABLES", |context, cursor| show_tables::tables(context, cursor, true)),
    ("EXTENDED FULL TABLES", |context, cursor| show_tables::tables(context, cursor, true)),
    ("TABLES", |context, cursor| show_tables::tables(context, cursor, false)),
    ("TABLE STATUS", show_tables::table_status),
    ("DATABASES", |_, _| Ok(show_tables::databases())),
    ("SCHEMAS", |_, _| Ok(show_tables::databases())),
    ("FULL COLUMNS", |context, cursor| show_tables::columns(context, cursor, true)),
    ("FULL FIELDS", |context, cursor| show_tables::columns(context, cursor, true)),
    ("EXTENDED COLUMNS", |context, cursor| show_tables::columns(context, cursor, false)),
    ("COLUMNS", |context, cursor| show_tables::columns(context, cursor, false)),
    ("FIELDS", |context, cursor| show_tables::columns(context, cursor, false)),
    ("CREATE TABLE", show_tables::create_table),
    ("CREATE DATABASE", |context, cursor| show_tables::create_database(context, cursor)),
    ("CREATE SCHEMA", |context, cursor| show_tables::create_database(context, cursor)),
    ("INDEXES", show_tables::index),
    ("INDEX", show_tables::index),
    ("KEYS", show_tables::index),
    ("GLOBAL VARIABLES", |context, _| Ok(variables(context))),
    ("SESSION VARIABLES", |context, _| Ok(variables(context))),
    ("LOCAL VARIABLES", |context, _| Ok(variables(context))),
    ("VARIABLES", |context, _| Ok(variables(context))),
    ("GLOBAL STATUS", |context, _| Ok(status(context))),
    ("SESSION STATUS", |context, _| Ok(status(context))),
    ("STATUS", |context, _| Ok(status(context))),
    ("STORAGE ENGINES", |_, _| Ok(engines())),
    ("ENGINES", |_, _| Ok(engines())),
    ("CHARACTER SET", |_, _| Ok(charsets())),
    ("CHARSET", |_, _| Ok(charsets())),
    ("COLLATION", |_, _| Ok(collations())),
    ("FULL PROCESSLIST", |context, _| Ok(processlist(context, usize::MAX))),
    ("PROCESSLIST", |context, _| Ok(processlist(context, 100))),
    ("GRANTS", |context, cursor| {
        cursor.rest();
        Ok(grants(context))
    }),
    ("PRIVILEGES", |_, _| Ok(Listing::new(["Privilege", "Context", "Comment"]))),
    ("PLUGINS", |_, _| Ok(Listing::new(["Name", "Status", "Type", "Library", "License"]))),
    ("PROFILES", |_, _| Ok(Listing::new(["Query_ID", "Duration", "Query"]))),
    ("OPEN TABLES", |_, _| Ok(Listing::new(["Database", "Table", "In_use", "Name_locked"]))),
    ("TRIGGERS", |_, cursor| Ok(no_rows(cursor, ["Trigger", "Event", "Table", "Statement", "Timing", "Created"]))),
    ("EVENTS", |_, cursor| Ok(no_rows(cursor, ["Db", "Name", "Definer", "Time zone", "Type", "Status"]))),
    ("PROCEDURE STATUS", |_, _| Ok(Listing::new(["Db", "Name", "Type", "Definer", "Modified", "Created"]))),
    ("FUNCTION STATUS", |_, _| Ok(Listing::new(["Db", "Name", "Type", "Definer", "Modified", "Created"]))),
    ("MASTER STATUS", |_, _| Ok(Listing::new(["File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB"]))),
    ("SLAVE STATUS", |_, _| Ok(Listing::new(["Slave_IO_State", "Master_Host"]))),
    ("BINARY LOGS", |_, _| Ok(Listing::new(["Log_name", "File_size"]))),
];

pub(super) fn run(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<Option<Answer>, Failure> {
    for (words, list) in CASES {
        let mut look = cursor.clone();
        if look.words(words) {
            let listing = list(context, &mut look)?;
            return restricted(listing, &mut look).map(Some);
        }
    }
    if context.session.is_mysql() {
        return Err(Failure::new(FailureKind::Unsupported, format!("SHOW {} is not supported", cursor.rest()))
            .hint("SHOW DATABASES, TABLES, COLUMNS, CREATE TABLE (of views too), PARAMETERS, VARIABLES, PROCESSLIST and WARNINGS are"));
    }
    setting(context, cursor).map(|listing| Some(Answer::Rows(listing, None)))
}

/// `[LIKE 'p'] [WHERE ..] [LIMIT ..]`, the same for every listing.
fn restricted(mut listing: Listing, cursor: &mut Cursor<'_>) -> Result<Answer, Failure> {
    if cursor.words("LIKE") {
        let pattern = cursor.text().ok_or_else(|| cursor.unexpected("a quoted pattern"))?;
        listing = listing.like(&pattern);
    }
    let condition = cursor.words("WHERE").then(|| cursor.rest());
    if cursor.words("LIMIT") {
        limit(&mut listing, cursor)?;
    }
    cursor.end()?;
    Ok(Answer::Rows(listing, condition))
}

fn limit(listing: &mut Listing, cursor: &mut Cursor<'_>) -> Result<(), Failure> {
    let mut number = || {
        let text = cursor.literal().unwrap_or_default();
        text.parse::<usize>().map_err(|_| cursor.unexpected("a number of rows"))
    };
    let first = number()?;
    let (skip, count) = if cursor.take(&Token::Comma) {
        let mut number = || cursor.literal().and_then(|text| text.parse::<usize>().ok());
        (first, number().unwrap_or(usize::MAX))
    } else {
        (0, first)
    };
    listing.rows = std::mem::take(&mut listing.rows).into_iter().skip(skip).take(count).collect();
    Ok(())
}

/// A listing with nothing in it, of some database or other.
fn no_rows<const N: usize>(cursor: &mut Cursor<'_>, headings: [&str; N]) -> Listing {
    if cursor.words("FROM") || cursor.words("IN") {
        cursor.name();
    }
    Listing::new(headings)
}

fn variables(context: &Context<'_>) -> Listing {
    let rows = context.session.settings().all().into_iter().map(|(name, value)| vec![name.into(), value.into()]);
    Listing::new(["Variable_name", "Value"]).rows(rows)
}

fn status(context: &Context<'_>) -> Listing {
    let server = context.session.server();
    let rows = [
        ("Threads_connected", server.connections().list().len().to_string()),
        ("Uptime", server.uptime_seconds().to_string()),
        ("Ssl_cipher", String::new()),
    ];
    Listing::new(["Variable_name", "Value"]).rows(rows.map(|(name, value)| vec![name.into(), value.into()]))
}

fn engines() -> Listing {
    let row = ["HEAPQL", "DEFAULT", "Live sampled allocations, read-only", "NO", "NO", "NO"];
    Listing::new(["Engine", "Support", "Comment", "Transactions", "XA", "Savepoints"])
        .rows([row.map(Cell::from).into()])
}

fn charsets() -> Listing {
    let row = vec!["utf8mb4".into(), "UTF-8 Unicode".into(), "utf8mb4_general_ci".into(), Cell::Int(4)];
    Listing::new(["Charset", "Description", "Default collation", "Maxlen"]).int("Maxlen").rows([row])
}

fn collations() -> Listing {
    let row = |name: &str, id: i64, default: &str| -> Vec<Cell> {
        vec![name.into(), "utf8mb4".into(), Cell::Int(id), default.into(), "Yes".into(), Cell::Int(1)]
    };
    Listing::new(["Collation", "Charset", "Id", "Default", "Compiled", "Sortlen"])
        .int("Id")
        .int("Sortlen")
        .rows([row("utf8mb4_general_ci", 45, "Yes"), row("utf8mb4_bin", 46, "")])
}

fn processlist(context: &Context<'_>, info_chars: usize) -> Listing {
    let row = |line: Connection| -> Vec<Cell> {
        let seconds = i64::try_from(line.since.elapsed().as_secs()).unwrap_or(i64::MAX);
        let info = line.info.map(|info| Cell::Text(info.chars().take(info_chars).collect()));
        let state = if line.command == "Query" { "executing" } else { "" };
        let database = if line.database.is_empty() { Cell::Null } else { line.database.into() };
        vec![
            Cell::Int(i64::from(line.id)),
            line.user.into(),
            line.peer.into(),
            database,
            line.command.into(),
            Cell::Int(seconds),
            state.into(),
            info.unwrap_or(Cell::Null),
        ]
    };
    let visible = |line: &Connection| context.session.tenant().sees(line.tenant_id);
    let lines = context.session.server().connections().list();
    Listing::new(["Id", "User", "Host", "db", "Command", "Time", "State", "Info"])
        .int("Id")
        .int("Time")
        .rows(lines.into_iter().filter(visible).map(row))
}

fn grants(context: &Context<'_>) -> Listing {
    let user = context.session.user();
    let grants = [format!("GRANT SELECT, PROCESS, SHOW DATABASES, ALTER SYSTEM ON *.* TO '{user}'")];
    Listing::new([&format!("Grants for {user}@%")]).rows(grants.map(|grant| vec![grant.into()]))
}

/// PostgreSQL's `SHOW name` and `SHOW ALL`.
fn setting(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<Listing, Failure> {
    let settings = context.session.settings();
    if cursor.words("ALL") {
        cursor.end()?;
        let rows = settings.all().into_iter().map(|(name, value)| vec![name.into(), value.into(), "".into()]);
        return Ok(Listing::new(["name", "setting", "description"]).rows(rows));
    }
    let name = if cursor.words("TIME ZONE") {
        "timezone".to_owned()
    } else if cursor.words("TRANSACTION ISOLATION LEVEL") {
        "transaction_isolation".to_owned()
    } else {
        crate::text::words::variable(cursor)?
    };
    cursor.end()?;
    let unknown = || {
        Failure::new(FailureKind::UnknownParameter, format!("unrecognized configuration parameter '{name}'"))
            .hint("SHOW ALL lists them; SHOW PARAMETERS lists the server's")
    };
    let value = settings.get(&name).ok_or_else(unknown)?;
    Ok(Listing::new([&name]).rows([vec![value.into()]]))
}
