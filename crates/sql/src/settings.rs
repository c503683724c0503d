//! Session variables: what `@@x`, SHOW VARIABLES and PostgreSQL's SHOW answer, and what SET changes. Only the timeout
//! and the current database have an effect; the rest is what drivers want to read and write when they connect.

mod mysql;
mod postgres;

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use heapql_server::dialect::Dialect;
use heapql_server::failure::{Failure, FailureKind};
use heapql_server::server::Server;

/// Values of one session, by lower-case name.
pub(crate) struct Settings {
    defaults: BTreeMap<&'static str, String>,
    changed: Mutex<BTreeMap<String, String>>,
    dialect: Dialect,
}

/// The result of a SET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetOutcome {
    Yes,
    /// A name that nobody reads.
    Unknown,
    /// A name that describes the server.
    Fixed,
}

/// When on, an answer that lacks a server of the cluster is an error.
pub(crate) const CLUSTER_STRICT: &str = "cluster_strict";

/// When on, no other server is asked.
pub(crate) const CLUSTER_LOCAL: &str = "cluster_local";

/// More than any client sets; a bound on what a session can be made to keep.
const MAX_CHANGED: usize = 512;

impl Settings {
    pub(crate) fn new(dialect: Dialect, server: &Server, user: &str) -> Settings {
        let defaults = match dialect {
            Dialect::MySql => mysql::defaults(server),
            Dialect::Postgres => postgres::defaults(user),
        };
        Settings { defaults, changed: Mutex::default(), dialect }
    }

    /// The value of a variable; `@user` variables live beside the system's.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        if let Some(value) = self.changed.lock().get(&name) {
            return Some(value.clone());
        }
        self.defaults.get(name.as_str()).cloned()
    }

    pub(crate) fn set(&self, name: &str, value: &str) -> Result<SetOutcome, Failure> {
        let name = name.to_ascii_lowercase();
        let known = self.defaults.contains_key(name.as_str());
        if !known && !name.starts_with('@') {
            return Ok(SetOutcome::Unknown);
        }
        if is_fixed(&name) {
            return Ok(SetOutcome::Fixed);
        }
        if [CLUSTER_STRICT, CLUSTER_LOCAL].contains(&&*name)
            && !matches!(value.to_ascii_lowercase().as_str(), "0" | "1" | "on" | "off" | "true" | "false")
        {
            let message = format!("invalid value for '{name}': '{value}'");
            return Err(Failure::new(FailureKind::InvalidParameter, message).hint("on or off"));
        }
        if name == self.timeout_name() {
            self.duration(&name, value)?;
        }
        let value = if self.is_switch(&name) { switched(value) } else { value };
        let mut changed = self.changed.lock();
        if !changed.contains_key(&name) && changed.len() >= MAX_CHANGED {
            return Err(Failure::new(
                FailureKind::OutOfMemory,
                format!("a session keeps at most {MAX_CHANGED} variables"),
            ));
        }
        changed.insert(name, value.to_owned());
        Ok(SetOutcome::Yes)
    }

    pub(crate) fn reset(&self, name: &str) {
        self.changed.lock().remove(&name.to_ascii_lowercase());
    }

    pub(crate) fn reset_all(&self) {
        self.changed.lock().clear();
    }

    fn is_switch(&self, name: &str) -> bool {
        self.dialect == Dialect::MySql && mysql::SWITCHES.contains(&name)
    }

    /// Every system variable, by name, as it is listed.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        let changed = self.changed.lock();
        let value = |name: &str, default: &String| {
            let value = changed.get(name).unwrap_or(default).clone();
            match value.as_str() {
                "1" if self.is_switch(name) => "ON".to_owned(),
                "0" if self.is_switch(name) => "OFF".to_owned(),
                _ => value,
            }
        };
        let line = |(name, default): (&&str, &String)| ((*name).to_owned(), value(name, default));
        self.defaults.iter().map(line).collect()
    }

    fn timeout_name(&self) -> &'static str {
        match self.dialect {
            Dialect::MySql => "max_execution_time",
            Dialect::Postgres => "statement_timeout",
        }
    }

    /// Whether a switch is on, however it was written.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "on" | "true" | "yes"))
    }

    /// How long a statement may run, if there is a limit.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let name = self.timeout_name();
        let own = self.get(name).and_then(|value| self.duration(name, &value).ok());
        // OceanBase's own variable counts microseconds.
        let theirs = self.get("ob_query_timeout").and_then(|value| value.parse().ok()).map(Duration::from_micros);
        [own, theirs].into_iter().flatten().filter(|limit| !limit.is_zero()).min()
    }

    /// Milliseconds, or in PostgreSQL a number with a unit.
    fn duration(&self, name: &str, text: &str) -> Result<Duration, Failure> {
        let text = text.trim();
        let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic() || char == ' ');
        let millis = match text[digits.len()..].trim() {
            "" | "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            _ => 0,
        };
        match digits.parse::<u64>() {
            Ok(count) if millis > 0 => Ok(Duration::from_millis(count.saturating_mul(millis).min(u64::from(u32::MAX)))),
            _ => Err(Failure::new(FailureKind::InvalidParameter, format!("invalid value for '{name}': '{text}'"))
                .hint("milliseconds, 0 = no limit; PostgreSQL also takes '500ms', '5s', '1min'")),
        }
    }
}

fn switched(value: &str) -> &str {
    match value.to_ascii_uppercase().as_str() {
        "ON" | "TRUE" => "1",
        "OFF" | "FALSE" => "0",
        _ => value,
    }
}

/// The settings that a client may read but not change.
fn is_fixed(name: &str) -> bool {
    name.starts_with("version") || name.starts_with("server_") || mysql::FIXED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dialect: Dialect) -> Settings {
        let name = if dialect == Dialect::MySql { "max_execution_time" } else { "statement_timeout" };
        Settings { defaults: BTreeMap::from([(name, "0".to_owned())]), changed: Mutex::default(), dialect }
    }

    #[test]
    fn timeouts() {
        let postgres = settings(Dialect::Postgres);
        assert_eq!(postgres.timeout(), None);
        for (text, millis) in [("5s", 5_000), ("250", 250), ("100 ms", 100), ("1min", 60_000)] {
            assert_eq!(postgres.set("Statement_Timeout", text), Ok(SetOutcome::Yes));
            assert_eq!(postgres.timeout(), Some(Duration::from_millis(millis)));
        }
        for text in ["-1", "soon", "", "1 fortnight"] {
            assert_eq!(postgres.set("statement_timeout", text).expect_err(text).kind, FailureKind::InvalidParameter);
        }
        postgres.reset("statement_timeout");
        assert_eq!(postgres.timeout(), None);
    }

    #[test]
    fn unknown_names_are_told_apart() {
        let mysql = settings(Dialect::MySql);
        assert_eq!(mysql.set("no_such_thing", "1"), Ok(SetOutcome::Unknown));
        assert_eq!(mysql.set("@mine", "1"), Ok(SetOutcome::Yes));
        assert_eq!(mysql.get("@MINE").as_deref(), Some("1"));
    }
}
