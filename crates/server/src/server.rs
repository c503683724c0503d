//! One heapql process: the registry, the parameters, the history, the names and the connections, shared by all sessions.
//! It knows no table, no SQL and no engine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use heapql_ledger::Sampling;
use heapql_registry::{History, Registry, Snapshot, SourceState, Usage};

use crate::cluster::Cluster;
use crate::connections::Connections;
use crate::failure::{Failure, FailureKind, Warning};
use crate::history::ServerHistory;
use crate::parameters::{self, Parameters, Reach, Setting};
use crate::suspects::Suspects;
use crate::symbols::{Namers, StackNames};

/// How a server is set up.
pub struct ServerConfig {
    /// The recorded processes.
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
    /// Keeps what was suspected, also of processes that are gone; `None` = memory only.
    pub suspect_folder: Option<PathBuf>,
    /// Until ALTER SYSTEM SET says otherwise; a parameter file wins.
    pub initial: Sampling,
    /// Password of root@sys; `None` = none.
    pub password: Option<String>,
    /// MySQL's number of a kind of failure, which SHOW WARNINGS prints. The wire owns the table.
    pub error_number: fn(FailureKind) -> u16,
}

/// Gives rows of `self_usage` when they are asked for.
pub type UsageSource = Box<dyn Fn() -> Vec<Usage> + Send + Sync>;

/// One heapql process, as its clients see it.
pub struct Server {
    registry: Arc<Registry>,
    connections: Arc<Connections>,
    parameters: Parameters,
    recorded: ServerHistory,
    names: StackNames,
    svr_ip: String,
    svr_port: u16,
    sql_port: u16,
    password: Option<String>,
    started: Instant,
    error_number: fn(FailureKind) -> u16,
    usage_source: OnceLock<UsageSource>,
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
            names: StackNames::default(),
            recorded: ServerHistory::open(config.history_folder, config.suspect_folder, &config.registry),
            connections: Arc::new(Connections::default()),
            registry: config.registry,
            svr_ip: config.svr_ip,
            svr_port: config.svr_port,
            sql_port: config.sql_port,
            password: config.password,
            started: Instant::now(),
            error_number: config.error_number,
            usage_source: OnceLock::new(),
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

    /// The regular work of a server, once a second: it looks for processes that came or went, and takes a snapshot when one is
    /// due. Reads files.
    pub fn tick(&self) {
        self.registry.sources();
        self.recorded.tick(&self.registry, &self.parameters, &self.names);
        self.names.close_idle();
    }

    /// Makes this server one of several. The first call counts.
    pub fn join(&self, cluster: Arc<dyn Cluster>) {
        let _ = self.cluster.set(cluster);
    }

    /// The other servers; none on a server that is alone.
    pub fn cluster(&self) -> Option<&Arc<dyn Cluster>> {
        self.cluster.get()
    }

    /// Puts names and values that the cluster has agreed on in force here, and keeps them. What this version does not know is left
    /// out with a warning: a newer server may have set it.
    pub fn adopt(&self, agreed: &[(&str, &str)]) -> Result<Vec<Warning>, Failure> {
        let (mut changes, mut warnings) = (Vec::new(), Vec::new());
        for (name, value) in agreed {
            match parameters::known(name).map(|spec| Setting::new(spec, value)) {
                Some(Ok(setting)) => changes.push((setting, Reach::Both)),
                Some(Err(failure)) => warnings.push(Warning::new(failure.kind, failure.message)),
                None => {
                    let message = format!("parameter '{name}' is not known to this version and was left out");
                    warnings.push(Warning::new(FailureKind::UnknownParameter, message));
                }
            }
        }
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

    /// How the process that this server started has ended, if it has this pid.
    pub fn exit_of(&self, pid: i32, state: SourceState) -> Option<String> {
        let (ended, how) = self.ended.get()?;
        (*ended == pid && state == SourceState::Dead).then(|| how.clone())
    }

    /// Password of root@sys. The wire does challenge and response itself.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The open connections.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// MySQL's number of a kind of failure.
    pub fn error_number(&self, kind: FailureKind) -> u16 {
        (self.error_number)(kind)
    }

    /// Rows of `self_usage` that a layer above this one knows, such as the memory of running queries. The first call counts.
    pub fn set_usage_source(&self, source: UsageSource) {
        let _ = self.usage_source.set(source);
    }

    /// The recorded processes.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The system parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The kept snapshots and marks.
    pub fn history(&self) -> &History {
        self.recorded.history()
    }

    /// The suspects of all times.
    pub fn suspects(&self) -> &Suspects {
        self.recorded.suspects()
    }

    /// Takes a snapshot now and looks at its suspects, as when the recorded program has ended. Reads files.
    pub fn look_now(&self) {
        self.recorded.look_now(&self.registry, &self.parameters, &self.names);
    }

    /// The namers of one statement.
    pub fn namers(&self) -> Namers {
        self.names.namers(&self.parameters)
    }

    /// Rows of `self_usage` about the server itself.
    pub fn usage(&self) -> Vec<Usage> {
        let cluster = self.cluster().map(|cluster| cluster.usage()).unwrap_or_default();
        let above = self.usage_source.get().map(|source| source()).unwrap_or_default();
        let parts = [self.registry.usage(), self.recorded.usage(), self.names.usage(), cluster, above];
        parts.into_iter().flatten().collect()
    }

    /// Takes a snapshot now under a name. Fails if the name cannot be one, or all places are taken.
    pub fn mark(&self, name: &str) -> Result<Snapshot, Failure> {
        self.recorded.mark(name, &self.registry, &self.parameters)
    }

    /// Forgets a mark; false if there is none of that name.
    pub fn unmark(&self, name: &str) -> bool {
        self.recorded.unmark(name)
    }

    /// The snapshot that a mark's name or a time means.
    pub fn moment(&self, text: &str) -> Result<Arc<Snapshot>, Failure> {
        self.recorded.moment(text)
    }

    /// The address that rows show.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.svr_ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), self.svr_port)
    }

    /// The address that rows show.
    pub fn svr_ip(&self) -> &str {
        &self.svr_ip
    }

    /// The port that rows show: the cluster port, else the MySQL port.
    pub fn svr_port(&self) -> u16 {
        self.svr_port
    }

    /// The MySQL port; 0 if it has none.
    pub fn sql_port(&self) -> u16 {
        self.sql_port
    }

    /// The seconds since the server was made.
    pub fn uptime_seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// ALTER SYSTEM SET after its check.
    pub fn change_parameters(&self, changes: &[(Setting, Reach)]) -> Result<Vec<Warning>, Failure> {
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
