//! A server inside this process, over the ledgers of this host, with one end of a pipe for a client.
//!
//! The same catalog and protocol as those of a server that others can reach; nobody can reach this one. Called by the
//! client.

use std::path::Path;
use std::sync::Arc;

use heapql_registry::RegistrySettings;
use heapql_server::{Server, ServerConfig};
use heapql_sql::Engine;
use tokio::io::{DuplexStream, duplex};

use crate::error::Error;
use crate::intervals;
use crate::service;

/// Between the two ends: what a server encodes at once.
const PIPE_BYTES: usize = 64 << 10;

#[derive(Clone)]
pub(super) struct Offline {
    engine: Arc<Engine>,
}

impl Offline {
    pub(super) fn open(root: &Path) -> Result<Offline, Error> {
        let registry = service::open(RegistrySettings::read_only(root.to_owned()))?;
        let server = Server::new(ServerConfig {
            initial: intervals::in_force(&registry),
            registry,
            svr_ip: "127.0.0.1".to_owned(),
            svr_port: 0,
            sql_port: 0,
            parameter_file: None,
            history_folder: None,
            password: None,
            error_number: |kind| heapql_wire::codes::code(kind).mysql_errno,
        })?;
        Ok(Offline { engine: Engine::new(server)? })
    }

    pub(super) fn pipe(&self) -> DuplexStream {
        let (client, served) = duplex(PIPE_BYTES);
        tokio::spawn(heapql_wire::converse(Arc::clone(&self.engine), served));
        client
    }
}
