//! The servers that one statement queries, its deadline, and which did not respond. A session makes one for a statement in a
//! cluster; scans fill it as they are planned; the cluster crate reads it while it gathers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::cluster::{Cluster, Roster};
use crate::diagnostics::Diagnostics;
use crate::failure::{Failure, FailureKind, Warning};

/// The other servers in one statement.
pub struct ClusterQuery {
    cluster: Arc<dyn Cluster>,
    own: SocketAddr,
    roster: Roster,
    timeout: Duration,
    is_strict: bool,
    diagnostics: Diagnostics,
    /// From the first piece that is handed out.
    began: OnceLock<Instant>,
    missing: Mutex<BTreeMap<SocketAddr, String>>,
}

impl ClusterQuery {
    /// The query of one statement. `timeout` runs from the first fragment that is handed out.
    pub fn new(
        cluster: Arc<dyn Cluster>,
        own: SocketAddr,
        timeout: Duration,
        is_strict: bool,
        diagnostics: Diagnostics,
    ) -> ClusterQuery {
        let roster = cluster.roster();
        let (began, missing) = (OnceLock::new(), Mutex::default());
        ClusterQuery { cluster, own, roster, timeout, is_strict, diagnostics, began, missing }
    }

    /// The cluster that the servers belong to.
    pub fn cluster(&self) -> &Arc<dyn Cluster> {
        &self.cluster
    }

    /// Members that may be asked and pass `wanted`. Whoever passes and cannot be asked is named, or is an error.
    pub fn members(&self, wanted: impl Fn(&SocketAddr) -> bool) -> Result<Vec<SocketAddr>, Failure> {
        for (member, why) in self.roster.absent.iter().filter(|(member, _)| wanted(member)) {
            self.mark_missing(*member, why)?;
        }
        Ok(self.roster.members.iter().copied().filter(|member| wanted(member)).collect())
    }

    /// The server that this statement runs on.
    pub fn own(&self) -> SocketAddr {
        self.own
    }

    /// When whoever has not answered is given up.
    pub fn deadline(&self) -> Instant {
        *self.began.get_or_init(Instant::now) + self.timeout
    }

    /// The time that each server is given.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A member did not answer, and nobody is to wait for it again: a warning, or in strict mode the end.
    pub fn mark_unreachable(&self, member: SocketAddr, why: &str) -> Result<(), Failure> {
        self.cluster.mark_unreachable(member, why);
        self.mark_missing(member, why)
    }

    /// A member's rows are missing from the answer: a warning, or in strict mode an error.
    pub fn mark_missing(&self, member: SocketAddr, why: &str) -> Result<(), Failure> {
        if self.missing.lock().insert(member, why.to_owned()).is_some() {
            return Ok(());
        }
        let message = format!("the answer lacks server {member}: {why}");
        if self.is_strict {
            return Err(Failure::new(FailureKind::ServerMissing, message)
                .hint("SELECT * FROM servers shows all; without cluster_strict the others would answer"));
        }
        self.diagnostics.push(Warning::new(FailureKind::ServerMissing, message));
        Ok(())
    }

    /// Asks every other member the same, at once. Who does not answer is missing.
    pub async fn call_others(&self, call: &[u8]) -> Result<Vec<(SocketAddr, Vec<u8>)>, Failure> {
        let others = self.members(|_| true)?.into_iter().filter(|member| *member != self.own);
        let others: Vec<_> = others.filter(|member| !self.is_missing(member)).collect();
        let asked = others.into_iter().map(|member| {
            let answer = self.cluster.call(member, call.to_vec(), self.timeout);
            async move { (member, answer.await) }
        });
        let mut answers = Vec::new();
        for (member, answer) in futures::future::join_all(asked).await {
            match answer {
                Ok(answer) => answers.push((member, answer)),
                Err(why) => self.mark_unreachable(member, &why)?,
            }
        }
        Ok(answers)
    }

    /// The servers whose rows are missing so far, each with the reason.
    pub fn missing(&self) -> Vec<(SocketAddr, String)> {
        self.missing.lock().iter().map(|(member, why)| (*member, why.clone())).collect()
    }

    /// Whether a member's rows are missing from the answer.
    pub fn is_missing(&self, member: &SocketAddr) -> bool {
        self.missing.lock().contains_key(member)
    }

    /// Adds a warning that the statement's client is told.
    pub fn warn(&self, warning: Warning) {
        self.diagnostics.push(warning);
    }
}

impl std::fmt::Debug for ClusterQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClusterQuery({:?})", self.roster.members)
    }
}
