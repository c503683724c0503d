//! What servers of a cluster ask of each other that is no query: a mark on all of them, names for stacks, a profile.
//! The cluster crate carries the bytes; both ends are here. Called by the functions that need other servers, and by the
//! cluster crate through `Server::answer`.
//!
//! A call and its answer are JSON. What a server cannot do is an answer, too: it is there, and others need not do without it.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::asking::Asking;
use crate::failure::{Failure, FailureKind};
use crate::functions;
use crate::heap::{self, Wanted};
use crate::remote;
use crate::server::Server;
use crate::tables::{Diagnostics, Tenant};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    /// The answer says nothing.
    Mark { name: String },
    /// Whether there was such a mark.
    Unmark { name: String },
    /// For each stack its names, or none if no process here has it.
    Symbolize { tenant: i64, stacks: Vec<Vec<u64>> },
    /// A `heap::Written` for each moment: the name of a mark, a time, or now.
    Profile { tenant: i64, wanted: Wanted, moments: Vec<Option<String>> },
}

/// The answer to a call of another server. Reads files.
pub(crate) fn answer(server: &Arc<Server>, call: &[u8]) -> Result<Vec<u8>, Failure> {
    let scope = |tenant| remote::scope(server, Tenant::numbered(tenant), Diagnostics::default());
    match serde_json::from_slice(call) {
        Err(error) => {
            written::<()>(Err(Failure::new(FailureKind::Unsupported, format!("it knows no such call: {error}"))))
        }
        Ok(Call::Mark { name }) => written(server.mark(&name).map(drop)),
        Ok(Call::Unmark { name }) => written(Ok(server.unmark(&name))),
        Ok(Call::Symbolize { tenant, stacks }) => written(Ok(functions::known_stacks(&scope(tenant), &stacks))),
        Ok(Call::Profile { tenant, wanted, moments }) => written(heap::written(&scope(tenant), &wanted, &moments)),
    }
}

fn written<A: Serialize>(answer: Result<A, Failure>) -> Result<Vec<u8>, Failure> {
    let answer = answer.map_err(|failure| failure.message);
    serde_json::to_vec(&answer).map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))
}

/// Asks all other servers, at once; the answers are in the order of their addresses. Who gives none is missing.
pub(crate) async fn ask<A>(asking: &Asking, call: &Call) -> Result<Vec<(SocketAddr, A)>, Failure>
where
    A: DeserializeOwned + Send + 'static,
{
    let internal = |error: &dyn std::fmt::Display| Failure::new(FailureKind::Internal, error.to_string());
    let call = serde_json::to_vec(call).map_err(|error| internal(&error))?;
    let answers = asking.call_others(&call).await?;
    // A profile is large.
    let read = tokio::task::spawn_blocking(|| answers.into_iter().map(read).collect::<Vec<_>>()).await;
    let mut answers = Vec::new();
    for (member, answer) in read.map_err(|error| internal(&error))? {
        match answer {
            Ok(answer) => answers.push((member, answer)),
            Err(why) => asking.miss(member, &why)?,
        }
    }
    answers.sort_by_key(|(member, _)| *member);
    Ok(answers)
}

fn read<A: DeserializeOwned>((member, answer): (SocketAddr, Vec<u8>)) -> (SocketAddr, Result<A, String>) {
    let answer = serde_json::from_slice::<Result<A, String>>(&answer);
    (member, answer.unwrap_or_else(|error| Err(format!("its answer cannot be read: {error}"))))
}
