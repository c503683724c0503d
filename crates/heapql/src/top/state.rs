//! The state of the view, and the effect of each key on it. Drawing is `draw`'s.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::widgets::TableState;

use super::Poll;
use super::growth::GrowthTracker;
use super::source::TopLine;
use crate::cli::TopView;

pub(super) const VIEWS: [TopView; 4] = [TopView::Functions, TopView::Labels, TopView::Processes, TopView::Callsites];
/// Maximum length of a filter.
const MAX_FILTER_CHARS: usize = 64;
const PAGE: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SortKey {
    Bytes,
    Total,
    Growth,
    Count,
    Name,
}

/// The view that the next poll is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PollRequest {
    pub(super) by: TopView,
    pub(super) is_paused: bool,
}

/// A line with its growth.
#[derive(Clone, Debug)]
pub(super) struct LineGrowth {
    pub(super) line: TopLine,
    /// Bytes per minute.
    pub(super) growth: Option<f64>,
}

pub(super) struct TopState {
    /// The endpoint, in words.
    pub(super) endpoint: String,
    pub(super) interval: Duration,
    pub(super) by: TopView,
    pub(super) sort: SortKey,
    pub(super) is_paused: bool,
    pub(super) filter: String,
    /// Keys are added to the filter.
    pub(super) is_typing: bool,
    /// The error of the last poll. The lines are then those of an earlier one.
    pub(super) failed: Option<String>,
    /// The lines of the view, or None before its first poll.
    lines: Option<Vec<LineGrowth>>,
    growth: [GrowthTracker; 4],
    pub(super) table: TableState,
}

impl TopState {
    pub(super) fn new(endpoint: String, by: TopView, interval: Duration) -> TopState {
        TopState {
            endpoint,
            interval,
            by,
            sort: SortKey::Bytes,
            is_paused: false,
            filter: String::new(),
            is_typing: false,
            failed: None,
            lines: None,
            growth: Default::default(),
            table: TableState::default(),
        }
    }

    pub(super) fn request(&self) -> PollRequest {
        // A new view is polled once, even while paused.
        PollRequest { by: self.by, is_paused: self.is_paused && self.lines.is_some() }
    }

    pub(super) fn view(&self) -> usize {
        VIEWS.iter().position(|&by| by == self.by).unwrap_or(0)
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.lines.is_none()
    }

    pub(super) fn take(&mut self, poll: Poll) {
        // The poll was running when another view was chosen.
        if poll.by != self.by {
            return;
        }
        self.endpoint = poll.endpoint;
        match poll.found {
            Ok(lines) => {
                let grown = self.growth[self.view()].record(&lines, Instant::now());
                self.lines =
                    Some(lines.into_iter().zip(grown).map(|(line, growth)| LineGrowth { line, growth }).collect());
                self.failed = None;
            }
            Err(why) => self.failed = Some(why),
        }
    }

    /// The lines that pass the filter, in order.
    pub(super) fn shown(&self) -> Vec<&LineGrowth> {
        let wanted = self.filter.to_lowercase();
        let passes = |grown: &&LineGrowth| wanted.is_empty() || grown.line.name.to_lowercase().contains(&wanted);
        let mut shown: Vec<&LineGrowth> = self.lines.iter().flatten().filter(passes).collect();
        let size = |grown: &LineGrowth| (grown.line.bytes, grown.line.total);
        shown.sort_by(|a, b| self.order(a, b).then_with(|| size(b).cmp(&size(a))));
        shown
    }

    fn order(&self, a: &LineGrowth, b: &LineGrowth) -> Ordering {
        let growth = |grown: &LineGrowth| grown.growth.unwrap_or(f64::NEG_INFINITY);
        match self.sort {
            SortKey::Bytes => b.line.bytes.cmp(&a.line.bytes),
            SortKey::Total => b.line.total.cmp(&a.line.total),
            SortKey::Growth => growth(b).total_cmp(&growth(a)),
            SortKey::Count => b.line.count.cmp(&a.line.count),
            SortKey::Name => a.line.name.cmp(&b.line.name),
        }
    }

    /// Handles a key. Returns false at the end of the view.
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
            if self.sort == SortKey::Total {
                self.sort = SortKey::Bytes;
            }
        }
    }

    fn sort_by_the_next(&mut self) {
        self.sort = match self.sort {
            SortKey::Bytes if self.by == TopView::Functions => SortKey::Total,
            SortKey::Bytes | SortKey::Total => SortKey::Growth,
            SortKey::Growth => SortKey::Count,
            SortKey::Count => SortKey::Name,
            SortKey::Name => SortKey::Bytes,
        };
        self.table.select(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, bytes: i64, count: i64) -> TopLine {
        TopLine { key: name.to_owned(), name: name.to_owned(), bytes, count, total: None }
    }

    fn state() -> TopState {
        let mut state = TopState::new("nobody".to_owned(), TopView::Labels, Duration::from_secs(2));
        state.take(poll(TopView::Labels, Ok(vec![line("b", 3, 1), line("a", 2, 2), line("Cache", 1, 3)])));
        state
    }

    fn poll(by: TopView, found: Result<Vec<TopLine>, String>) -> Poll {
        Poll { by, endpoint: "nobody".to_owned(), found }
    }

    fn press(state: &mut TopState, keys: &str) -> bool {
        keys.chars().all(|char| {
            let code = if char == '\n' { KeyCode::Enter } else { KeyCode::Char(char) };
            state.press(code.into())
        })
    }

    fn names(state: &TopState) -> Vec<&str> {
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
        let mut state = TopState::new("nobody".to_owned(), TopView::Functions, Duration::from_secs(2));
        let of = |name: &str, bytes, total| TopLine { total: Some(total), ..line(name, bytes, 1) };
        state.take(poll(TopView::Functions, Ok(vec![of("allocates", 9, 9), of("main", 0, 10)])));
        press(&mut state, "s");
        assert_eq!(names(&state), ["main", "allocates"]);
        press(&mut state, "2");
        assert_eq!(state.sort, SortKey::Bytes);
    }

    #[test]
    fn a_look_at_another_view_is_not_shown() {
        let mut state = state();
        press(&mut state, "3");
        assert!(state.is_waiting());
        state.take(poll(TopView::Labels, Ok(vec![line("b", 3, 1)])));
        assert!(state.is_waiting());
        state.press(KeyCode::Left.into());
        assert_eq!(state.by, TopView::Labels);
    }

    #[test]
    fn a_view_is_looked_at_once_even_when_paused() {
        let mut state = state();
        press(&mut state, "p");
        assert!(state.request().is_paused);
        press(&mut state, "4");
        assert!(!state.request().is_paused);
        state.take(poll(TopView::Callsites, Ok(vec![])));
        assert!(state.request().is_paused);
    }

    #[test]
    fn what_failed_leaves_the_earlier_lines() {
        let mut state = state();
        state.take(poll(TopView::Labels, Err("gone".to_owned())));
        assert_eq!((state.failed.as_deref(), names(&state).len()), (Some("gone"), 3));
        state.take(poll(TopView::Labels, Ok(vec![])));
        assert_eq!((state.failed.as_deref(), names(&state).len()), (None, 0));
    }
}
