//! The screen: who is asked, the views, the lines, the keys. It fits whatever size the terminal has.
//!
//! Weight and inversion only, no colours: every terminal has them, and NO_COLOR holds.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::source::MAX_LINES;
use super::state::{Grown, Sort, State, VIEWS};
use crate::cli::By;
use crate::rows::one_line;

const KEYS: &str = "q quit  Tab 1-4 view  s sort  / filter  Esc all  p pause  ↑↓ scroll";
const FEW_KEYS: &str = "q Tab s / p ↑↓";
/// Below it a terminal gets the short words.
const NARROW: u16 = 70;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const INVERTED: Style = Style::new().add_modifier(Modifier::REVERSED);

pub(super) fn draw(frame: &mut Frame, state: &mut State) {
    let [head, views, body, keys] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(status(state)), head);
    frame.render_widget(Paragraph::new(tabs(state, views.width)), views);
    table(frame, state, body);
    let words = if keys.width < NARROW { FEW_KEYS } else { KEYS };
    frame.render_widget(Paragraph::new(Text::styled(words, BOLD)), keys);
}

/// What is wrong, or else what is going on.
fn status(state: &State) -> String {
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
    words.push(format!("heapql top  {}  every {:?}", state.whom, state.interval));
    words.join("  ")
}

fn tabs(state: &State, width: u16) -> Text<'static> {
    let mut spans = Vec::new();
    for (index, &by) in VIEWS.iter().enumerate() {
        let name = match by {
            By::Functions => "functions",
            By::Labels => "labels",
            By::Processes => "processes",
            By::Callsites => "callsites",
        };
        let name = if width < 45 { name[..4].to_owned() } else { format!(" {} {name} ", index + 1) };
        spans.push(if by == state.by { Span::styled(name, INVERTED) } else { Span::raw(name) });
        spans.push(Span::raw(" "));
    }
    Text::from(spans)
}

fn table(frame: &mut Frame, state: &mut State, area: Rect) {
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

/// What a column of numbers shows.
#[derive(Clone, Copy)]
enum Number {
    Bytes,
    Total,
    Growth,
    Count,
}

/// As many as there is room for, the name last.
fn numbers(state: &State, width: u16) -> Vec<Number> {
    let mut numbers = vec![Number::Bytes];
    if width >= 70 && state.by == By::Functions {
        numbers.push(Number::Total);
    }
    if width >= 40 {
        numbers.push(Number::Growth);
    }
    if width >= 55 {
        numbers.push(Number::Count);
    }
    numbers
}

fn heading(state: &State, numbers: &[Number]) -> (Vec<String>, Vec<Constraint>) {
    let mark = |sort: Sort, name: &str| format!("{name}{}", if state.sort == sort { "*" } else { "" });
    let mut headings = Vec::new();
    for number in numbers {
        headings.push(match number {
            Number::Bytes => (mark(Sort::Bytes, "est bytes"), Constraint::Length(10)),
            Number::Total => (mark(Sort::Total, "with calls"), Constraint::Length(11)),
            Number::Growth => (mark(Sort::Growth, "per minute"), Constraint::Length(11)),
            Number::Count => (mark(Sort::Count, "est count"), Constraint::Length(10)),
        });
    }
    headings.push((mark(Sort::Name, state.by.heading()), Constraint::Fill(1)));
    headings.into_iter().unzip()
}

fn row(grown: &Grown, numbers: &[Number]) -> Row<'static> {
    let line = &grown.line;
    let words = |number: &Number| match number {
        Number::Bytes => size(line.bytes as f64),
        Number::Total => line.total.map_or_else(|| "-".to_owned(), |total| size(total as f64)),
        Number::Growth => grown.growth.map_or_else(|| "-".to_owned(), growth),
        Number::Count => line.count.to_string(),
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

/// Three or four digits and a unit.
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

    use super::super::Look;
    use super::super::source::Line;

    fn screen(width: u16, height: u16, state: &mut State) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| draw(frame, state)).expect("drawn");
        terminal.backend().to_string()
    }

    fn state() -> State {
        let mut state = State::new("127.0.0.1:1".to_owned(), By::Labels, Duration::from_secs(2));
        let line =
            |name: &str, bytes| Line { key: name.to_owned(), name: name.to_owned(), bytes, count: 7, total: None };
        let lines = vec![line("glibc_malloc", 5 << 20), line("evil\x1b[2J", 900), line("b", 0)];
        let whom = "127.0.0.1:1".to_owned();
        state.take(Look { by: By::Labels, whom, found: Ok(lines) });
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
