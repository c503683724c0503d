//! What all connections share: the registry, the parameters, the engine's common state, the list of connections.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use heapql_ledger::Sampling;
use heapql_registry::{History, Registry, Snapshot, SourceState, Usage};

use crate::calls;
use crate::cluster::{Cluster, Setting};
use crate::connections::Connections;
use crate::engine::Engine;
use crate::failure::{Failure, FailureKind, Warning};
use crate::history::Recorded;
use crate::names::Names;
use crate::parameters::{self, Change, Parameters};

/// How a server is set up.
pub struct ServerConfig {
    pub registry: Arc<Registry>,
    /// Address that rows show.
    pub svr_ip: String,
    /// Port that rows show: the cluster port, else the MySQL port.
    pub svr_port: u16,
    /// The MySQL port.
    pub sql_port: u16,
    /// Keeps parameters across restarts (written by rename, mode 0600); `None` = memory only.
    pub parameter_file: Option<PathBuf>,
    /// Keeps snapshots and marks across restarts; `None` = memory only.
    pub history_folder: Option<PathBuf>,
    /// Until ALTER SYSTEM SET says otherwise; a parameter file wins.
    pub initial: Sampling,
    /// Password of root@sys; `None` = none.
    pub password: Option<String>,
}

/// One heapql process, as its clients see it.
pub struct Server {
    registry: Arc<Registry>,
    connections: Arc<Connections>,
    parameters: Parameters,
    recorded: Recorded,
    names: Names,
    engine: Engine,
    svr_ip: String,
    svr_port: u16,
    sql_port: u16,
    password: Option<String>,
    started: Instant,
    numbers: OnceLock<fn(FailureKind) -> u16>,
    /// The pid and the end of the process that this one started.
    ended: OnceLock<(i32, String)>,
    cluster: OnceLock<Arc<dyn Cluster>>,
}

impl Server {
    /// Loads the parameters. Processes keep theirs until [`Server::put_in_force`]: who only asks changes nothing.
    pub fn new(config: ServerConfig) -> Result<Arc<Server>, Failure> {
        let _span = tracing::info_span!("server").entered();
        let server = Server {
            parameters: Parameters::load(config.parameter_file, config.initial)?,
            names: Names::default(),
            recorded: Recorded::open(config.history_folder, &config.registry),
            engine: Engine::new()?,
            connections: Arc::new(Connections::new()),
            registry: config.registry,
            svr_ip: config.svr_ip,
            svr_port: config.svr_port,
            sql_port: config.sql_port,
            password: config.password,
            started: Instant::now(),
            numbers: OnceLock::new(),
            ended: OnceLock::new(),
            cluster: OnceLock::new(),
        };
        Ok(Arc::new(server))
    }

    /// Writes the intervals in force to every recorded process, and for those that start later.
    pub fn put_in_force(&self) {
        for warning in self.apply(self.parameters.in_force()) {
            tracing::warn!("{}", warning.message);
        }
    }

    /// What a server does when nobody asks, once a second: it looks for processes that came or went, and takes a snapshot
    /// when one is due. Reads files.
    pub fn look(&self) {
        self.registry.sources();
        self.recorded.look(&self.registry, &self.parameters);
        self.names.close_idle();
    }

    /// Makes this server one of several. The first call counts.
    pub fn join(&self, cluster: Arc<dyn Cluster>) {
        let _ = self.cluster.set(cluster);
    }

    pub(crate) fn cluster(&self) -> Option<&Arc<dyn Cluster>> {
        self.cluster.get()
    }

    /// Answers what another server's catalog asks through [`Cluster::call`]. Reads files: not for a thread that serves.
    pub fn answer(self: &Arc<Server>, call: &[u8]) -> Result<Vec<u8>, Failure> {
        calls::answer(self, call)
    }

    /// Puts what the cluster has agreed on in force here, and keeps it. Unknown names (of a newer version) are left out
    /// with a warning.
    pub fn adopt(&self, settings: &[Setting]) -> Result<Vec<Warning>, Failure> {
        let (changes, mut warnings) = parameters::adopted(settings);
        warnings.extend(self.change_parameters(&changes)?);
        Ok(warnings)
    }

    /// How many processes are recorded, this one included.
    pub fn source_count(&self) -> usize {
        self.registry.sources().len()
    }

    /// How the process that this one started has ended, in words. The first call counts.
    pub fn set_exit(&self, pid: i32, how: String) {
        let _ = self.ended.set((pid, how));
    }

    pub(crate) fn exit_of(&self, pid: i32, state: SourceState) -> Option<String> {
        let (ended, how) = self.ended.get()?;
        (*ended == pid && state == SourceState::Dead).then(|| how.clone())
    }

    /// Password of root@sys. The wire does challenge and response itself.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// Who is connected; see `Connections`.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// The wire owns the table of error numbers; SHOW WARNINGS prints them. The first call counts.
    pub fn set_error_numbers(&self, numbers: fn(FailureKind) -> u16) {
        let _ = self.numbers.set(numbers);
    }

    /// MySQL's number of a kind of failure; 1105 is its "unknown error".
    pub(crate) fn error_number(&self, kind: FailureKind) -> u16 {
        self.numbers.get().map_or(1105, |numbers| numbers(kind))
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub(crate) fn history(&self) -> &History {
        self.recorded.history()
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Rows of `self_usage` about the server itself.
    pub(crate) fn usage(&self) -> Vec<Usage> {
        let cluster = self.cluster().map(|cluster| cluster.usage()).unwrap_or_default();
        let parts = [self.registry.usage(), self.recorded.usage(), self.names.usage(), cluster];
        parts.into_iter().flatten().collect()
    }

    pub(crate) fn mark(&self, name: &str) -> Result<Snapshot, Failure> {
        self.recorded.mark(name, &self.registry, &self.parameters)
    }

    pub(crate) fn unmark(&self, name: &str) -> bool {
        self.recorded.unmark(name)
    }

    /// The snapshot that a mark's name or a time means.
    pub(crate) fn moment(&self, text: &str) -> Result<Arc<Snapshot>, Failure> {
        self.recorded.moment(text)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What rows show, as one address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.svr_ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), self.svr_port)
    }

    pub(crate) fn svr_ip(&self) -> &str {
        &self.svr_ip
    }

    pub(crate) fn svr_port(&self) -> u16 {
        self.svr_port
    }

    pub fn sql_port(&self) -> u16 {
        self.sql_port
    }

    pub(crate) fn uptime_seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    pub(crate) fn query_memory_bytes(&self) -> usize {
        self.engine.memory_bytes()
    }

    /// ALTER SYSTEM SET after its check.
    pub(crate) fn change_parameters(&self, changes: &[Change]) -> Result<Vec<Warning>, Failure> {
        self.parameters.change(changes, |sampling| self.apply(sampling))
    }

    fn apply(&self, sampling: Sampling) -> Vec<Warning> {
        let warning = |(source, error): (String, std::io::Error)| {
            let message = format!("{source} keeps its sampling, the new one could not be written: {error}");
            Warning::new(FailureKind::Internal, message)
        };
        self.registry.set_sampling(sampling).into_iter().map(warning).collect()
    }
}
