//! The versions that clients are told. They decide nothing here: clients choose their catalog queries by them.

/// The version that MySQL clients are told; OceanBase's own begins so.
pub const VERSION: &str = concat!("5.7.25-OceanBase-v4.3.5.0-HeapQL-", env!("CARGO_PKG_VERSION"));

/// The version that PostgreSQL clients are told: the one whose catalog is served.
pub const POSTGRES_VERSION: &str = "15.0";
