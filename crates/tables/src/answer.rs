//! The answers to other servers' calls. The cluster crate hands the bytes of a call over; `calls` is the side that asks.

use std::sync::Arc;

use heapql_server::{Diagnostics, Failure, FailureKind, Server, Tenant};
use serde::Serialize;

use crate::calls::Call;
use crate::{functions, heap, remote};

/// The answer to a call of another server. Reads files.
pub fn answer(server: &Arc<Server>, call: &[u8]) -> Result<Vec<u8>, Failure> {
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
