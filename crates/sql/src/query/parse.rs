//! One statement's tokens to one tree.

use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;

use crate::text::tokens::{TokenStream, sql_dialect};
use heapql_server::dialect::Dialect;
use heapql_server::failure::{Failure, FailureKind};

/// How deep expressions may nest.
const DEPTH: usize = 128;

static CATALOG_PARSER: LazyLock<PostgresCompatibilityParser> = LazyLock::new(PostgresCompatibilityParser::new);

pub(super) fn statement(lexed: &TokenStream<'_>, dialect: Dialect) -> Result<Statement, Failure> {
    // Its rewrites bend what they cannot do (a correlated subquery becomes NULL), which is right for psql's \d and
    // wrong for anybody's own query: so it gets only what asks for the catalog.
    if dialect == Dialect::Postgres && asks_for_catalog(lexed) {
        let mut all = CATALOG_PARSER.parse(lexed.text()).map_err(syntax)?;
        return match all.len() {
            1 => Ok(all.swap_remove(0)),
            _ => Err(Failure::new(FailureKind::Syntax, "syntax error: expected one statement")),
        };
    }
    let mut parser =
        Parser::new(sql_dialect(dialect)).with_recursion_limit(DEPTH).with_tokens_with_locations(lexed.tokens.clone());
    let statement = parser.parse_statement().map_err(syntax)?;
    let next = parser.peek_token();
    if next.token == Token::EOF {
        return Ok(statement);
    }
    let message = format!("syntax error: unexpected '{}'{}", next.token, next.span.start);
    Err(Failure::new(FailureKind::Syntax, message))
}

pub(super) fn asks_for_catalog(lexed: &TokenStream<'_>) -> bool {
    const TYPES: [&str; 6] = ["regclass", "regtype", "regproc", "regnamespace", "regprocedure", "regrole"];
    lexed.tokens.iter().any(|token| match &token.token {
        Token::Word(word) => {
            let name = word.value.to_ascii_lowercase();
            name.starts_with("pg_") || TYPES.contains(&name.as_str())
        }
        _ => false,
    })
}

fn syntax(error: ParserError) -> Failure {
    match error {
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => {
            Failure::new(FailureKind::Syntax, format!("syntax error: {}", text.replacen("Expected: ", "expected ", 1)))
        }
        ParserError::RecursionLimitExceeded => {
            Failure::new(FailureKind::Syntax, format!("syntax error: expressions nest deeper than {DEPTH}"))
        }
    }
}
