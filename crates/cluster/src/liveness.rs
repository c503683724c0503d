//! Who of the other servers has answered lately, and what is wrong with the others. In memory only: `heartbeat` and
//! statements report, `node` shows it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;

use crate::message::Hello;

/// What is known of one other server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    pub(crate) last_seen_at: Option<SystemTime>,
    pub(crate) started_at: Option<SystemTime>,
    pub(crate) version: String,
    pub(crate) sql_port: u16,
    pub(crate) sources: u64,
    /// None when it is active.
    pub(crate) why: Option<String>,
    /// When it last answered, or was first asked.
    heard: Option<Instant>,
}

impl Peer {
    fn unheard() -> Peer {
        Peer { why: Some("not heard of yet".to_owned()), heard: Some(Instant::now()), ..Peer::default() }
    }

    fn learn(&mut self, hello: &Hello) {
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
    /// Of one that nobody has tried yet, too.
    pub(crate) fn of(&self, server: SocketAddr) -> Peer {
        self.peers.read().get(&server).cloned().unwrap_or_else(Peer::unheard)
    }

    pub(crate) fn is_active(&self, server: SocketAddr) -> bool {
        self.peers.read().get(&server).is_some_and(|peer| peer.why.is_none())
    }

    /// It answered as it should.
    pub(crate) fn heard(&self, server: SocketAddr, hello: &Hello) {
        let mut peers = self.peers.write();
        let peer = peers.entry(server).or_insert_with(Peer::unheard);
        peer.learn(hello);
        if peer.why.take().is_some() {
            tracing::info!("server {server} is active");
        }
    }

    /// It answered, and cannot be one of the cluster now.
    pub(crate) fn misfit(&self, server: SocketAddr, hello: &Hello, why: &str) {
        self.failed(server, why);
        self.peers.write().entry(server).or_insert_with(Peer::unheard).learn(hello);
    }

    /// It did not answer in time.
    pub(crate) fn silent(&self, server: SocketAddr, within: Duration) {
        let heard = self.peers.read().get(&server).and_then(|peer| peer.heard);
        let seconds = heard.map_or(Duration::ZERO, |heard| heard.elapsed()).max(within).as_secs();
        self.failed(server, &format!("no answer for {seconds} s"));
    }

    /// It cannot be asked.
    pub(crate) fn failed(&self, server: SocketAddr, why: &str) {
        let mut peers = self.peers.write();
        let peer = peers.entry(server).or_insert_with(Peer::unheard);
        if peer.why.is_none() {
            tracing::warn!("server {server} is inactive: {why}");
        }
        peer.why = Some(why.to_owned());
    }

    /// It is no member any more.
    pub(crate) fn forget(&self, server: SocketAddr) {
        self.peers.write().remove(&server);
    }
}
