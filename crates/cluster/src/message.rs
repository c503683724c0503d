//! The body of the action "sync", in both directions, as JSON: what a server tells another about itself.
//!
//! Unknown fields are ignored, so that servers of different versions can still name their versions to each other.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Name of the action that exchanges greetings and replicated entries.
pub(crate) const SYNC: &str = "sync";
/// Name of the action that carries a call of another server's SQL side.
pub(crate) const CALL: &str = "call";

/// A greeting, or the answer to one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The sender's cluster address.
    pub(crate) from: SocketAddr,
    pub(crate) protocol: u32,
    pub(crate) version: String,
    pub(crate) sql_port: u16,
    pub(crate) sources: u64,
    /// Milliseconds since 1970.
    pub(crate) started_at_millis: u64,
    /// Digest of the sender's replicated entries.
    pub(crate) digest: String,
    /// The sender's replicated entries, sent when the digests differ. Under another protocol they may be any value.
    #[serde(default, rename = "registers", skip_serializing_if = "Option::is_none")]
    pub(crate) entries: Option<serde_json::Value>,
}
