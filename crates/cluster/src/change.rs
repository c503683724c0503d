//! What a client changes for all servers: parameters and members. A change is on this server's disk and on another's before
//! the client is told that it is done. Called by `node`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use heapql_server::parameters::Setting;
use heapql_server::{Failure, FailureKind, Warning};
use tokio::time::{Instant, timeout_at};

use crate::exchange::KEPT_WITHIN;
use crate::registers::{MAX_MEMBERS, Registers};
use crate::state::{DELETED, State, millis};

/// Once one other server has it, the others are waited for until then.
const ALL_WITHIN: Duration = Duration::from_secs(1);
/// Servers that a warning names.
const MAX_NAMED: usize = 8;

fn unknown(what: String) -> Failure {
    Failure::new(FailureKind::UnknownServer, format!("Incorrect arguments to server: {what}"))
}

pub(crate) async fn set(
    state: Arc<State>,
    settings: Vec<Setting>,
    only: Option<SocketAddr>,
) -> Result<Vec<Warning>, Failure> {
    let mut warnings = state
        .change(move |state| {
            let mut is_member = true;
            let mut is_room = true;
            let warnings = state.keeper.change(|registers| {
                is_member = only.is_none_or(|server| registers.is_present(server));
                if is_member {
                    let version = registers.next(state.here, millis(SystemTime::now()));
                    is_room = registers.set(&settings, only, version);
                }
            })?;
            match only {
                Some(server) if !is_member => Err(unknown(format!("'{server}' is not known"))),
                _ if !is_room => Err(Failure::new(FailureKind::Unsupported, "too much is set for single servers")
                    .hint("set it for all servers, without SERVER")),
                _ => Ok(warnings),
            }
        })
        .await?;
    warnings.extend(push(&state).await);
    Ok(warnings)
}

pub(crate) async fn add(state: Arc<State>, server: SocketAddr) -> Result<Vec<Warning>, Failure> {
    if state.is_deleted() {
        return Err(unknown("this server was deleted from the cluster itself".to_owned())
            .hint("add it on another server of the cluster first"));
    }
    if server == state.here || state.keeper.current().registers.is_present(server) {
        return Ok(vec![Warning::note(format!("'{server}' is a member already"))]);
    }
    if let Err(trouble) = state.greet(server).await {
        return Err(unknown(format!("'{server}' cannot be added: {}", trouble.why()))
            .hint(format!("it must run: heapql serve --cluster {server}")));
    }
    let mut warnings = revise(&state, move |registers, here| {
        let version = registers.next(here, millis(SystemTime::now()));
        // It may hold that this server is no member of its own cluster.
        registers.add(here, version) && registers.add(server, version)
    })
    .await?;
    if let Err(why) = state.bring_together(server, KEPT_WITHIN).await {
        warnings.push(Warning::new(
            FailureKind::ServerMissing,
            format!("server {server} is a member and does not know it yet: {why}"),
        ));
    }
    warnings.extend(push(&state).await);
    Ok(warnings)
}

pub(crate) async fn delete(state: Arc<State>, server: SocketAddr) -> Result<Vec<Warning>, Failure> {
    if server == state.here {
        return Err(unknown(format!("'{server}' is this server, which cannot delete itself"))
            .hint("connect to another server of the cluster"));
    }
    if !state.keeper.current().registers.is_present(server) {
        return Err(unknown(format!("'{server}' is not known")).hint("SELECT * FROM servers lists those that are"));
    }
    let mut warnings = revise(&state, move |registers, here| {
        let version = registers.next(here, millis(SystemTime::now()));
        registers.delete(server, version);
        true
    })
    .await?;
    // If it does not run it learns of this by its next greeting.
    let told = state.bring_together(server, ALL_WITHIN).await;
    state.channels.forget(server);
    if let Err(why) = told {
        let message = format!("server {server} does not know yet that it was deleted: {why}");
        warnings.push(Warning::note(message));
    }
    warnings.extend(push(&state).await);
    Ok(warnings)
}

/// False from `change` means that there is no room.
async fn revise(
    state: &Arc<State>,
    change: impl FnOnce(&mut Registers, SocketAddr) -> bool + Send + 'static,
) -> Result<Vec<Warning>, Failure> {
    state
        .change(move |state| {
            let mut is_room = true;
            let warnings = state.keeper.change(|registers| is_room = change(registers, state.here))?;
            if is_room {
                return Ok(warnings);
            }
            Err(Failure::new(FailureKind::Unsupported, format!("a cluster has {MAX_MEMBERS} servers at most")))
        })
        .await
}

/// Takes the registers to all members that answer; returns when one of them has kept them, and soon after. What is missing
/// is said.
async fn push(state: &Arc<State>) -> Vec<Warning> {
    if state.is_deleted() {
        let message = format!("this server was {DELETED}: the others do not get it");
        return vec![Warning::new(FailureKind::ServerMissing, message)];
    }
    let others = state.others();
    if others.is_empty() {
        return Vec::new();
    }
    let active = state.active_others();
    let mut late: Vec<_> = others.into_iter().filter(|other| !active.contains(other)).collect();
    let mut waiting = active.clone();
    let mut kept = 0;
    let began = Instant::now();
    let mut pushed: FuturesUnordered<_> = active
        .into_iter()
        .map(|other| async move { (other, state.bring_together(other, KEPT_WITHIN).await) })
        .collect();
    loop {
        let until = began + if kept > 0 { ALL_WITHIN } else { KEPT_WITHIN };
        let Ok(Some((other, told))) = timeout_at(until, pushed.next()).await else {
            break;
        };
        waiting.retain(|waiting| *waiting != other);
        match told {
            Ok(()) => kept += 1,
            Err(why) => {
                state.liveness.failed(other, &why);
                late.push(other);
            }
        }
    }
    late.extend(waiting);
    late.sort_unstable();
    said(&late, kept)
}

fn said(late: &[SocketAddr], kept: usize) -> Vec<Warning> {
    if late.is_empty() {
        return Vec::new();
    }
    let mut names: Vec<_> = late.iter().take(MAX_NAMED).map(SocketAddr::to_string).collect();
    if late.len() > MAX_NAMED {
        names.push(format!("{} more", late.len() - MAX_NAMED));
    }
    let names = names.join(", ");
    let message = if kept == 0 {
        format!("kept on this server only until one of these answers: {names}")
    } else {
        format!("servers that have not answered get it when they do: {names}")
    };
    vec![Warning::new(FailureKind::ServerMissing, message)]
}
