//! What the parts of a server of a cluster share: itself, what it agrees on with others, who of them answers, and the way
//! to them. `node` makes it.

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
use crate::config::Config;
use crate::counts::Counts;
use crate::keeper::Keeper;
use crate::liveness::Liveness;
use crate::message::Hello;
use crate::registers::Registers;

pub(crate) const DELETED: &str = "deleted from the cluster";
/// Changes that take a thread at once, and calls that do.
const MAX_BLOCKING: usize = 16;

pub(crate) struct State {
    pub(crate) here: SocketAddr,
    pub(crate) seeds: Vec<String>,
    version: String,
    pub(crate) protocol: u32,
    started_at: SystemTime,
    pub(crate) engine: Arc<Engine>,
    pub(crate) keeper: Keeper,
    pub(crate) liveness: Liveness,
    pub(crate) channels: Arc<Channels>,
    pub(crate) counts: Arc<Counts>,
    /// Who is inactive and has asked nevertheless: it is tried again at once.
    pub(crate) asked_by: broadcast::Sender<SocketAddr>,
    sources: AtomicU64,
    changing: Semaphore,
    calling: Semaphore,
}

impl State {
    /// Reads the cluster file. Blocks.
    pub(crate) fn open(config: &Config, engine: &Arc<Engine>) -> Result<State, Failure> {
        let server = engine.server();
        Ok(State {
            here: config.address,
            seeds: config.peers.clone(),
            version: config.version.clone(),
            protocol: config.protocol,
            started_at: SystemTime::now(),
            keeper: Keeper::open(config.address, server, config.file.clone())?,
            engine: Arc::clone(engine),
            liveness: Liveness::default(),
            channels: Arc::new(Channels::new(config.secret.clone(), config.tls.clone())),
            counts: Arc::default(),
            asked_by: broadcast::Sender::new(MAX_BLOCKING),
            sources: AtomicU64::new(server.source_count() as u64),
            changing: Semaphore::new(MAX_BLOCKING),
            calling: Semaphore::new(MAX_BLOCKING),
        })
    }

    pub(crate) fn is_deleted(&self) -> bool {
        !self.keeper.current().registers.is_present(self.here)
    }

    /// The other members; nobody's for a server that is none itself.
    pub(crate) fn others(&self) -> Vec<SocketAddr> {
        let kept = self.keeper.current();
        if !kept.registers.is_present(self.here) {
            return Vec::new();
        }
        kept.registers.present().filter(|member| *member != self.here).collect()
    }

    pub(crate) fn active_others(&self) -> Vec<SocketAddr> {
        self.others().into_iter().filter(|member| self.liveness.is_active(*member)).collect()
    }

    /// What this server says of itself.
    pub(crate) fn hello(&self, registers: Option<&Registers>) -> Hello {
        Hello {
            from: self.here,
            protocol: self.protocol,
            version: self.version.clone(),
            sql_port: self.engine.server().sql_port(),
            sources: self.sources.load(Relaxed),
            started_at_millis: millis(self.started_at),
            digest: self.keeper.current().digest.clone(),
            registers: registers.and_then(|registers| serde_json::to_value(registers).ok()),
        }
    }

    pub(crate) fn roster(&self) -> Roster {
        let mut roster = Roster { members: vec![self.here], absent: Vec::new() };
        for member in self.others() {
            match self.liveness.of(member).why {
                None => roster.members.push(member),
                Some(why) => roster.absent.push((member, why)),
            }
        }
        roster.members.sort_unstable();
        roster
    }

    pub(crate) fn servers(&self) -> Vec<ServerLine> {
        let line = |address| {
            let peer = self.liveness.of(address);
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

    /// Once in a while: reads files.
    pub(crate) fn refresh(&self) {
        self.sources.store(self.engine.server().source_count() as u64, Relaxed);
        self.keeper.catch_up();
    }

    /// Changes what is kept, on a thread that may block. Cancelling does not stop it.
    pub(crate) async fn change<T: Send + 'static>(
        self: &Arc<State>,
        work: impl FnOnce(&State) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.block(&self.changing, work).await
    }

    /// Answers a call of another server's catalog.
    pub(crate) async fn call(self: &Arc<State>, call: Bytes) -> Result<Vec<u8>, Failure> {
        self.block(&self.calling, move |state| heapql_tables::answer(state.engine.server(), &call)).await
    }

    async fn block<T: Send + 'static>(
        self: &Arc<State>,
        places: &Semaphore,
        work: impl FnOnce(&State) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let _place = places.acquire().await;
        let state = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&state)).await;
        done.unwrap_or_else(|defect| Err(Failure::new(FailureKind::Internal, format!("a defect: {defect}"))))
    }
}

pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
