//! The other servers: who they are, what all of them agree on, and the way of queries, calls and parameters to them.
//!
//! What it is: one port that speaks Arrow Flight, and a `Node` that the catalog asks as its `Cluster`. What it is not: SQL,
//! tables or parameters' meaning (`catalog`), listeners for clients (`wire`). The `heapql` binary starts it.
//!
//! ```text
//! node       what the catalog asks          service, gate, incoming   what others ask, and who may
//! change     SET, ADD, DELETE               channels, secret          the way to others
//! heartbeat -> exchange -> keeper -> registers, cluster_file          what all agree on
//!           \-> liveness                                              who answers
//! spread -> fragment -> gather                                        a plan's parts, there and back
//! ```
//!
//! Everything is bounded: 1,024 members, 4,096 settings, 1,280 connections of which 64 by strangers for 5 s, 64 MiB a message,
//! 16 threads. What was refused is in `self_usage`.
#![cfg_attr(not(test), forbid(unsafe_code))]
#![cfg_attr(test, deny(unsafe_code))]

mod change;
mod channels;
mod cluster_file;
mod config;
mod counts;
mod exchange;
mod fragment;
mod gate;
mod gather;
mod heartbeat;
mod incoming;
mod keeper;
mod liveness;
mod message;
mod node;
mod registers;
mod secret;
mod service;
mod spread;
mod state;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trials;

pub use channels::Tls;
pub use config::{Config, PROTOCOL};
pub use node::Node;
pub use secret::Secret;
