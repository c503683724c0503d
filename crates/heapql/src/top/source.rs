//! Where the lines come from: one query per look, over one connection, which is made again when it is lost.

use std::time::Duration;

use tokio::time::timeout;

use crate::cli::{AskFlags, By};
use crate::client::{Answer, Client, Failed, Whom};
use crate::rows::Cell;

/// Nobody reads further, and every look costs the server as much again.
pub(super) const MAX_LINES: usize = 500;
/// A look that takes longer is given up, and its connection with it.
const LOOK_WITHIN: Duration = Duration::from_secs(10);

/// One line of the view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    /// What it is recognised by in the next look.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) bytes: i64,
    pub(super) count: i64,
}

impl Line {
    /// As printed without a terminal.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let number = |number: i64| Cell::Bare(number.to_string());
        vec![Cell::Text(self.name.clone()), number(self.bytes), number(self.count)]
    }

    fn of(row: &[Cell]) -> Option<Line> {
        let [key, name, bytes, count] = row else { return None };
        let number = |cell: &Cell| cell.words("0").parse().unwrap_or(0);
        let text = |cell: &Cell| cell.words("").to_owned();
        Some(Line { key: text(key), name: text(name), bytes: number(bytes), count: number(count) })
    }
}

impl By {
    pub(crate) fn heading(self) -> &'static str {
        match self {
            By::Functions => "function",
            By::Labels => "label",
            By::Processes => "process",
            By::Callsites => "callsite",
        }
    }

    /// Columns: key, name, bytes, count; the largest first.
    fn query(self, only: &str) -> String {
        let (key, name, from) = match self {
            By::Functions => {
                let first = "split_part(c.back_trace, ' ', 1)";
                (first, first, "callsites c")
            }
            By::Labels => ("c.label", "c.label", "callsites c"),
            By::Processes => (
                "CAST(c.pid AS VARCHAR)",
                "max(CAST(c.pid AS VARCHAR) || ' ' || p.command)",
                "callsites c JOIN processes p ON p.pid = c.pid",
            ),
            By::Callsites => (
                "CAST(c.pid AS VARCHAR) || ' ' || CAST(c.callsite_id AS VARCHAR)",
                "max(CAST(c.pid AS VARCHAR) || ' ' || c.label || ' ' || c.back_trace)",
                "callsites c",
            ),
        };
        format!(
            "SELECT {key} AS key, {name} AS name, sum(c.est_bytes) AS bytes, sum(c.est_count) AS count \
             FROM {from} WHERE {only} GROUP BY {key} ORDER BY bytes DESC LIMIT {MAX_LINES}"
        )
    }
}

pub(crate) struct Source {
    whom: Whom,
    password: Option<String>,
    pid: Option<u32>,
    flags: AskFlags,
    client: Option<Client>,
}

impl Source {
    pub(crate) fn new(whom: Whom, password: Option<String>, pid: Option<u32>, flags: AskFlags) -> Source {
        Source { whom, password, pid, flags, client: None }
    }

    pub(super) fn words(&self) -> String {
        self.whom.words()
    }

    pub(crate) async fn look(&mut self, by: By) -> Result<Vec<Line>, Failed> {
        let looked = timeout(LOOK_WITHIN, self.ask(by)).await;
        let found = looked.unwrap_or_else(|_| Err(Failed::no_answer(&self.whom.words(), LOOK_WITHIN)));
        // What SQL refused would be refused again, but what the connection lost is found again on a new one.
        if found.is_err() {
            self.client = None;
        }
        found
    }

    async fn ask(&mut self, by: By) -> Result<Vec<Line>, Failed> {
        let client = match &mut self.client {
            Some(client) => client,
            none => {
                // Another one may have been started since.
                self.whom = self.whom.again(&self.flags)?;
                none.insert(Client::connect(&self.whom, self.password.as_deref()).await?)
            }
        };
        // The server's own memory is nobody's question unless they ask for it.
        let only = match (self.pid, &self.whom) {
            (Some(pid), _) => format!("c.pid = {pid}"),
            (None, Whom::Server { pid: Some(own), .. }) => format!("c.pid <> {own}"),
            (None, _) => "true".to_owned(),
        };
        match client.ask(&by.query(&only)).await? {
            Some(answer) => lines(answer).await,
            None => Ok(Vec::new()),
        }
    }
}

async fn lines(mut answer: Answer) -> Result<Vec<Line>, Failed> {
    let mut lines = Vec::new();
    while let Some(row) = answer.next().await? {
        lines.extend(Line::of(&row));
    }
    Ok(lines)
}
