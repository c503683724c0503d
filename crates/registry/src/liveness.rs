//! Which sources' processes are still running.
//!
//! A ledger does not say: its process may have been killed. /proc does, by pid and start time; of several ledgers of one
//! process (it called exec) only the newest is alive. Called by `Registry::sources`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use crate::source::{Source, State};

/// Sets the state of every readable source. `sources` are in the order of their creation.
pub(crate) fn judge(sources: &[Arc<Source>]) {
    let mut newest = HashMap::new();
    for source in sources {
        newest.insert(source.pid(), source.id());
    }
    for source in sources.iter().filter(|source| source.is_readable()) {
        let alive = newest.get(&source.pid()) == Some(&source.id()) && is_running(source);
        source.set_state(if alive { State::Alive } else { State::Dead });
    }
}

fn is_running(source: &Source) -> bool {
    let Some(identity) = source.identity() else {
        return false;
    };
    if identity.boot_id.bytes().any(|digit| digit != b'0') && identity.boot_id != *BOOT_ID {
        return false;
    }
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", identity.pid)) else {
        return false;
    };
    // The command, field 2, may hold anything: the fields that follow start behind its last bracket.
    let Some((_, fields)) = stat.rsplit_once(") ") else {
        return false;
    };
    let mut fields = fields.split(' ');
    let running = fields
        .next()
        .is_some_and(|state| !matches!(state, "Z" | "X" | "x"));
    let start_ticks = fields
        .nth(22 - 4)
        .and_then(|ticks| ticks.parse::<u64>().ok());
    running && (identity.start_ticks == 0 || start_ticks == Some(identity.start_ticks))
}

static BOOT_ID: LazyLock<String> = LazyLock::new(|| {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.chars().filter(char::is_ascii_hexdigit).collect()
});
