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
    /// Of a function, with everything that it called.
    pub(super) total: Option<i64>,
}

impl Line {
    /// As printed without a terminal.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let number = |number: i64| Cell::Bare(number.to_string());
        let mut cells = vec![number(self.bytes), number(self.count)];
        cells.extend(self.total.map(number));
        // The last: a C++ name may be a thousand letters.
        cells.push(Cell::Text(self.name.clone()));
        cells
    }

    fn of(row: &[Cell]) -> Option<Line> {
        let [key, name, bytes, count, total] = row else { return None };
        let number = |cell: &Cell| cell.words("0").parse().unwrap_or(0);
        let text = |cell: &Cell| cell.words("").to_owned();
        Some(Line {
            key: text(key),
            name: text(name),
            bytes: number(bytes),
            count: number(count),
            total: total.words("").parse().ok(),
        })
    }
}

impl By {
    /// Of the table that is printed without a terminal.
    pub(crate) fn headings(self) -> Vec<String> {
        let total = (self == By::Functions).then_some("est_total_bytes");
        ["est_bytes", "est_count"].into_iter().chain(total).chain([self.heading()]).map(str::to_owned).collect()
    }

    pub(crate) fn heading(self) -> &'static str {
        match self {
            By::Functions => "function",
            By::Labels => "label",
            By::Processes => "process",
            By::Callsites => "callsite",
        }
    }

    /// Columns: key, name, bytes, count, total bytes; the largest first. `only` is a condition on pid and state.
    fn query(self, only: &str) -> String {
        const SUMS: &str = "sum(est_bytes) AS bytes, sum(est_count) AS count, NULL AS total";
        const WITH_COMMAND: &str = "callsites JOIN (SELECT svr_ip AS ip, svr_port AS port, pid AS process, started_at, command FROM processes) \
             ON process = pid AND started_at = process_started_at AND ip = svr_ip AND port = svr_port";
        const SERVER: &str = "svr_ip || ':' || CAST(svr_port AS VARCHAR)";
        let (columns, from, group) = match self {
            // By the code that asked the allocator, and with everything that it called.
            By::Functions => (
                "function || ' ' || module AS key, function AS name, \
                 sum(CASE WHEN is_self THEN est_bytes ELSE 0 END) AS bytes, \
                 sum(CASE WHEN is_self THEN est_count ELSE 0 END) AS count, \
                 sum(CASE WHEN is_repeat THEN 0 ELSE est_bytes END) AS total"
                    .to_owned(),
                "frames",
                "function, module",
            ),
            By::Labels => (format!("label AS key, label AS name, {SUMS}"), "callsites", "label"),
            By::Processes => (
                format!(
                    "{SERVER} || ' ' || CAST(pid AS VARCHAR) AS key, CAST(pid AS VARCHAR) || ' ' || max(command) || \
                     CASE WHEN (SELECT count(*) FROM servers) > 1 THEN ' on ' || {SERVER} ELSE '' END AS name, {SUMS}"
                ),
                WITH_COMMAND,
                "svr_ip, svr_port, pid",
            ),
            // By the user's own code, where there is some on the stack.
            By::Callsites => (
                format!(
                    "{SERVER} || ' ' || CAST(pid AS VARCHAR) || ' ' || CAST(callsite_id AS VARCHAR) AS key, \
                     coalesce(nullif(app_frame, ''), label) AS name, {SUMS}"
                ),
                "callsites",
                "svr_ip, svr_port, pid, callsite_id, app_frame, label",
            ),
        };
        format!(
            "SELECT {columns} FROM {from} WHERE {only} GROUP BY {group} ORDER BY bytes DESC, total DESC, key LIMIT {MAX_LINES}"
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
        // The servers' own memory is nobody's question unless they ask for it.
        let only = match self.pid {
            Some(pid) => format!("pid = {pid}"),
            None => "state = 'alive' AND NOT is_server".to_owned(),
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
