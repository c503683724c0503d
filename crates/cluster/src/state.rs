//! The state that all tasks of one cluster node share: its identity, the replicated configuration, liveness and channels.
//!
//! The exchange with other servers is in `exchange`. `node` creates the state.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use heapql_server::cluster::{Roster, ServerLine};
use heapql_server::parameters::ZONE;
use heapql_server::{Failure, FailureKind};
use heapql_sql::Engine;
use tokio::sync::{Semaphore, broadcast};

use crate::channels::Channels;
use crate::config::ClusterConfig;
use crate::counts::RefusalCounts;
use crate::liveness::Liveness;
use crate::lww_map::LwwMap;
use crate::message::Hello;
use crate::replicated_config::ReplicatedConfig;

pub(crate) const DELETED: &str = "deleted from the cluster";
/// Maximum number of changes, and of calls, that occupy a blocking thread at once.
const MAX_BLOCKING: usize = 16;

pub(crate) struct NodeState {
    pub(crate) here: SocketAddr,
    /// Servers named by --peer, as host:port.
    pub(crate) seeds: Vec<String>,
    version: String,
    pub(crate) protocol: u32,
    started_at: SystemTime,
    pub(crate) engine: Arc<Engine>,
    pub(crate) config: ReplicatedConfig,
    pub(crate) liveness: Liveness,
    pub(crate) channels: Arc<Channels>,
    pub(crate) counts: Arc<RefusalCounts>,
    /// Announces inactive servers that have greeted this one. They are probed again at once.
    pub(crate) greeted_by: broadcast::Sender<SocketAddr>,
    sources: AtomicU64,
    change_permits: Semaphore,
    call_permits: Semaphore,
}

impl NodeState {
    /// Reads the cluster file. Blocks.
    pub(crate) fn open(config: &ClusterConfig, engine: &Arc<Engine>) -> Result<NodeState, Failure> {
        let server = engine.server();
        Ok(NodeState {
            here: config.address,
            seeds: config.peers.clone(),
            version: config.version.clone(),
            protocol: config.protocol,
            started_at: SystemTime::now(),
            config: ReplicatedConfig::open(config.address, server, config.file.clone())?,
            engine: Arc::clone(engine),
            liveness: Liveness::default(),
            channels: Arc::new(Channels::new(config.secret.clone(), config.tls.clone())),
            counts: Arc::default(),
            greeted_by: broadcast::Sender::new(MAX_BLOCKING),
            sources: AtomicU64::new(server.source_count() as u64),
            change_permits: Semaphore::new(MAX_BLOCKING),
            call_permits: Semaphore::new(MAX_BLOCKING),
        })
    }

    pub(crate) fn is_deleted(&self) -> bool {
        !self.config.current().entries.is_present(self.here)
    }

    /// The other members. A server that is no member itself has none.
    pub(crate) fn others(&self) -> Vec<SocketAddr> {
        let current = self.config.current();
        if !current.entries.is_present(self.here) {
            return Vec::new();
        }
        current.entries.present().filter(|member| *member != self.here).collect()
    }

    pub(crate) fn active_others(&self) -> Vec<SocketAddr> {
        self.others().into_iter().filter(|member| self.liveness.is_active(*member)).collect()
    }

    /// This server's greeting, with its replicated entries if they are given.
    pub(crate) fn hello(&self, entries: Option<&LwwMap>) -> Hello {
        Hello {
            from: self.here,
            protocol: self.protocol,
            version: self.version.clone(),
            sql_port: self.engine.server().sql_port(),
            sources: self.sources.load(Relaxed),
            started_at_millis: millis(self.started_at),
            digest: self.config.current().digest.clone(),
            entries: entries.and_then(|entries| serde_json::to_value(entries).ok()),
        }
    }

    pub(crate) fn roster(&self) -> Roster {
        let mut roster = Roster { members: vec![self.here], absent: Vec::new() };
        for member in self.others() {
            match self.liveness.peer(member).why {
                None => roster.members.push(member),
                Some(why) => roster.absent.push((member, why)),
            }
        }
        roster.members.sort_unstable();
        roster
    }

    pub(crate) fn servers(&self) -> Vec<ServerLine> {
        let line = |address| {
            let peer = self.liveness.peer(address);
            ServerLine {
                address,
                zone: ZONE.to_owned(),
                sql_port: peer.sql_port,
                is_active: peer.why.is_none(),
                last_seen_at: peer.last_seen_at,
                started_at: peer.started_at,
                version: peer.version,
                sources: peer.sources,
                why: peer.why.unwrap_or_default(),
            }
        };
        let mut lines: Vec<_> = self.others().into_iter().map(line).collect();
        lines.push(self.own_line());
        lines.sort_unstable_by_key(|line| line.address);
        lines
    }

    fn own_line(&self) -> ServerLine {
        let is_deleted = self.is_deleted();
        let why =
            if is_deleted { format!("{DELETED}; ALTER SYSTEM ADD SERVER on another server") } else { String::new() };
        ServerLine {
            address: self.here,
            zone: ZONE.to_owned(),
            sql_port: self.engine.server().sql_port(),
            is_active: !is_deleted,
            last_seen_at: Some(SystemTime::now()),
            started_at: Some(self.started_at),
            version: self.version.clone(),
            sources: self.sources.load(Relaxed),
            why,
        }
    }

    /// Counts sources again and applies settings that could not be applied before. Reads files.
    pub(crate) fn refresh(&self) {
        self.sources.store(self.engine.server().source_count() as u64, Relaxed);
        self.config.catch_up();
    }

    /// Runs a change of the replicated configuration on a blocking thread. Dropping the future does not stop the change.
    pub(crate) async fn change<T: Send + 'static>(
        self: &Arc<NodeState>,
        work: impl FnOnce(&NodeState) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.block(&self.change_permits, work).await
    }

    /// Answers a call of another server's SQL side, on a blocking thread.
    pub(crate) async fn call(self: &Arc<NodeState>, call: Bytes) -> Result<Vec<u8>, Failure> {
        self.block(&self.call_permits, move |state| heapql_tables::answer(state.engine.server(), &call)).await
    }

    async fn block<T: Send + 'static>(
        self: &Arc<NodeState>,
        permits: &Semaphore,
        work: impl FnOnce(&NodeState) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let _permit = permits.acquire().await;
        let state = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&state)).await;
        done.unwrap_or_else(|defect| Err(Failure::new(FailureKind::Internal, format!("a defect: {defect}"))))
    }
}

pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
