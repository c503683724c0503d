//! Whom a verb asks: the server that it is told, the one that runs over the same ledgers, or nobody.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::cli::AskFlags;
use crate::error::Error;
use crate::listen::ListenAddress;
use crate::password;
use crate::place::{self, Running};
use crate::talk::say;

const PASSWORD: &str = "HEAPQL_PASSWORD";

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Whom {
    Server {
        address: String,
    },
    /// The ledgers under this directory are read by this process.
    Ledgers(PathBuf),
}

impl Whom {
    /// By the flags, else who is found. Says so if there are too many to choose from.
    pub(crate) fn of(flags: &AskFlags) -> Result<Whom, Error> {
        match &flags.server {
            Some(ListenAddress::At(address)) => return Ok(Whom::Server { address: address.clone() }),
            Some(ListenAddress::Off) => return Ok(Whom::Ledgers(place::ledger_root(flags.dir.dir.as_deref())?)),
            None => {}
        }
        let root = place::ledger_root(flags.dir.dir.as_deref())?;
        let (servers, runs) = place::running_servers(&root);
        if let Some(server) = servers.iter().find_map(whom) {
            return Ok(server);
        }
        let mut runs: Vec<Whom> = runs.iter().filter_map(whom).collect();
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
        Ok(Whom::Ledgers(root))
    }

    /// After this one was lost: itself, or the server that is found in its place.
    pub(crate) fn again(&self, flags: &AskFlags) -> Result<Whom, Error> {
        match (self, &flags.server) {
            (Whom::Server { address }, None) => {
                let (servers, runs) = place::running_servers(&place::ledger_root(flags.dir.dir.as_deref())?);
                let found = servers.iter().chain(&runs).find_map(whom);
                found.ok_or_else(|| Error::new(format!("the server at {address} is gone")))
            }
            _ => Ok(self.clone()),
        }
    }

    /// All that keep parameters for the ledgers under `root`, and whether some of them cannot be asked.
    pub(crate) fn all(root: &Path) -> (Vec<Whom>, bool) {
        let (servers, runs) = place::running_servers(root);
        let all: Vec<Option<Whom>> = servers.iter().chain(&runs).map(whom).collect();
        let unreachable = all.contains(&None);
        (all.into_iter().flatten().collect(), unreachable)
    }

    /// Its address, or its directory.
    pub(crate) fn words(&self) -> String {
        match self {
            Whom::Server { address } => address.clone(),
            Whom::Ledgers(root) => format!("the ledgers in {}", root.display()),
        }
    }
}

/// `None` if it does not speak this protocol.
fn whom(server: &Running) -> Option<Whom> {
    let address = local(server.endpoints.postgres?);
    Some(Whom::Server { address: address.to_string() })
}

/// A server that listens on all addresses does so on loopback.
fn local(address: SocketAddr) -> SocketAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if address.ip().is_unspecified() { SocketAddr::new(loopback, address.port()) } else { address }
}

/// That of `--password-file`, else of the environment.
pub(crate) fn password(flags: &AskFlags) -> Result<Option<String>, Error> {
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
