//! The other servers: membership, fan-out of queries and of parameter changes.
#![forbid(unsafe_code)]

mod channels;
mod fragment;
mod gather;
mod spread;
