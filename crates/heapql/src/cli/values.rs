//! Values of flags: their types, their names on the command line, and their parsers. What they cause is the verbs'.

use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;

/// The host of a listen address that names none.
pub(crate) const LOOPBACK: &str = "127.0.0.1";

/// The value of a listen flag.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum ListenAddress {
    Off,
    /// `host:port`; the host is resolved when it is bound.
    At(String),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddress, String> {
        if text == "off" {
            return Ok(ListenAddress::Off);
        }
        let wrong = || "expected host:port (port 0: the kernel picks) or off, for example 127.0.0.1:0".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        port.parse::<u16>().map_err(|_| wrong())?;
        // A colon in the host is an IPv6 address, which stands in brackets.
        if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
            return Err("an IPv6 address needs brackets, for example [::1]:0".to_owned());
        }
        let host = if host.is_empty() { LOOPBACK } else { host };
        Ok(ListenAddress::At(format!("{host}:{port}")))
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<ListenAddress, String> {
        text.parse().map_err(|why| format!("'{text}': {why}"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Allocator {
    System,
    Mimalloc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Api {
    C,
    Python,
}

/// The quantities that a profile can show.
pub(super) const VALUES: [&str; 4] = ["live_bytes", "live_count", "total_bytes", "total_count"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlameFormat {
    Svg,
    Html,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    Pprof,
    Folded,
}

/// The groups by which `top` sums up live memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum TopView {
    Functions,
    Labels,
    Processes,
    Callsites,
}

/// Parses a query. A text that is one word of a comment is a misspelt flag.
pub(super) fn query(text: &str) -> Result<String, String> {
    if text.starts_with('-') && !text.contains(char::is_whitespace) {
        return Err("there is no such flag".to_owned());
    }
    Ok(text.to_owned())
}

/// Parses a number and its unit. Without a unit it counts seconds.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time from 100ms to 1h, such as 500ms, 2s or 1m".to_owned();
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let interval = number.checked_mul(unit).map(Duration::from_millis).ok_or_else(wrong)?;
    if (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&interval) {
        Ok(interval)
    } else {
        Err(wrong())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    Table,
    Csv,
    Json,
    Md,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<ListenAddress> {
        text.parse().ok()
    }

    #[test]
    fn addresses() {
        let address = |text: &str| Some(ListenAddress::At(text.to_owned()));
        assert_eq!(at("off"), Some(ListenAddress::Off));
        assert_eq!(at("127.0.0.1:2881"), address("127.0.0.1:2881"));
        assert_eq!(at(":0"), address("127.0.0.1:0"));
        assert_eq!(at("localhost:1"), address("localhost:1"));
        assert_eq!(at("[::1]:0"), address("[::1]:0"));
        for wrong in ["", "2881", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", "::1:0", "on"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn intervals_have_units() {
        let millis = |text: &str| interval(text).ok().map(|interval| interval.as_millis());
        assert_eq!(
            (millis("500ms"), millis("2s"), millis("2"), millis("1m")),
            (Some(500), Some(2000), Some(2000), Some(60_000))
        );
        for wrong in ["", "s", "1d", "99ms", "2h", "-1s", "1.5s", "99999999999999999999h"] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }
}
