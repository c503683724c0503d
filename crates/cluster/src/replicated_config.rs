//! The replicated configuration of this server. Each change reaches the disk first, then other servers, then this server's parameters.
//!
//! Merge rules are `lww_map`'s, the exchange with other servers is `exchange`'s. Blocking methods say so; `exchange` and `change`
//! call them on blocking threads.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use heapql_server::{Failure, Server, Warning};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::cluster_file::{self, ClusterFile};
use crate::lww_map::LwwMap;

/// Entries that are on the disk, with their digest. Other servers may be told these.
pub(crate) struct ConfigSnapshot {
    pub(crate) entries: LwwMap,
    pub(crate) digest: String,
}

impl ConfigSnapshot {
    fn new(entries: LwwMap) -> Arc<ConfigSnapshot> {
        Arc::new(ConfigSnapshot { digest: entries.digest(), entries })
    }
}

pub(crate) struct ReplicatedConfig {
    here: SocketAddr,
    server: Arc<Server>,
    /// Without a path the configuration is in memory only.
    path: Option<PathBuf>,
    current: RwLock<Arc<ConfigSnapshot>>,
    /// The file's contents. The lock is held during a change.
    file: Mutex<ClusterFile>,
    changes: watch::Sender<()>,
}

impl ReplicatedConfig {
    /// Reads the file, and applies the settings that are not applied yet. Blocks.
    pub(crate) fn open(
        here: SocketAddr,
        server: &Arc<Server>,
        path: Option<PathBuf>,
    ) -> Result<ReplicatedConfig, Failure> {
        let file = path.as_deref().map(cluster_file::load).transpose()?.flatten();
        let mut file = file.unwrap_or_default();
        file.entries.introduce(here);
        let config = ReplicatedConfig {
            here,
            server: Arc::clone(server),
            path,
            current: RwLock::new(ConfigSnapshot::new(file.entries.clone())),
            file: Mutex::new(file),
            changes: watch::Sender::new(()),
        };
        config.catch_up();
        Ok(config)
    }

    pub(crate) fn current(&self) -> Arc<ConfigSnapshot> {
        Arc::clone(&self.current.read())
    }

    /// A receiver that is notified after every change.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Changes the entries on the disk, then for other servers, then applies them here. Blocks.
    pub(crate) fn change(&self, change: impl FnOnce(&mut LwwMap)) -> Result<Vec<Warning>, Failure> {
        let mut file = self.file.lock();
        let mut next = file.clone();
        change(&mut next.entries);
        if next.entries != file.entries {
            self.save(&next)?;
            *file = next;
            *self.current.write() = ConfigSnapshot::new(file.entries.clone());
            self.changes.send_replace(());
        }
        Ok(self.adopt(&mut file).unwrap_or_else(|failure| {
            let message = format!("not in force on {} yet: {}", self.here, failure.message);
            vec![Warning::new(failure.kind, message)]
        }))
    }

    /// Applies settings that could not be applied before. Blocks.
    pub(crate) fn catch_up(&self) {
        match self.adopt(&mut self.file.lock()) {
            Ok(warnings) => warnings.iter().for_each(|warning| tracing::warn!("{}", warning.message)),
            Err(failure) => tracing::warn!("parameters of the cluster are not in force here: {failure}"),
        }
    }

    /// Applies all outstanding settings in one call, so that a statement never takes effect by half.
    fn adopt(&self, file: &mut ClusterFile) -> Result<Vec<Warning>, Failure> {
        let effective = file.entries.effective(self.here);
        let fresh: Vec<_> =
            effective.into_iter().filter(|(name, (version, _))| file.adopted.get(*name) != Some(version)).collect();
        if fresh.is_empty() {
            return Ok(Vec::new());
        }
        let agreed: Vec<_> = fresh.iter().map(|(name, (_, value))| (*name, *value)).collect();
        let warnings = self.server.adopt(&agreed)?;
        let fresh: Vec<_> = fresh.into_iter().map(|(name, (version, _))| (name.to_owned(), version)).collect();
        file.adopted.extend(fresh);
        self.save(file)?;
        Ok(warnings)
    }

    fn save(&self, file: &ClusterFile) -> Result<(), Failure> {
        match &self.path {
            Some(path) => cluster_file::save(path, file),
            None => Ok(()),
        }
    }
}
