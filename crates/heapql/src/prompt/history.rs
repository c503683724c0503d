//! The history of the prompt, kept in a file of the user, within bounds. Editing is rustyline's.

use std::path::PathBuf;

use rustyline::Editor;
use rustyline::history::FileHistory;

use super::completer::NameCompleter;
use crate::paths;
use crate::stderr::say;

pub(super) const MAX_ENTRIES: usize = 1000;
/// Maximum size of an entry. A longer statement was pasted, not typed.
const MAX_BYTES: usize = 8 << 10;

/// The history file, or None to keep nothing when the prompt ends.
pub(super) struct PromptHistory(Option<PathBuf>);

impl PromptHistory {
    pub(super) fn open(editor: &mut Editor<NameCompleter, FileHistory>) -> PromptHistory {
        let Some(dir) = paths::state_dir() else { return PromptHistory(None) };
        if let Err(error) = paths::private(&dir) {
            say!("note: what you type is not remembered: {error}");
            return PromptHistory(None);
        }
        let path = dir.join("history");
        // There is none yet, or it is damaged; either way a new one begins.
        let _ = editor.load_history(&path);
        PromptHistory(Some(path))
    }

    pub(super) fn add(&self, editor: &mut Editor<NameCompleter, FileHistory>, line: &str) {
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
