//! The prompt of `heapql sql`: statements and a few commands of psql, edited, completed and remembered.
//!
//! Ctrl-C clears what is being typed, or has the server stop what is running; Ctrl-D ends. How a statement is carried out
//! is `verbs::sql`'s.

mod command;
mod history;
mod names;

use std::io;
use std::process::{self, ExitCode};

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{AskFlags, Format};
use crate::client::{self, Client, Whom};
use crate::error::Error;
use crate::rows::Layout;
use crate::service;
use crate::talk::say;
use crate::verbs::sql::{Stopped, carry_out};
use command::{Command, HELP};
use history::History;
use names::Names;

pub(crate) fn run(flags: &AskFlags, layout: Layout) -> Result<ExitCode, Error> {
    let whom = Whom::of(flags)?;
    let password = client::password(flags)?;
    let runtime = service::runtime()?;
    runtime.spawn(leave_in_order());
    let client = runtime.block_on(Client::connect(&whom, password.as_deref()))?;
    let mut editor = editor().map_err(|error| Error::new(format!("cannot use the terminal: {error}")))?;
    editor.set_helper(Some(runtime.block_on(Names::of(&client))));
    say!("asking {}; \\? lists commands, Ctrl-D ends", whom.words());
    let history = History::open(&mut editor);
    let mut prompt = Prompt { runtime, whom, password, client, is_lost: false, layout };
    loop {
        match editor.readline("heapql> ") {
            Ok(line) => {
                history.add(&mut editor, &line);
                if !prompt.obey(&line) {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(Error::new(format!("cannot read the terminal: {error}"))),
        }
    }
}

fn editor() -> rustyline::Result<Editor<Names, FileHistory>> {
    let mut config = Config::builder().auto_add_history(false).completion_prompt_limit(100).build();
    config.set_completion_type(rustyline::CompletionType::List);
    let mut editor = Editor::with_config(config)?;
    editor.set_max_history_size(history::MAX_ENTRIES)?;
    Ok(editor)
}

/// Whoever ends us by a signal gets the terminal back as it was.
async fn leave_in_order() {
    let before = tcgetattr(io::stdin());
    let (Ok(mut term), Ok(mut hup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else { return };
    let status = tokio::select! {
        _ = term.recv() => 128 + 15,
        _ = hup.recv() => 128 + 1,
    };
    if let Ok(before) = before {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
    process::exit(status);
}

struct Prompt {
    runtime: Runtime,
    whom: Whom,
    password: Option<String>,
    client: Client,
    /// It waits for a statement that was given up.
    is_lost: bool,
    layout: Layout,
}

impl Prompt {
    /// Returns whether there is more to come.
    fn obey(&mut self, line: &str) -> bool {
        match Command::of(line) {
            Command::Quit => return false,
            Command::Help => say!("{HELP}"),
            Command::Vertical => {
                self.layout.vertical = !self.layout.vertical;
                say!("one line per value: {}", if self.layout.vertical { "on" } else { "off" });
            }
            Command::Unknown(words) => say!("error: there is no command '{words}'\nhint: \\? lists them"),
            Command::Describe(table) => {
                let layout = Layout { only: &["Field", "Type", "Comment"], ..self.layout() };
                self.ask(&format!("SHOW FULL COLUMNS FROM {table}"), layout);
            }
            Command::Ask(statements) => {
                let layout = self.layout();
                for statement in statements {
                    if !self.ask(&statement, layout) {
                        break;
                    }
                }
            }
        }
        true
    }

    /// The terminal may have another size by now.
    fn layout(&self) -> Layout {
        let columns = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
        match self.layout.format {
            Format::Table => Layout { columns: columns.filter(|&columns| columns > 0), ..self.layout },
            _ => self.layout,
        }
    }

    /// Returns whether the next one may run.
    fn ask(&mut self, statement: &str, layout: Layout) -> bool {
        if (self.is_lost || self.client.is_gone()) && !self.connect_again() {
            return false;
        }
        match self.runtime.block_on(carry_out(&self.client, statement, layout)) {
            Ok(()) => true,
            Err(Stopped::Error(error)) => {
                error.print();
                false
            }
            Err(Stopped::Interrupted | Stopped::Reader) => false,
            Err(Stopped::Abandoned) => {
                self.is_lost = true;
                false
            }
        }
    }

    fn connect_again(&mut self) -> bool {
        match self.runtime.block_on(Client::connect(&self.whom, self.password.as_deref())) {
            Ok(client) => {
                say!("note: connected again; what was SET before is gone");
                self.client = client;
                self.is_lost = false;
                true
            }
            Err(failed) => {
                Error::from(failed).print();
                false
            }
        }
    }
}
