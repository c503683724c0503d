//! The anti-entropy exchange between two servers: they greet each other, compare digests, and merge entries if these differ.
//!
//! It decides neither when to exchange (`heartbeat`, `change`) nor how entries merge (`lww_map`). `service` calls the answering side.
//!
//! ```text
//! here -> there   hello, digest               there -> here   hello, digest
//!                 if the digests differ:
//! here -> there   hello, digest, entries      there -> here   hello, digest, entries   (after they are on that server's disk)
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::Action;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use heapql_server::Failure;
use tonic::Status;

use crate::channels::{self, MAX_MESSAGE_BYTES};
use crate::counts::RefusalCounts;
use crate::lww_map::LwwMap;
use crate::message::{Hello, SYNC};
use crate::state::{DELETED, NodeState};

/// Timeout of a greeting. A server that does not answer within it is inactive.
pub(crate) const GREETING_TIMEOUT: Duration = Duration::from_secs(3);
/// Timeout for a server to merge entries and to write them to a disk that may be busy.
pub(crate) const SYNC_TIMEOUT: Duration = Duration::from_secs(3);

/// The reasons for which a request to another server has no answer.
pub(crate) enum RpcError {
    TimedOut(Duration),
    Failed(String),
}

impl RpcError {
    pub(crate) fn reason(self) -> String {
        match self {
            RpcError::TimedOut(timeout) => format!("no answer for {} s", timeout.as_secs_f32()),
            RpcError::Failed(why) => why,
        }
    }
}

/// The reasons for which a server cannot be a member now.
pub(crate) enum GreetError {
    TimedOut,
    Failed(String),
    /// The server has answered, and speaks another protocol or has another address.
    Incompatible(Box<Hello>, String),
}

impl GreetError {
    /// The reason as the table `servers` shows it.
    pub(crate) fn reason(self) -> String {
        match self {
            GreetError::TimedOut => RpcError::TimedOut(GREETING_TIMEOUT).reason(),
            GreetError::Failed(why) | GreetError::Incompatible(_, why) => why,
        }
    }
}

impl NodeState {
    /// Greets a member, synchronizes with it if the digests differ, and records the outcome in `liveness`.
    pub(crate) async fn probe(self: &Arc<NodeState>, member: SocketAddr) {
        match self.greet(member).await {
            Ok(hello) => {
                self.liveness.mark_active(member, &hello);
                if hello.digest != self.config.current().digest
                    && let Err(why) = self.synchronize(member, SYNC_TIMEOUT).await
                {
                    tracing::warn!("server {member} does not agree on the parameters yet: {why}");
                }
            }
            Err(GreetError::TimedOut) => self.liveness.mark_timed_out(member, GREETING_TIMEOUT),
            Err(GreetError::Failed(why)) => self.liveness.mark_inactive(member, &why),
            Err(GreetError::Incompatible(hello, why)) => self.liveness.mark_incompatible(member, &hello, &why),
        }
    }

    /// Greets a server and checks that its answer fits this cluster.
    pub(crate) async fn greet(&self, server: SocketAddr) -> Result<Hello, GreetError> {
        let answer = self.send_hello(server, &self.hello(None), GREETING_TIMEOUT).await;
        let hello = answer.map_err(|error| match error {
            RpcError::TimedOut(_) => GreetError::TimedOut,
            RpcError::Failed(why) => GreetError::Failed(why),
        })?;
        let why = if hello.protocol != self.protocol {
            let Hello { version, protocol, .. } = &hello;
            format!("version {version} (protocol {protocol}), this one speaks {}", self.protocol)
        } else if hello.from != server {
            format!("it is {} that answers there", hello.from)
        } else {
            return Ok(hello);
        };
        Err(GreetError::Incompatible(Box::new(hello), why))
    }

