//! A running server: listeners, the catalog behind them, and the regular look at the ledgers, from start to stop.
//!
//! It starts no target (`launch`). Called by `run`, `demo` and `serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use heapql_cluster::Node;
use heapql_ledger::{Intervals, Sampling};
use heapql_registry::{Registry, RegistrySettings};
use heapql_server::{Server, ServerConfig};
use heapql_sql::Engine;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::cli::ListenFlags;
use crate::cluster::ClusterListener;
use crate::endpoints::{Endpoints, EndpointsFile};
use crate::error::Error;
use crate::listen::{self, IfTaken};
use crate::password;
use crate::place::{ServerFile, forget_own_ledgers};

/// The engine recurses over plans and expressions, unoptimised in the dev profile.
const STACK_BYTES: usize = 32 << 20;
/// A profiler beside its target is to leave it the processors.
const WORKERS: usize = 2;
/// How often ledgers are looked at without being asked: snapshots are taken, and the dead beyond the bounds go.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How to set up a server.
pub(crate) struct Plan<'a> {
    /// Directory of its registry.
    pub(crate) dir: &'a Path,
    pub(crate) listen: &'a ListenFlags,
    pub(crate) if_taken: IfTaken,
    pub(crate) initial: Sampling,
    pub(crate) parameter_file: Option<PathBuf>,
    pub(crate) history_folder: Option<PathBuf>,
    /// Keeps the members of its cluster; None = memory only.
    pub(crate) cluster_file: Option<PathBuf>,
}

pub(crate) struct Service {
    endpoints: Endpoints,
    has_password: bool,
    /// Gone, with their files, when the service is.
    _files: (Option<EndpointsFile>, Option<ServerFile>),
    registry: Arc<Registry>,
    server: Arc<Server>,
    node: Option<Arc<Node>>,
    shutdown: watch::Sender<bool>,
    serving: JoinHandle<()>,
    looking: JoinHandle<()>,
}

pub(crate) fn runtime() -> Result<Runtime, Error> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(WORKERS).thread_stack_size(STACK_BYTES).thread_name("heapql").enable_all();
    builder.build().map_err(|error| Error::new(format!("cannot start the server's threads: {error}")))
}

impl Service {
    /// When it returns, clients can connect, the intervals are in force and the endpoints file is there.
    pub(crate) async fn start(plan: Plan<'_>) -> Result<Service, Error> {
        let flags = plan.listen;
        let password = flags.password_file.as_deref().map(password::read).transpose()?;
        let has_password = password.is_some();
        let mut file = flags.endpoints.as_deref().map(EndpointsFile::claim).transpose()?;
        let (listeners, mut endpoints) = listen::bind(flags, plan.if_taken, has_password).await?;
        let cluster = ClusterListener::bind(&flags.cluster, plan.cluster_file).await?;
        endpoints.cluster = cluster.as_ref().map(ClusterListener::address);
        let registry = open(RegistrySettings::serving(plan.dir.to_owned()))?;
        // What a server keeps for all its life it allocates now: recorded in full, until it serves.
        heapql_sampler::start(plan.dir.as_os_str().as_bytes(), Intervals::new(1, 1));
        let (svr_ip, svr_port, sql_port) = address(&endpoints);
        let server = Server::new(ServerConfig {
            registry: Arc::clone(&registry),
            svr_ip,
            svr_port,
            sql_port,
            parameter_file: plan.parameter_file,
            history_folder: plan.history_folder,
            initial: plan.initial,
            password,
            error_number: |kind| heapql_wire::codes::code(kind).mysql_errno,
        })?;
        let engine = Engine::new(Arc::clone(&server))?;
        let node = cluster.map(|cluster| cluster.serve(&engine)).transpose()?;
        server.put_in_force();
        // For itself it goes on in full until it serves.
        Intervals::new(1, 1).into_iter().for_each(heapql_sampler::set_intervals);
        let looking = tokio::spawn(look(Arc::clone(&server)));
        let (shutdown, stop) = watch::channel(false);
        // Its accept loop is not Send: it gets a thread. Connections are tasks of the runtime.
        let serving = tokio::task::spawn_blocking(|| Handle::current().block_on(listeners.serve(engine, stop)));
        if let Some(file) = &mut file {
            file.write(&endpoints)?;
        }
        // Without it clients must be told where to connect, which is no reason to fail.
        let found = ServerFile::write(plan.dir, &endpoints).inspect_err(|error| tracing::warn!("{error}")).ok();
        Ok(Service {
            endpoints,
            has_password,
            _files: (file, found),
            registry,
            server,
            node,
            shutdown,
            serving,
            looking,
        })
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// For `processes`: how the program under `run` has ended.
    pub(crate) fn set_exit(&self, pid: i32, how: String) {
        self.server.set_exit(pid, how);
    }

    pub(crate) fn has_password(&self) -> bool {
        self.has_password
    }

    /// Tells clients, ends running statements (after 3 s at most), and forgets the server's own record.
    pub(crate) async fn stop(self) {
        self.shutdown.send_replace(true);
        self.looking.abort();
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

/// What rows show of this server: its address, its port, and its MySQL port (0 = none).
fn address(endpoints: &Endpoints) -> (String, u16, u16) {
    let shown = endpoints.cluster.or(endpoints.mysql).or(endpoints.postgres).or(endpoints.http);
    let ip = shown.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| reachable(address).ip());
    let sql_port = endpoints.mysql.map_or(0, |address| address.port());
    (ip.to_canonical().to_string(), shown.map_or(0, |address| address.port()), sql_port)
}

/// The address that others would use: that of the route to the outside if all are listened on.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    // Connecting a datagram socket sends nothing; the network is one that is reserved for documents (RFC 5737).
    let outward = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let ip = outward.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |outward| outward.ip());
    SocketAddr::new(ip, address.port())
}

async fn look(server: Arc<Server>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let server = Arc::clone(&server);
        // It reads files: not on the threads that serve.
        let looked = tokio::task::spawn_blocking(move || server.look()).await;
        if let Err(defect) = looked {
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

    #[test]
    fn an_unspecified_address_is_not_shown() {
        let all = SocketAddr::from(([0, 0, 0, 0], 2881));
        assert!(!reachable(all).ip().is_unspecified());
        assert_eq!(reachable(all).port(), 2881);
    }
}
