//! Draws the screen: the endpoint, the views, the lines, the keys, for any size of the terminal. The state is `state`'s.
//!
//! It uses bold and inverted text and no colours, so that every terminal shows it and NO_COLOR holds.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::source::MAX_LINES;
use super::state::{LineGrowth, SortKey, TopState, VIEWS};
use crate::cli::TopView;
use crate::rows::one_line;

const KEYS: &str = "q quit  Tab 1-4 view  s sort  / filter  Esc all  p pause  ↑↓ scroll";
const FEW_KEYS: &str = "q Tab s / p ↑↓";
/// Width below which the short texts are shown.
const NARROW: u16 = 70;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const INVERTED: Style = Style::new().add_modifier(Modifier::REVERSED);

pub(super) fn draw(frame: &mut Frame, state: &mut TopState) {
    let [head, views, body, keys] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(status(state)), head);
    frame.render_widget(Paragraph::new(tabs(state, views.width)), views);
    table(frame, state, body);
    let words = if keys.width < NARROW { FEW_KEYS } else { KEYS };
    frame.render_widget(Paragraph::new(Text::styled(words, BOLD)), keys);
}

/// The status line: the error of the last poll, else the endpoint and the interval.
fn status(state: &TopState) -> String {
    if let Some(why) = &state.failed {
        return format!("{}; trying again", one_line(why));
    }
    if state.is_typing {
        return format!("/{}_  (Enter, Esc)", state.filter);
    }
    let mut words = if state.is_paused { vec!["paused".to_owned()] } else { Vec::new() };
    if !state.filter.is_empty() {
        words.push(format!("/{}", state.filter));
    }
    words.push(format!("heapql top  {}  every {:?}", state.endpoint, state.interval));
    words.join("  ")
}

fn tabs(state: &TopState, width: u16) -> Text<'static> {
    let mut spans = Vec::new();
    for (index, &by) in VIEWS.iter().enumerate() {
        let name = match by {
            TopView::Functions => "functions",
            TopView::Labels => "labels",
            TopView::Processes => "processes",
            TopView::Callsites => "callsites",
        };
        let name = if width < 45 { name[..4].to_owned() } else { format!(" {} {name} ", index + 1) };
        spans.push(if by == state.by { Span::styled(name, INVERTED) } else { Span::raw(name) });
        spans.push(Span::raw(" "));
    }
    Text::from(spans)
}

fn table(frame: &mut Frame, state: &mut TopState, area: Rect) {
    if state.is_waiting() {
        frame.render_widget(Paragraph::new("looking .."), area);
        return;
    }
    let numbers = numbers(state, area.width);
    let (heading, widths) = heading(state, &numbers);
    let shown = state.shown();
    let note = match shown.len() {
        0 if state.filter.is_empty() => Some("nothing is live (hint: heapql doctor says why nothing is recorded)"),
        0 => Some("no line passes the filter (Esc: all)"),
        _ => None,
    };
    if let Some(note) = note {
        frame.render_widget(Paragraph::new(note), area);
        return;
    }
    let is_cut = shown.len() == MAX_LINES;
    let mut rows: Vec<Row> = shown.into_iter().map(|grown| row(grown, &numbers)).collect();
    if is_cut {
        rows.push(Row::new([String::new(), format!("only the {MAX_LINES} largest are listed")]));
    }
    let table = Table::new(rows, widths).header(Row::new(heading).style(BOLD)).row_highlight_style(INVERTED);
    frame.render_stateful_widget(table, area, &mut state.table);
}

/// The quantities of the columns of numbers.
#[derive(Clone, Copy)]
enum NumberColumn {
    Bytes,
    Total,
    Growth,
    Count,
}

/// The columns of numbers that fit beside the name.
fn numbers(state: &TopState, width: u16) -> Vec<NumberColumn> {
    let mut numbers = vec![NumberColumn::Bytes];
    if width >= 70 && state.by == TopView::Functions {
        numbers.push(NumberColumn::Total);
    }
    if width >= 40 {
        numbers.push(NumberColumn::Growth);
    }
    if width >= 55 {
        numbers.push(NumberColumn::Count);
    }
    numbers
}

