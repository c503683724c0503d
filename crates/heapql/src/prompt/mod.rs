//! The prompt of `heapql sql`: statements and a few commands of psql, edited, completed and remembered.
//!
//! Ctrl-C clears the line, or cancels the running statement; Ctrl-D ends the prompt. Statements are run by `statement`.

mod command;
mod completer;
mod history;

use std::io;
use std::process::{self, ExitCode};

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{EndpointFlags, OutputFormat};
use crate::client::{self, Client, Endpoint};
use crate::error::Error;
use crate::rows::TableLayout;
use crate::service;
use crate::statement::{Interruption, run_statement};
use crate::stderr::say;
use command::{HELP, PromptCommand};
use completer::NameCompleter;
use history::PromptHistory;

pub(crate) fn run(flags: &EndpointFlags, layout: TableLayout) -> Result<ExitCode, Error> {
    let endpoint = Endpoint::choose(flags)?;
    let password = client::password(flags)?;
    let runtime = service::runtime()?;
    runtime.spawn(restore_at_signal());
    let client = runtime.block_on(Client::connect(&endpoint, password.as_deref()))?;
    let mut editor = editor().map_err(|error| Error::new(format!("cannot use the terminal: {error}")))?;
    editor.set_helper(Some(runtime.block_on(NameCompleter::load(&client))));
    say!("asking {}; \\? lists commands, Ctrl-D ends", endpoint.words());
    let history = PromptHistory::open(&mut editor);
    let mut prompt = Prompt { runtime, endpoint, password, client, is_lost: false, layout };
    loop {
        match editor.readline("heapql> ") {
            Ok(line) => {
                history.add(&mut editor, &line);
                if !prompt.execute(&line) {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(Error::new(format!("cannot read the terminal: {error}"))),
        }
    }
}

fn editor() -> rustyline::Result<Editor<NameCompleter, FileHistory>> {
    let mut config = Config::builder().auto_add_history(false).completion_prompt_limit(100).build();
    config.set_completion_type(rustyline::CompletionType::List);
    let mut editor = Editor::with_config(config)?;
    editor.set_max_history_size(history::MAX_ENTRIES)?;
    Ok(editor)
}

/// Restores the terminal when a signal ends this process.
async fn restore_at_signal() {
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
    endpoint: Endpoint,
    password: Option<String>,
    client: Client,
    /// The client still waits for an abandoned statement.
    is_lost: bool,
    layout: TableLayout,
}

impl Prompt {
    /// Carries out a line. Returns false at the end of the prompt.
    fn execute(&mut self, line: &str) -> bool {
        match PromptCommand::parse(line) {
            PromptCommand::Quit => return false,
            PromptCommand::Help => say!("{HELP}"),
            PromptCommand::Vertical => {
                self.layout.vertical = !self.layout.vertical;
                say!("one line per value: {}", if self.layout.vertical { "on" } else { "off" });
            }
            PromptCommand::Unknown(words) => say!("error: there is no command '{words}'\nhint: \\? lists them"),
            PromptCommand::Describe(table) => {
                let layout = TableLayout { only: &["Field", "Type", "Comment"], ..self.layout() };
                self.ask(&format!("SHOW FULL COLUMNS FROM {table}"), layout);
            }
            PromptCommand::Ask(statements) => {
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

    /// The layout for the terminal's current width.
    fn layout(&self) -> TableLayout {
        let columns = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
        match self.layout.format {
            OutputFormat::Table => TableLayout { columns: columns.filter(|&columns| columns > 0), ..self.layout },
            _ => self.layout,
        }
    }

    /// Runs a statement. Returns whether the next one may run.
    fn ask(&mut self, statement: &str, layout: TableLayout) -> bool {
        if (self.is_lost || self.client.is_gone()) && !self.connect_again() {
            return false;
        }
        match self.runtime.block_on(run_statement(&self.client, statement, layout)) {
            Ok(()) => true,
            Err(Interruption::Error(error)) => {
                error.print();
                false
            }
            Err(Interruption::Interrupted | Interruption::Reader) => false,
            Err(Interruption::Abandoned) => {
                self.is_lost = true;
                false
            }
        }
    }

    fn connect_again(&mut self) -> bool {
        match self.runtime.block_on(Client::connect(&self.endpoint, self.password.as_deref())) {
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
