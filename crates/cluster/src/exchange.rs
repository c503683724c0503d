//! One exchange between two servers, both sides of it: who are you, have we the same registers, and if not, here are mine.
//! Called by `heartbeat` and `change` to ask, by `service` to answer.
//!
//! ```text
//! here -> there   hello, digest                 there -> here   hello, digest
//!                 if the digests differ:
//! here -> there   hello, digest, registers      there -> here   hello, digest, registers   kept there, on its disk
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::Action;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use heapql_server::Failure;
use tokio::time::timeout;
use tonic::Status;

use crate::channels::{self, MAX_MESSAGE_BYTES};
use crate::counts::Counts;
use crate::message::{Hello, SYNC};
use crate::registers::Registers;
use crate::state::{DELETED, State};

/// For the answer to a greeting. A server that does not answer within it is inactive.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// For registers to be kept: on a disk that others use too.
pub(crate) const KEPT_WITHIN: Duration = Duration::from_secs(3);

/// Why an exchange came to nothing.
pub(crate) enum Trouble {
    Silent,
    Failed(String),
    /// It answered, and is not one to ask.
    Misfit(Box<Hello>, String),
}

impl Trouble {
    /// In the words of `servers`.
    pub(crate) fn why(self) -> String {
        match self {
            Trouble::Silent => format!("no answer for {} s", PATIENCE.as_secs()),
            Trouble::Failed(why) | Trouble::Misfit(_, why) => why,
        }
    }
}

impl State {
    /// Greets, and brings both sides' registers together. Reports how it went to `liveness` if it is a member.
    pub(crate) async fn keep_in_touch(self: &Arc<State>, member: SocketAddr) {
        match self.greet(member).await {
            Ok(hello) => {
                self.liveness.heard(member, &hello);
                if hello.digest != self.keeper.current().digest
                    && let Err(why) = self.bring_together(member, KEPT_WITHIN).await
                {
                    tracing::warn!("server {member} does not agree on the parameters yet: {why}");
                }
            }
            Err(Trouble::Silent) => self.liveness.silent(member, PATIENCE),
            Err(Trouble::Failed(why)) => self.liveness.failed(member, &why),
            Err(Trouble::Misfit(hello, why)) => self.liveness.misfit(member, &hello, &why),
        }
    }

    /// Who is there, and whether it can be one of the cluster.
    pub(crate) async fn greet(&self, server: SocketAddr) -> Result<Hello, Trouble> {
        let hello = self.hello(None);
        let answer = timeout(PATIENCE, self.say(server, &hello, KEPT_WITHIN)).await.map_err(|_| Trouble::Silent)?;
        let hello = answer.map_err(Trouble::Failed)?;
        let why = if hello.protocol != self.protocol {
            let Hello { version, protocol, .. } = &hello;
            format!("version {version} (protocol {protocol}), this one speaks {}", self.protocol)
        } else if hello.from != server {
            format!("it is {} that answers there", hello.from)
        } else {
            return Ok(hello);
        };
        Err(Trouble::Misfit(Box::new(hello), why))
    }

    /// Both sides keep what either of them knew. When it returns the other has it on its disk.
    pub(crate) async fn bring_together(self: &Arc<State>, with: SocketAddr, within: Duration) -> Result<(), String> {
        let kept = self.keeper.current();
        let hello = self.hello(Some(&kept.registers));
        let answer = self.say(with, &hello, within).await?;
        let Some(registers) = answer.registers else {
            return Err("it did not say what it knows".to_owned());
        };
        let theirs: Registers = serde_json::from_value(registers).map_err(|error| error.to_string())?;
        if theirs == kept.registers {
            return Ok(());
        }
        let taken = self.change(move |state| state.take(&theirs)).await;
        taken.map_err(|failure| failure.message)
    }

    async fn say(&self, to: SocketAddr, hello: &Hello, within: Duration) -> Result<Hello, String> {
        let body = serde_json::to_vec(hello).map_err(|error| error.to_string())?;
        let answer = self.act(to, SYNC, body, within).await?;
        serde_json::from_slice(&answer).map_err(|error| format!("its answer cannot be read: {error}"))
    }

    /// An action on another server: its whole answer.
    pub(crate) async fn act(
        &self,
        to: SocketAddr,
        kind: &str,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Bytes, String> {
        let mut client = self.channels.client(to);
        let action = Action { r#type: kind.to_owned(), body: body.into() };
        let asked = async {
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
        match timeout(within, asked).await {
            Ok(answer) => answer.map_err(|status| channels::why(&status)),
            Err(_) => Err(format!("no answer for {} s", within.as_secs_f32())),
        }
    }

    /// The answer to what another server says of itself.
    pub(crate) async fn answer(self: &Arc<State>, text: &[u8]) -> Result<Vec<u8>, Status> {
        let hello: Hello =
            serde_json::from_slice(text).map_err(|error| Status::invalid_argument(format!("no greeting: {error}")))?;
        if hello.protocol == self.protocol && !self.liveness.is_active(hello.from) {
            // Nobody listens while all are active.
            let _ = self.asked_by.send(hello.from);
        }
        let answer = match hello.registers {
            Some(registers) if hello.protocol == self.protocol => {
                let theirs: Registers = serde_json::from_value(registers)
                    .map_err(|error| Status::invalid_argument(format!("no registers: {error}")))?;
                let from = hello.from;
                let taken = self.change(move |state| state.take_from(from, &theirs)).await;
                taken.map_err(|failure| Status::internal(failure.message))?;
                self.hello(Some(&self.keeper.current().registers))
            }
            _ => self.hello(None),
        };
        serde_json::to_vec(&answer).map_err(|error| Status::internal(error.to_string()))
    }

    /// What a member has answered.
    fn take(&self, theirs: &Registers) -> Result<(), Failure> {
        self.merge(theirs, |_| true)
    }

    /// What somebody says. Of a server that was deleted nothing is taken: it learns of that by the answer.
    fn take_from(&self, from: SocketAddr, theirs: &Registers) -> Result<(), Failure> {
        self.merge(theirs, |merged| merged.is_present(from))
    }

    fn merge(&self, theirs: &Registers, is_good: impl FnOnce(&Registers) -> bool) -> Result<(), Failure> {
        let was_deleted = self.is_deleted();
        let warnings = self.keeper.change(|own| {
            let mut merged = own.clone();
            let refused = merged.merge(theirs);
            Counts::add(&self.counts.members_full, refused);
            if is_good(&merged) {
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
