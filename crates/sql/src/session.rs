//! One client's session: its database, its settings, its warnings. Both protocols use it; it knows neither. How a statement
//! runs in it is `execution`'s.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use parking_lot::Mutex;

use crate::engine::Engine;
use crate::settings::Settings;
use heapql_server::Dialect;
use heapql_server::database::OCEANBASE;
use heapql_server::diagnostics::Diagnostics;
use heapql_server::failure::{Failure, FailureKind, Level, Warning};
use heapql_server::server::Server;
use heapql_server::tenant::Tenant;

/// The claim of a client that wants a session. The password has been checked.
pub struct Login {
    /// As sent: `root@sys`; without `@` the tenant is sys.
    pub user: String,
    /// The database to begin with; none is `oceanbase`.
    pub database: Option<String>,
    /// The dialect that the protocol goes with.
    pub dialect: Dialect,
    /// Shown in SHOW PROCESSLIST.
    pub peer: String,
    /// `Slot::id`.
    pub connection_id: u32,
}

/// One client's session. Statements of one session run one after the other.
pub struct Session {
    engine: Arc<Engine>,
    dialect: Dialect,
    user: String,
    tenant: Tenant,
    peer: String,
    connection_id: u32,
    settings: Settings,
    state: Mutex<State>,
}

struct State {
    database: String,
    in_transaction: bool,
    diagnostics: Diagnostics,
}

/// The outcome of a statement. It tells a protocol all that its answer needs, so that protocols do not read the statement's text.
pub enum Outcome {
    /// The statement has rows.
    Rows {
        /// Columns of the rows.
        schema: SchemaRef,
        /// The rows, one batch at a time.
        stream: SendableRecordBatchStream,
        /// The rows' part in the command's completion.
        label: RowsLabel,
    },
    /// The statement has no rows.
    Done {
        /// "SET", "ALTER SYSTEM", "BEGIN" and the like; empty for a text without a statement.
        tag: String,
    },
    /// DEALLOCATE of one prepared statement, or of all for None. Prepared statements belong to the protocol.
    Deallocate {
        /// Name of the prepared statement.
        name: Option<String>,
    },
}

/// The facts about a statement with rows that a protocol sends after the last row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsLabel {
    /// The command tag of a statement whose rows are not counted: SHOW or EXPLAIN. None for SELECT and the number of rows.
    pub tag: Option<&'static str>,
    /// True for SHOW WARNINGS and the like, which report on the statement before and have no warnings of their own.
    pub is_diagnostic: bool,
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Rows { schema, .. } => write!(f, "Rows({schema})"),
            Outcome::Done { tag } => write!(f, "Done({tag})"),
            Outcome::Deallocate { name } => write!(f, "Deallocate({name:?})"),
        }
    }
}

/// A statement that was checked and may run many times.
#[derive(Debug)]
pub struct Prepared {
    /// The types of its parameters, in their order.
    pub parameters: Vec<DataType>,
    /// `None` for a statement without rows.
    pub schema: Option<SchemaRef>,
    pub(crate) text: String,
}

impl Session {
    /// Never says whether it was the user or the tenant that does not exist.
    pub fn open(engine: &Arc<Engine>, login: Login) -> Result<Arc<Session>, Failure> {
        let server = engine.server();
        let (name, tenant) = login.user.split_once('@').unwrap_or((&login.user, "sys"));
        // The cluster may follow the tenant: root@sys#cluster.
        let tenant = tenant.split('#').next().unwrap_or(tenant);
        if name != "root" || Tenant::named(tenant) != Some(Tenant::Sys) {
            let message = format!("Access denied for user '{}'@'{}'", login.user, host(&login.peer));
            return Err(Failure::new(FailureKind::AccessDenied, message));
        }
        let session = Session {
            settings: Settings::new(login.dialect, server, name),
            engine: Arc::clone(engine),
            dialect: login.dialect,
            user: name.to_owned(),
            tenant: Tenant::Sys,
            peer: login.peer,
            connection_id: login.connection_id,
            state: Mutex::new(State {
                database: OCEANBASE.to_owned(),
                in_transaction: false,
                diagnostics: Diagnostics::default(),
            }),
        };
        server.connections().change(session.connection_id, |line| {
            line.user = login.user.clone();
            line.tenant_id = session.tenant.id();
            line.command = "Sleep";
        });
        session.use_database(login.database.as_deref().filter(|name| !name.is_empty()).unwrap_or(OCEANBASE))?;
        Ok(Arc::new(session))
    }

    /// Warnings of the last statement that was not itself about warnings; a query's are complete when its rows have ended.
    pub fn warnings(&self) -> Vec<Warning> {
        self.diagnosed().into_iter().filter(|warning| warning.level != Level::Error).collect()
    }

    /// Stops the running statement.
    pub fn cancel(&self) {
        self.server().connections().cancel(self.connection_id);
    }

    /// The current database.
    pub fn database(&self) -> String {
        self.state.lock().database.clone()
    }

    /// USE, and the database of the login. Every table is found from every database.
    pub fn use_database(&self, name: &str) -> Result<(), Failure> {
        let lower = name.to_ascii_lowercase();
        if heapql_tables::listed(&lower).is_none() {
            return Err(Failure::unknown_database(name));
        }
        self.server().connections().change(self.connection_id, |line| line.database.clone_from(&lower));
        self.state.lock().database = lower;
        Ok(())
    }

    /// Between BEGIN and COMMIT or ROLLBACK; for the protocols' status flags.
    pub fn in_transaction(&self) -> bool {
        self.state.lock().in_transaction
    }

    /// Warnings and errors of the last statement that was not about them.
    pub(crate) fn diagnosed(&self) -> Vec<Warning> {
        self.state.lock().diagnostics.list()
    }

    /// Makes these the diagnostics of the running statement. Returns those before.
    pub(crate) fn replace_diagnostics(&self, diagnostics: Diagnostics) -> Diagnostics {
        std::mem::replace(&mut self.state.lock().diagnostics, diagnostics)
    }

    /// Adds to what the running statement wants to be known.
    pub(crate) fn warn(&self, warning: Warning) {
        self.state.lock().diagnostics.push(warning);
    }

    pub(crate) fn set_in_transaction(&self, in_transaction: bool) {
        self.state.lock().in_transaction = in_transaction;
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        self.engine.server()
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn is_mysql(&self) -> bool {
        self.dialect == Dialect::MySql
    }

    pub(crate) fn tenant(&self) -> Tenant {
        self.tenant
    }

    #[cfg(test)]
    pub(crate) fn become_tenant(&mut self, name: &str) {
        self.tenant = Tenant::named(name).expect("a tenant");
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// `root@127.0.0.1`, as MySQL's user() prints it.
    pub(crate) fn user_and_host(&self) -> String {
        format!("{}@{}", self.user, host(&self.peer))
    }

    pub(crate) fn connection_id(&self) -> u32 {
        self.connection_id
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }
}

fn host(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(host, _)| host)
}
