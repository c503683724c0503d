//! A cursor over the tokens of one statement, for the statements that SQL lacks. The lexer is sqlparser's, in the
//! dialect of the connection.

use datafusion::sql::sqlparser::dialect::{Dialect as SqlDialect, MySqlDialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use super::nesting;
use heapql_server::dialect::Dialect;
use heapql_server::failure::{Failure, FailureKind};

pub(crate) fn sql_dialect(dialect: Dialect) -> &'static dyn SqlDialect {
    match dialect {
        Dialect::MySql => &MySqlDialect {},
        Dialect::Postgres => &PostgreSqlDialect {},
    }
}

/// A statement and its tokens.
pub(crate) struct TokenStream<'t> {
    text: &'t str,
    /// White space included; placeholders are numbered `$1`, `$2` .. in the order of the text.
    pub(crate) tokens: Vec<TokenWithSpan>,
    /// The depth that its tree can have.
    pub(crate) nesting: usize,
}

impl<'t> TokenStream<'t> {
    pub(crate) fn text(&self) -> &'t str {
        self.text
    }

    /// Whether there is nothing but comments.
    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.iter().all(|token| blank(&token.token))
    }

    pub(crate) fn cursor(&self) -> Cursor<'_> {
        let tokens = self.tokens.iter().filter(|token| !blank(&token.token)).collect();
        Cursor { text: self.text, tokens, at: 0 }
    }
}

pub(crate) fn lex(text: &str, dialect: Dialect) -> Result<TokenStream<'_>, Failure> {
    let mut count = 0;
    let mut plain = |mut token: TokenWithSpan| {
        match &mut token.token {
            Token::Placeholder(name) if name == "?" => {
                count += 1;
                *name = format!("${count}");
            }
            // MySQL's names have no case, in backticks neither: unquoted they are lower-cased. Such a word keeps
            // having no keyword, so that `order` stays a name.
            Token::Word(word) if word.quote_style == Some('`') => word.quote_style = None,
            Token::DoubleQuotedString(text) if dialect == Dialect::MySql => {
                token.token = Token::SingleQuotedString(std::mem::take(text));
            }
            _ => {}
        }
        token
    };
    let mut tokens = Vec::new();
    Tokenizer::new(sql_dialect(dialect), text)
        .tokenize_with_location_into_buf_with_mapper(&mut tokens, &mut plain)
        .map_err(|error| Failure::new(FailureKind::Syntax, format!("syntax error: {}", error.message)))?;
    while matches!(tokens.last(), Some(last) if blank(&last.token) || last.token == Token::SemiColon) {
        tokens.pop();
    }
    check_size(&tokens)?;
    let nesting = nesting::checked(&tokens)?;
    Ok(TokenStream { text, tokens, nesting })
}

/// Operators that one statement may have. Each is a level of the trees that planning walks by recursion, some of it in
/// quadratic time: beyond this it would be the stack, or the patience of everybody else, that ends.
const MOST_OPERATORS: usize = 1000;

fn check_size(tokens: &[TokenWithSpan]) -> Result<(), Failure> {
    let operators = tokens.iter().filter(|token| is_operator(&token.token)).count();
    if operators <= MOST_OPERATORS {
        return Ok(());
    }
    let message = format!("the statement has {operators} operators; at most {MOST_OPERATORS} are accepted");
    Err(Failure::new(FailureKind::Unsupported, message).hint("a long chain of OR is shorter as IN (..)"))
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::XOR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::JOIN
                | Keyword::CASE
                | Keyword::WHEN
                | Keyword::DIV
        ),
        Token::Number(..) | Token::Comma | Token::Period | Token::LParen | Token::RParen | Token::SemiColon => false,
        Token::Placeholder(_) | Token::Whitespace(_) | Token::EOF => false,
        other => !matches!(
            other,
            Token::SingleQuotedString(_)
                | Token::DoubleQuotedString(_)
                | Token::NationalStringLiteral(_)
                | Token::EscapedStringLiteral(_)
                | Token::HexStringLiteral(_)
        ),
    }
}

