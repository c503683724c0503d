//! A running server, from start to stop: listeners, the SQL behind them, and the regular tick that reads the ledgers.
//!
//! It starts no target (`launch`). Called by `run`, `demo` and `serve`.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use heapql_cluster::ClusterNode;
use heapql_ledger::{Intervals, Sampling};
use heapql_registry::{Registry, RegistrySettings};
use heapql_server::suspects::SuspectRecord;
use heapql_server::{Server, ServerConfig};
use heapql_sql::Engine;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::addresses::reachable;
use crate::cli::ListenFlags;
use crate::cluster::ClusterListener;
use crate::endpoints::{Endpoints, EndpointsFile};
use crate::error::Error;
use crate::listen::{self, IfTaken};
use crate::password;
use crate::paths::{ServerFile, forget_own_ledgers};

/// Number of threads that serve sockets. The engine has threads of its own for statements.
const WORKERS: usize = 2;
/// Interval at which ledgers are read without a statement: snapshots are taken, and dead ledgers beyond the bounds are removed.
const TICK_PERIOD: Duration = Duration::from_secs(1);

/// The options of a server.
pub(crate) struct ServiceOptions<'a> {
    /// Directory of its registry.
    pub(crate) dir: &'a Path,
    pub(crate) listen: &'a ListenFlags,
    pub(crate) if_taken: IfTaken,
    pub(crate) initial: Sampling,
    pub(crate) parameter_file: Option<PathBuf>,
    pub(crate) history_folder: Option<PathBuf>,
    /// Keeps what was suspected. None keeps it in memory only.
    pub(crate) suspect_folder: Option<PathBuf>,
    /// The file that keeps the members of its cluster. None keeps them in memory only.
    pub(crate) cluster_file: Option<PathBuf>,
}

pub(crate) struct Service {
    endpoints: Endpoints,
    has_password: bool,
    /// Dropping them removes the files.
    _files: (Option<EndpointsFile>, Option<ServerFile>),
    registry: Arc<Registry>,
    server: Arc<Server>,
    node: Option<Arc<ClusterNode>>,
    shutdown: watch::Sender<bool>,
    serving: JoinHandle<()>,
    ticking: JoinHandle<()>,
}

pub(crate) fn runtime() -> Result<Runtime, Error> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(WORKERS).thread_name("heapql").enable_all();
    builder.build().map_err(|error| Error::new(format!("cannot start the server's threads: {error}")))
}

