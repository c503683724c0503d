//! The endpoint that a verb asks: a given server, the server that runs over the same ledgers, or the ledgers themselves. It connects
//! to nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::cli::{EndpointFlags, ListenAddress};
use crate::error::Error;
use crate::password;
use crate::paths::{self, RunningServer};
use crate::stderr::say;

const PASSWORD: &str = "HEAPQL_PASSWORD";

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Endpoint {
    Server {
        address: String,
    },
    /// This process reads the ledgers under this directory.
    Ledgers(PathBuf),
}

impl Endpoint {
    /// The endpoint of the flags, else a server that is found. Prints a note if there are several.
    pub(crate) fn choose(flags: &EndpointFlags) -> Result<Endpoint, Error> {
        match &flags.server {
            Some(ListenAddress::At(address)) => return Ok(Endpoint::Server { address: address.clone() }),
            Some(ListenAddress::Off) => return Ok(Endpoint::Ledgers(paths::ledger_root(flags.dir.dir.as_deref())?)),
            None => {}
        }
        let root = paths::ledger_root(flags.dir.dir.as_deref())?;
        let (servers, runs) = paths::running_servers(&root);
        if let Some(server) = servers.iter().find_map(endpoint_of) {
            return Ok(server);
        }
        let mut runs: Vec<Endpoint> = runs.iter().filter_map(endpoint_of).collect();
        match runs.len() {
            0 => {}
            1 => return Ok(runs.remove(0)),
            many => {
                let first = runs[0].words();
                say!(
                    "note: {many} programs are being run; asking their ledgers (hint: --server {first} asks the newest)"
                );
            }
        }
        Ok(Endpoint::Ledgers(root))
    }

    /// The endpoint to connect to after this one was lost: the same one, or the server that is found in its place.
    pub(crate) fn again(&self, flags: &EndpointFlags) -> Result<Endpoint, Error> {
        match (self, &flags.server) {
            (Endpoint::Server { address }, None) => {
                let (servers, runs) = paths::running_servers(&paths::ledger_root(flags.dir.dir.as_deref())?);
                let found = servers.iter().chain(&runs).find_map(endpoint_of);
                found.ok_or_else(|| Error::new(format!("the server at {address} is gone")))
            }
            _ => Ok(self.clone()),
        }
    }

    /// All servers that have parameters for the ledgers under `root`, and whether some of them cannot be asked.
    pub(crate) fn all(root: &Path) -> (Vec<Endpoint>, bool) {
        let (servers, runs) = paths::running_servers(root);
        let all: Vec<Option<Endpoint>> = servers.iter().chain(&runs).map(endpoint_of).collect();
        let unreachable = all.contains(&None);
        (all.into_iter().flatten().collect(), unreachable)
    }

    /// The address or directory, for messages.
    pub(crate) fn words(&self) -> String {
        match self {
            Endpoint::Server { address } => address.clone(),
            Endpoint::Ledgers(root) => format!("the ledgers in {}", root.display()),
        }
    }
}

/// The endpoint of a running server, or None if it has no PostgreSQL listener.
fn endpoint_of(server: &RunningServer) -> Option<Endpoint> {
    let address = local(server.endpoints.postgres?);
    Some(Endpoint::Server { address: address.to_string() })
}

/// Replaces the unspecified address by loopback. A server that listens on all addresses listens there too.
fn local(address: SocketAddr) -> SocketAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if address.ip().is_unspecified() { SocketAddr::new(loopback, address.port()) } else { address }
}

/// The password of `--password-file`, else of the environment.
pub(crate) fn password(flags: &EndpointFlags) -> Result<Option<String>, Error> {
    match &flags.password_file {
        Some(path) => password::read(path).map(Some),
        None => Ok(std::env::var(PASSWORD).ok().filter(|password| !password.is_empty())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_asked_here() {
        assert_eq!(local(([0, 0, 0, 0], 7).into()).to_string(), "127.0.0.1:7");
        assert_eq!(local(([127, 0, 0, 2], 7).into()).to_string(), "127.0.0.2:7");
        assert_eq!(local("[::]:7".parse().expect("an address")).to_string(), "127.0.0.1:7");
    }
}