/// Where in the text a token begins; the lexer counts lines and characters, from 1.
pub(crate) fn offset(text: &str, place: Location) -> usize {
    let (mut line, mut column) = (1, 1);
    for (index, char) in text.char_indices() {
        if (line, column) == (place.line, place.column) {
            return index;
        }
        (line, column) = if char == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    text.len()
}

pub(crate) fn blank(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_))
}

/// Reads significant tokens from left to right.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    tokens: Vec<&'a TokenWithSpan>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).map(|token| &token.token)
    }

    pub(crate) fn next(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.at += usize::from(token.is_some());
        token
    }

    pub(crate) fn at_end(&self) -> bool {
        self.peek().is_none()
    }

    pub(crate) fn take(&mut self, wanted: &Token) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// Takes these unquoted words, in any case, or none of them.
    pub(crate) fn words(&mut self, words: &str) -> bool {
        let mut at = self.at;
        for wanted in words.split(' ') {
            match self.tokens.get(at).map(|token| &token.token) {
                Some(Token::Word(Word { value, quote_style: None, .. })) if value.eq_ignore_ascii_case(wanted) => {
                    at += 1
                }
                _ => return false,
            }
        }
        self.at = at;
        true
    }

    /// Takes one of these words.
    pub(crate) fn any_word(&mut self, choices: &[&'static str]) -> Option<&'static str> {
        choices.iter().copied().find(|choice| self.words(choice))
    }

    /// A name, quoted or not.
    pub(crate) fn name(&mut self) -> Option<String> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Some(word.value.clone())
            }
            _ => None,
        }
    }

    /// `name` or `name.name`.
    pub(crate) fn qualified_name(&mut self) -> Option<(Option<String>, String)> {
        let first = self.name()?;
        if !self.take(&Token::Period) {
            return Some((None, first));
        }
        Some((Some(first), self.name()?))
    }

    /// A quoted text in either kind of quotes.
    pub(crate) fn text(&mut self) -> Option<String> {
        let text = match self.peek()? {
            Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) | Token::NationalStringLiteral(text) => {
                text
            }
            Token::EscapedStringLiteral(text) | Token::UnicodeStringLiteral(text) => text,
            Token::Word(Word { value, quote_style: Some('"'), .. }) => value,
            _ => return None,
        };
        self.at += 1;
        Some(text.clone())
    }

    /// A literal as text: quoted, a signed number, `0x..`, or a bare word such as ON.
    pub(crate) fn literal(&mut self) -> Option<String> {
        if let Some(text) = self.text() {
            return Some(text);
        }
        let sign = match self.peek()? {
            Token::Minus => "-",
            Token::Plus => "",
            _ => return self.unsigned(),
        };
        self.at += 1;
        self.unsigned().map(|text| format!("{sign}{text}"))
    }

    fn unsigned(&mut self) -> Option<String> {
        let text = match self.peek()? {
            Token::Number(digits, _) => digits.clone(),
            Token::HexStringLiteral(digits) => format!("0x{digits}"),
            Token::Word(word) => word.value.clone(),
            _ => return None,
        };
        self.at += 1;
        Some(text)
    }

    /// The rest of the statement as it was written.
    pub(crate) fn rest(&mut self) -> String {
        let Some(first) = self.tokens.get(self.at) else {
            return String::new();
        };
        self.at = self.tokens.len();
        let rest = &self.text[offset(self.text, first.span.start)..];
        rest.trim_end_matches(|char: char| char == ';' || char.is_whitespace()).to_owned()
    }

    /// Nothing may follow.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        if self.at_end() { Ok(()) } else { Err(self.unexpected("the end of the statement")) }
    }

    pub(crate) fn unexpected(&self, wanted: &str) -> Failure {
        let found = self.peek().map_or_else(|| "the end of the statement".to_owned(), |token| format!("'{token}'"));
        Failure::new(FailureKind::Syntax, format!("syntax error: expected {wanted}, found {found}"))
    }
}
