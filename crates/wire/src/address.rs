//! Where a listener may be bound, and what a user reads when it may not. It opens no socket; `listen` and the command
//! line call it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

/// The protocols this crate speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    MySql,
    Postgres,
    Http,
}

impl Protocol {
    /// The name in logs; with two dashes before it, the flag of the command line.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::MySql => "mysql",
            Protocol::Postgres => "postgres",
            Protocol::Http => "http",
        }
    }
}

/// Why a listener could not be opened.
#[derive(Debug, Error)]
pub enum BindError {
    #[error(
        "cannot listen on '{address}' without a password: anybody who reaches it could read the heap's stacks (hint: \
         set a password with --password-file FILE, or bind a loopback address such as 127.0.0.1)"
    )]
    NoPassword { address: SocketAddr },
    #[error(
        "cannot use '{address}' for --{}: {source} (hint: give host:port, for example 127.0.0.1:0)",
        protocol.name()
    )]
    Resolve { protocol: Protocol, address: String, source: io::Error },
    #[error("cannot listen on '{address}' for --{}: {source}", protocol.name())]
    Listen { protocol: Protocol, address: SocketAddr, source: io::Error },
}

impl BindError {
    /// Another process has the port: the caller may try port 0 instead.
    pub fn is_in_use(&self) -> bool {
        matches!(self, BindError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

/// Without a password only loopback may be bound.
pub fn check_bind(address: SocketAddr, has_password: bool) -> Result<(), BindError> {
    if has_password || is_loopback(address.ip()) {
        return Ok(());
    }
    Err(BindError::NoPassword { address })
}

/// Reached from this host only.
pub fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(address: &str, has_password: bool) -> bool {
        check_bind(address.parse().expect("an address"), has_password).is_ok()
    }

    #[test]
    fn only_loopback_without_a_password() {
        assert!(allowed("127.0.0.1:2881", false));
        assert!(allowed("127.9.9.9:0", false));
        assert!(allowed("[::1]:2881", false));
        assert!(allowed("[::ffff:127.0.0.1]:2881", false));
        assert!(!allowed("0.0.0.0:2881", false));
        assert!(!allowed("[::]:2881", false));
        assert!(!allowed("192.168.0.7:2881", false));
        assert!(!allowed("[::ffff:10.0.0.1]:2881", false));
        assert!(allowed("0.0.0.0:2881", true));
    }

    #[test]
    fn the_error_names_the_flag() {
        let error = check_bind("0.0.0.0:1".parse().expect("an address"), false).expect_err("refused");
        assert!(error.to_string().contains("--password-file"), "{error}");
        assert!(error.to_string().contains("'0.0.0.0:1'"), "{error}");
    }
}
