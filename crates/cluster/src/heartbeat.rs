//! The heartbeat: probes every member about once a second, and each server named by --peer until it has answered.
//!
//! One probe is `exchange`'s. `node` starts the task and aborts it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::lookup_host;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::exchange::{GREETING_TIMEOUT, GreetError, SYNC_TIMEOUT};
use crate::state::NodeState;

const SECOND: Duration = Duration::from_secs(1);
/// Maximum rate of greetings. One takes about a millisecond of both servers together, unoptimised.
const GREETINGS_PER_SECOND: u32 = 10;

/// Probes members as they come and go. Ends when it is dropped.
pub(crate) async fn run(state: Arc<NodeState>) {
    let mut changes = state.config.changes();
    let mut monitors = JoinSet::new();
    let mut monitored: HashMap<SocketAddr, AbortHandle> = HashMap::new();
    monitors.spawn(refresh(Arc::clone(&state)));
    monitors.spawn(contact_seeds(Arc::clone(&state)));
    loop {
        let others = state.others();
        monitored.retain(|member, monitor| {
            let stays = others.contains(member);
            if !stays {
                monitor.abort();
                state.liveness.forget(*member);
                state.channels.forget(*member);
            }
            stays
        });
        for member in others {
            monitored.entry(member).or_insert_with(|| monitors.spawn(monitor(Arc::clone(&state), member)));
        }
        // The second branch takes aborted tasks off the set.
        tokio::select! {
            _ = changes.changed() => {}
            Some(ended) = monitors.join_next() => {
                if let Err(defect) = ended
                    && defect.is_panic()
                {
                    tracing::error!("a member is not greeted for a moment: {defect}");
                    sleep(SECOND).await;
                }
                monitored.retain(|_, monitor| !monitor.is_finished());
            }
        }
    }
}

async fn monitor(state: Arc<NodeState>, member: SocketAddr) {
    loop {
        state.probe(member).await;
        let is_active = state.liveness.is_active(member);
        tokio::select! {
            () = sleep(period(state.others().len())) => {}
            () = greeting_of(&state, member), if !is_active => {}
        }
    }
}

/// Waits until a member has greeted this server.
async fn greeting_of(state: &NodeState, member: SocketAddr) {
    let mut greetings = state.greeted_by.subscribe();
    // A receiver that lags misses some; a server greets again.
    while greetings.recv().await != Ok(member) {}
}

/// The time between two probes of one member: random, so that they spread out, and longer in a large cluster.
fn period(others: usize) -> Duration {
    let whole = SECOND.max(SECOND * u32::try_from(others).unwrap_or(u32::MAX) / GREETINGS_PER_SECOND);
    whole.mul_f64(rand::random_range(0.9..1.1))
}

async fn refresh(state: Arc<NodeState>) {
    loop {
        sleep(2 * SECOND).await;
        let refreshed = state.change(|state| {
            state.refresh();
            Ok(())
        });
        if let Err(defect) = refreshed.await {
            tracing::error!("{defect}");
        }
    }
}

/// Contacts the servers named by --peer: each until it has answered once, and all of them while no other member is active.
async fn contact_seeds(state: Arc<NodeState>) {
    let mut waiting: Vec<(&String, String)> = state.seeds.iter().map(|seed| (seed, String::new())).collect();
    let mut is_alone = false;
    while !state.seeds.is_empty() {
        if !state.is_deleted() {
            if is_alone {
                waiting = state.seeds.iter().map(|seed| (seed, String::new())).collect();
            }
            let contacts = waiting.into_iter().map(|(seed, last)| contact(&state, seed, last));
            waiting = join_all(contacts).await.into_iter().flatten().collect();
        }
        sleep(SECOND).await;
        is_alone = waiting.is_empty() && state.active_others().is_empty();
    }
}

/// Returns None when the seed has answered, else the reason, which is logged when it changes.
async fn contact<'a>(state: &Arc<NodeState>, seed: &'a String, last: String) -> Option<(&'a String, String)> {
    let why = join_through(state, seed).await.err()?;
    if why != last {
        tracing::warn!("--peer {seed} cannot be asked: {why}");
    }
    Some((seed, why))
}

async fn join_through(state: &Arc<NodeState>, seed: &str) -> Result<(), String> {
    let found = timeout(GREETING_TIMEOUT, lookup_host(seed))
        .await
        .map_err(|_| "its name is not resolved in time".to_owned())?;
    let mut why = "its name has no address".to_owned();
    for address in found.map_err(|error| error.to_string())? {
        if address == state.here {
            return Ok(());
        }
        match state.greet(address).await {
            Ok(_) => return state.synchronize(address, SYNC_TIMEOUT).await,
            // The seed answers under another address than its own, for example behind a proxy or as 0.0.0.0.
            Err(GreetError::Incompatible(hello, _)) if hello.protocol == state.protocol => {
                return if hello.from == state.here { Ok(()) } else { state.synchronize(address, SYNC_TIMEOUT).await };
            }
            Err(error) => why = error.reason(),
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_cluster_greets_less_often() {
        let seconds = |others| period(others).as_secs_f64();
        assert!((0.9..1.1).contains(&seconds(2)) && (0.9..1.1).contains(&seconds(10)));
        assert!((9.0..11.0).contains(&seconds(100)));
    }
}
