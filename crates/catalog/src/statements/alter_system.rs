//! `ALTER SYSTEM [SET] name = literal [COMMENT 'x'] [SCOPE = ..] [SERVER = ..] [ZONE = ..] [TENANT = ..] [, ..]` and
//! `ALTER SYSTEM REFRESH MEMORY STAT`. Grammar, checks and leading words are OceanBase's, from its documents.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::{Answer, Context};
use crate::failure::{Failure, FailureKind};
use crate::parameters::{self, Change, Reach, ZONE};
use crate::server::Server;
use crate::tables::Tenant;
use crate::text::tokens::Cursor;

const TAG: &str = "ALTER SYSTEM";

pub(super) fn run(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<Option<Answer>, Failure> {
    if cursor.words("REFRESH MEMORY STAT") {
        // The tables are live already.
        cursor.end()?;
        return Ok(Some(Answer::done(TAG)));
    }
    let items = parse(cursor)?;
    let check = |item: &Item| check(item, context.session.server(), context.session.tenant());
    let changes = items.iter().map(check).collect::<Result<Vec<_>, _>>()?;
    if context.effective {
        for warning in context.session.server().change_parameters(&changes)? {
            context.diagnostics.push(warning);
        }
    }
    Ok(Some(Answer::done(TAG)))
}

/// One `name = literal` with its options, as written.
#[derive(Debug, Default, PartialEq, Eq)]
struct Item {
    name: String,
    value: String,
    scope: Option<Reach>,
    server: Option<String>,
    zone: Option<String>,
    tenant: Option<String>,
}

fn parse(cursor: &mut Cursor<'_>) -> Result<Vec<Item>, Failure> {
    cursor.words("SET");
    let mut items = vec![item(cursor)?];
    while cursor.take(&Token::Comma) {
        items.push(item(cursor)?);
    }
    cursor.end()?;
    Ok(items)
}

fn item(cursor: &mut Cursor<'_>) -> Result<Item, Failure> {
    let name = cursor.name().ok_or_else(|| cursor.unexpected("the name of a parameter"))?;
    // TO is PostgreSQL's way to write it.
    if !cursor.take(&Token::Eq) && !cursor.take(&Token::Assignment) && !cursor.words("TO") {
        return Err(cursor.unexpected("'='"));
    }
    let value = cursor.literal().ok_or_else(|| cursor.unexpected("a value"))?;
    let mut item = Item { name, value, ..Item::default() };
    while option(cursor, &mut item)? {}
    Ok(item)
}

fn option(cursor: &mut Cursor<'_>, item: &mut Item) -> Result<bool, Failure> {
    let Some(option) = cursor.any_word(&["COMMENT", "SCOPE", "SERVER", "ZONE", "TENANT"]) else {
        return Ok(false);
    };
    cursor.take(&Token::Eq);
    if option == "SCOPE" {
        item.scope = Some(scope(cursor)?);
        return Ok(true);
    }
    let value = cursor.literal().ok_or_else(|| cursor.unexpected("a value"))?;
    match option {
        "SERVER" => item.server = Some(value),
        "ZONE" => item.zone = Some(value),
        "TENANT" => item.tenant = Some(value),
        _ => {}
    }
    Ok(true)
}

fn scope(cursor: &mut Cursor<'_>) -> Result<Reach, Failure> {
    match cursor.any_word(&["MEMORY", "SPFILE", "BOTH"]) {
        Some("MEMORY") => Ok(Reach::Memory),
        Some("SPFILE") => Ok(Reach::File),
        Some(_) => Ok(Reach::Both),
        None => Err(cursor.unexpected("MEMORY, SPFILE or BOTH")),
    }
}

fn check(item: &Item, server: &Server, tenant: Tenant) -> Result<Change, Failure> {
    let spec = parameters::known(&item.name).ok_or_else(|| unknown(&item.name))?;
    let name = spec.name;
    if tenant != Tenant::Sys || item.tenant.is_some() {
        return Err(Failure::new(
            FailureKind::UnknownParameter,
            format!("System config unknown: '{name}' belongs to the cluster, not to a tenant"),
        )
        .hint("set it as root@sys, without TENANT"));
    }
    if let Some(wanted) = &item.server {
        let own = format!("{}:{}", server.svr_ip(), server.svr_port());
        known_place("server", wanted, &own)?;
    }
    if let Some(wanted) = &item.zone {
        known_place("zone", wanted, ZONE)?;
    }
    let value = parameters::checked(spec, &item.value)?;
    Ok(Change { name, value, reach: item.scope.unwrap_or(Reach::Both) })
}

fn unknown(name: &str) -> Failure {
    let names: Vec<_> = parameters::all().iter().map(|spec| spec.name).collect();
    Failure::new(FailureKind::UnknownParameter, format!("System config unknown: '{name}'"))
        .hint(format!("the parameters are {}", names.join(", ")))
}

fn known_place(what: &str, wanted: &str, own: &str) -> Result<(), Failure> {
    if wanted == own {
        return Ok(());
    }
    Err(Failure::new(FailureKind::UnknownServer, format!("Incorrect arguments to {what}: '{wanted}' is not known"))
        .hint(format!("this {what} is '{own}'")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::Dialect;
    use crate::text::tokens::lex;

    fn parsed(text: &str) -> Result<Vec<Item>, Failure> {
        let items = parse(&mut lex(text, Dialect::MySql)?.cursor())?;
        assert_eq!(parse(&mut lex(text, Dialect::Postgres)?.cursor())?, items, "both dialects");
        Ok(items)
    }

    fn one(name: &str, value: &str) -> Item {
        Item { name: name.into(), value: value.into(), ..Item::default() }
    }

    #[test]
    fn the_seeds_spellings() {
        assert_eq!(
            parsed("SET _min_malloc_sample_interval=10000"),
            Ok(vec![one("_min_malloc_sample_interval", "10000")])
        );
        assert_eq!(parsed("a = '16'"), Ok(vec![one("a", "16")]));
        assert_eq!(parsed("set A = 0x10, b=-1"), Ok(vec![one("A", "0x10"), one("b", "-1")]));
        assert_eq!(parsed("set a to 16"), Ok(vec![one("a", "16")]));
    }

    #[test]
    fn options_in_any_order() {
        let items = parsed("SET a=1 COMMENT 'why' SCOPE=MEMORY SERVER='h:1', b=2 TENANT = t SCOPE = spfile ZONE 'z'");
        let first = Item { scope: Some(Reach::Memory), server: Some("h:1".into()), ..one("a", "1") };
        let second =
            Item { scope: Some(Reach::File), tenant: Some("t".into()), zone: Some("z".into()), ..one("b", "2") };
        assert_eq!(items, Ok(vec![first, second]));
    }

    #[test]
    fn refuses_what_is_not_the_grammar() {
        for text in ["", "SET", "SET a", "SET a=", "SET a=1,", "SET a=1 b", "SET a=1 SCOPE=DISK", "SET =1", "SET a=1 2"]
        {
            let kind = parsed(text).expect_err(text).kind;
            assert_eq!(kind, FailureKind::Syntax, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[ -~]{0,40}") {
            if let Ok(lexed) = lex(&text, Dialect::MySql) {
                let _ = parse(&mut lexed.cursor());
            }
        }
    }
}
