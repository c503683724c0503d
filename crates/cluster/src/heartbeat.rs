//! The pulse: every member is greeted about once a second, and whoever is named by --peer until it has answered.
//! `node` starts it, and its end is the end of its task.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::lookup_host;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::exchange::{KEPT_WITHIN, PATIENCE, Trouble};
use crate::state::State;

const SECOND: Duration = Duration::from_secs(1);
/// Greetings that a server sends in a second at most: one takes about a millisecond of the two servers together, unoptimised.
const GREETINGS_PER_SECOND: u32 = 10;

/// Greets members as they come and go. Ends when it is dropped.
pub(crate) async fn run(state: Arc<State>) {
    let mut changes = state.keeper.changes();
    let mut pulses = JoinSet::new();
    let mut greeted: HashMap<SocketAddr, AbortHandle> = HashMap::new();
    pulses.spawn(refresh(Arc::clone(&state)));
    pulses.spawn(seek(Arc::clone(&state)));
    loop {
        let others = state.others();
        greeted.retain(|member, pulse| {
            let stays = others.contains(member);
            if !stays {
                pulse.abort();
                state.liveness.forget(*member);
                state.channels.forget(*member);
            }
            stays
        });
        for member in others {
            greeted.entry(member).or_insert_with(|| pulses.spawn(pulse(Arc::clone(&state), member)));
        }
        // Whoever was aborted is taken off the set.
        tokio::select! {
            _ = changes.changed() => {}
            Some(ended) = pulses.join_next() => {
                if let Err(defect) = ended
                    && defect.is_panic()
                {
                    tracing::error!("a member is not greeted for a moment: {defect}");
                    sleep(SECOND).await;
                }
                greeted.retain(|_, pulse| !pulse.is_finished());
            }
        }
    }
}

async fn pulse(state: Arc<State>, member: SocketAddr) {
    loop {
        state.keep_in_touch(member).await;
        let is_active = state.liveness.is_active(member);
        tokio::select! {
            () = sleep(period(state.others().len())) => {}
            () = asked_by(&state, member), if !is_active => {}
        }
    }
}

/// It has asked this server something.
async fn asked_by(state: &State, member: SocketAddr) {
    let mut asked = state.asked_by.subscribe();
    // Who was missed asks again.
    while asked.recv().await != Ok(member) {}
}

/// Between two greetings of one member, so that all do not come at once and a large cluster is not busy with itself.
fn period(others: usize) -> Duration {
    let whole = SECOND.max(SECOND * u32::try_from(others).unwrap_or(u32::MAX) / GREETINGS_PER_SECOND);
    whole.mul_f64(rand::random_range(0.9..1.1))
}

async fn refresh(state: Arc<State>) {
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

/// Asks those named by --peer, each until it has answered once, and all of them while nobody else answers.
async fn seek(state: Arc<State>) {
    let mut waiting: Vec<(&String, String)> = state.seeds.iter().map(|seed| (seed, String::new())).collect();
    let mut is_alone = false;
    while !state.seeds.is_empty() {
        if !state.is_deleted() {
            if is_alone {
                waiting = state.seeds.iter().map(|seed| (seed, String::new())).collect();
            }
            let asked = waiting.into_iter().map(|(seed, last)| ask(&state, seed, last));
            waiting = join_all(asked).await.into_iter().flatten().collect();
        }
        sleep(SECOND).await;
        is_alone = waiting.is_empty() && state.active_others().is_empty();
    }
}

/// None when it has answered; else why not, said once.
async fn ask<'a>(state: &Arc<State>, seed: &'a String, last: String) -> Option<(&'a String, String)> {
    let why = introduce(state, seed).await.err()?;
    if why != last {
        tracing::warn!("--peer {seed} cannot be asked: {why}");
    }
    Some((seed, why))
}

async fn introduce(state: &Arc<State>, seed: &str) -> Result<(), String> {
    let found =
        timeout(PATIENCE, lookup_host(seed)).await.map_err(|_| "its name is not resolved in time".to_owned())?;
    let mut why = "its name has no address".to_owned();
    for address in found.map_err(|error| error.to_string())? {
        if address == state.here {
            return Ok(());
        }
        match state.greet(address).await {
            Ok(_) => return state.bring_together(address, KEPT_WITHIN).await,
            // Under a name that is not its own, as behind a proxy or as 0.0.0.0: it is a server all the same.
            Err(Trouble::Misfit(hello, _)) if hello.protocol == state.protocol => {
                return if hello.from == state.here {
                    Ok(())
                } else {
                    state.bring_together(address, KEPT_WITHIN).await
                };
            }
            Err(trouble) => why = trouble.why(),
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
