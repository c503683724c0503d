//! Servers of a cluster, each with its own registry, on loopback addresses and ports that the kernel picks.