    /// Merges the entries of both servers on both servers. When it returns, the other server has them on its disk.
    pub(crate) async fn synchronize(self: &Arc<NodeState>, with: SocketAddr, timeout: Duration) -> Result<(), String> {
        let own = self.config.current();
        let hello = self.hello(Some(&own.entries));
        let answer = self.send_hello(with, &hello, timeout).await.map_err(RpcError::reason)?;
        let Some(entries) = answer.entries else {
            return Err("it did not say what it knows".to_owned());
        };
        let theirs: LwwMap = serde_json::from_value(entries).map_err(|error| error.to_string())?;
        if theirs == own.entries {
            return Ok(());
        }
        let merged = self.change(move |state| state.merge_answer(&theirs)).await;
        merged.map_err(|failure| failure.message)
    }

    async fn send_hello(&self, to: SocketAddr, hello: &Hello, timeout: Duration) -> Result<Hello, RpcError> {
        let body = serde_json::to_vec(hello).map_err(|error| RpcError::Failed(error.to_string()))?;
        let answer = self.rpc(to, SYNC, body, timeout).await?;
        let hello = serde_json::from_slice(&answer);
        hello.map_err(|error| RpcError::Failed(format!("its answer cannot be read: {error}")))
    }

    /// Runs an action on another server and returns its complete answer.
    pub(crate) async fn rpc(
        &self,
        to: SocketAddr,
        kind: &str,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Bytes, RpcError> {
        let mut client = self.channels.client(to);
        let action = Action { r#type: kind.to_owned(), body: body.into() };
        let answer = async {
            let mut parts = client.do_action(action).await?.into_inner();
            let mut whole = BytesMut::new();
            while let Some(part) = parts.next().await {
                let part = part?.body;
                if whole.len() + part.len() > MAX_MESSAGE_BYTES {
                    return Err(Status::resource_exhausted("its answer is too large"));
                }
                whole.extend_from_slice(&part);
            }
            Ok(whole.freeze())
        };
        match tokio::time::timeout(timeout, answer).await {
            Ok(answer) => answer.map_err(|status| RpcError::Failed(channels::reason(&status))),
            Err(_) => Err(RpcError::TimedOut(timeout)),
        }
    }

    /// Answers the greeting of another server.
    pub(crate) async fn answer_hello(self: &Arc<NodeState>, text: &[u8]) -> Result<Vec<u8>, Status> {
        let hello: Hello =
            serde_json::from_slice(text).map_err(|error| Status::invalid_argument(format!("no greeting: {error}")))?;
        if hello.protocol == self.protocol && !self.liveness.is_active(hello.from) {
            // The channel has no receiver while all members are active.
            let _ = self.greeted_by.send(hello.from);
        }
        let answer = match hello.entries {
            Some(entries) if hello.protocol == self.protocol => {
                let theirs: LwwMap = serde_json::from_value(entries)
                    .map_err(|error| Status::invalid_argument(format!("no registers: {error}")))?;
                let from = hello.from;
                let merged = self.change(move |state| state.merge_request(from, &theirs)).await;
                merged.map_err(|failure| Status::internal(failure.message))?;
                self.hello(Some(&self.config.current().entries))
            }
            _ => self.hello(None),
        };
        serde_json::to_vec(&answer).map_err(|error| Status::internal(error.to_string()))
    }

    /// Merges the entries that a server has answered with.
    fn merge_answer(&self, theirs: &LwwMap) -> Result<(), Failure> {
        self.merge(theirs, |_| true)
    }

    /// Merges the entries that a server has sent unasked. Those of a deleted server are dropped; it learns of its deletion by the
    /// answer.
    fn merge_request(&self, from: SocketAddr, theirs: &LwwMap) -> Result<(), Failure> {
        self.merge(theirs, |merged| merged.is_present(from))
    }

    fn merge(&self, theirs: &LwwMap, is_accepted: impl FnOnce(&LwwMap) -> bool) -> Result<(), Failure> {
        let was_deleted = self.is_deleted();
        let warnings = self.config.change(|own| {
            let mut merged = own.clone();
            let refused = merged.merge(theirs);
            RefusalCounts::add(&self.counts.members_full, refused);
            if is_accepted(&merged) {
                *own = merged;
            }
        })?;
        warnings.iter().for_each(|warning| tracing::warn!("{}", warning.message));
        if self.is_deleted() && !was_deleted {
            tracing::warn!("this server was {DELETED}; ALTER SYSTEM ADD SERVER on another server brings it back");
        }
        Ok(())
    }
}
