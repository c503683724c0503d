//! The page `/`: recorded processes and what holds the heap, each table with its statement, and links to the other pages. Rows come from
//! `query`.

use std::fmt::Write;

use heapql_profile::escaped;

use super::query::QueryClient;
use super::reply::table;

const STYLE: &str = "\
:root{color-scheme:light dark}body{font:14px/1.45 system-ui,sans-serif;margin:0;padding:12px 16px}\
h1{font-size:18px;margin:0 0 8px}h2{font-size:15px;margin:20px 0 4px}\
code,td,textarea{font:12px ui-monospace,monospace}code{user-select:all}p{margin:2px 0}\
table{border-collapse:collapse;margin:4px 0}th,td{text-align:left;vertical-align:top;padding:2px 14px 2px 0;\
overflow-wrap:break-word;max-width:60em}th{font-weight:600;font-size:12px}textarea{width:100%;max-width:70em}";

/// Heading and statement of each table. The servers' own heaps are left out.
const SECTIONS: &[(&str, &str)] = &[
    (
        "Recorded processes",
        "SELECT svr_ip, svr_port, pid, state, command, min_interval, max_interval, callsite_count, sampled_live_count, loss_count, why \
         FROM processes ORDER BY state, svr_ip, svr_port, pid LIMIT 50",
    ),
    (
        "Leak suspects",
        "SELECT rank, verdict, app_frame, why, est_bytes, label, process_count, server_count, svr_ip, svr_port, pid \
         FROM leak_suspects ORDER BY rank LIMIT 10",
    ),
    (
        "What holds the heap, by function",
        "SELECT function, est_bytes, est_percent, est_cum_bytes, est_cum_percent, module FROM top ORDER BY est_bytes DESC LIMIT 20",
    ),
    (
        "What holds the heap, by callsite",
        "SELECT svr_ip, svr_port, pid, label, est_bytes, est_bytes_error, est_count, app_frame FROM callsites WHERE state = 'alive' \
         AND NOT is_server ORDER BY est_bytes DESC LIMIT 10",
    ),
];

pub(super) async fn index(client: &QueryClient) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>HeapQL</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>HeapQL</h1>\n{LINKS}"
    );
    for (heading, statement) in SECTIONS {
        let body = match client.table(statement).await {
            Ok(found) if found.rows.is_empty() => "<p>No rows.</p>\n".to_owned(),
            Ok(found) => table(&found.columns, &found.rows, linked),
            Err(failure) => format!("<p>error: {}</p>\n", escaped(&failure.message)),
        };
        let _ = write!(html, "<h2>{}</h2>\n<p><code>{};</code></p>\n{body}", escaped(heading), escaped(statement));
    }
    html + FORM + "</body>\n</html>\n"
}

/// Links a pid to the flame graph of its process.
fn linked(column: &str, text: &str) -> Option<String> {
    let pid: i64 = text.parse().ok().filter(|_| column == "pid")?;
    Some(format!("<a href=\"/flamegraph?pid={pid}\">{pid}</a>"))
}

const LINKS: &str = "\
<p>Flame graph of every live process: <a href=\"/flamegraph\">live bytes</a>, \
<a href=\"/flamegraph?value=live_count\">live allocations</a>, \
<a href=\"/flamegraph?value=total_bytes\">bytes allocated since the start</a>, \
<a href=\"/flamegraph?format=svg\">as SVG</a>. A pid below leads to that of one process.</p>\n\
<p>Files: <a href=\"/debug/pprof/heap\">pprof</a>, <a href=\"/folded\">folded stacks</a>, \
<a href=\"/metrics\">metrics</a>.</p>\n";

const FORM: &str = "\
<h2>Ask</h2>\n<form action=\"/sql\" method=\"get\">\n\
<p><textarea name=\"q\" rows=\"3\" aria-label=\"Statement\">SHOW TABLES</textarea></p>\n\
<p><label><input type=\"radio\" name=\"format\" value=\"csv\" checked> CSV</label> \
<label><input type=\"radio\" name=\"format\" value=\"json\"> JSON</label> <button>Run</button></p>\n</form>\n";
