//! A server inside this process, over the ledgers of this host, that a client reaches through a pipe.
//!
//! It runs the same code as a server with listeners. No other process can reach it. Called by `client`.

use std::path::Path;
use std::sync::Arc;

use heapql_registry::RegistrySettings;
use heapql_server::{Server, ServerConfig};
use heapql_sql::Engine;
use tokio::io::{DuplexStream, duplex};

use crate::error::Error;
use crate::intervals;
use crate::paths;
use crate::service;

/// Capacity of the pipe: the size of the output that the server sends at once.
const PIPE_BYTES: usize = 64 << 10;

#[derive(Clone)]
pub(super) struct EmbeddedServer {
    engine: Arc<Engine>,
}

impl EmbeddedServer {
    pub(super) fn open(root: &Path) -> Result<EmbeddedServer, Error> {
        let registry = service::open(RegistrySettings::read_only(root.to_owned()))?;
        let server = Server::new(ServerConfig {
            initial: intervals::in_force(&registry),
            registry,
            svr_ip: "127.0.0.1".to_owned(),
            svr_port: 0,
            sql_port: 0,
            parameter_file: None,
            history_folder: None,
            suspect_folder: paths::suspect_folder(),
            password: None,
            error_number: |kind| heapql_wire::codes::code(kind).mysql_errno,
        })?;
        Ok(EmbeddedServer { engine: Engine::new(server)? })
    }

    pub(super) fn pipe(&self) -> DuplexStream {
        let (client, served) = duplex(PIPE_BYTES);
        tokio::spawn(heapql_wire::serve_pipe(Arc::clone(&self.engine), served));
        client
    }
}
