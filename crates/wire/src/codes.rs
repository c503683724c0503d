//! The one table of error codes: each kind of failure, and the code that each protocol has for it. It formats no message and sends
//! nothing. The `reply` modules of all protocols use it, and SHOW WARNINGS through the server.
//!
//! | kind | MySQL errno | MySQL SQLSTATE | PostgreSQL SQLSTATE | HTTP |
//! |---|---|---|---|---|
//! | Syntax | 1064 | 42000 | 42601 | 400 |
//! | UnknownTable | 1146 | 42S02 | 42P01 | 404 |
//! | UnknownColumn | 1054 | 42S22 | 42703 | 400 |
//! | UnknownDatabase | 1049 | 42000 | 3D000 | 404 |
//! | UnknownParameter | 5099 | 42000 | 42704 | 400 |
//! | InvalidParameter | 4147 | HY000 | 22023 | 400 |
//! | UnknownServer | 1210 | HY000 | 22023 | 400 |
//! | ServerMissing | 1429 | HY000 | 58000 | 503 |
//! | NoPrivilege | 1227 | 42501 | 42501 | 403 |
//! | ReadOnly | 1290 | HY000 | 25006 | 403 |
//! | AccessDenied | 1045 | 42000 | 28P01 | 401 |
//! | Unsupported | 1235 | 42000 | 0A000 | 501 |
//! | Cancelled | 1317 | 70100 | 57014 | 503 |
//! | Timeout | 3024 | HY000 | 57014 | 504 |
//! | TooManyConnections | 1040 | 08004 | 53300 | 503 |
//! | OutOfMemory | 1037 | HY001 | 53200 | 507 |
//! | Query | 1105 | HY000 | 22000 | 400 |
//! | Internal | 1815 | HY000 | XX000 | 500 |
//!
//! 5099, 4147, 1210, 1227 and 1045 are OceanBase's choices, the rest are MySQL 5.7's and PostgreSQL's own. The constants below the
//! kinds are for errors that only a protocol can have.

use heapql_server::FailureKind;

/// The codes of one kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode {
    /// MySQL's error number.
    pub mysql_errno: u16,
    /// MySQL's SQLSTATE.
    pub mysql_state: &'static str,
    /// PostgreSQL's SQLSTATE.
    pub postgres_state: &'static str,
}

const fn row(mysql_errno: u16, mysql_state: &'static str, postgres_state: &'static str) -> ErrorCode {
    ErrorCode { mysql_errno, mysql_state, postgres_state }
}

/// The codes of a kind of failure.
pub const fn code(kind: FailureKind) -> ErrorCode {
    match kind {
        FailureKind::Syntax => row(1064, "42000", "42601"),
        FailureKind::UnknownTable => row(1146, "42S02", "42P01"),
        FailureKind::UnknownColumn => row(1054, "42S22", "42703"),
        FailureKind::UnknownDatabase => row(1049, "42000", "3D000"),
        FailureKind::UnknownParameter => row(5099, "42000", "42704"),
        FailureKind::InvalidParameter => row(4147, "HY000", "22023"),
        FailureKind::UnknownServer => row(1210, "HY000", "22023"),
        FailureKind::ServerMissing => row(1429, "HY000", "58000"),
        FailureKind::NoPrivilege => row(1227, "42501", "42501"),
        FailureKind::ReadOnly => row(1290, "HY000", "25006"),
        FailureKind::AccessDenied => row(1045, "42000", "28P01"),
        FailureKind::Unsupported => row(1235, "42000", "0A000"),
        FailureKind::Cancelled => row(1317, "70100", "57014"),
        FailureKind::Timeout => row(3024, "HY000", "57014"),
        FailureKind::TooManyConnections => row(1040, "08004", "53300"),
        FailureKind::OutOfMemory => row(1037, "HY001", "53200"),
        FailureKind::Query => row(1105, "HY000", "22000"),
        FailureKind::Internal => row(1815, "HY000", "XX000"),
    }
}

/// The HTTP status of a kind of failure.
pub const fn status(kind: FailureKind) -> u16 {
    match kind {
        FailureKind::Syntax
        | FailureKind::UnknownColumn
        | FailureKind::UnknownParameter
        | FailureKind::InvalidParameter
        | FailureKind::UnknownServer
        | FailureKind::Query => 400,
        FailureKind::AccessDenied => 401,
        FailureKind::NoPrivilege | FailureKind::ReadOnly => 403,
        FailureKind::UnknownTable | FailureKind::UnknownDatabase => 404,
        FailureKind::Internal => 500,
        FailureKind::Unsupported => 501,
        FailureKind::Cancelled | FailureKind::ServerMissing | FailureKind::TooManyConnections => 503,
        FailureKind::Timeout => 504,
        FailureKind::OutOfMemory => 507,
    }
}

