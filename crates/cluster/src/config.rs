//! The configuration of one server of a cluster, made by the command line before the server joins.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::channels::TlsFiles;
use crate::secret::Secret;

/// Version of the protocol between servers. Servers of different protocols ask each other nothing.
pub const PROTOCOL: u32 = 1;

/// Settings of a [`ClusterNode`](crate::ClusterNode).
pub struct ClusterConfig {
    /// The address by which the other servers reach this one. It is the server's name among them.
    pub address: SocketAddr,
    /// Other servers as host:port. One that answers is enough to become a member.
    pub peers: Vec<String>,
    /// File that keeps members and settings across restarts. None keeps them in memory only.
    pub file: Option<PathBuf>,
    /// Shared secret of the cluster. Without one, everybody who reaches the port is trusted.
    pub secret: Option<Secret>,
    /// Certificates for mutual TLS between servers.
    pub tls: Option<TlsFiles>,
    /// Version of this build, as other servers show it.
    pub version: String,
    /// Protocol that this server speaks; see [`PROTOCOL`].
    pub protocol: u32,
}

impl ClusterConfig {
    /// A server without peers, file, secret and TLS.
    pub fn new(address: SocketAddr) -> ClusterConfig {
        ClusterConfig {
            address,
            peers: Vec::new(),
            file: None,
            secret: None,
            tls: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
        }
    }
}
