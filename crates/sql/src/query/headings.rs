//! How the columns of an answer are called. MySQL: the text of the select item as it was written. PostgreSQL: the name
//! of the column or function, else `?column?`. The engine needs unique names of its own, so names are put on afterwards.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Select, SelectItem, SetExpr, Statement, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::constants;
use crate::text::tokens::{TokenStream, blank, offset};
use heapql_server::dialect::Dialect;

/// Per select item: its heading, or `None` for a wildcard.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Headings(Vec<Option<String>>);

impl Headings {
    pub(super) fn of(statement: &Statement, lexed: &TokenStream<'_>, dialect: Dialect) -> Headings {
        let Statement::Query(query) = statement else {
            return Headings::default();
        };
        let Some(select) = first_select(&query.body) else {
            return Headings::default();
        };
        let items = &select.projection;
        let texts = match dialect {
            Dialect::MySql => texts(lexed),
            Dialect::Postgres => Vec::new(),
        };
        let heading = |(index, item): (usize, &SelectItem)| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(written(alias, dialect)),
            SelectItem::UnnamedExpr(expr) => Some(match dialect {
                Dialect::MySql => mysql(expr, texts.get(index)),
                Dialect::Postgres => postgres(expr),
            }),
            _ => None,
        };
        // Tokens and tree must agree on what an item is; else the engine's names are used.
        if dialect == Dialect::MySql && texts.len() != items.len() {
            return Headings::default();
        }
        Headings(items.iter().enumerate().map(heading).collect())
    }

    /// The schema with these names. One wildcard stands for all columns that the other items do not.
    pub(super) fn apply(&self, schema: &SchemaRef) -> SchemaRef {
        let wildcards = self.0.iter().filter(|heading| heading.is_none()).count();
        let named = self.0.len() - wildcards;
        let fields = schema.fields();
        if wildcards > 1 || named > fields.len() || (wildcards == 0 && named != fields.len()) {
            return Arc::clone(schema);
        }
        let mut names: Vec<Option<&str>> = Vec::with_capacity(fields.len());
        for heading in &self.0 {
            match heading {
                Some(name) => names.push(Some(name)),
                None => names.extend(std::iter::repeat_n(None, fields.len() - named)),
            }
        }
        let renamed = |(field, name): (&Arc<Field>, Option<&str>)| match name {
            Some(name) => Arc::new(field.as_ref().clone().with_name(name)),
            None => Arc::clone(field),
        };
        let fields: Vec<_> = fields.iter().zip(names).map(renamed).collect();
        Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
    }
}

/// The select that names the columns: the leftmost of a UNION.
fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

fn first_select_mut(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select_mut(&mut query.body),
        SetExpr::SetOperation { left, .. } => first_select_mut(left),
        _ => None,
    }
}

fn written(ident: &Ident, dialect: Dialect) -> String {
    match dialect {
        Dialect::Postgres if ident.quote_style.is_none() => ident.value.to_lowercase(),
        _ => ident.value.clone(),
    }
}

fn mysql(expr: &Expr, text: Option<&String>) -> String {
    match expr {
        Expr::Identifier(ident) => ident.value.clone(),
        Expr::CompoundIdentifier(parts) if !parts.first().is_some_and(|first| first.value.starts_with('@')) => {
            parts.last().map(|ident| ident.value.clone()).unwrap_or_default()
        }
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text.clone(),
            _ => text.cloned().unwrap_or_default(),
        },
        _ => text.cloned().unwrap_or_default(),
    }
}

fn postgres(expr: &Expr) -> String {
    let name = match expr {
        Expr::Identifier(ident) => Some(written(ident, Dialect::Postgres)),
        Expr::CompoundIdentifier(parts) => parts.last().map(|ident| written(ident, Dialect::Postgres)),
        Expr::Function(function) => constants::name(function),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => return postgres(inner),
        Expr::Cast { expr, data_type, .. } => match postgres(expr).as_str() {
            "?column?" => Some(data_type.to_string().to_lowercase()),
            inner => Some(inner.to_owned()),
        },
        Expr::Case { .. } => Some("case".to_owned()),
        Expr::Exists { .. } => Some("exists".to_owned()),
        Expr::Extract { .. } => Some("extract".to_owned()),
        Expr::Substring { .. } => Some("substring".to_owned()),
        Expr::Position { .. } => Some("position".to_owned()),
        Expr::Trim { .. } => Some("btrim".to_owned()),
        Expr::Array(_) => Some("array".to_owned()),
        Expr::Subquery(query) => return subquery(&query.body),
        _ => None,
    };
    name.unwrap_or_else(|| "?column?".to_owned())
}

fn subquery(body: &SetExpr) -> String {
    match first_select(body).and_then(|select| select.projection.first()) {
        Some(SelectItem::UnnamedExpr(expr)) => postgres(expr),
        Some(SelectItem::ExprWithAlias { alias, .. }) => written(alias, Dialect::Postgres),
        _ => "?column?".to_owned(),
    }
}

