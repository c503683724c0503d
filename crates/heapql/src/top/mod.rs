//! The live view of `heapql top`.
//!
//! ```text
//! keys, signals  ->  TopState  <-  polls, in a task of their own (source, growth)
//!                      `-> draw
//! ```
//!
//! It shows the rows of its queries and computes only the growth between polls. Called by `verbs::top`.

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

pub(crate) use source::LineSource;

use crate::cli::TopView;
use crate::error::Error;
use crate::signals::{ENDING, Signals};
use source::TopLine;
use state::{PollRequest, TopState};

/// Maximum number of keys that are typed ahead.
const MAX_KEYS: usize = 64;

/// The result of one poll.
struct Poll {
    by: TopView,
    /// The endpoint that was asked, in words.
    endpoint: String,
    found: Result<Vec<TopLine>, String>,
}

/// Shows the view until a key or a signal ends it. Then the terminal is restored.
pub(crate) async fn live(source: LineSource, by: TopView, interval: Duration) -> Result<ExitCode, Error> {
    let cannot = |error: io::Error| Error::new(format!("cannot use the terminal: {error}"));
    let mut signals = Signals::catch(&ENDING).map_err(cannot)?;
    let state = TopState::new(source.words(), by, interval);
    let (asked, wanted) = watch::channel(state.request());
    let (sender, polls) = mpsc::channel(1);
    tokio::spawn(keep_polling(source, wanted, sender, interval));
    let terminal = ratatui::try_init().map_err(cannot)?;
    let keys = keys();
    let ended = tokio::select! {
        ended = show(terminal, state, keys, polls, asked) => ended.map(|()| ExitCode::SUCCESS).map_err(cannot),
        received = signals.next() => Ok(status(received.signal.as_raw())),
    };
    ratatui::restore();
    ended
}

/// The exit status for a signal, as in a shell.
fn status(signal: i32) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

async fn show(
    mut terminal: DefaultTerminal,
    mut state: TopState,
    mut keys: mpsc::Receiver<Event>,
    mut polls: mpsc::Receiver<Poll>,
    asked: watch::Sender<PollRequest>,
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
            Some(poll) = polls.recv() => state.take(poll),
        }
        asked.send_if_modified(|before| {
            let is_new = *before != state.request();
            *before = state.request();
            is_new
        });
    }
}

/// Reads keys on a thread, because reading blocks. The thread ends with the process.
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

/// Polls now, after each interval, and at once when the request changes.
async fn keep_polling(
    mut source: LineSource,
    mut wanted: watch::Receiver<PollRequest>,
    polls: mpsc::Sender<Poll>,
    interval: Duration,
) {
    loop {
        let PollRequest { by, is_paused } = *wanted.borrow_and_update();
        if !is_paused {
            let found = source.poll(by).await.map_err(|failed| failed.words());
            let endpoint = source.words();
            if polls.send(Poll { by, endpoint, found }).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = sleep(interval) => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}
