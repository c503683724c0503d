//! What is looked at, and what each key changes about it.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::widgets::TableState;

use super::Look;
use super::growth::Growth;
use super::source::Line;
use crate::cli::By;

pub(super) const VIEWS: [By; 4] = [By::Functions, By::Labels, By::Processes, By::Callsites];
/// Of a filter.
const MAX_FILTER_CHARS: usize = 64;
const PAGE: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sort {
    Bytes,
    Total,
    Growth,
    Count,
    Name,
}

/// What the next look is to find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    pub(super) by: By,
    pub(super) is_paused: bool,
}

/// A line with what is computed here.
#[derive(Clone, Debug)]
pub(super) struct Grown {
    pub(super) line: Line,
    /// Bytes per minute.
    pub(super) growth: Option<f64>,
}

pub(super) struct State {
    /// Who is asked, in words.
    pub(super) whom: String,
    pub(super) interval: Duration,
    pub(super) by: By,
    pub(super) sort: Sort,
    pub(super) is_paused: bool,
    pub(super) filter: String,
    /// Keys go to the filter.
    pub(super) is_typing: bool,
    /// Why the last look failed; the lines are then those of an earlier one.
    pub(super) failed: Option<String>,
    /// Of the view; `None` until it has been looked at.
    lines: Option<Vec<Grown>>,
    growth: [Growth; 4],
    pub(super) table: TableState,
}

impl State {
    pub(super) fn new(whom: String, by: By, interval: Duration) -> State {
        State {
            whom,
            interval,
            by,
            sort: Sort::Bytes,
            is_paused: false,
            filter: String::new(),
            is_typing: false,
            failed: None,
            lines: None,
            growth: Default::default(),
            table: TableState::default(),
        }
    }

    pub(super) fn asked(&self) -> Asked {
        // A view that has not been looked at is, even while nothing moves.
        Asked { by: self.by, is_paused: self.is_paused && self.lines.is_some() }
    }

    pub(super) fn view(&self) -> usize {
        VIEWS.iter().position(|&by| by == self.by).unwrap_or(0)
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.lines.is_none()
    }

    pub(super) fn take(&mut self, look: Look) {
        // One that was under way when another view was chosen.
        if look.by != self.by {
            return;
        }
        self.whom = look.whom;
        match look.found {
            Ok(lines) => {
                let grown = self.growth[self.view()].of(&lines, Instant::now());
                self.lines = Some(lines.into_iter().zip(grown).map(|(line, growth)| Grown { line, growth }).collect());
                self.failed = None;
            }
            Err(why) => self.failed = Some(why),
        }
    }

    /// The lines that pass the filter, in order.
    pub(super) fn shown(&self) -> Vec<&Grown> {
        let wanted = self.filter.to_lowercase();
        let passes = |grown: &&Grown| wanted.is_empty() || grown.line.name.to_lowercase().contains(&wanted);
        let mut shown: Vec<&Grown> = self.lines.iter().flatten().filter(passes).collect();
        let size = |grown: &Grown| (grown.line.bytes, grown.line.total);
        shown.sort_by(|a, b| self.order(a, b).then_with(|| size(b).cmp(&size(a))));
        shown
    }

    fn order(&self, a: &Grown, b: &Grown) -> Ordering {
        let growth = |grown: &Grown| grown.growth.unwrap_or(f64::NEG_INFINITY);
        match self.sort {
            Sort::Bytes => b.line.bytes.cmp(&a.line.bytes),
            Sort::Total => b.line.total.cmp(&a.line.total),
            Sort::Growth => growth(b).total_cmp(&growth(a)),
            Sort::Count => b.line.count.cmp(&a.line.count),
            Sort::Name => a.line.name.cmp(&b.line.name),
        }
    }

