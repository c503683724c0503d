//! The bounded list of connections: who is there, what runs, and how to stop it. It backs SHOW PROCESSLIST, KILL and
//! PostgreSQL's cancel request. It knows nothing of sockets: the wire admits a connection here before its first byte
//! and watches `Slot::killed`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::failure::{Failure, FailureKind};

/// More would only be a way to exhaust the host: a profiler has few readers.
pub const MAX_CONNECTIONS: usize = 256;
const INFO_CHARS: usize = 1024;

/// One line of SHOW PROCESSLIST.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The number that SHOW PROCESSLIST and KILL use.
    pub id: u32,
    /// The user as the client sent it.
    pub user: String,
    /// The id of its tenant; 0 before log-in.
    pub tenant_id: i64,
    /// The address of the client.
    pub peer: String,
    /// The current database.
    pub database: String,
    /// `Connect`, `Sleep` or `Query`.
    pub command: &'static str,
    /// When the command began.
    pub since: Instant,
    /// When the connection was admitted.
    pub connected_at: SystemTime,
    /// The running statement, shortened.
    pub info: Option<String>,
}

struct Entry {
    line: Connection,
    secret: i32,
    statement: watch::Sender<u64>,
    killed: watch::Sender<bool>,
}

/// Every open connection of one server.
pub struct Connections {
    entries: Mutex<BTreeMap<u32, Entry>>,
    next: Mutex<u32>,
}

/// A place in the list; leaving it frees the place.
pub struct Slot {
    connections: Arc<Connections>,
    id: u32,
    secret: i32,
    killed: watch::Receiver<bool>,
}

impl Default for Connections {
    /// An empty list; ids begin at 1.
    fn default() -> Connections {
        Connections { entries: Mutex::default(), next: Mutex::new(1) }
    }
}

impl Connections {
    /// A place for a new connection. `peer` is shown in SHOW PROCESSLIST.
    pub fn admit(self: &Arc<Self>, peer: &str) -> Result<Slot, Failure> {
        let mut entries = self.entries.lock();
        if entries.len() >= MAX_CONNECTIONS {
            return Err(Failure::new(FailureKind::TooManyConnections, "Too many connections")
                .hint(format!("at most {MAX_CONNECTIONS} at a time; close one first")));
        }
        let id = self.free_id(&entries);
        let secret: i32 = rand::random();
        let (killed, watcher) = watch::channel(false);
        let line = Connection {
            id,
            user: "unauthenticated user".to_owned(),
            tenant_id: 0,
            peer: peer.to_owned(),
            database: String::new(),
            command: "Connect",
            since: Instant::now(),
            connected_at: SystemTime::now(),
            info: None,
        };
        entries.insert(id, Entry { line, secret, statement: watch::channel(0).0, killed });
        Ok(Slot { connections: Arc::clone(self), id, secret, killed: watcher })
    }

    fn free_id(&self, entries: &BTreeMap<u32, Entry>) -> u32 {
        let mut next = self.next.lock();
        loop {
            let id = *next;
            *next = next.checked_add(1).unwrap_or(1);
            if !entries.contains_key(&id) {
                return id;
            }
        }
    }

    /// Every connection, by id.
    pub fn list(&self) -> Vec<Connection> {
        self.entries.lock().values().map(|entry| entry.line.clone()).collect()
    }

    /// Stops the running statement of a connection; false when there is no such connection.
    pub fn cancel(&self, id: u32) -> bool {
        match self.entries.lock().get(&id) {
            Some(entry) => {
                entry.statement.send_modify(|generation| *generation += 1);
                true
            }
            None => false,
        }
    }

    /// PostgreSQL's cancel request: only who knows the secret may cancel.
    pub fn cancel_with_secret(&self, id: u32, secret: i32) -> bool {
        let known = self.entries.lock().get(&id).is_some_and(|entry| entry.secret == secret);
        known && self.cancel(id)
    }

    /// Stops the running statement and asks the wire to close the connection.
    pub fn kill(&self, id: u32) -> bool {
        let found = self.cancel(id);
        if let Some(entry) = self.entries.lock().get(&id) {
            entry.killed.send_replace(true);
        }
        found
    }

    /// Changes one connection's line; nothing if it has gone.
    pub fn change(&self, id: u32, change: impl FnOnce(&mut Connection)) {
        if let Some(entry) = self.entries.lock().get_mut(&id) {
            change(&mut entry.line);
        }
    }

    /// Notes that a statement runs on the connection.
    pub fn begin(&self, id: u32, command: &'static str, statement: &str) {
        self.change(id, |line| {
            line.command = command;
            line.since = Instant::now();
            line.info = Some(statement.chars().take(INFO_CHARS).collect());
        });
    }

    /// Notes that the connection is idle.
    pub fn end(&self, id: u32) {
        self.change(id, |line| {
            line.command = "Sleep";
            line.since = Instant::now();
            line.info = None;
        });
    }

    /// Whoever listens sees the number change when the running statement is to stop.
    pub fn cancellations(&self, id: u32) -> Option<watch::Receiver<u64>> {
        self.entries.lock().get(&id).map(|entry| entry.statement.subscribe())
    }
}

impl Slot {
    /// The connection's number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// PostgreSQL's BackendKeyData secret.
    pub fn secret(&self) -> i32 {
        self.secret
    }

    /// Returns when somebody killed this connection.
    pub async fn killed(&self) {
        let mut watcher = self.killed.clone();
        if watcher.wait_for(|killed| *killed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.cancel(self.id);
        self.connections.entries.lock().remove(&self.id);
    }
}