/// The texts of the select items, from the tokens between the first SELECT and what ends its list.
fn texts(lexed: &TokenStream<'_>) -> Vec<String> {
    let tokens: Vec<&TokenWithSpan> = lexed.tokens.iter().filter(|token| !blank(&token.token)).collect();
    let Some((start, base)) = list_start(&tokens) else {
        return Vec::new();
    };
    let mut texts = Vec::new();
    let mut depth = base;
    let mut first: Option<Location> = None;
    let mut last: Option<Location> = None;
    for token in &tokens[start..] {
        if depth == base && (ends_list(&token.token) || (base > 0 && token.token == Token::RParen)) {
            break;
        }
        if depth == base && token.token == Token::Comma {
            texts.extend(slice(lexed.text(), first.take(), last));
            continue;
        }
        depth += i32::from(token.token == Token::LParen) - i32::from(token.token == Token::RParen);
        first.get_or_insert(token.span.start);
        last = Some(token.span.end);
    }
    texts.extend(slice(lexed.text(), first, last));
    texts
}

fn slice(text: &str, first: Option<Location>, last: Option<Location>) -> Option<String> {
    let (from, to) = (offset(text, first?), offset(text, last?));
    text.get(from..to).map(str::to_owned)
}

/// Where the list of the first SELECT outside a WITH begins, and at what depth of parentheses.
fn list_start(tokens: &[&TokenWithSpan]) -> Option<(usize, i32)> {
    let base = tokens.iter().take_while(|token| token.token == Token::LParen).count();
    let base = i32::try_from(base).ok()?;
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate() {
        depth += i32::from(token.token == Token::LParen) - i32::from(token.token == Token::RParen);
        if depth == base && keyword(&token.token) == Keyword::SELECT {
            let modifiers = tokens[index + 1..].iter().take_while(|token| is_modifier(&token.token)).count();
            return Some((index + 1 + modifiers, base));
        }
    }
    None
}

fn keyword(token: &Token) -> Keyword {
    match token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

fn is_modifier(token: &Token) -> bool {
    let Token::Word(word) = token else {
        return false;
    };
    let name = word.value.to_ascii_uppercase();
    matches!(word.keyword, Keyword::DISTINCT | Keyword::ALL | Keyword::DISTINCTROW)
        || name.starts_with("SQL_")
        || name == "STRAIGHT_JOIN"
        || name == "HIGH_PRIORITY"
}

fn ends_list(token: &Token) -> bool {
    matches!(
        keyword(token),
        Keyword::FROM
            | Keyword::INTO
            | Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::ORDER
            | Keyword::LIMIT
            | Keyword::UNION
            | Keyword::EXCEPT
            | Keyword::INTERSECT
            | Keyword::FOR
    )
}

/// The engine wants no two columns of one name; SQL does not mind. The heading stays what it was.
pub(super) fn make_unique(statement: &mut Statement) {
    let Statement::Query(query) = statement else {
        return;
    };
    let Some(select) = first_select_mut(&mut query.body) else {
        return;
    };
    let mut seen = HashSet::new();
    for (index, item) in select.projection.iter_mut().enumerate() {
        let key = match item {
            SelectItem::UnnamedExpr(expr) => engine_name(expr),
            SelectItem::ExprWithAlias { alias, .. } => alias.to_string(),
            _ => continue,
        };
        if seen.insert(key.to_lowercase()) {
            continue;
        }
        let alias = Ident::with_quote('"', format!("{key}:{index}"));
        match item {
            SelectItem::UnnamedExpr(expr) => *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias },
            SelectItem::ExprWithAlias { alias: old, .. } => *old = alias,
            _ => {}
        }
    }
}

/// The name by which the engine tells two columns apart: neither casts nor qualifiers are part of it.
fn engine_name(expr: &Expr) -> String {
    struct Plain;
    impl VisitorMut for Plain {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            match expr {
                Expr::Cast { expr: inner, .. } | Expr::Nested(inner) => *expr = (**inner).clone(),
                Expr::CompoundIdentifier(parts) => {
                    if let Some(last) = parts.pop() {
                        *expr = Expr::Identifier(last);
                    }
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut plain = expr.clone();
    let _ = plain.visit(&mut Plain);
    plain.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::parse;
    use crate::text::tokens::lex;

    fn headings(text: &str, dialect: Dialect) -> Vec<Option<String>> {
        let lexed = lex(text, dialect).expect("lexes");
        let statement = parse::statement(&lexed, dialect).expect("parses");
        Headings::of(&statement, &lexed, dialect).0
    }

    #[test]
    fn mysql_prints_what_was_written() {
        let heading = |text| headings(text, Dialect::MySql);
        let some = |texts: &[&str]| texts.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>();
        assert_eq!(heading("select SUM( a ), count(*) from t"), some(&["SUM( a )", "count(*)"]));
        assert_eq!(heading("select @@version_comment limit 1"), some(&["@@version_comment"]));
        assert_eq!(heading("select @@session.autocommit"), some(&["@@session.autocommit"]));
        assert_eq!(heading("select t.A, `B`, 'x', 1+1 as Two, f(1, (2))"), some(&["A", "B", "x", "Two", "f(1, (2))"]));
        assert_eq!(heading("with c as (select 1) select distinct max(x) from c"), some(&["max(x)"]));
        assert_eq!(heading("(select min(x) from t) union select 2"), some(&["min(x)"]));
        assert_eq!(heading("select *, 1 from t"), [None, Some("1".to_owned())]);
    }

    #[test]
    fn postgres_names_functions_and_columns() {
        let heading = |text| headings(text, Dialect::Postgres);
        let some = |texts: &[&str]| texts.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>();
        let text = r#"select Sum(a), t.B, 1, 'x'::text, a::text, "C", case when a then 1 end"#;
        assert_eq!(heading(text), some(&["sum", "b", "?column?", "text", "a", "C", "case"]));
    }
}