fn heading(state: &TopState, numbers: &[NumberColumn]) -> (Vec<String>, Vec<Constraint>) {
    let mark = |sort: SortKey, name: &str| format!("{name}{}", if state.sort == sort { "*" } else { "" });
    let mut headings = Vec::new();
    for number in numbers {
        headings.push(match number {
            NumberColumn::Bytes => (mark(SortKey::Bytes, "est bytes"), Constraint::Length(10)),
            NumberColumn::Total => (mark(SortKey::Total, "with calls"), Constraint::Length(11)),
            NumberColumn::Growth => (mark(SortKey::Growth, "per minute"), Constraint::Length(11)),
            NumberColumn::Count => (mark(SortKey::Count, "est count"), Constraint::Length(10)),
        });
    }
    headings.push((mark(SortKey::Name, state.by.heading()), Constraint::Fill(1)));
    headings.into_iter().unzip()
}

fn row(grown: &LineGrowth, numbers: &[NumberColumn]) -> Row<'static> {
    let line = &grown.line;
    let words = |number: &NumberColumn| match number {
        NumberColumn::Bytes => size(line.bytes as f64),
        NumberColumn::Total => line.total.map_or_else(|| "-".to_owned(), |total| size(total as f64)),
        NumberColumn::Growth => grown.growth.map_or_else(|| "-".to_owned(), growth),
        NumberColumn::Count => line.count.to_string(),
    };
    let numbers = numbers.iter().map(|number| Cell::from(Text::from(words(number)).right_aligned()));
    numbers.chain([Cell::from(one_line(&line.name).into_owned())]).collect()
}

fn growth(bytes: f64) -> String {
    match bytes {
        bytes if bytes.abs() < 0.5 => "0 B".to_owned(),
        bytes if bytes > 0.0 => format!("+{}", size(bytes)),
        bytes => size(bytes),
    }
}

/// Formats a size with three or four digits and a unit.
fn size(bytes: f64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes, 0);
    while value.abs() >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value.abs() < 100.0);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::Poll;
    use super::super::source::TopLine;

    fn screen(width: u16, height: u16, state: &mut TopState) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| draw(frame, state)).expect("drawn");
        terminal.backend().to_string()
    }

    fn state() -> TopState {
        let mut state = TopState::new("127.0.0.1:1".to_owned(), TopView::Labels, Duration::from_secs(2));
        let line =
            |name: &str, bytes| TopLine { key: name.to_owned(), name: name.to_owned(), bytes, count: 7, total: None };
        let lines = vec![line("glibc_malloc", 5 << 20), line("evil\x1b[2J", 900), line("b", 0)];
        let endpoint = "127.0.0.1:1".to_owned();
        state.take(Poll { by: TopView::Labels, endpoint, found: Ok(lines) });
        state
    }

    #[test]
    fn a_wide_screen_shows_everything() {
        let text = screen(100, 10, &mut state());
        for word in ["127.0.0.1:1", "every 2s", " 2 labels ", "est bytes*", "per minute", "5.0 MiB", "900 B", "q quit"]
        {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(!text.contains('\x1b') && text.contains("evil\\u{1b}[2J"), "{text}");
    }

    #[test]
    fn every_size_is_drawn() {
        let mut state = state();
        for width in [1, 2, 5, 10, 20, 39, 40, 55, 80, 300] {
            for height in [1, 2, 3, 4, 10, 50] {
                screen(width, height, &mut state);
            }
        }
        let text = screen(20, 10, &mut state);
        for word in ["est bytes*", "glibc", "q Tab s / p"] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        let sizes = [0.0, 999.0, 1000.0, 1536.0, 150.0 * 1048576.0, -2048.0];
        assert_eq!(sizes.map(size), ["0 B", "999 B", "1.0 KiB", "1.5 KiB", "150 MiB", "-2.0 KiB"]);
        assert_eq!([0.2, 2048.0, -2048.0].map(growth), ["0 B", "+2.0 KiB", "-2.0 KiB"]);
    }
}
