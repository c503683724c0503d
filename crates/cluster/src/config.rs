//! What a server is told before it becomes one of several. The command line makes one.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::channels::Tls;
use crate::secret::Secret;

/// Servers ask each other nothing unless they speak the same one. It changes with every change of what they say.
pub const PROTOCOL: u32 = 1;

pub struct Config {
    /// By which the other servers reach this one; it is its name among them.
    pub address: SocketAddr,
    /// host:port of servers, of which one is enough to become a member.
    pub peers: Vec<String>,
    /// Keeps members and parameters across restarts; None = memory only.
    pub file: Option<PathBuf>,
    /// Without one everybody who reaches the port is one of the cluster.
    pub secret: Option<Secret>,
    pub tls: Option<Tls>,
    pub version: String,
    pub protocol: u32,
}

impl Config {
    pub fn new(address: SocketAddr) -> Config {
        Config {
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
