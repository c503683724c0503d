//! Which sources' processes are still running.
//!
//! A ledger does not say: its process may have been killed, or have called exec. /proc tells, by pid and start time.
//! Called by `Registry::sources`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use crate::source::{Source, SourceState};

/// Takes out what a process recorded before it called exec, which ended that heap without ending the process, and sets the
/// state of every readable source. `sources` are in the order of their creation. Returns those taken out.
pub(crate) fn judge(sources: &mut Vec<Arc<Source>>) -> Vec<Arc<Source>> {
    let mut newest = HashMap::new();
    for source in sources.iter() {
        newest.insert(process(source), source.id());
    }
    let is_newest = |source: &Arc<Source>| newest.get(&process(source)) == Some(&source.id());
    let replaced = sources.extract_if(.., |source| source.is_readable() && !is_newest(source)).collect();
    for source in sources.iter().filter(|source| source.is_readable()) {
        source.set_state(if is_running(source) { SourceState::Alive } else { SourceState::Dead });
    }
    replaced
}

/// What stays the same through exec and is never the same for two processes.
fn process(source: &Source) -> (i32, u64, u64) {
    match source.identity() {
        // Without a start time, or under another name than the recorder's (a copy), each ledger stands for itself.
        Some(identity) if identity.start_ticks != 0 && has_own_name(source) => (source.pid(), identity.start_ticks, 0),
        _ => (source.pid(), 0, source.id()),
    }
}

fn has_own_name(source: &Source) -> bool {
    let name = source.path().file_stem().unwrap_or_default();
    *name == *format!("{}-{}", source.pid(), source.created_at())
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
    let running = fields.next().is_some_and(|state| !matches!(state, "Z" | "X" | "x"));
    let start_ticks = fields.nth(22 - 4).and_then(|ticks| ticks.parse::<u64>().ok());
    running && (identity.start_ticks == 0 || start_ticks == Some(identity.start_ticks))
}

static BOOT_ID: LazyLock<String> = LazyLock::new(|| {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.chars().filter(char::is_ascii_hexdigit).collect()
});
