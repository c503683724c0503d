//! A server inside this process, over the ledgers of this host, with one end of a pipe for a client.
//!
//! The same catalog and protocol as those of a server that others can reach; nobody can reach this one. Called by the
//! client.

use std::path::Path;
use std::sync::Arc;

use heapql_catalog::{Server, ServerConfig};
use heapql_registry::RegistrySettings;
use tokio::io::{DuplexStream, duplex};

use crate::error::Error;
use crate::intervals;
use crate::service;

/// Between the two ends: what a server encodes at once.
const PIPE_BYTES: usize = 64 << 10;

#[derive(Clone)]
pub(super) struct Offline {
    server: Arc<Server>,
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
        })?;
        Ok(Offline { server })
    }

    pub(super) fn pipe(&self) -> DuplexStream {
        let (client, served) = duplex(PIPE_BYTES);
        tokio::spawn(heapql_wire::converse(Arc::clone(&self.server), served));
        client
    }
}
