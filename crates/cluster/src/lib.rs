//! The other servers: membership, fan-out of queries and of parameter changes.
#![cfg_attr(not(test), forbid(unsafe_code))]
#![cfg_attr(test, deny(unsafe_code))]

mod channels;
mod fragment;
mod gather;
mod spread;

#[cfg(test)]
mod trials;
