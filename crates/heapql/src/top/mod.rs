//! The live view of `heapql top`.
//!
//! ```text
//! keys, signals  ->  State  <-  looks, from a task of their own (source, growth)
//!                      `-> draw
//! ```
//!
//! It shows what its queries answer and computes nothing but the growth between two looks. Called by `verbs::top`.

mod draw;
mod growth;
mod source;
mod state;

use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

pub(crate) use source::Source;

use crate::cli::By;
use crate::error::Error;
use crate::signals::{ENDING, Signals};
use source::Line;
use state::{Asked, State};

/// Keys that were typed ahead.
const MAX_KEYS: usize = 64;

/// What one look found, or why there was none.
struct Look {
    by: By,
    /// Who was asked, in words.
    whom: String,
    found: Result<Vec<Line>, String>,
}

/// Until a key or a signal ends it; then the terminal is as it was.
pub(crate) async fn live(source: Source, by: By, interval: Duration) -> Result<ExitCode, Error> {
    let cannot = |error: io::Error| Error::new(format!("cannot use the terminal: {error}"));
    let mut signals = Signals::catch(&ENDING).map_err(cannot)?;
    let state = State::new(source.words(), by, interval);
    let (asked, wanted) = watch::channel(state.asked());
    let (sender, looks) = mpsc::channel(1);
    tokio::spawn(keep_looking(source, wanted, sender, interval));
    let terminal = ratatui::try_init().map_err(cannot)?;
    let keys = keys();
    let ended = tokio::select! {
        ended = show(terminal, state, keys, looks, asked) => ended.map(|()| ExitCode::SUCCESS).map_err(cannot),
        received = signals.next() => Ok(status(received.signal.as_raw())),
    };
    ratatui::restore();
    ended
}

/// As a shell has it.
fn status(signal: i32) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

async fn show(
    mut terminal: DefaultTerminal,
    mut state: State,
    mut keys: mpsc::Receiver<Event>,
    mut looks: mpsc::Receiver<Look>,
    asked: watch::Sender<Asked>,
) -> io::Result<()> {
    loop {
        terminal.draw(|frame| draw::draw(frame, &mut state))?;
        tokio::select! {
            key = keys.recv() => match key {
                Some(Event::Key(key)) if !state.press(key) => return Ok(()),
                Some(_) => {}
                // The terminal is gone.
                None => return Ok(()),
            },
            Some(look) = looks.recv() => state.take(look),
        }
        asked.send_if_modified(|before| {
            let is_new = *before != state.asked();
            *before = state.asked();
            is_new
        });
    }
}

/// Reading them blocks, so that it has a thread, which ends with the process.
fn keys() -> mpsc::Receiver<Event> {
    let (sender, keys) = mpsc::channel(MAX_KEYS);
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                break;
            }
        }
    });
    keys
}

/// Looks now, again after each interval, and at once when something else is asked for.
async fn keep_looking(
    mut source: Source,
    mut wanted: watch::Receiver<Asked>,
    looks: mpsc::Sender<Look>,
    interval: Duration,
) {
    loop {
        let Asked { by, is_paused } = *wanted.borrow_and_update();
        if !is_paused {
            let found = source.look(by).await.map_err(|failed| failed.words());
            let whom = source.words();
            if looks.send(Look { by, whom, found }).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = sleep(interval) => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}
