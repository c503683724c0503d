//! Statements that would write or reach the host are refused before they are parsed, in words that say so. The plan of every query is
//! checked again before it runs (`query::guard`), so this list is for clarity, not for safety.

use datafusion::sql::sqlparser::tokenizer::{Token, Word};

use super::Answer;
use super::Context;
use crate::text::tokens::Cursor;
use heapql_server::failure::{Failure, FailureKind};

const WRITES: &[&str] = &[
    "INSERT",
    "UPDATE",
    "DELETE",
    "REPLACE",
    "MERGE",
    "UPSERT",
    "TRUNCATE",
    "CREATE",
    "DROP",
    "ALTER",
    "RENAME",
    "GRANT",
    "REVOKE",
    "LOAD",
    "IMPORT",
    "EXPORT",
    "UNLOAD",
    "INSTALL",
    "UNINSTALL",
    "ATTACH",
    "DETACH",
    "VACUUM",
    "REINDEX",
    "CLUSTER",
    "OPTIMIZE",
    "REPAIR",
    "LOCK",
    "COMMENT",
    "REFRESH",
    "FLUSH",
    "PURGE",
    "HANDLER",
    "SECURITY",
    "REASSIGN",
    "IMPORT",
    "BACKUP",
    "RESTORE",
    "SHUTDOWN",
    "CALL",
    "DO",
    "ANALYZE",
];

const UNSUPPORTED: &[(&str, &str)] = &[
    ("PREPARE", "use the prepared statements of the protocol"),
    ("EXECUTE", "use the prepared statements of the protocol"),
    ("DECLARE", "read the rows of the query directly, or use LIMIT and OFFSET"),
    ("FETCH", "read the rows of the query directly, or use LIMIT and OFFSET"),
    ("LISTEN", "nothing is ever notified"),
    ("NOTIFY", "nothing is ever notified"),
];

/// Functions of this and other engines that read the host's files.
const READERS: &[&str] = &[
    "load_file",
    "pg_read_file",
    "pg_read_binary_file",
    "pg_ls_dir",
    "pg_stat_file",
    "lo_import",
    "lo_export",
    "read_csv",
    "read_parquet",
    "read_json",
    "read_avro",
    "read_arrow",
    "read_text",
    "read_blob",
    "parquet_metadata",
    "parquet_scan",
    "csv_scan",
    "glob",
];

pub(super) fn run(_: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<Option<Answer>, Failure> {
    if let Some(verb) = cursor.clone().any_word(WRITES) {
        return Err(Failure::read_only(verb));
    }
    for (verb, hint) in UNSUPPORTED {
        if cursor.words(verb) {
            return Err(Failure::new(FailureKind::Unsupported, format!("{verb} is not supported")).hint(*hint));
        }
    }
    if cursor.words("COPY") {
        return Err(copy(cursor));
    }
    files(cursor).map(|()| None)
}

fn copy(cursor: &mut Cursor<'_>) -> Failure {
    while let Some(token) = cursor.next() {
        if is_word(token, "TO") && cursor.words("STDOUT") {
            return Failure::new(FailureKind::Unsupported, "COPY .. TO STDOUT is not supported")
                .hint(r"run the query itself; psql: \pset format csv, then \o FILE");
        }
    }
    Failure::read_only("COPY to or from a file")
}

/// `FROM '/etc/passwd'`, `INTO OUTFILE`, and functions that read files.
fn files(cursor: &mut Cursor<'_>) -> Result<(), Failure> {
    let mut last = None;
    while let Some(token) = cursor.next() {
        let after = |word| last.is_some_and(|last| is_word(last, word));
        match token {
            Token::SingleQuotedString(_) if after("FROM") || after("JOIN") => {
                return Err(Failure::read_only("reading files of the host"));
            }
            Token::Word(word) if after("INTO") && (is(word, "OUTFILE") || is(word, "DUMPFILE")) => {
                return Err(Failure::read_only("SELECT .. INTO a file"));
            }
            Token::Word(word) if cursor.peek() == Some(&Token::LParen) && READERS.iter().any(|name| is(word, name)) => {
                return Err(Failure::read_only("reading files of the host"));
            }
            _ => {}
        }
        last = Some(token);
    }
    Ok(())
}

fn is(word: &Word, wanted: &str) -> bool {
    word.value.eq_ignore_ascii_case(wanted)
}

fn is_word(token: &Token, wanted: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && is(word, wanted))
}
