//! Tells which sources' processes still run the program that they record.
//!
//! A ledger does not say: its process may have been killed, or have called exec. /proc tells, by pid, start time and mapped
//! files. Called by `Registry::sources`.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock};

use crate::procfs::{self, Stat};
use crate::source::{Source, SourceState};

/// The process of a ledger, as it is now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Running,
    /// It runs another program: exec ended the recorded heap without ending the process.
    Replaced,
    Ended,
}

/// Takes out what a process recorded before it called exec, and sets the state of every other readable source. `sources` are
/// in the order of their creation. Returns those taken out.
pub(crate) fn judge(sources: &mut Vec<Arc<Source>>) -> Vec<Arc<Source>> {
    let mut newest = HashMap::new();
    for source in sources.iter() {
        newest.insert(process(source), source.id());
    }
    let is_newest = |source: &Arc<Source>| newest.get(&process(source)) == Some(&source.id());
    let is_replaced = |source: &mut Arc<Source>| {
        if !source.is_readable() {
            return false;
        }
        let presence = if is_newest(source) { presence(source) } else { Presence::Replaced };
        source.set_state(if presence == Presence::Running { SourceState::Alive } else { SourceState::Dead });
        if presence == Presence::Running
            && let Some(command) = procfs::command(source.pid().cast_unsigned())
        {
            source.set_command(&command);
        }
        presence == Presence::Replaced
    };
    sources.extract_if(.., is_replaced).collect()
}

/// A key that stays the same through exec and is never the same for two processes.
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

fn presence(source: &Source) -> Presence {
    let Some(identity) = source.identity() else {
        return Presence::Ended;
    };
    if identity.boot_id.bytes().any(|digit| digit != b'0') && identity.boot_id != *BOOT_ID {
        return Presence::Ended;
    }
    let Some(stat) = Stat::read(identity.pid).filter(|stat| stat.is_running) else {
        return Presence::Ended;
    };
    if identity.start_ticks != 0 && stat.start_ticks != identity.start_ticks {
        return Presence::Ended;
    }
    // A copy under another name is mapped by nobody.
    if has_own_name(source) && source.seen_image().swap(stat.image, Relaxed) != stat.image {
        // The recorder maps the ledger before it is complete, and keeps it mapped until the image ends.
        let name = source.path().file_name().unwrap_or_default().to_string_lossy();
        if procfs::maps(identity.pid, &name) == Some(false) {
            source.seen_image().store(0, Relaxed);
            return Presence::Replaced;
        }
    }
    Presence::Running
}

static BOOT_ID: LazyLock<String> = LazyLock::new(|| {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.chars().filter(char::is_ascii_hexdigit).collect()
});
