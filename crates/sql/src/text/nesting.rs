//! How deep the tree of a statement can become, told from its tokens before a parser sees them, and a stack that is deep enough for it.
//! Parsers and planners walk trees by recursion, and not all of it counts its own depth (INTERVAL INTERVAL .., NESTED PATH .. of
//! JSON_TABLE). It parses nothing.

use std::future::poll_fn;
use std::pin::pin;

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use heapql_server::failure::{Failure, FailureKind};

/// Maximum nesting of a statement. A chain of UNION ALL SELECT with as many operators as a statement may have stays below it.
const MAX_NESTING: usize = 4000;
/// Stack that one level may take: 36 KiB were measured in a build without optimisation, for INTERVAL.
const LEVEL_BYTES: usize = 48 << 10;
/// Nesting for which the stack of every thread that runs statements is deep enough.
const ORDINARY_NESTING: usize = 500;

/// An upper bound on the depth of the tree: the keywords, operators and brackets along the deepest path. Elements of a list lie beside
/// each other, so a comma begins anew.
fn nesting(tokens: &[TokenWithSpan]) -> usize {
    let mut open = Vec::new();
    let mut here = Level::default();
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => open.push(std::mem::take(&mut here)),
            Token::RParen | Token::RBracket | Token::RBrace => {
                let inner = here.nesting() + 1;
                here = open.pop().unwrap_or_default();
                here.inside = here.inside.max(inner);
            }
            Token::Comma => here = Level { before: here.nesting(), ..Level::default() },
            token if deepens(token) => here.own += 1,
            _ => {}
        }
    }
    open.iter().rev().fold(here.nesting(), |inner, outer| outer.nesting().max(outer.own + inner + 1))
}

/// The tokens between two brackets, so far.
#[derive(Default)]
struct Level {
    /// The nesting of the list's earlier elements.
    before: usize,
    /// Keywords and operators of this element.
    own: usize,
    /// The nesting of the deepest bracket in this element.
    inside: usize,
}

impl Level {
    fn nesting(&self) -> usize {
        self.before.max(self.own + self.inside)
    }
}

fn deepens(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword != Keyword::NoKeyword,
        Token::Number(..) | Token::Period | Token::SemiColon | Token::Placeholder(_) => false,
        Token::Whitespace(_) | Token::EOF => false,
        Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) | Token::NationalStringLiteral(_) => false,
        Token::EscapedStringLiteral(_) | Token::HexStringLiteral(_) => false,
        _ => true,
    }
}

/// The nesting of a statement, unless its tree can be too deep.
pub(super) fn checked(tokens: &[TokenWithSpan]) -> Result<usize, Failure> {
    let nesting = nesting(tokens);
    if nesting <= MAX_NESTING {
        return Ok(nesting);
    }
    let message =
        format!("the statement nests {nesting} keywords, operators and brackets; at most {MAX_NESTING} are accepted");
    Err(Failure::new(FailureKind::Unsupported, message))
}

/// Does work for a statement of this nesting, on a stack that is deep enough.
pub(crate) async fn on_deep_stack<T>(nesting: usize, work: impl Future<Output = T>) -> T {
    if nesting <= ORDINARY_NESTING {
        return work.await;
    }
    let mut work = pin!(work);
    poll_fn(|context| stacker::grow(nesting * LEVEL_BYTES, || work.as_mut().poll(context))).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tokens::lex;
    use heapql_server::dialect::Dialect;

    fn nesting_of(text: &str) -> usize {
        lex(text, Dialect::MySql).expect("it is lexed").nesting
    }

    #[test]
    fn the_deepest_path_counts() {
        for (text, expected) in [
            ("", 0),
            ("SELECT 1", 1),
            ("SELECT 1, 2, 3", 1),
            ("SELECT - 1, - - 2, 3", 2),
            ("SELECT a + b + c", 3),
            ("SELECT (1), ((2)), (- 3)", 2),
            ("SELECT ((1) + (2)) + ((3))", 5),
            ("SELECT f(1, - - 2) + 1", 5),
            ("SELECT INTERVAL INTERVAL '1' DAY", 4),
            ("SELECT ((((1", 5),
            ("))))", 4),
        ] {
            assert_eq!(nesting_of(text), expected, "{text}");
        }
    }

    #[test]
    fn long_lists_are_no_deep_trees() {
        let list = vec!["(1)"; 20_000].join(", ");
        assert_eq!(nesting_of(&format!("SELECT 1 IN ({list})")), 4);
    }

    #[test]
    fn a_statement_that_nests_too_deep_is_refused() {
        let chain =
            |length: usize| lex(&format!("SELECT {} '1' DAY", "INTERVAL ".repeat(length)), Dialect::Postgres).map(drop);
        assert_eq!(chain(MAX_NESTING - 2), Ok(()));
        let failure = chain(MAX_NESTING - 1).expect_err("one level more");
        assert_eq!(failure.kind, FailureKind::Unsupported);
        assert!(failure.message.contains("4001") && failure.message.contains("4000"), "{failure}");
    }
}
