//! Facts of the session that a query may ask for: `@@version`, `database()`, `current_user`. Each becomes a literal before the
//! engine sees it, so that the engine needs no function that knows a session.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart, Statement, Value, VisitMut,
    VisitorMut,
};

use crate::session::Session;
use crate::text::words::without_scope;
use heapql_server::dialect::Dialect;
use heapql_server::failure::{FailureKind, Warning};
use heapql_server::version::{POSTGRES_VERSION, VERSION};

pub(crate) struct Constants<'a>(pub(crate) &'a Session);

impl Constants<'_> {
    pub(super) fn put_into(&self, statement: &mut Statement) {
        struct Put<'a>(&'a Constants<'a>);
        impl VisitorMut for Put<'_> {
            type Break = ();
            fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
                if let Some(value) = self.0.value(expr) {
                    *expr = Expr::value(value);
                }
                ControlFlow::Continue(())
            }
        }
        let _ = statement.visit(&mut Put(self));
    }

    fn value(&self, expr: &Expr) -> Option<Value> {
        match expr {
            Expr::Identifier(ident) if ident.value.starts_with('@') => Some(self.variable(&ident.value)),
            Expr::Identifier(ident) if self.0.dialect() == Dialect::Postgres && ident.quote_style.is_none() => {
                const BARE: [&str; 3] = ["current_schema", "current_catalog", "current_role"];
                let name = ident.value.to_ascii_lowercase();
                if BARE.contains(&name.as_str()) { self.function(&name, &[]) } else { None }
            }
            Expr::CompoundIdentifier(parts) if parts.first().is_some_and(|first| first.value.starts_with('@')) => {
                let names: Vec<_> = parts.iter().map(|part| part.value.as_str()).collect();
                Some(self.variable(&names.join(".")))
            }
            Expr::Function(function) => self.function(&name(function)?, &arguments(function)?),
            _ => None,
        }
    }

    /// `@@x` is a system variable, `@x` the client's own; what nobody set is NULL.
    fn variable(&self, written: &str) -> Value {
        match self.0.settings().get(without_scope(written)) {
            Some(text) => number_or_text(text),
            None => match without_scope(written) {
                "warning_count" | "error_count" => number_or_text("0".to_owned()),
                "pseudo_thread_id" => number_or_text(self.0.connection_id().to_string()),
                unknown => {
                    if written.starts_with("@@") {
                        self.0.warn(Warning::new(
                            FailureKind::UnknownParameter,
                            format!("variable '{unknown}' is not known to this server and reads as NULL"),
                        ));
                    }
                    Value::Null
                }
            },
        }
    }

    fn function(&self, name: &str, arguments: &[&Expr]) -> Option<Value> {
        let text = |text: &str| Some(Value::SingleQuotedString(text.to_owned()));
        let number = |number: u64| Some(Value::Number(number.to_string(), false));
        let session = self.0;
        match (session.dialect(), name, arguments) {
            (_, "version", []) => text(&version(session.dialect())),
            (Dialect::MySql, "database" | "schema", []) => text(&session.database()),
            (Dialect::MySql, "user" | "session_user" | "system_user" | "current_user", []) => {
                text(&session.user_and_host())
            }
            (Dialect::MySql, "connection_id", []) => number(u64::from(session.connection_id())),
            (Dialect::MySql, "last_insert_id" | "found_rows" | "row_count", []) => number(0),
            (Dialect::Postgres, "current_schema", []) => text("oceanbase"),
            (Dialect::Postgres, "current_database" | "current_catalog", []) => text(&session.database()),
            (Dialect::Postgres, "current_user" | "session_user" | "user" | "current_role", []) => text(session.user()),
            (Dialect::Postgres, "pg_backend_pid", []) => number(u64::from(session.connection_id())),
            (Dialect::Postgres, "pg_is_in_recovery", []) => Some(Value::Boolean(false)),
            (Dialect::Postgres, "inet_server_port", []) => number(u64::from(session.server().svr_port())),
            (Dialect::Postgres, "inet_server_addr", []) => text(session.server().svr_ip()),
            (Dialect::Postgres, "current_setting", [Expr::Value(name), ..]) => {
                let name = name.value.clone().into_string()?;
                session.settings().get(&name).map(Value::SingleQuotedString)
            }
            _ => None,
        }
    }
}

fn version(dialect: Dialect) -> String {
    match dialect {
        Dialect::MySql => VERSION.to_owned(),
        Dialect::Postgres => format!("PostgreSQL {POSTGRES_VERSION} (HeapQL {})", env!("CARGO_PKG_VERSION")),
    }
}

/// Drivers read counts and switches as numbers.
fn number_or_text(text: String) -> Value {
    if !text.is_empty() && text.len() < 19 && text.chars().all(|char| char.is_ascii_digit()) {
        Value::Number(text, false)
    } else {
        Value::SingleQuotedString(text)
    }
}

pub(super) fn name(function: &Function) -> Option<String> {
    match function.name.0.last()? {
        ObjectNamePart::Identifier(ident) => Some(ident.value.to_ascii_lowercase()),
        ObjectNamePart::Function(_) => None,
    }
}

/// Plain arguments only.
pub(super) fn arguments(function: &Function) -> Option<Vec<&Expr>> {
    match &function.args {
        FunctionArguments::None => Some(Vec::new()),
        FunctionArguments::Subquery(_) => None,
        FunctionArguments::List(list) => {
            let plain = |argument| match argument {
                &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
                _ => None,
            };
            list.args.iter().map(plain).collect()
        }
    }
}
