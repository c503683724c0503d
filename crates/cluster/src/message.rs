//! What servers say to each other about themselves: the body of the action "sync", both ways, as JSON. Fields that are not
//! known are left out, so that servers of different versions can tell each other so.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Kinds of actions.
pub(crate) const SYNC: &str = "sync";
pub(crate) const CALL: &str = "call";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Its cluster address.
    pub(crate) from: SocketAddr,
    pub(crate) protocol: u32,
    pub(crate) version: String,
    pub(crate) sql_port: u16,
    pub(crate) sources: u64,
    /// Since 1970.
    pub(crate) started_at_millis: u64,
    /// Of its registers.
    pub(crate) digest: String,
    /// When they are not those of the other side. Of another protocol they may be anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registers: Option<serde_json::Value>,
}
