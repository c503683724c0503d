//! The rule for the addresses that a listener may be bound to, and the errors of binding. It opens no socket; `listen` and the
//! command line call it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

/// The protocols this crate speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The protocol of MySQL 4.1 and later.
    MySql,
    /// The PostgreSQL protocol, version 3.
    Postgres,
    /// HTTP/1.1.
    Http,
}

impl Protocol {
    /// The protocol's name in logs. With two dashes before it, it is the flag of the command line.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::MySql => "mysql",
            Protocol::Postgres => "postgres",
            Protocol::Http => "http",
        }
    }
}

/// The reasons for which a listener cannot be opened.
#[derive(Debug, Error)]
pub enum BindError {
    /// The address is reachable from other hosts, and there is no password.
    #[error(
        "cannot listen on '{address}' without a password: anybody who reaches it could read the heap's stacks (hint: \
         set a password with --password-file FILE, or bind a loopback address such as 127.0.0.1)"
    )]
    NoPassword {
        /// The address that was to be bound.
        address: SocketAddr,
    },
    /// The address cannot be resolved.
    #[error(
        "cannot use '{address}' for --{}: {source} (hint: give host:port, for example 127.0.0.1:0)",
        protocol.name()
    )]
    Resolve {
        /// The protocol that was to be served.
        protocol: Protocol,
        /// The text that names no address.
        address: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// The socket cannot be bound.
    #[error("cannot listen on '{address}' for --{}: {source}", protocol.name())]
    Listen {
        /// The protocol that was to be served.
        protocol: Protocol,
        /// The address that was to be bound.
        address: SocketAddr,
        /// The kernel's error.
        source: io::Error,
    },
}

impl BindError {
    /// Returns whether another process has the port. The caller may then try port 0.
    pub fn is_in_use(&self) -> bool {
        matches!(self, BindError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

/// Allows loopback addresses, and with a password all addresses.
pub fn check_bind(address: SocketAddr, has_password: bool) -> Result<(), BindError> {
    if has_password || is_loopback(address.ip()) {
        return Ok(());
    }
    Err(BindError::NoPassword { address })
}

/// Returns whether an address is reachable from this host only. IPv4 addresses mapped into IPv6 count as IPv4.
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
