//! The words around SET: scopes, names such as `@@session.sql_mode`, and values that need not be literals.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::text::tokens::Cursor;
use heapql_server::failure::Failure;

/// Engine options reach the host (memory, files, threads), so no client sets them.
pub(crate) fn is_engine_option(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("datafusion")
}

/// Takes GLOBAL, SESSION and the like; true for a global one.
pub(crate) fn scope_words(cursor: &mut Cursor<'_>) -> bool {
    matches!(
        cursor.any_word(&["GLOBAL", "PERSIST_ONLY", "PERSIST", "SESSION", "LOCAL"]),
        Some("GLOBAL" | "PERSIST" | "PERSIST_ONLY")
    )
}

/// A variable's name without its scope; a user variable keeps its `@`.
pub(crate) fn variable(cursor: &mut Cursor<'_>) -> Result<String, Failure> {
    let mut name = cursor.name().ok_or_else(|| cursor.unexpected("the name of a variable"))?;
    while cursor.take(&Token::Period) {
        let part = cursor.name().ok_or_else(|| cursor.unexpected("the name of a variable"))?;
        name = format!("{name}.{part}");
    }
    Ok(without_scope(&name).to_owned())
}

/// `@@session.x` and `@@x` are `x`; `@x` stays.
pub(crate) fn without_scope(name: &str) -> &str {
    let Some(system) = name.strip_prefix("@@") else {
        return name;
    };
    match system.split_once('.') {
        Some((scope, rest)) if is_scope(scope) => rest,
        _ => system,
    }
}

fn is_scope(word: &str) -> bool {
    ["global", "session", "local", "persist"].iter().any(|scope| word.eq_ignore_ascii_case(scope))
}

/// A value up to the next comma outside parentheses: `Some(text)`, or `None` for DEFAULT. Anything that is not one
/// literal (`CONCAT(@@sql_mode, ..)`) is kept as it was written: nothing reads it but the client itself.
pub(crate) fn expression(cursor: &mut Cursor<'_>) -> Result<Option<String>, Failure> {
    let mut look = cursor.clone();
    if look.words("DEFAULT") && ends(&look) {
        *cursor = look;
        return Ok(None);
    }
    let mut look = cursor.clone();
    if let Some(text) = look.literal()
        && ends(&look)
    {
        *cursor = look;
        return Ok(Some(text));
    }
    let mut text = String::new();
    let mut depth = 0;
    while !(cursor.at_end() || depth == 0 && cursor.peek() == Some(&Token::Comma)) {
        let Some(token) = cursor.next() else { break };
        depth += i32::from(*token == Token::LParen) - i32::from(*token == Token::RParen);
        text.push_str(&token.to_string());
    }
    if text.is_empty() { Err(cursor.unexpected("a value")) } else { Ok(Some(text)) }
}

fn ends(cursor: &Cursor<'_>) -> bool {
    matches!(cursor.peek(), None | Some(Token::Comma))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tokens::lex;
    use heapql_server::dialect::Dialect;

    #[test]
    fn names_lose_their_scope() {
        for (written, name) in
            [("@@session.a", "a"), ("@@A", "A"), ("@@global.b", "b"), ("@mine", "@mine"), ("a.b", "a.b")]
        {
            assert_eq!(without_scope(written), name);
        }
    }

    #[test]
    fn values() {
        let value = |text: &str| {
            let lexed = lex(text, Dialect::MySql).expect("lexes");
            expression(&mut lexed.cursor())
        };
        assert_eq!(value("'a', 2"), Ok(Some("a".into())));
        assert_eq!(value("-1"), Ok(Some("-1".into())));
        assert_eq!(value("DEFAULT"), Ok(None));
        assert_eq!(value("concat(@@sql_mode, ',X'), y"), Ok(Some("concat(@@sql_mode,',X')".into())));
        assert!(value("").is_err());
    }
}
