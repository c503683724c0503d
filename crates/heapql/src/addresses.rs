//! The addresses by which other hosts reach a socket that listens on all addresses. It binds no listener and sends nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// An address of a network that is reserved for documents (RFC 5737). The route to it is the route to the outside.
const OUTSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// The address that others use for a listener. If it listens on all addresses, that of the route to the outside stands for it.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let ip = source_of_route(OUTSIDE).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    SocketAddr::new(ip, address.port())
}

/// The local address of the route to a peer. Connecting a datagram socket sends nothing.
pub(crate) fn source_of_route(peer: SocketAddr) -> Option<IpAddr> {
    let any = if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(peer).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_not_shown() {
        let all = SocketAddr::from(([0, 0, 0, 0], 2881));
        assert!(!reachable(all).ip().is_unspecified());
        assert_eq!(reachable(all).port(), 2881);
    }
}
