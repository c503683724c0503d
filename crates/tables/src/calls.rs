//! Calls between servers of a cluster that are no queries: a mark on all of them, names for stacks, a profile. The cluster
//! crate carries the bytes; `answer` is the other end.
//!
//! A call and its answer are JSON. What a server cannot do is an answer, too: it is there, and others need not do without it.

use std::net::SocketAddr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::heap::ProfileFilter;
use heapql_server::ClusterQuery;
use heapql_server::failure::{Failure, FailureKind};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    /// The answer says nothing.
    Mark { name: String },
    /// Whether there was such a mark.
    Unmark { name: String },
    /// For each stack its names, or none if no process here has it.
    Symbolize { tenant: i64, stacks: Vec<Vec<u64>> },
    /// A `heap::Written` for each moment: the name of a mark, a time, or now.
    Profile { tenant: i64, wanted: ProfileFilter, moments: Vec<Option<String>> },
}

/// Asks all other servers, at once; the answers are in the order of their addresses. A server that gives none is missing.
pub(crate) async fn ask<A>(cluster_query: &ClusterQuery, call: &Call) -> Result<Vec<(SocketAddr, A)>, Failure>
where
    A: DeserializeOwned + Send + 'static,
{
    let internal = |error: &dyn std::fmt::Display| Failure::new(FailureKind::Internal, error.to_string());
    let call = serde_json::to_vec(call).map_err(|error| internal(&error))?;
    let answers = cluster_query.call_others(&call).await?;
    // A profile is large.
    let read = tokio::task::spawn_blocking(|| answers.into_iter().map(read).collect::<Vec<_>>()).await;
    let mut answers = Vec::new();
    for (member, answer) in read.map_err(|error| internal(&error))? {
        match answer {
            Ok(answer) => answers.push((member, answer)),
            Err(why) => cluster_query.mark_missing(member, &why)?,
        }
    }
    answers.sort_by_key(|(member, _)| *member);
    Ok(answers)
}

fn read<A: DeserializeOwned>((member, answer): (SocketAddr, Vec<u8>)) -> (SocketAddr, Result<A, String>) {
    let answer = serde_json::from_slice::<Result<A, String>>(&answer);
    (member, answer.unwrap_or_else(|error| Err(format!("its answer cannot be read: {error}"))))
}
