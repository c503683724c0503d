//! Groups of flags that several verbs share. Flags of one verb are in `cli`, the values of flags in `values`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::values::ListenAddress;

/// Addresses to listen on, and the password.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Listen flags")]
pub(crate) struct ListenFlags {
    /// MySQL protocol: host:port, port 0 = the kernel picks, `off` = none [default: 127.0.0.1:2881]
    #[arg(long, value_name = "ADDR")]
    pub(crate) mysql: Option<ListenAddress>,
    /// PostgreSQL protocol [default: 127.0.0.1:2883]
    #[arg(long, value_name = "ADDR")]
    pub(crate) postgres: Option<ListenAddress>,
    /// HTTP: flame graphs, pprof, metrics, SQL [default: 127.0.0.1:2884]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<ListenAddress>,
    /// When all listeners are ready, write their addresses to this file, as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) endpoints: Option<PathBuf>,
    /// File whose first line is the password of root@sys; without it only loopback may be bound
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cluster: ClusterFlags,
}

/// The cluster that the server is a member of.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster flags")]
pub(crate) struct ClusterFlags {
    /// Be one of several servers that answer as one: host:port for the others [default: off]
    #[arg(long, value_name = "ADDR")]
    pub(crate) cluster: Option<ListenAddress>,
    /// Another server of the cluster (repeatable); one that answers is enough to join
    #[arg(long, value_name = "ADDR")]
    pub(crate) peer: Vec<String>,
    /// File whose first line is the secret of the cluster; without it only loopback may be bound
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) cluster_secret_file: Option<PathBuf>,
    /// TLS between servers: the certificate, for the name heapql (PEM; all three or none)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) cluster_tls_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) cluster_tls_key: Option<PathBuf>,
    /// The authority that every server's certificate is of
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) cluster_tls_ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DirArgument {
    /// Where ledgers lie [default: HEAPQL_DIR]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

/// The server to ask.
#[derive(Debug, Args)]
pub(crate) struct EndpointFlags {
    /// Ask this server (host:port of its PostgreSQL protocol), not the one found; `off` = read the ledgers
    #[arg(long, value_name = "ADDR")]
    pub(crate) server: Option<ListenAddress>,
    /// File whose first line is the password of root@sys on that server
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) dir: DirArgument,
}

/// The allocations that a profile shows, and the file that it is written to.
#[derive(Debug, Args)]
pub(crate) struct SelectionArguments {
    /// Write to this file, not to stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Only this process [default: all that live]
    #[arg(long)]
    pub(crate) pid: Option<i64>,
    /// Only this label
    #[arg(long)]
    pub(crate) label: Option<String>,
    #[command(flatten)]
    pub(crate) ask: EndpointFlags,
}
