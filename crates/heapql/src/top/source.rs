//! The source of the lines: one query per poll, over one connection, which is opened again when it is lost. It draws nothing.

use std::time::Duration;

use tokio::time::timeout;

use crate::cli::{EndpointFlags, TopView};
use crate::client::{Client, ClientError, Endpoint, RowStream};
use crate::rows::Cell;

/// Maximum number of lines of a poll.
pub(super) const MAX_LINES: usize = 500;
/// Timeout of a poll. A poll that times out drops its connection.
const POLL_TIMEOUT: Duration = Duration::from_secs(10);

/// One line of the view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TopLine {
    /// The key by which the line is found in the next poll.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) bytes: i64,
    pub(super) count: i64,
    /// Bytes of a function including its callees.
    pub(super) total: Option<i64>,
}

impl TopLine {
    /// The line's cells, as they are printed without a terminal.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let number = |number: i64| Cell::Bare(number.to_string());
        let mut cells = vec![number(self.bytes), number(self.count)];
        cells.extend(self.total.map(number));
        // The name is last, because a C++ name may have a thousand characters.
        cells.push(Cell::Text(self.name.clone()));
        cells
    }

    fn from_row(row: &[Cell]) -> Option<TopLine> {
        let [key, name, bytes, count, total] = row else { return None };
        let number = |cell: &Cell| cell.words("0").parse().unwrap_or(0);
        let text = |cell: &Cell| cell.words("").to_owned();
        Some(TopLine {
            key: text(key),
            name: text(name),
            bytes: number(bytes),
            count: number(count),
            total: total.words("").parse().ok(),
        })
    }
}

impl TopView {
    /// Headings of the table that is printed without a terminal.
    pub(crate) fn headings(self) -> Vec<String> {
        let total = (self == TopView::Functions).then_some("est_cum_bytes");
        ["est_bytes", "est_count"].into_iter().chain(total).chain([self.heading()]).map(str::to_owned).collect()
    }

    pub(crate) fn heading(self) -> &'static str {
        match self {
            TopView::Functions => "function",
            TopView::Labels => "label",
            TopView::Processes => "process",
            TopView::Callsites => "callsite",
        }
    }

    /// The query of a poll. Its columns are key, name, bytes, count and total bytes, the largest first. `only` is a condition on pid and
    /// state.
    fn query(self, only: &str) -> String {
        const SUMS: &str = "sum(est_bytes) AS bytes, sum(est_count) AS count, NULL AS total";
        const WITH_COMMAND: &str = "callsites JOIN (SELECT svr_ip AS ip, svr_port AS port, pid AS process, \
                                    process_started_at AS began, command FROM processes) \
                                    ON ip = svr_ip AND port = svr_port AND process = pid AND began = process_started_at";
        // A pid is one process of one server.
        const PROCESS: &str = "svr_ip || ':' || CAST(svr_port AS VARCHAR) || ' ' || CAST(pid AS VARCHAR)";
        let (columns, from, group) = match self {
            // By the code that asked the allocator, and with everything that it called.
            TopView::Functions => (
                "function || ' ' || module AS key, function AS name, \
                 sum(CASE WHEN is_self THEN est_bytes ELSE 0 END) AS bytes, \
                 sum(CASE WHEN is_self THEN est_count ELSE 0 END) AS count, \
                 sum(CASE WHEN is_repeat THEN 0 ELSE est_bytes END) AS total"
                    .to_owned(),
                "frames",
                "function, module",
            ),
            TopView::Labels => (format!("label AS key, label AS name, {SUMS}"), "callsites", "label"),
            TopView::Processes => (
                format!(
                    "{PROCESS} AS key, CAST(pid AS VARCHAR) || ' ' || max(command) || CASE WHEN \
                     (SELECT count(*) FROM servers) > 1 THEN ' on ' || svr_ip || ':' || CAST(svr_port AS VARCHAR) \
                     ELSE '' END AS name, {SUMS}"
                ),
                WITH_COMMAND,
                "svr_ip, svr_port, pid",
            ),
            // By the user's own code, where there is some on the stack.
            TopView::Callsites => (
                format!(
                    "{PROCESS} || ' ' || CAST(callsite_id AS VARCHAR) AS key, \
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

pub(crate) struct LineSource {
    endpoint: Endpoint,
    password: Option<String>,
    pid: Option<u32>,
    flags: EndpointFlags,
    client: Option<Client>,
}

impl LineSource {
    pub(crate) fn new(
        endpoint: Endpoint,
        password: Option<String>,
        pid: Option<u32>,
        flags: EndpointFlags,
    ) -> LineSource {
        LineSource { endpoint, password, pid, flags, client: None }
    }

    pub(super) fn words(&self) -> String {
        self.endpoint.words()
    }

    pub(crate) async fn poll(&mut self, by: TopView) -> Result<Vec<TopLine>, ClientError> {
        let polled = timeout(POLL_TIMEOUT, self.ask(by)).await;
        let found = polled.unwrap_or_else(|_| Err(ClientError::no_answer(&self.endpoint.words(), POLL_TIMEOUT)));
        // A lost connection is replaced. An error of SQL comes again, at no harm.
        if found.is_err() {
            self.client = None;
        }
        found
    }

    async fn ask(&mut self, by: TopView) -> Result<Vec<TopLine>, ClientError> {
        let client = match &mut self.client {
            Some(client) => client,
            none => {
                // Another server may have been started meanwhile.
                self.endpoint = self.endpoint.again(&self.flags)?;
                none.insert(Client::connect(&self.endpoint, self.password.as_deref()).await?)
            }
        };
        // The servers' own memory is left out unless its pid is given.
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

async fn lines(mut answer: RowStream) -> Result<Vec<TopLine>, ClientError> {
    let mut lines = Vec::new();
    while let Some(row) = answer.next().await? {
        lines.extend(TopLine::from_row(&row));
    }
    Ok(lines)
}
