//! The other servers of a cluster: membership, replicated settings, and the transport of plan fragments, calls and changes.
//!
//! One port speaks Arrow Flight, and a [`ClusterNode`] is what the SQL side asks as its `Cluster`. SQL, tables and the meaning of
//! parameters are not here, nor are the listeners for clients (`wire`). The `heapql` binary starts a node.
//!
//! ```text
//! node       requests of this server's statements       service, authenticator, incoming   requests of other servers
//! change     SET, ADD, DELETE                            channels, secret                   connections to other servers
//! heartbeat -> exchange -> replicated_config -> lww_map, cluster_file                       members and settings
//!           \-> liveness                                                                    which servers answer
//! spread -> gather -> fragment -> movable                                                   a plan's fragments, there and back
//! ```
//!
//! Every resource has a bound: 1,024 members, 4,096 settings, 1,280 connections (64 of them unauthenticated, for 5 s each),
//! 64 MiB a message, 16 threads. Refusals are counted in `self_usage`.
#![cfg_attr(not(test), forbid(unsafe_code))]
#![cfg_attr(test, deny(unsafe_code))]
#![deny(missing_docs)]

mod authenticator;
mod change;
mod channels;
mod cluster_file;
mod config;
mod counts;
mod exchange;
mod fragment;
mod gather;
mod heartbeat;
mod incoming;
mod liveness;
mod lww_map;
mod message;
mod movable;
mod node;
mod replicated_config;
mod secret;
mod service;
mod spread;
mod state;

#[cfg(test)]
mod tests;

pub use channels::TlsFiles;
pub use config::{ClusterConfig, PROTOCOL};
pub use node::ClusterNode;
pub use secret::Secret;