impl Service {
    /// Starts a server. When it returns, clients can connect, the intervals are in force and the endpoints file exists.
    pub(crate) async fn start(options: ServiceOptions<'_>) -> Result<Service, Error> {
        let flags = options.listen;
        let password = flags.password_file.as_deref().map(password::read).transpose()?;
        let has_password = password.is_some();
        let mut file = flags.endpoints.as_deref().map(EndpointsFile::claim).transpose()?;
        let (listeners, mut endpoints) = listen::bind(flags, options.if_taken, has_password).await?;
        let cluster = ClusterListener::bind(&flags.cluster, options.cluster_file).await?;
        endpoints.cluster = cluster.as_ref().map(ClusterListener::address);
        let registry = open(RegistrySettings::serving(options.dir.to_owned()))?;
        // The allocations until it serves live as long as the server, and are recorded in full.
        heapql_sampler::start(options.dir.as_os_str().as_bytes(), Intervals::new(1, 1));
        let (svr_ip, svr_port, sql_port) = address(&endpoints);
        let server = Server::new(ServerConfig {
            registry: Arc::clone(&registry),
            svr_ip,
            svr_port,
            sql_port,
            parameter_file: options.parameter_file,
            history_folder: options.history_folder,
            suspect_folder: options.suspect_folder,
            initial: options.initial,
            password,
            error_number: |kind| heapql_wire::codes::code(kind).mysql_errno,
        })?;
        let engine = Engine::new(Arc::clone(&server))?;
        let node = cluster.map(|cluster| cluster.serve(&engine)).transpose()?;
        server.put_in_force();
        // It still records itself in full until it serves.
        Intervals::new(1, 1).into_iter().for_each(heapql_sampler::set_intervals);
        let ticking = tokio::spawn(tick(Arc::clone(&server)));
        let (shutdown, stop) = watch::channel(false);
        // The accept loop is not Send, so it gets a thread. Connections are tasks of the runtime.
        let serving = tokio::task::spawn_blocking(|| Handle::current().block_on(listeners.serve(engine, stop)));
        if let Some(file) = &mut file {
            file.write(&endpoints)?;
        }
        // Without the file, clients must be given the address, which is no reason to fail.
        let found = ServerFile::write(options.dir, &endpoints).inspect_err(|error| tracing::warn!("{error}")).ok();
        Ok(Service {
            endpoints,
            has_password,
            _files: (file, found),
            registry,
            server,
            node,
            shutdown,
            serving,
            ticking,
        })
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Records how the program under `run` has ended, for the table `processes`.
    pub(crate) fn set_exit(&self, pid: i32, how: String) {
        self.server.set_exit(pid, how);
    }

    /// Looks once more at what was recorded, and returns what is suspected. For the end of the program under `run`.
    pub(crate) async fn last_suspects(&self) -> Vec<SuspectRecord> {
        let server = Arc::clone(&self.server);
        // It reads files.
        let looked = tokio::task::spawn_blocking(move || {
            server.look_now();
            server.suspects().records()
        });
        let mut suspects = looked.await.unwrap_or_default();
        suspects.retain(|record| record.cleared_at_us.is_none());
        suspects.sort_by(|one, other| other.growth.0.total_cmp(&one.growth.0));
        suspects
    }

    pub(crate) fn has_password(&self) -> bool {
        self.has_password
    }

    /// Tells clients, ends running statements after 3 s at most, and removes the server's own ledger.
    pub(crate) async fn stop(self) {
        self.shutdown.send_replace(true);
        self.ticking.abort();
        if let Err(defect) = self.serving.await {
            tracing::error!("the server ended by a defect: {defect}");
        }
        if let Some(node) = &self.node {
            node.stop().await;
        }
        forget_own_ledgers(self.registry.root());
    }
}

pub(crate) fn open(settings: RegistrySettings) -> Result<Arc<Registry>, Error> {
    let root = settings.root.clone();
    let registry = Registry::open(settings);
    let registry = registry.map_err(|error| Error::new(format!("cannot use '{}': {error}", root.display())))?;
    Ok(Arc::new(registry))
}

/// The server in its rows: its address, its port, and its MySQL port (0 = none).
fn address(endpoints: &Endpoints) -> (String, u16, u16) {
    let shown = endpoints.cluster.or(endpoints.mysql).or(endpoints.postgres).or(endpoints.http);
    let ip = shown.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| reachable(address).ip());
    let sql_port = endpoints.mysql.map_or(0, |address| address.port());
    (ip.to_canonical().to_string(), shown.map_or(0, |address| address.port()), sql_port)
}

async fn tick(server: Arc<Server>) {
    let mut ticks = interval(TICK_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let server = Arc::clone(&server);
        // It reads files, which must not block the threads that serve.
        let ticked = tokio::task::spawn_blocking(move || server.tick()).await;
        if let Err(defect) = ticked {
            tracing::error!("the ledgers could not be looked at: {defect}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_show_the_clusters_port_or_else_the_mysql_port_or_else_another() {
        let mysql = Some(([127, 0, 0, 1], 2881).into());
        let postgres = Some(([127, 0, 0, 2], 2883).into());
        let shown = |mysql, postgres| address(&Endpoints { mysql, postgres, ..Endpoints::default() });
        assert_eq!(shown(mysql, postgres), ("127.0.0.1".to_owned(), 2881, 2881));
        assert_eq!(shown(None, postgres), ("127.0.0.2".to_owned(), 2883, 0));
        assert_eq!(shown(None, None), ("127.0.0.1".to_owned(), 0, 0));
        let cluster = Some(([127, 0, 0, 3], 2882).into());
        let shown = address(&Endpoints { mysql, cluster, ..Endpoints::default() });
        assert_eq!(shown, ("127.0.0.3".to_owned(), 2882, 2881));
    }
}
