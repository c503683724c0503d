//! What was typed before, kept in a file of the user's own, within bounds.

use std::path::PathBuf;

use rustyline::Editor;
use rustyline::history::FileHistory;

use super::names::Names;
use crate::place;
use crate::talk::say;

pub(super) const MAX_ENTRIES: usize = 1000;
/// A longer statement was not typed.
const MAX_BYTES: usize = 8 << 10;

/// `None`: nothing is kept when the prompt ends.
pub(super) struct History(Option<PathBuf>);

impl History {
    pub(super) fn open(editor: &mut Editor<Names, FileHistory>) -> History {
        let Some(dir) = place::of_user("XDG_STATE_HOME", ".local/state") else { return History(None) };
        if let Err(error) = place::private(&dir) {
            say!("note: what you type is not remembered: {error}");
            return History(None);
        }
        let path = dir.join("history");
        // There is none yet, or it is damaged; either way a new one begins.
        let _ = editor.load_history(&path);
        History(Some(path))
    }

    pub(super) fn add(&self, editor: &mut Editor<Names, FileHistory>, line: &str) {
        if !is_kept(line) || !editor.add_history_entry(line).unwrap_or(false) {
            return;
        }
        // Appended at once: prompts of several terminals share it.
        if let Some(path) = &self.0 {
            let _ = editor.append_history(path);
        }
    }
}

fn is_kept(line: &str) -> bool {
    !line.trim().is_empty() && line.len() <= MAX_BYTES && !line.to_ascii_lowercase().contains("password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_floods_are_not_kept() {
        assert!(is_kept("SELECT 1;"));
        assert!(!is_kept(" "));
        assert!(!is_kept("SET Password = 'x'"));
        assert!(!is_kept(&"x".repeat(MAX_BYTES + 1)));
    }
}
