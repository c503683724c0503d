//! `ALTER SYSTEM [SET] name = literal [COMMENT 'x'] [SCOPE = ..] [SERVER = ..] [ZONE = ..] [TENANT = ..] [, ..]` and
//! `ALTER SYSTEM REFRESH MEMORY STAT`. Grammar, checks and leading words are OceanBase's, from its documents.

use std::net::SocketAddr;

use datafusion::sql::sqlparser::tokenizer::Token;

use super::Answer;
use super::Context;
use crate::text::tokens::Cursor;
use heapql_server::failure::{Failure, FailureKind};
use heapql_server::parameters::{self, Reach, Setting, ZONE};
use heapql_server::server::Server;
use heapql_server::tenant::Tenant;

const TAG: &str = "ALTER SYSTEM";

pub(super) fn run(context: &Context<'_>, cursor: &mut Cursor<'_>) -> Result<Option<Answer>, Failure> {
    if cursor.words("REFRESH MEMORY STAT") {
        // The tables are live already.
        cursor.end()?;
        return Ok(Some(Answer::done(TAG)));
    }
    for (words, is_add) in [("ADD SERVER", true), ("DELETE SERVER", false)] {
        if cursor.words(words) {
            return members(context, cursor, is_add).map(Some);
        }
    }
    let items = parse(cursor)?;
    let server = context.session.server();
    let check = |item: &Item| check(item, server, context.session.tenant());
    let checked = items.iter().map(check).collect::<Result<Vec<_>, _>>()?;
    if !context.effective {
        return Ok(Some(Answer::done(TAG)));
    }
    let (changes, targets): (Vec<_>, Vec<_>) = checked.into_iter().unzip();
    match server.cluster() {
        // What only lasts until the restart, or only begins with it, is this server's own business.
        Some(cluster) if changes.iter().all(|(_, reach)| *reach == Reach::Both) => {
            let only = targets[0];
            if targets.iter().any(|target| *target != only) {
                return Err(Failure::new(FailureKind::Unsupported, "one statement sets for one server, or for all")
                    .hint("give every item the same SERVER, or use two statements"));
            }
            let work = cluster.set(changes.into_iter().map(|(setting, _)| setting).collect(), only);
            Ok(Some(Answer::Later(work, TAG.to_owned())))
        }
        _ => {
            if let Some(other) = targets.into_iter().flatten().find(|target| *target != server.address()) {
                return Err(Failure::new(FailureKind::Unsupported, format!("SCOPE at another server, {other}"))
                    .hint("connect to that server, or leave SCOPE out"));
            }
            server.change_parameters(&changes)?.into_iter().for_each(|warning| context.diagnostics.push(warning));
            Ok(Some(Answer::done(TAG)))
        }
    }
}

/// `ADD SERVER 'ip:port' [, 'ip:port'] [ZONE 'z']` and `DELETE SERVER`.
fn members(context: &Context<'_>, cursor: &mut Cursor<'_>, is_add: bool) -> Result<Answer, Failure> {
    let mut servers = Vec::new();
    loop {
        let text = cursor.literal().ok_or_else(|| cursor.unexpected("'ip:port'"))?;
        servers.push(text.parse::<SocketAddr>().map_err(|_| {
            Failure::new(FailureKind::UnknownServer, format!("Incorrect arguments to server: '{text}' is not ip:port"))
                .hint("for example: ALTER SYSTEM ADD SERVER '10.0.0.2:2882'")
        })?);
        if !cursor.take(&Token::Comma) {
            break;
        }
    }
    if cursor.words("ZONE") {
        cursor.take(&Token::Eq);
        let zone = cursor.literal().ok_or_else(|| cursor.unexpected("a zone"))?;
        known_place("zone", &zone, ZONE)?;
    }
    cursor.end()?;
    if context.session.tenant() != Tenant::Sys {
        return Err(Failure::new(
            FailureKind::NoPrivilege,
            "Access denied; you need (at least one of) the ALTER SYSTEM privilege(s) for this operation",
        ));
    }
    let cluster = context.session.server().cluster().cloned().ok_or_else(|| {
        Failure::new(FailureKind::Unsupported, "this server is alone: it was started without --cluster")
            .hint("heapql serve --cluster ADDR --peer ADDR")
    })?;
    if !context.effective {
        return Ok(Answer::done(TAG));
    }
    let work = async move {
        let mut warnings = Vec::new();
        for server in servers {
            warnings.extend(if is_add { cluster.add(server).await? } else { cluster.delete(server).await? });
        }
        Ok(warnings)
    };
    Ok(Answer::Later(Box::pin(work), TAG.to_owned()))
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

/// A setting, how far it reaches, and the one server that it is for.
type CheckedItem = ((Setting, Reach), Option<SocketAddr>);

fn check(item: &Item, server: &Server, tenant: Tenant) -> Result<CheckedItem, Failure> {
    let spec = parameters::known(&item.name).ok_or_else(|| unknown(&item.name))?;
    if tenant != Tenant::Sys || item.tenant.is_some() {
        return Err(Failure::new(
            FailureKind::UnknownParameter,
            format!("System config unknown: '{spec}' belongs to the cluster, not to a tenant"),
        )
        .hint("set it as root@sys, without TENANT"));
    }
    let only = item.server.as_deref().map(|wanted| known_server(wanted, server)).transpose()?;
    if let Some(wanted) = &item.zone {
        known_place("zone", wanted, ZONE)?;
    }
    let setting = Setting::new(spec, &item.value)?;
    Ok(((setting, item.scope.unwrap_or(Reach::Both)), only))
}

fn known_server(wanted: &str, server: &Server) -> Result<SocketAddr, Failure> {
    let mut known = match server.cluster() {
        Some(cluster) => cluster.servers().iter().map(|line| line.address).collect(),
        None => vec![server.address()],
    };
    let found = wanted.parse().ok().filter(|wanted| known.contains(wanted));
    found.ok_or_else(|| {
        known.truncate(8);
        let known: Vec<_> = known.iter().map(|address| format!("'{address}'")).collect();
        Failure::new(FailureKind::UnknownServer, format!("Incorrect arguments to server: '{wanted}' is not known"))
            .hint(format!("servers are {}", known.join(", ")))
    })
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
    use crate::text::tokens::lex;
    use heapql_server::dialect::Dialect;

    fn parsed(text: &str) -> Result<Vec<Item>, Failure> {
        let items = parse(&mut lex(text, Dialect::MySql)?.cursor())?;
        assert_eq!(parse(&mut lex(text, Dialect::Postgres)?.cursor())?, items, "both dialects");
        Ok(items)
    }

    fn one(name: &str, value: &str) -> Item {
        Item { name: name.into(), value: value.into(), ..Item::default() }
    }

    #[test]
    fn the_spellings_of_the_example() {
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
