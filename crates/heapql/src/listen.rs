//! Binds the listeners that the flags ask for, at a default port or another one when that is taken.
//!
//! The sockets and the rule about loopback are the wire crate's; the cluster's listener is `cluster`'s. Called by `service`.

use std::net::SocketAddr;

use heapql_wire::{Listeners, Protocol};

use crate::cli::{LOOPBACK, ListenAddress, ListenFlags};
use crate::endpoints::Endpoints;
use crate::error::Error;

pub(crate) const MYSQL_PORT: u16 = 2881;
pub(crate) const POSTGRES_PORT: u16 = 2883;
pub(crate) const HTTP_PORT: u16 = 2884;

/// The action when a default port is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IfTaken {
    /// The kernel picks another port, for `run` and `demo`.
    PickAnother,
    /// It is an error, for `serve`: clients expect the server at its port.
    Fail,
}

/// Binds the listeners for clients.
pub(crate) async fn bind(
    flags: &ListenFlags,
    if_taken: IfTaken,
    has_password: bool,
) -> Result<(Listeners, Endpoints), Error> {
    let mut listeners = Listeners::default();
    let mut bind = async |protocol, flag: &Option<ListenAddress>, port| match flag {
        Some(ListenAddress::Off) => Ok(None),
        Some(ListenAddress::At(address)) => bound(&mut listeners, protocol, address, has_password).await.map(Some),
        None => at_default_port(&mut listeners, protocol, port, if_taken, has_password).await.map(Some),
    };
    let endpoints = Endpoints {
        mysql: bind(Protocol::MySql, &flags.mysql, MYSQL_PORT).await?,
        postgres: bind(Protocol::Postgres, &flags.postgres, POSTGRES_PORT).await?,
        http: bind(Protocol::Http, &flags.http, HTTP_PORT).await?,
        cluster: None,
        pid: std::process::id(),
    };
    Ok((listeners, endpoints))
}

async fn at_default_port(
    listeners: &mut Listeners,
    protocol: Protocol,
    port: u16,
    if_taken: IfTaken,
    has_password: bool,
) -> Result<SocketAddr, Error> {
    match listeners.bind(protocol, &format!("{LOOPBACK}:{port}"), has_password).await {
        Err(error) if error.is_in_use() && if_taken == IfTaken::PickAnother => {
            bound(listeners, protocol, &format!("{LOOPBACK}:0"), has_password).await
        }
        bound => bound.map_err(|error| cannot(protocol, &error)),
    }
}

async fn bound(
    listeners: &mut Listeners,
    protocol: Protocol,
    address: &str,
    has_password: bool,
) -> Result<SocketAddr, Error> {
    listeners.bind(protocol, address, has_password).await.map_err(|error| cannot(protocol, &error))
}

fn cannot(protocol: Protocol, error: &heapql_wire::BindError) -> Error {
    let failed = Error::new(error.to_string());
    if error.is_in_use() {
        let flag = protocol.name();
        return failed
            .hint(format!("another server has this port: stop it, or give --{flag} 127.0.0.1:0 or --{flag} off"));
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_an_error_that_names_the_flag() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = taken.local_addr().expect("an address").to_string();
        let flags = ListenFlags {
            mysql: Some(ListenAddress::Off),
            postgres: Some(ListenAddress::At(address.clone())),
            http: Some(ListenAddress::Off),
            ..ListenFlags::default()
        };
        let error = bind(&flags, IfTaken::PickAnother, false).await.err().expect("an error").to_string();
        assert!(error.contains("--postgres") && error.contains(&address), "{error}");
    }

    #[tokio::test]
    async fn the_kernel_picks_when_a_default_port_is_taken() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = taken.local_addr().expect("an address").port();
        let mut listeners = Listeners::default();
        let mysql = Protocol::MySql;
        let other = at_default_port(&mut listeners, mysql, port, IfTaken::PickAnother, false).await.expect("another");
        assert_ne!(other.port(), port);
        assert!(at_default_port(&mut listeners, mysql, port, IfTaken::Fail, false).await.is_err());
    }
}