    /// Returns whether to go on.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        if key.kind == KeyEventKind::Release {
            return true;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return !matches!(key.code, KeyCode::Char('c' | 'd'));
        }
        if self.is_typing {
            self.type_into_filter(key.code);
            return true;
        }
        match key.code {
            KeyCode::Char('q') => return false,
            KeyCode::Tab | KeyCode::Right => self.turn_to(self.view() + 1),
            KeyCode::BackTab | KeyCode::Left => self.turn_to(self.view() + VIEWS.len() - 1),
            KeyCode::Char(digit @ '1'..='4') => self.turn_to(digit as usize - '1' as usize),
            KeyCode::Char('s') => self.sort_by_the_next(),
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Down | KeyCode::Char('j') => self.table.select_next(),
            KeyCode::Up | KeyCode::Char('k') => self.table.select_previous(),
            KeyCode::PageDown => self.table.scroll_down_by(PAGE as u16),
            KeyCode::PageUp => self.table.scroll_up_by(PAGE as u16),
            KeyCode::Home => self.table.select_first(),
            KeyCode::End => self.table.select_last(),
            _ => {}
        }
        true
    }

    fn type_into_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(char) if self.filter.chars().count() < MAX_FILTER_CHARS => self.filter.push(char),
            _ => {}
        }
        self.table.select(None);
    }

    fn turn_to(&mut self, view: usize) {
        let by = VIEWS[view % VIEWS.len()];
        if by != self.by {
            self.by = by;
            self.lines = None;
            self.table = TableState::default();
            if self.sort == Sort::Total {
                self.sort = Sort::Bytes;
            }
        }
    }

    fn sort_by_the_next(&mut self) {
        self.sort = match self.sort {
            Sort::Bytes if self.by == By::Functions => Sort::Total,
            Sort::Bytes | Sort::Total => Sort::Growth,
            Sort::Growth => Sort::Count,
            Sort::Count => Sort::Name,
            Sort::Name => Sort::Bytes,
        };
        self.table.select(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, bytes: i64, count: i64) -> Line {
        Line { key: name.to_owned(), name: name.to_owned(), bytes, count, total: None }
    }

    fn state() -> State {
        let mut state = State::new("nobody".to_owned(), By::Labels, Duration::from_secs(2));
        state.take(look(By::Labels, Ok(vec![line("b", 3, 1), line("a", 2, 2), line("Cache", 1, 3)])));
        state
    }

    fn look(by: By, found: Result<Vec<Line>, String>) -> Look {
        Look { by, whom: "nobody".to_owned(), found }
    }

    fn press(state: &mut State, keys: &str) -> bool {
        keys.chars().all(|char| {
            let code = if char == '\n' { KeyCode::Enter } else { KeyCode::Char(char) };
            state.press(code.into())
        })
    }

    fn names(state: &State) -> Vec<&str> {
        state.shown().iter().map(|grown| grown.line.name.as_str()).collect()
    }

    #[test]
    fn keys_sort_and_filter() {
        let mut state = state();
        assert_eq!(names(&state), ["b", "a", "Cache"]);
        press(&mut state, "ss");
        assert_eq!(names(&state), ["Cache", "a", "b"]);
        press(&mut state, "s");
        assert_eq!(names(&state), ["Cache", "a", "b"]);
        // While a filter is typed, q is a letter.
        assert!(press(&mut state, "/caq"));
        assert_eq!(names(&state), [""; 0]);
        state.press(KeyCode::Backspace.into());
        press(&mut state, "\n");
        assert_eq!(names(&state), ["Cache"]);
        state.press(KeyCode::Esc.into());
        assert_eq!(names(&state).len(), 3);
        assert!(!press(&mut state, "q"));
    }

    #[test]
    fn only_functions_have_a_total_to_sort_by() {
        let mut state = State::new("nobody".to_owned(), By::Functions, Duration::from_secs(2));
        let of = |name: &str, bytes, total| Line { total: Some(total), ..line(name, bytes, 1) };
        state.take(look(By::Functions, Ok(vec![of("allocates", 9, 9), of("main", 0, 10)])));
        press(&mut state, "s");
        assert_eq!(names(&state), ["main", "allocates"]);
        press(&mut state, "2");
        assert_eq!(state.sort, Sort::Bytes);
    }

    #[test]
    fn a_look_at_another_view_is_not_shown() {
        let mut state = state();
        press(&mut state, "3");
        assert!(state.is_waiting());
        state.take(look(By::Labels, Ok(vec![line("b", 3, 1)])));
        assert!(state.is_waiting());
        state.press(KeyCode::Left.into());
        assert_eq!(state.by, By::Labels);
    }

    #[test]
    fn a_view_is_looked_at_once_even_when_paused() {
        let mut state = state();
        press(&mut state, "p");
        assert!(state.asked().is_paused);
        press(&mut state, "4");
        assert!(!state.asked().is_paused);
        state.take(look(By::Callsites, Ok(vec![])));
        assert!(state.asked().is_paused);
    }

    #[test]
    fn what_failed_leaves_the_earlier_lines() {
        let mut state = state();
        state.take(look(By::Labels, Err("gone".to_owned())));
        assert_eq!((state.failed.as_deref(), names(&state).len()), (Some("gone"), 3));
        state.take(look(By::Labels, Ok(vec![])));
        assert_eq!((state.failed.as_deref(), names(&state).len()), (None, 0));
    }
}
