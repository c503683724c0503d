//! A session without a server: the ledgers of this host, read by this process.
//!
//! The same catalog that servers use, in memory, for one verb. Called by `sql` and `set`.

use std::path::Path;

use heapql_catalog::{Dialect, Login, Outcome, Server, ServerConfig, Session, Slot};
use heapql_registry::Settings;

use crate::error::Error;
use crate::intervals;
use crate::place;
use crate::service;
use crate::talk::say;

pub(crate) struct Offline {
    session: Session,
    /// The session's place among the server's connections.
    _slot: Slot,
}

impl Offline {
    /// Of the ledgers under `dir`, else under the default directory.
    pub(crate) fn open(dir: Option<&Path>) -> Result<Offline, Error> {
        let root = place::ledger_root(dir)?;
        let registry = service::open(Settings::read_only(root))?;
        let server = Server::new(ServerConfig {
            initial: intervals::in_force(&registry),
            registry,
            svr_ip: "127.0.0.1".to_owned(),
            svr_port: 0,
            sql_port: 0,
            parameter_file: None,
            history_folder: None,
            password: None,
        })?;
        let slot = server.connections().admit("heapql")?;
        let login = Login {
            user: "root@sys".to_owned(),
            database: Some("oceanbase".to_owned()),
            dialect: Dialect::MySql,
            peer: "heapql".to_owned(),
            connection_id: slot.id(),
        };
        Ok(Offline { session: Session::open(&server, login)?, _slot: slot })
    }

    pub(crate) fn statements(&self, text: &str) -> Result<Vec<String>, Error> {
        Ok(self.session.statements(text)?)
    }

    pub(crate) async fn execute(&self, statement: &str) -> Result<Outcome, Error> {
        Ok(self.session.execute(statement).await?)
    }

    /// Those of the last statement, whose rows have all been read.
    pub(crate) fn print_warnings(&self) {
        for warning in self.session.warnings() {
            say!("{}: {}", warning.level.to_lowercase(), warning.message);
        }
    }
}
