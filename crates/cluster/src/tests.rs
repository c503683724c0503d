//! Tests of whole servers: `network` over real sockets, `queries` with fragments that pass between servers in one process.

mod network;
mod queries;
