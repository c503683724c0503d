//! `/metrics` for Prometheus: one series per live process, and the server's own cost. Values come from SQL.

use std::fmt::Write;

use heapql_server::Failure;

use super::query::QueryClient;

/// Maximum number of characters of a label's value.
const MAX_LABEL_CHARS: usize = 120;

/// Metrics of this server, not of its cluster: name, description, type, and a statement. The last column of its rows is the value, the
/// others are labels under their names.
const METRICS: &[(&str, &str, &str, &str)] = &[
    (
        "heapql_processes",
        "Recorded processes by state.",
        "gauge",
        "SELECT state, count(*) FROM processes GROUP BY state ORDER BY state",
    ),
    (
        "heapql_live_bytes_estimate",
        "Estimate of the requested bytes of all live objects of a process, sampled or not.",
        "gauge",
        "SELECT pid, command, est_bytes FROM live_by_process WHERE state = 'alive' AND callsite_count > 0 ORDER BY pid",
    ),
    (
        "heapql_live_bytes_estimate_error",
        "Standard error of heapql_live_bytes_estimate.",
        "gauge",
        "SELECT pid, command, est_bytes_error FROM live_by_process WHERE state = 'alive' AND callsite_count > 0 \
         ORDER BY pid",
    ),
    (
        "heapql_live_objects_estimate",
        "Estimate of the live objects of a process, sampled or not.",
        "gauge",
        "SELECT pid, command, est_count FROM live_by_process WHERE state = 'alive' AND callsite_count > 0 ORDER BY pid",
    ),
    (
        "heapql_samples_lost_total",
        "Allocations of a live process that were due for a sample and not recorded.",
        "counter",
        "SELECT pid, command, loss_count FROM processes WHERE state = 'alive' ORDER BY pid",
    ),
    (
        "heapql_self_usage",
        "What the server itself keeps and has dropped: the rows of self_usage.",
        "gauge",
        "SELECT name, unit, value FROM self_usage WHERE pid IS NULL ORDER BY name",
    ),
];

pub(super) async fn render(client: &QueryClient) -> Result<String, Failure> {
    let mut text = String::new();
    for (name, help, kind, statement) in METRICS {
        head(&mut text, name, help, kind);
        let table = client.table_here(statement).await?;
        for row in &table.rows {
            let Some((Some(value), labels)) = row.split_last() else { continue };
            let label = |(column, value): (&String, &Option<String>)| {
                format!("{column}=\"{}\"", label(value.as_deref().unwrap_or_default()))
            };
            let labels: Vec<_> = table.columns.iter().zip(labels).map(label).collect();
            let _ = writeln!(text, "{name}{{{}}} {value}", labels.join(","));
        }
    }
    own(&mut text);
    Ok(text)
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn label(text: &str) -> String {
    let text: String = text.chars().take(MAX_LABEL_CHARS).collect();
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Appends the metrics of the server's process, under the names that Prometheus' own clients use.
fn own(text: &mut String) {
    // The name in both files may be no UTF-8.
    let read = |name| String::from_utf8_lossy(&std::fs::read(name).unwrap_or_default()).into_owned();
    let status = read("/proc/self/status");
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    if let Some(kilobytes) = kilobytes {
        head(text, "process_resident_memory_bytes", "Resident memory of the server.", "gauge");
        let _ = writeln!(text, "process_resident_memory_bytes {}", kilobytes * 1024);
    }
    // Fields 14 and 15, counted behind the name, which may hold anything; in hundredths of a second on every Linux.
    let stat = read("/proc/self/stat");
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks: Vec<u64> = behind.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    if let [user, system] = ticks[..] {
        head(text, "process_cpu_seconds_total", "Processor time of the server.", "counter");
        let _ = writeln!(text, "process_cpu_seconds_total {:.2}", (user + system) as f64 / 100.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_stays_one() {
        assert_eq!(label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
        assert_eq!(label(&"é".repeat(500)).chars().count(), MAX_LABEL_CHARS);
    }

    #[test]
    fn the_server_measures_itself() {
        let mut text = String::new();
        own(&mut text);
        for name in ["process_resident_memory_bytes ", "process_cpu_seconds_total "] {
            let value = text.lines().find_map(|line| line.strip_prefix(name)).expect("a value");
            assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{text}");
        }
    }
}