/// A message longer than the limit.
pub const TOO_LARGE: ErrorCode = row(1153, "08S01", "54000");
/// Bytes that are not the protocol.
pub const MALFORMED: ErrorCode = row(1835, "HY000", "08P01");
/// A command that this server does not know.
pub const UNKNOWN_COMMAND: ErrorCode = row(1047, "08S01", "08P01");
/// The server is shutting down.
pub const SHUTDOWN: ErrorCode = row(1053, "08S01", "57P01");
/// Another connection has killed this one.
pub const KILLED: ErrorCode = row(1317, "70100", "57P01");
/// The client asked for encryption that was not offered, or for a protocol version that is not spoken.
pub const HANDSHAKE: ErrorCode = row(1043, "08S01", "0A000");
/// A text of zero statements.
pub const EMPTY_QUERY: ErrorCode = row(1065, "42000", "42601");
/// An identifier of a prepared statement that does not exist.
pub const UNKNOWN_STATEMENT: ErrorCode = row(1243, "HY000", "26000");
/// A portal that does not exist.
pub const UNKNOWN_PORTAL: ErrorCode = row(1243, "HY000", "34000");
/// More prepared statements or portals than one connection may hold.
pub const TOO_MANY_STATEMENTS: ErrorCode = row(1461, "42000", "53400");
/// More parameters than the protocol can count.
pub const TOO_MANY_PARAMETERS: ErrorCode = row(1390, "HY000", "54000");
/// Parameters that do not fit the prepared statement: their number, or a value.
pub const WRONG_ARGUMENTS: ErrorCode = row(1210, "HY000", "08P01");
/// A parameter value that is not of its type.
pub const BAD_VALUE: ErrorCode = row(1366, "HY000", "22P02");
/// Text that is not UTF-8.
pub const BAD_TEXT: ErrorCode = row(1300, "HY000", "22021");
/// The log-in took too long.
pub const LOGIN_TIMEOUT: ErrorCode = row(1159, "08S01", "08006");

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(FailureKind, &str); 18] = [
        (FailureKind::Syntax, "Syntax"),
        (FailureKind::UnknownTable, "UnknownTable"),
        (FailureKind::UnknownColumn, "UnknownColumn"),
        (FailureKind::UnknownDatabase, "UnknownDatabase"),
        (FailureKind::UnknownParameter, "UnknownParameter"),
        (FailureKind::InvalidParameter, "InvalidParameter"),
        (FailureKind::UnknownServer, "UnknownServer"),
        (FailureKind::ServerMissing, "ServerMissing"),
        (FailureKind::NoPrivilege, "NoPrivilege"),
        (FailureKind::ReadOnly, "ReadOnly"),
        (FailureKind::AccessDenied, "AccessDenied"),
        (FailureKind::Unsupported, "Unsupported"),
        (FailureKind::Cancelled, "Cancelled"),
        (FailureKind::Timeout, "Timeout"),
        (FailureKind::TooManyConnections, "TooManyConnections"),
        (FailureKind::OutOfMemory, "OutOfMemory"),
        (FailureKind::Query, "Query"),
        (FailureKind::Internal, "Internal"),
    ];

    #[test]
    fn the_page_says_what_the_code_does() {
        let page: Vec<&str> =
            include_str!("codes.rs").lines().filter(|line| line.starts_with("//! |")).skip(2).collect();
        assert_eq!(page.len(), ALL.len());
        for (line, (kind, name)) in page.iter().zip(ALL) {
            let (code, status) = (code(kind), status(kind));
            let states = format!("{} | {} | {}", code.mysql_errno, code.mysql_state, code.postgres_state);
            let expected = format!("//! | {name} | {states} | {status} |");
            assert_eq!(*line, expected);
        }
    }

    #[test]
    fn every_state_has_five_characters() {
        let faults = [
            TOO_LARGE,
            MALFORMED,
            UNKNOWN_COMMAND,
            SHUTDOWN,
            KILLED,
            HANDSHAKE,
            EMPTY_QUERY,
            UNKNOWN_STATEMENT,
            UNKNOWN_PORTAL,
            TOO_MANY_STATEMENTS,
            TOO_MANY_PARAMETERS,
            WRONG_ARGUMENTS,
            BAD_VALUE,
            BAD_TEXT,
            LOGIN_TIMEOUT,
        ];
        for code in ALL.iter().map(|(kind, _)| code(*kind)).chain(faults) {
            assert_eq!(code.mysql_state.len(), 5, "{code:?}");
            assert_eq!(code.postgres_state.len(), 5, "{code:?}");
        }
    }
}
