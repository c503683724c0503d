//! The other servers as this crate knows them: who they are, and how a call or a change reaches them.
//! How they are found and reached is the cluster crate's, which implements [`Cluster`] and is attached to the `Server`.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
pub use heapql_registry::Usage;

use crate::failure::{Failure, Warning};
use crate::parameters::Setting;

/// The servers that a statement queries.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// Servers that answered a moment ago; this one is always among them. In the order of their addresses.
    pub members: Vec<SocketAddr>,
    /// Members that are not asked, and why: they are named in a warning.
    pub absent: Vec<(SocketAddr, String)>,
}

/// A row of `servers`.
#[derive(Clone, Debug)]
pub struct ServerLine {
    /// Its cluster address.
    pub address: SocketAddr,
    /// Its zone.
    pub zone: String,
    /// 0 = it has no MySQL listener, or has never been heard of.
    pub sql_port: u16,
    /// Whether it answered a moment ago.
    pub is_active: bool,
    /// When it was last heard of; none if never.
    pub last_seen_at: Option<SystemTime>,
    /// When it was started, if that is known.
    pub started_at: Option<SystemTime>,
    /// The version of HeapQL that it runs.
    pub version: String,
    /// ServerHistory processes, itself included, dead ones too.
    pub sources: u64,
    /// Empty when it is active.
    pub why: String,
}

/// The other servers, as one statement needs them.
pub trait Cluster: Send + Sync {
    /// The servers that a statement queries now. Never waits.
    fn roster(&self) -> Roster;

    /// All members that are known, this one included, by address. Never waits.
    fn servers(&self) -> Vec<ServerLine>;

    /// A member did not answer a statement: nobody else is to wait for it until it is heard of again.
    fn mark_unreachable(&self, member: SocketAddr, why: &str);

    /// Hands a call to another server's `heapql_tables::answer`.
    fn call(&self, to: SocketAddr, call: Vec<u8>, within: Duration) -> BoxFuture<'static, Result<Vec<u8>, String>>;

    /// ALTER SYSTEM SET, on all servers or on one. Returns when it cannot be lost any more by the end of one server.
    fn set(
        &self,
        settings: Vec<Setting>,
        only: Option<SocketAddr>,
    ) -> BoxFuture<'static, Result<Vec<Warning>, Failure>>;

    /// ALTER SYSTEM ADD SERVER.
    fn add(&self, server: SocketAddr) -> BoxFuture<'static, Result<Vec<Warning>, Failure>>;

    /// ALTER SYSTEM DELETE SERVER.
    fn delete(&self, server: SocketAddr) -> BoxFuture<'static, Result<Vec<Warning>, Failure>>;

    /// Rows of `self_usage` about the cluster's port.
    fn usage(&self) -> Vec<Usage> {
        Vec::new()
    }
}
