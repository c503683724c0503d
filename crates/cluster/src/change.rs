//! Changes of parameters and members for the whole cluster. A change is on this server's disk and on another's before the client
//! is told that it is done.
//!
//! The merge rules are `lww_map`'s. Called by `node` for ALTER SYSTEM.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use heapql_server::parameters::Setting;
use heapql_server::{Failure, FailureKind, Warning};
use tokio::time::{Instant, timeout_at};

use crate::exchange::SYNC_TIMEOUT;
use crate::lww_map::{LwwMap, MAX_MEMBERS};
use crate::state::{DELETED, NodeState, millis};

/// Time that the remaining servers get once one other server has the change.
const STRAGGLER_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of servers that a warning names.
const MAX_NAMED: usize = 8;

fn unknown_server(what: String) -> Failure {
    Failure::new(FailureKind::UnknownServer, format!("Incorrect arguments to server: {what}"))
}

pub(crate) async fn set(
    state: Arc<NodeState>,
    settings: Vec<Setting>,
    only: Option<SocketAddr>,
) -> Result<Vec<Warning>, Failure> {
    let mut warnings = state
        .change(move |state| {
            let mut is_member = true;
            let mut is_room = true;
            let warnings = state.config.change(|entries| {
                is_member = only.is_none_or(|server| entries.is_present(server));
                if is_member {
                    let version = entries.next(state.here, millis(SystemTime::now()));
                    let texts: Vec<_> = settings.iter().map(|setting| (setting.spec().name, setting.value())).collect();
                    is_room = entries.set(&texts, only, version);
                }
            })?;
            match only {
                Some(server) if !is_member => Err(unknown_server(format!("'{server}' is not known"))),
                _ if !is_room => Err(Failure::new(FailureKind::Unsupported, "too much is set for single servers")
                    .hint("set it for all servers, without SERVER")),
                _ => Ok(warnings),
            }
        })
        .await?;
    warnings.extend(replicate(&state).await);
    Ok(warnings)
}

pub(crate) async fn add(state: Arc<NodeState>, server: SocketAddr) -> Result<Vec<Warning>, Failure> {
    if state.is_deleted() {
        return Err(unknown_server("this server was deleted from the cluster itself".to_owned())
            .hint("add it on another server of the cluster first"));
    }
    if server == state.here || state.config.current().entries.is_present(server) {
        return Ok(vec![Warning::note(format!("'{server}' is a member already"))]);
    }
    if let Err(error) = state.greet(server).await {
        return Err(unknown_server(format!("'{server}' cannot be added: {}", error.reason()))
            .hint(format!("it must run: heapql serve --cluster {server}")));
    }
    let mut warnings = change_members(&state, move |entries, here| {
        let version = entries.next(here, millis(SystemTime::now()));
        // The other server may hold that this one was deleted from its own cluster.
        entries.add(here, version) && entries.add(server, version)
    })
    .await?;
    if let Err(why) = state.synchronize(server, SYNC_TIMEOUT).await {
        warnings.push(Warning::new(
            FailureKind::ServerMissing,
            format!("server {server} is a member and does not know it yet: {why}"),
        ));
    }
    warnings.extend(replicate(&state).await);
    Ok(warnings)
}

pub(crate) async fn delete(state: Arc<NodeState>, server: SocketAddr) -> Result<Vec<Warning>, Failure> {
    if server == state.here {
        return Err(unknown_server(format!("'{server}' is this server, which cannot delete itself"))
            .hint("connect to another server of the cluster"));
    }
    if !state.config.current().entries.is_present(server) {
        return Err(
            unknown_server(format!("'{server}' is not known")).hint("SELECT * FROM servers lists those that are")
        );
    }
    let mut warnings = change_members(&state, move |entries, here| {
        let version = entries.next(here, millis(SystemTime::now()));
        entries.delete(server, version);
        true
    })
    .await?;
    // A server that does not run now learns of this by its next greeting.
    let told = state.synchronize(server, STRAGGLER_TIMEOUT).await;
    state.channels.forget(server);
    if let Err(why) = told {
        let message = format!("server {server} does not know yet that it was deleted: {why}");
        warnings.push(Warning::note(message));
    }
    warnings.extend(replicate(&state).await);
    Ok(warnings)
}

/// Changes the members. `change` returns false if there is no room.
async fn change_members(
    state: &Arc<NodeState>,
    change: impl FnOnce(&mut LwwMap, SocketAddr) -> bool + Send + 'static,
) -> Result<Vec<Warning>, Failure> {
    state
        .change(move |state| {
            let mut is_room = true;
            let warnings = state.config.change(|entries| is_room = change(entries, state.here))?;
            if is_room {
                return Ok(warnings);
            }
            Err(Failure::new(FailureKind::Unsupported, format!("a cluster has {MAX_MEMBERS} servers at most")))
        })
        .await
}

/// Sends the entries to all active members. Returns soon after one of them has them on its disk, with a warning that names the
/// members without them.
async fn replicate(state: &Arc<NodeState>) -> Vec<Warning> {
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
    let mut pushed: FuturesUnordered<_> =
        active.into_iter().map(|other| async move { (other, state.synchronize(other, SYNC_TIMEOUT).await) }).collect();
    loop {
        let until = began + if kept > 0 { STRAGGLER_TIMEOUT } else { SYNC_TIMEOUT };
        let Ok(Some((other, told))) = timeout_at(until, pushed.next()).await else {
            break;
        };
        waiting.retain(|waiting| *waiting != other);
        match told {
            Ok(()) => kept += 1,
            Err(why) => {
                state.liveness.mark_inactive(other, &why);
                late.push(other);
            }
        }
    }
    late.extend(waiting);
    late.sort_unstable();
    replication_warning(&late, kept)
}

fn replication_warning(late: &[SocketAddr], kept: usize) -> Vec<Warning> {
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
