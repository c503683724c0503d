//! The registers of this server: changed one change at a time, on disk before anybody hears of it, then in force here.
//! What blocks is for threads that may. Called by `exchange` and `change`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use heapql_server::parameters::Setting;
use heapql_server::{Failure, Server, Warning};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::cluster_file::{self, ClusterFile};
use crate::registers::Registers;

/// What others may be told.
pub(crate) struct Kept {
    pub(crate) registers: Registers,
    pub(crate) digest: String,
}

impl Kept {
    fn new(registers: Registers) -> Arc<Kept> {
        Arc::new(Kept { digest: registers.digest(), registers })
    }
}

pub(crate) struct Keeper {
    here: SocketAddr,
    server: Arc<Server>,
    /// Memory only without one.
    path: Option<PathBuf>,
    current: RwLock<Arc<Kept>>,
    /// As on disk; held while a change is made.
    file: Mutex<ClusterFile>,
    changes: watch::Sender<()>,
}

impl Keeper {
    /// Reads the file, and puts in force what is not yet. Blocks.
    pub(crate) fn open(here: SocketAddr, server: &Arc<Server>, path: Option<PathBuf>) -> Result<Keeper, Failure> {
        let file = path.as_deref().map(cluster_file::load).transpose()?.flatten();
        let mut file = file.unwrap_or_default();
        file.registers.introduce(here);
        let keeper = Keeper {
            here,
            server: Arc::clone(server),
            path,
            current: RwLock::new(Kept::new(file.registers.clone())),
            file: Mutex::new(file),
            changes: watch::Sender::new(()),
        };
        keeper.catch_up();
        Ok(keeper)
    }

    pub(crate) fn current(&self) -> Arc<Kept> {
        Arc::clone(&self.current.read())
    }

    /// Told after every change.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Changes the registers: first on disk, then for others, then in force here. Blocks.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Registers)) -> Result<Vec<Warning>, Failure> {
        let mut file = self.file.lock();
        let mut next = file.clone();
        change(&mut next.registers);
        if next.registers != file.registers {
            self.save(&next)?;
            *file = next;
            *self.current.write() = Kept::new(file.registers.clone());
            self.changes.send_replace(());
        }
        Ok(self.adopt(&mut file).unwrap_or_else(|failure| {
            let message = format!("not in force on {} yet: {}", self.here, failure.message);
            vec![Warning::new(failure.kind, message)]
        }))
    }

    /// Puts in force what could not be before. Blocks.
    pub(crate) fn catch_up(&self) {
        match self.adopt(&mut self.file.lock()) {
            Ok(warnings) => warnings.iter().for_each(|warning| tracing::warn!("{}", warning.message)),
            Err(failure) => tracing::warn!("parameters of the cluster are not in force here: {failure}"),
        }
    }

    /// What is not in force here yet, all of it at once, so that no half of a statement ever is.
    fn adopt(&self, file: &mut ClusterFile) -> Result<Vec<Warning>, Failure> {
        let effective = file.registers.effective(self.here);
        let fresh: Vec<_> =
            effective.into_iter().filter(|(name, (version, _))| file.adopted.get(*name) != Some(version)).collect();
        if fresh.is_empty() {
            return Ok(Vec::new());
        }
        let setting =
            |(name, (_, value)): &(&str, (_, &str))| Setting { name: (*name).to_owned(), value: (*value).to_owned() };
        let settings: Vec<_> = fresh.iter().map(setting).collect();
        let warnings = self.server.adopt(&settings)?;
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
