//! Liveness of the other servers: which have answered lately, and the reason for each that has not.
//!
//! It is in memory only and asks nobody. `exchange` and failed statements record outcomes here; `state` reads them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;

use crate::message::Hello;

/// The last known facts about one other server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    pub(crate) last_seen_at: Option<SystemTime>,
    pub(crate) started_at: Option<SystemTime>,
    pub(crate) version: String,
    pub(crate) sql_port: u16,
    pub(crate) sources: u64,
    /// The reason for being inactive, or None for an active server.
    pub(crate) why: Option<String>,
    /// Time of the last answer, or of the first request.
    heard: Option<Instant>,
}

impl Peer {
    fn unknown() -> Peer {
        Peer { why: Some("not heard of yet".to_owned()), heard: Some(Instant::now()), ..Peer::default() }
    }

    fn update(&mut self, hello: &Hello) {
        self.last_seen_at = Some(SystemTime::now());
        self.heard = Some(Instant::now());
        self.started_at = UNIX_EPOCH.checked_add(Duration::from_millis(hello.started_at_millis));
        self.version.clone_from(&hello.version);
        self.sql_port = hello.sql_port;
        self.sources = hello.sources;
    }
}

#[derive(Default)]
pub(crate) struct Liveness {
    peers: RwLock<BTreeMap<SocketAddr, Peer>>,
}

impl Liveness {
    /// Facts about a server. One that was never asked is inactive.
    pub(crate) fn peer(&self, server: SocketAddr) -> Peer {
        self.peers.read().get(&server).cloned().unwrap_or_else(Peer::unknown)
    }

    pub(crate) fn is_active(&self, server: SocketAddr) -> bool {
        self.peers.read().get(&server).is_some_and(|peer| peer.why.is_none())
    }

    /// The server has answered and fits the cluster.
    pub(crate) fn mark_active(&self, server: SocketAddr, hello: &Hello) {
        let mut peers = self.peers.write();
        let peer = peers.entry(server).or_insert_with(Peer::unknown);
        peer.update(hello);
        if peer.why.take().is_some() {
            tracing::info!("server {server} is active");
        }
    }

    /// The server has answered and does not fit the cluster.
    pub(crate) fn mark_incompatible(&self, server: SocketAddr, hello: &Hello, why: &str) {
        self.mark_inactive(server, why);
        self.peers.write().entry(server).or_insert_with(Peer::unknown).update(hello);
    }

    /// The server has not answered within the timeout.
    pub(crate) fn mark_timed_out(&self, server: SocketAddr, timeout: Duration) {
        let heard = self.peers.read().get(&server).and_then(|peer| peer.heard);
        let seconds = heard.map_or(Duration::ZERO, |heard| heard.elapsed()).max(timeout).as_secs();
        self.mark_inactive(server, &format!("no answer for {seconds} s"));
    }

    /// The server cannot be asked.
    pub(crate) fn mark_inactive(&self, server: SocketAddr, why: &str) {
        let mut peers = self.peers.write();
        let peer = peers.entry(server).or_insert_with(Peer::unknown);
        if peer.why.is_none() {
            tracing::warn!("server {server} is inactive: {why}");
        }
        peer.why = Some(why.to_owned());
    }

    /// Drops the facts about a server that is no longer a member.
    pub(crate) fn forget(&self, server: SocketAddr) {
        self.peers.write().remove(&server);
    }
}
