//! Splits "a; b" into statements without understanding them: only quotes and comments matter.

use heapql_server::dialect::Dialect;

/// The statements of a text, trimmed, without empty ones. A quote that never ends takes the rest of the text.
pub fn statements(text: &str, dialect: Dialect) -> Vec<String> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut at = 0;
    let mut only_comments = true;
    let mut push = |part: &str, empty: bool| {
        if !empty {
            parts.push(part.trim().to_owned());
        }
    };
    while at < text.len() {
        let (end, kind) = piece(text, at, dialect);
        match kind {
            Piece::Semicolon => {
                push(&text[start..at], only_comments);
                start = end;
                only_comments = true;
            }
            Piece::Blank => {}
            Piece::Code => only_comments = false,
        }
        at = end;
    }
    push(&text[start..], only_comments);
    parts
}

#[derive(PartialEq, Eq)]
enum Piece {
    Semicolon,
    Blank,
    Code,
}

/// The piece that begins at `at`: a comment, a quoted text, or one character. Returns where it ends.
fn piece(text: &str, at: usize, dialect: Dialect) -> (usize, Piece) {
    let rest = &text[at..];
    let mysql = dialect == Dialect::MySql;
    let first = rest.chars().next().unwrap_or(' ');
    if first == ';' {
        return (at + 1, Piece::Semicolon);
    }
    if rest.starts_with("--") || (mysql && first == '#') {
        return (at + rest.find('\n').map_or(rest.len(), |end| end + 1), Piece::Blank);
    }
    if rest.starts_with("/*") {
        // MySQL runs what is inside `/*! .. */`.
        let kind = if mysql && rest.starts_with("/*!") { Piece::Code } else { Piece::Blank };
        return (at + comment(rest, !mysql), kind);
    }
    match first {
        '\'' | '"' | '`' if first != '`' || mysql => {
            (at + quoted(rest, first, escapes(text, at, dialect)), Piece::Code)
        }
        '$' if !mysql => (at + dollar_quoted(rest), Piece::Code),
        _ if first.is_whitespace() => (at + first.len_utf8(), Piece::Blank),
        _ => (at + first.len_utf8(), Piece::Code),
    }
}

/// Backslash escapes: MySQL's strings, and PostgreSQL's E'..'.
fn escapes(text: &str, at: usize, dialect: Dialect) -> bool {
    match dialect {
        Dialect::MySql => !text[at..].starts_with('`'),
        Dialect::Postgres => {
            let mut before = text[..at].chars().rev();
            matches!(before.next(), Some('e' | 'E')) && !before.next().is_some_and(char::is_alphanumeric)
        }
    }
}

fn quoted(rest: &str, quote: char, escapes: bool) -> usize {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((index, char)) = chars.next() {
        if char == '\\' && escapes {
            chars.next();
        } else if char == quote {
            if chars.peek().is_none_or(|(_, next)| *next != quote) {
                return index + quote.len_utf8();
            }
            chars.next();
        }
    }
    rest.len()
}

fn comment(rest: &str, nests: bool) -> usize {
    let mut depth = 1;
    let mut at = 2;
    while at < rest.len() {
        if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else if nests && rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// `$tag$ .. $tag$`; a `$` that opens nothing (as in `$1`) is one character.
fn dollar_quoted(rest: &str) -> usize {
    let Some(close) = rest[1..].find('$') else {
        return 1;
    };
    let tag = &rest[..close + 2];
    let name = &tag[1..=close];
    let is_tag = name.chars().all(|char| char.is_alphanumeric() || char == '_')
        && !name.chars().next().is_some_and(|char| char.is_ascii_digit());
    if !is_tag {
        return 1;
    }
    rest[tag.len()..].find(tag).map_or(rest.len(), |end| tag.len() + end + tag.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn respects_quotes_and_comments() {
        let mysql = |text| statements(text, Dialect::MySql);
        let postgres = |text| statements(text, Dialect::Postgres);
        assert_eq!(mysql("a; b"), ["a", "b"]);
        assert_eq!(mysql(" ;; a ;\n-- c\n; # d\n"), ["a"]);
        assert_eq!(mysql(r"select 'a;\';', `x;`; b"), [r"select 'a;\';', `x;`", "b"]);
        assert_eq!(mysql("/*!40101 SET NAMES utf8 */;"), ["/*!40101 SET NAMES utf8 */"]);
        assert_eq!(mysql("select 'it''s;'"), ["select 'it''s;'"]);
        assert_eq!(postgres(r"select 'a\'; b"), [r"select 'a\'", "b"]);
        assert_eq!(postgres(r"select E'a\';'; b"), [r"select E'a\';'", "b"]);
        assert_eq!(postgres("select $x$;$x$, $1; b /* /* ; */ ; */"), ["select $x$;$x$, $1", "b /* /* ; */ ; */"]);
        assert_eq!(postgres("select 'open; b"), ["select 'open; b"]);
    }

    proptest! {
        #[test]
        fn never_fails(text in "[a-z;'\"`$\\\\/*# \n\u{e9}-]{0,40}") {
            for dialect in [Dialect::MySql, Dialect::Postgres] {
                let _ = statements(&text, dialect);
            }
        }
    }
}
